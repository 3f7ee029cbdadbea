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

from ssl_toolkit.infusion.chains import (
    Gaussian as Gaussian,
    Infusion as Infusion,
    Link as Link,
    Mixture as Mixture,
    Prior as Prior,
    chain as chain,
    first as first,
    fit_prior as fit_prior,
    increasing as increasing,
    log_density as log_density,
)
from ssl_toolkit.infusion.inpainting import complete as complete, past as past, vary as vary
from ssl_toolkit.infusion.likelihood import (
    bound_by_step as bound_by_step,
    choose_sigma as choose_sigma,
    importance_estimate as importance_estimate,
    importance_estimates as importance_estimates,
    lower_bound as lower_bound,
    parzen as parzen,
)
from ssl_toolkit.infusion.objectives import (
    denoising as denoising,
    dequantize as dequantize,
    recalibrate as recalibrate,
    variational as variational,
)
from ssl_toolkit.infusion.operators import Operator as Operator, conv as conv, mlp as mlp
from ssl_toolkit.infusion.recipe import PRESETS as PRESETS, InfusionRecipe as InfusionRecipe, prior_of as prior_of
