"""A recipe: all settings of one run of infusion training, with defaults tuned on one CPU core.

    recipe = Recipe(T=10)
    state, objective = recipe.start(data), recipe.objective(data)
    for step in train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed): ...
    operator, prior = state.model, prior_of(state.model)

`PRESETS` has the paper's settings and those of the released code; they differ.
"""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from ssl_toolkit.data import Dataset
from ssl_toolkit.infusion.chains import Mixture, Prior, fit_prior
from ssl_toolkit.infusion.objectives import denoising
from ssl_toolkit.infusion.operators import Operator, conv, mlp
from ssl_toolkit.training import Objective, TrainState, start


@dataclass(frozen=True)
class InfusionRecipe:
    """The settings of one run. `dataclasses.replace(recipe, omega=0.05)` changes some of them."""

    T: int = 15  # steps of the chain
    net: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[int, ...] = (400, 400)  # of the MLP
    width: int = 16  # of the convolutional operator
    omega: float = 0.025  # the rate of infusion: alpha_t = max(least, omega t), at most 1
    least: float = 0.0
    copies: float = 1e-4  # variance of the infused pixels
    steps: int = 1100  # updates: less than two minutes of CPU time
    batch_size: int = 64
    lr: float = 2e-3
    seed: int = 0

    def rate(self, t: int) -> float:
        return min(1.0, max(self.least, self.omega * t))

    @property
    def infusion(self) -> Mixture:
        return Mixture(self.copies)

    def model(self, data: Dataset) -> Operator:
        """An untrained operator for these images; it stores the prior fitted to them."""
        if self.net not in ("mlp", "conv"):
            raise ValueError(f"net is {self.net!r}: it must be 'mlp' or 'conv'.")
        if self.net == "conv":
            operator = conv(data.shape, steps=self.T, width=self.width, seed=self.seed)
        else:
            operator = mlp(data.shape, steps=self.T, hidden=self.hidden, seed=self.seed)
        prior = fit_prior(data.images)
        operator.register_buffer("prior_mean", prior.mean)
        operator.register_buffer("prior_std", prior.std)
        return operator

    def start(self, data: Dataset) -> TrainState:
        """An untrained operator for these images and its optimizer, at step 0."""
        return start(self.model(data), lr=self.lr, weight_decay=0.0, total=self.steps)

    def objective(self, data: Dataset) -> Objective:
        """The paper's objective, denoising."""
        return denoising(fit_prior(data.images), rate=self.rate, infusion=self.infusion)


def prior_of(operator: nn.Module) -> Prior:
    """p_0 of an operator that a recipe made. Raises ValueError for any other operator, since it stores no prior."""
    kept = dict(operator.named_buffers(recurse=False))
    if "prior_mean" not in kept:
        raise ValueError("the operator keeps no prior: only one made by an InfusionRecipe does; use fit_prior(images).")
    return Prior(kept["prior_mean"], kept["prior_std"])


# the paper's settings as far as we know, and those of bordesf/Infusion, which infuses z_0 and z_1 alike; only the
# learning rate differs: it decays to 0 here
PRESETS = {
    "paper": InfusionRecipe(15, hidden=(1200, 1200), omega=0.01, batch_size=512, lr=1e-3, steps=146_000),
    "released": InfusionRecipe(10, hidden=(1200,), omega=0.02, least=0.02, batch_size=512, lr=1e-3, steps=146_000),
}
