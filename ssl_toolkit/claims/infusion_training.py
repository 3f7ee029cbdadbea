"""Shared parts of the infusion claims: small images, operators trained on them, and scores for their samples.

The class score is exp of the mutual information between image and class under a linear classifier of real images. This
is the Inception score's formula; here it lies between 1 and 10. KID uses the features of a small supervised net.
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
from ssl_toolkit.joint import JointRecipe, Views
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
    """Small Fashion-MNIST images, which all these claims use."""
    data = load_data("fashion-mnist", size=SIDE, limit=TRAIN + VALIDATION)
    return Parts(data[:TRAIN], data[TRAIN:], load_data("fashion-mnist", split="test", size=SIDE, limit=TEST))


def infusion_of(setting: Setting) -> Infusion:
    """How this setting infuses the target: by copying pixels, or by pulling Gaussians toward it."""
    return Gaussian() if setting["infusion"] == "gaussian" else Mixture(1e-4)


def trained(setting: Setting) -> Generator[Values | None, None, tuple[Operator, Prior]]:
    """Train the setting's operator; return it and its prior. After each step, yield None, or sometimes the loss."""
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


# Scores for samples.


@lru_cache(maxsize=1)
def classifier() -> Probe:
    """A linear classifier trained on real images, to score a chain's images."""
    train, _, test = images()
    return linear_probe(pixels(train.images), train.labels, pixels(test.images), test.labels, weight_decays=(1e-3,))


def class_score(samples: Float[Tensor, "n 1 h w"], probe: Probe) -> float:
    """The score of `recognition` with a linear classifier."""
    return recognition(probe.logits(samples.flatten(1))).score


def diversity(samples: Float[Tensor, "n 1 h w"]) -> float:
    """The mean distance between two samples."""
    return torch.pdist(samples.flatten(1)).mean().item()


def judge(steps: int) -> Generator[None, None, nn.Module]:
    """Train a supervised net for KID, whose features know the classes but no generator; yield None after each step."""
    data, (recipe, state) = images().train, _judge(steps)
    objective = recipe.objective(data)
    for _ in train(state, data, objective, until=steps, batch_size=recipe.batch_size):  # no steps if trained already
        yield None
    return state.model


@lru_cache(maxsize=1)
def _judge(steps: int) -> tuple[JointRecipe, TrainState]:
    plain = Views((1.0, 1.0), flip=0.0, jitter=0.0, hue=0.0, gray=0.0)
    recipe = JointRecipe("supervised", steps=steps, width=128, **plain._asdict())
    return recipe, recipe.start(images().train)


def distance(samples: Float[Tensor, "n 1 h w"], features: nn.Module) -> float:
    """KID between samples and as many held-out images."""
    held_out = torch.cat([images().validation.images, images().test.images])
    real, fake = (embed(features, some) for some in (held_out, samples))
    return kid_in_units(real, fake)
