"""What the claims of infusion share: small images, operators trained on them, and what their samples are judged by.

The class score is exp of the mutual information of image and class under a linear classifier of real images: the
Inception score's formula, which lies between 1 and 10 here. KID is on the features of a small supervised net.
"""

from collections.abc import Generator, Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.claims.common import SEEDS, Parts, over_seeds, trained_on
from ssl_toolkit.claims.study import Budget, Values
from ssl_toolkit.data import load_data
from ssl_toolkit.diffusion.metrics import kid_in_units, recognition
from ssl_toolkit.encoders import embed, pixels
from ssl_toolkit.infusion import (
    Gaussian,
    Infusion,
    Mixture,
    Operator,
    Prior,
    denoising,
    fit_prior,
    increasing,
    mlp,
    variational,
)
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.probes import Probe, linear_probe
from ssl_toolkit.training import TrainState, start, train
from ssl_toolkit.training.sweep import Setting

PAPER = "Learning to Generate Samples from Noise through Infusion Training (arXiv 1703.06975)"
SIDE, TRAIN, VALIDATION, TEST, SAMPLES = 14, 8000, 500, 500, 1000
UPDATES: dict[Budget, int] = {"smoke": 20, "standard": 500, "full": 6000}
BASE: Setting = {
    "T": 10, "alpha": 0.0, "omega": 0.02, "infusion": "mixture", "apart": "batchnorm", "objective": "denoising",
    "hidden": 300, "batch_size": 64, "lr": 2e-3,
}  # fmt: skip


def settings(budget: Budget, **axes: Sequence) -> list[Setting]:
    """The base setting at this budget, varied along the axes, with each seed."""
    return over_seeds(SEEDS[budget], BASE | {"steps": UPDATES[budget]}, **axes)


@lru_cache(maxsize=1)
def images() -> Parts:
    """Fashion-MNIST in small, of which the claims are measured."""
    data = load_data("fashion-mnist", size=SIDE, limit=TRAIN + VALIDATION)
    return Parts(data[:TRAIN], data[TRAIN:], load_data("fashion-mnist", split="test", size=SIDE, limit=TEST))


def infusion_of(setting: Setting) -> Infusion:
    """How the target enters by this setting: pixels copied, or Gaussians pulled towards it."""
    return Gaussian() if setting["infusion"] == "gaussian" else Mixture(1e-4)


def trained(setting: Setting) -> Generator[Values | None, None, tuple[Operator, Prior]]:
    """The operator and prior that the setting asks for; the loss now and then, else None after a step."""
    data = images().train
    prior = fit_prior(data.images)
    state = started(setting)
    goal = {"denoising": denoising, "variational": variational}[setting["objective"]]
    objective = goal(prior, rate=increasing(setting["omega"], setting["alpha"]), infusion=infusion_of(setting))
    yield from trained_on(setting, state, data, objective)
    return operator_of(state), prior


def started(setting: Setting) -> TrainState:
    """The paper's MLP, untrained."""
    hidden = (setting["hidden"],) * 2
    operator = mlp((1, SIDE, SIDE), steps=setting["T"], hidden=hidden, apart=setting["apart"], seed=setting["seed"])
    return start(operator, lr=setting["lr"], weight_decay=0.0, total=setting["steps"], device="cpu")


def operator_of(state: TrainState) -> Operator:
    """The state's model, known to be an operator."""
    assert isinstance(state.model, Operator)
    return state.model


# What samples are judged by.


@lru_cache(maxsize=1)
def classifier() -> Probe:
    """A linear classifier of real images, which scores those of a chain."""
    train, _, test = images()
    return linear_probe(pixels(train.images), train.labels, pixels(test.images), test.labels, weight_decays=(1e-3,))


def class_score(samples: Float[Tensor, "n 1 h w"], probe: Probe) -> float:
    """`recognition` by a linear classifier."""
    return recognition(probe.logits(samples.flatten(1))).score


def diversity(samples: Float[Tensor, "n 1 h w"]) -> float:
    """The mean distance of two samples."""
    return torch.pdist(samples.flatten(1)).mean().item()


def judge(steps: int) -> Generator[None, None, nn.Module]:
    """A supervised net, whose features know the classes and no generator has seen; None after a step of training it."""
    data, (recipe, state) = images().train, _judge(steps)
    objective = recipe.objective(data)
    for _ in train(state, data, objective, until=steps, batch_size=recipe.batch_size):  # none, where it is trained
        yield None
    return state.model


@lru_cache(maxsize=1)
def _judge(steps: int) -> tuple[JointRecipe, TrainState]:
    recipe = JointRecipe("supervised", steps=steps, width=128, scale=(1.0, 1.0), jitter=0.0)
    return recipe, recipe.start(images().train)


def distance(samples: Float[Tensor, "n 1 h w"], features: nn.Module) -> float:
    """KID of samples and as many images that nothing was trained on."""
    held_out = torch.cat([images().validation.images, images().test.images])
    real, fake = (embed(features, some) for some in (held_out, samples))
    return kid_in_units(real, fake)
