"""Diffusion that can be stepped through: schedules, adapters to one contract, samplers, and RCDM on top of them.

    *_, last = ddim(denoise, noise, schedule=schedule, timesteps=schedule.timesteps(20))

with denoise(x, t) -> x0, made of any network by `from_eps`, `from_x0`, `from_v`, `from_flow` or `edm_precondition`.
"""

from ssl_toolkit.diffusion import monitor as monitor
from ssl_toolkit.diffusion.baselines import Decoder as Decoder, invert as invert, mean_image as mean_image
from ssl_toolkit.diffusion.cold import cold as cold, covering as covering
from ssl_toolkit.diffusion.compare import Chain as Chain, Frame as Frame, side_by_side as side_by_side
from ssl_toolkit.diffusion.denoise import (
    Denoise as Denoise,
    edm_precondition as edm_precondition,
    from_eps as from_eps,
    from_flow as from_flow,
    from_v as from_v,
    from_x0 as from_x0,
    guided as guided,
)
from ssl_toolkit.diffusion.directions import (
    principal_directions as principal_directions,
    sparse_directions as sparse_directions,
)
from ssl_toolkit.diffusion.edit import along as along, between as between, paint_rows as paint_rows
from ssl_toolkit.diffusion.exact import exact_denoiser as exact_denoiser
from ssl_toolkit.diffusion.factor_reader import (
    ReaderRecipe as ReaderRecipe,
    factor_accuracy as factor_accuracy,
    factor_retention as factor_retention,
)
from ssl_toolkit.diffusion.metrics import (
    faithfulness as faithfulness,
    frechet_distance as frechet_distance,
    kid as kid,
    memorization as memorization,
    nearest as nearest,
    prdc as prdc,
    retention as retention,
)
from ssl_toolkit.diffusion.prior import fit_prior as fit_prior
from ssl_toolkit.diffusion.rcdm import RCDM as RCDM, RCDMRecipe as RCDMRecipe, conditions as conditions
from ssl_toolkit.diffusion.samplers import (
    Denoised as Denoised,
    ddim as ddim,
    ddim_invert as ddim_invert,
    ddpm as ddpm,
    dpmpp_2m as dpmpp_2m,
    euler as euler,
    heun as heun,
)
from ssl_toolkit.diffusion.schedule import (
    Schedule as Schedule,
    cosine_schedule as cosine_schedule,
    edm_schedule as edm_schedule,
    flow_schedule as flow_schedule,
    karras_sigmas as karras_sigmas,
    linear_schedule as linear_schedule,
    spaced_timesteps as spaced_timesteps,
)
from ssl_toolkit.diffusion.unet import UNet as UNet
