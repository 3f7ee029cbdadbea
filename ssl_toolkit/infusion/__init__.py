"""Infusion training (Bordes, Honari and Vincent, 2017): a chain that turns noise into an image in a few steps.

    data = load_data("fashion-mnist")
    operator, prior = mlp((1, 28, 28), steps=15), fit_prior(data.images)
    state = start(operator, lr=1e-3)
    for step in train(state, data, denoising(prior), until=600, batch_size=128): ...
    *_, last = chain(operator, prior.sample(64), steps=15)                          # last.mean: 64 new images

`operators` defines where a chain goes next, `chains` runs it and infuses it with a target, and `objectives` trains it.
`likelihood` estimates how likely images are, `inpainting` completes and varies them, and `recipe` has the settings of
whole runs, including those of the paper and of its code.
"""

from ssl_toolkit.infusion.chains import Gaussian as Gaussian
from ssl_toolkit.infusion.chains import Infusion as Infusion
from ssl_toolkit.infusion.chains import Link as Link
from ssl_toolkit.infusion.chains import Mixture as Mixture
from ssl_toolkit.infusion.chains import Prior as Prior
from ssl_toolkit.infusion.chains import chain as chain
from ssl_toolkit.infusion.chains import first as first
from ssl_toolkit.infusion.chains import fit_prior as fit_prior
from ssl_toolkit.infusion.chains import increasing as increasing
from ssl_toolkit.infusion.chains import log_density as log_density
from ssl_toolkit.infusion.inpainting import complete as complete
from ssl_toolkit.infusion.inpainting import past as past
from ssl_toolkit.infusion.inpainting import vary as vary
from ssl_toolkit.infusion.likelihood import bound_by_step as bound_by_step
from ssl_toolkit.infusion.likelihood import choose_sigma as choose_sigma
from ssl_toolkit.infusion.likelihood import importance_estimate as importance_estimate
from ssl_toolkit.infusion.likelihood import importance_estimates as importance_estimates
from ssl_toolkit.infusion.likelihood import lower_bound as lower_bound
from ssl_toolkit.infusion.likelihood import parzen as parzen
from ssl_toolkit.infusion.objectives import denoising as denoising
from ssl_toolkit.infusion.objectives import dequantize as dequantize
from ssl_toolkit.infusion.objectives import recalibrate as recalibrate
from ssl_toolkit.infusion.objectives import variational as variational
from ssl_toolkit.infusion.operators import Operator as Operator
from ssl_toolkit.infusion.operators import conv as conv
from ssl_toolkit.infusion.operators import mlp as mlp
from ssl_toolkit.infusion.recipe import PRESETS as PRESETS
from ssl_toolkit.infusion.recipe import InfusionRecipe as InfusionRecipe
from ssl_toolkit.infusion.recipe import prior_of as prior_of
