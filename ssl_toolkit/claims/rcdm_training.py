"""Shared parts of the RCDM claims: train an encoder, and an RCDM that paints what it knows.

    {"data": "fashion-mnist", "told": "h", "steps": 400, "painting": 2500, "seed": 0, ...}

`told` compares an RCDM trained on h with one trained on another image's h, or on nothing.
"""

from collections.abc import Generator, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.claims.common import BASE, MEASURED, Parts, parts
from ssl_toolkit.claims.study import Budget, Values
from ssl_toolkit.data import as_float, rng
from ssl_toolkit.diffusion.metrics import faithfulness, kid_in_units, nearest
from ssl_toolkit.diffusion.rcdm import RCDM, RCDMRecipe as Painter, conditions, sample
from ssl_toolkit.encoders import Encoder, embed
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.training import last_of, train
from ssl_toolkit.training.sweep import Setting

PAPER = "High Fidelity Visualization of What Your Self-Supervised Representation Knows About (arXiv 2112.09164)"


def basis(budget: Budget, *, data: str) -> Setting:
    """What all settings of a budget have in common."""
    return BASE | {
        "data": data,
        "size": 16,  # pixels a side
        "steps": {"smoke": 4, "standard": 400, "full": 4000}[budget],  # of an encoder
        "painting": {"smoke": 20, "standard": 2500, "full": 40_000}[budget],  # steps of an RCDM
        "channels": {"smoke": 8, "standard": 32, "full": 32}[budget],  # of its first level
        "conditions": {"smoke": 32, "standard": 1000, "full": 1000}[budget],  # test images whose h it paints
    }


def images_of(setting: Setting) -> Parts:
    """The images of a setting, resized if it says so."""
    return parts(setting["data"], setting["limit"], setting.get("size"))


def trained_encoder(setting: Setting, method: str) -> Generator[None, None, Encoder]:
    """Train an encoder with this method: under the recipe's views if "views" says so, else under version 1's."""
    data, seed = images_of(setting).train, setting["seed"]
    views: dict[str, Any] = {} if setting.get("views") == "full" else MEASURED
    recipe = JointRecipe(
        method, **{name: setting[name] for name in ("steps", "batch_size", "lr", "width", "seed")}, **views
    )
    state, objective = recipe.start(data), recipe.objective(data)
    yield from last_of(train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=seed))
    assert isinstance(state.model, Encoder)
    return state.model


def painter(setting: Setting, h: Float[Tensor, "n d"], *, drop: float = 0.1) -> Generator[None, None, RCDM]:
    """Train an RCDM on the training images and their h."""
    data, seed = images_of(setting).train, setting["seed"]
    recipe = Painter(steps=setting["painting"], drop=drop, width=setting["channels"], seed=seed)
    state, objective = recipe.start(data, h), recipe.objective(h)
    yield from last_of(train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=seed))
    assert isinstance(state.ema, RCDM)
    return state.ema


def paint(
    model: RCDM, h: Float[Tensor, "n d"], seed: int, *, same: int = 1, guidance: float = 1.0
) -> Generator[None, None, Float[Tensor, "n c h w"]]:
    """Paint a sample for each row of h; each run of `same` rows starts at the same noise."""
    noise = torch.randn(len(h) // same, *model.shape, generator=rng(seed, 0, "claims")).repeat_interleave(same, dim=0)
    images = []
    for given, begun in zip(h.split(128), noise.split(128), strict=True):
        done = yield from last_of(sample(model, given, guidance=guidance, noise=begun))
        images.append(done.x.cpu().clamp(0, 1))
    return torch.cat(images)


def told(setting: Setting) -> Iterator[Values | None]:
    """Measure samples of an RCDM trained on h, on another's h (from a random permutation), or on nothing."""
    images, seed = images_of(setting), setting["seed"]
    encoder = yield from trained_encoder(setting, "simclr")
    judge = yield from trained_encoder(setting, "supervised")  # features for KID, from a network that no RCDM has seen
    h = conditions(encoder, images.train.images)
    if setting["told"] == "another's h":
        h = h[torch.randperm(len(h), generator=rng(seed, 0, "claims"))]
    nothing = setting["told"] == "nothing"
    model = yield from painter(setting, h, drop=1.0 if nothing else 0.1)
    test, rest = images.test.images.split([n := setting["conditions"], len(images.test) - n])
    asked = conditions(encoder, test)
    x = yield from paint(model, asked, seed, guidance=0.0 if nothing else 1.0)
    found = faithfulness(conditions(encoder, x), asked)
    real, fake = (embed(judge, some) for some in (rest[:n], x))  # images whose h was not used
    other = torch.cat([images.validation.images, rest])
    k = min(len(other), len(images.train))
    distances = [nearest(x, as_float(some[:k])).distance.median().item() for some in (images.train.images, other)]
    yield {
        "mrr": found.mrr,
        "mean rank": found.mean_rank,
        "chance": found.chance,
        "kid": kid_in_units(real, fake),
        "nearness": distances[0] / distances[1],
    }
