"""Diffusion that can be stepped through: schedules, adapters to one contract, samplers, and RCDM on top of them.

    *_, last = ddim(denoise, noise, schedule=schedule, timesteps=schedule.timesteps(20))

with denoise(x, t) -> x0, made of any network by `from_eps`, `from_x0`, `from_v`, `from_flow` or `edm_precondition`.
"""

from ssl_toolkit.diffusion import monitor as monitor
from ssl_toolkit.diffusion.baselines import Decoder as Decoder
from ssl_toolkit.diffusion.baselines import invert as invert
from ssl_toolkit.diffusion.baselines import mean_image as mean_image
from ssl_toolkit.diffusion.cold import cold as cold
from ssl_toolkit.diffusion.cold import covering as covering
from ssl_toolkit.diffusion.compare import Chain as Chain
from ssl_toolkit.diffusion.compare import Frame as Frame
from ssl_toolkit.diffusion.compare import side_by_side as side_by_side
from ssl_toolkit.diffusion.denoise import Denoise as Denoise
from ssl_toolkit.diffusion.denoise import edm_precondition as edm_precondition
from ssl_toolkit.diffusion.denoise import from_eps as from_eps
from ssl_toolkit.diffusion.denoise import from_flow as from_flow
from ssl_toolkit.diffusion.denoise import from_v as from_v
from ssl_toolkit.diffusion.denoise import from_x0 as from_x0
from ssl_toolkit.diffusion.denoise import guided as guided
from ssl_toolkit.diffusion.directions import principal_directions as principal_directions
from ssl_toolkit.diffusion.directions import sparse_directions as sparse_directions
from ssl_toolkit.diffusion.edit import along as along
from ssl_toolkit.diffusion.edit import between as between
from ssl_toolkit.diffusion.edit import paint_rows as paint_rows
from ssl_toolkit.diffusion.exact import exact_denoiser as exact_denoiser
from ssl_toolkit.diffusion.factor_reader import ReaderRecipe as ReaderRecipe
from ssl_toolkit.diffusion.factor_reader import factor_retention as factor_retention
from ssl_toolkit.diffusion.metrics import faithfulness as faithfulness
from ssl_toolkit.diffusion.metrics import frechet_distance as frechet_distance
from ssl_toolkit.diffusion.metrics import kid as kid
from ssl_toolkit.diffusion.metrics import memorization as memorization
from ssl_toolkit.diffusion.metrics import nearest as nearest
from ssl_toolkit.diffusion.metrics import prdc as prdc
from ssl_toolkit.diffusion.metrics import retention as retention
from ssl_toolkit.diffusion.prior import fit_prior as fit_prior
from ssl_toolkit.diffusion.rcdm import RCDM as RCDM
from ssl_toolkit.diffusion.rcdm import RCDMRecipe as RCDMRecipe
from ssl_toolkit.diffusion.rcdm import conditions as conditions
from ssl_toolkit.diffusion.samplers import Denoised as Denoised
from ssl_toolkit.diffusion.samplers import ddim as ddim
from ssl_toolkit.diffusion.samplers import ddim_invert as ddim_invert
from ssl_toolkit.diffusion.samplers import ddpm as ddpm
from ssl_toolkit.diffusion.samplers import dpmpp_2m as dpmpp_2m
from ssl_toolkit.diffusion.samplers import euler as euler
from ssl_toolkit.diffusion.samplers import heun as heun
from ssl_toolkit.diffusion.schedule import Schedule as Schedule
from ssl_toolkit.diffusion.schedule import cosine_schedule as cosine_schedule
from ssl_toolkit.diffusion.schedule import edm_schedule as edm_schedule
from ssl_toolkit.diffusion.schedule import flow_schedule as flow_schedule
from ssl_toolkit.diffusion.schedule import karras_sigmas as karras_sigmas
from ssl_toolkit.diffusion.schedule import linear_schedule as linear_schedule
from ssl_toolkit.diffusion.schedule import spaced_timesteps as spaced_timesteps
from ssl_toolkit.diffusion.unet import UNet as UNet
