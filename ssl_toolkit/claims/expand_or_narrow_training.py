"""Shared parts of the claims on a representation's width: train a net with a last block of any width, and probe it.

    {"method": "simclr", "width": 512, "projector": [256, 128], "seed": 0, ...}

is SimCLR, or another method of `recipes`, on the shapes. Supervised nets learn the shape, and their projector is just
the classifier. "At home" means the shape; "away" means all other factors, which training never sees.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ssl_toolkit.claims.common import MEASURED, Parts, parts, trained_on
from ssl_toolkit.claims.study import Budget, Values
from ssl_toolkit.data import FewClasses, as_float
from ssl_toolkit.encoders import Encoder, embed, small_conv
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.joint.objectives import Objective
from ssl_toolkit.losses import Terms, nt_xent
from ssl_toolkit.probes import linear_probe, rankme, read_factors
from ssl_toolkit.probes.width import gradient_rank, narrowed, random_relu, zero_fraction
from ssl_toolkit.training import TrainState, start
from ssl_toolkit.training.sweep import Cell, Setting

PAPER = "Expand or Narrow your representation (arXiv 2304.05369)"
DEFAULT = 128  # the small net's default width
WIDTHS: dict[Budget, tuple[int, ...]] = {
    "smoke": (32, DEFAULT, 512),
    "standard": (8, 32, DEFAULT, 512, 2048),
    "full": (8, 16, 32, 64, DEFAULT, 256, 512, 1024, 2048, 4096),
}
STEPS: dict[Budget, int] = {"smoke": 20, "standard": 200, "full": 2000}
IMAGES: dict[Budget, int] = {"smoke": 1000, "standard": 4000, "full": 20_000}
GRADIENTS = 600  # images whose gradients are stacked
CLASSIFIER = [8]  # one output for each shape


def basis(budget: Budget) -> Setting:
    """What all settings of a claim on widths have in common."""
    return {
        "method": "simclr", "data": "shapes", "limit": IMAGES[budget], "steps": STEPS[budget], "batch_size": 64,
        "lr": 2e-3, "projector": [256, 128], "widest": WIDTHS[budget][-1],
    }  # fmt: skip


def begin(setting: Setting) -> tuple[TrainState, Objective]:
    """The untrained net and its objective. Nets with the same seed share all layers below the end of the last block.

    If the setting has "planes" or "blocks", they go to `small_conv`.
    """
    shape = {name: setting[name] for name in ("planes", "blocks") if name in setting}
    model = small_conv(3, width=setting["width"], projector=setting["projector"], seed=setting["seed"], **shape)
    total = max(1, setting["steps"])
    state = start(model, lr=setting["lr"], warmup=min(20, total // 5), total=total)
    method: Any = "simclr" if setting["method"] == "untrained" else setting["method"]
    return state, JointRecipe(method, **MEASURED).objective(parts(setting["data"], setting["limit"]).train)


def encoder_of(state: TrainState) -> Encoder:
    """The state's model, known to be an encoder."""
    assert isinstance(state.model, Encoder)
    return state.model


def measured(setting: Setting) -> Iterator[Values | None]:
    """Train the setting's net, unless it is the untrained control, and measure everything about its width."""
    state, objective = begin(setting)
    if setting["method"] != "untrained":
        yield from trained_on(setting, state, parts(setting["data"], setting["limit"]).train, objective)
    values: Values = {}
    for more in read(setting, encoder_of(state)):
        values |= more
        yield None
    yield values


def at_home(setting: Setting) -> Iterator[Values | None]:
    """Train the setting's net, on batches of two classes if "sampling" says so, and probe only the shape."""
    state, objective = begin(setting)
    images = parts(setting["data"], setting["limit"])
    source = FewClasses(images.train) if setting.get("sampling") == "two classes" else images.train
    yield from trained_on(setting, state, source, objective)
    z, z_test = (embed(encoder_of(state), data.images) for data in (images.train, images.test))
    yield {"test": linear_probe(z, images.train.labels, z_test, images.test.labels).accuracy}


def read(setting: Setting, encoder: Encoder) -> Iterator[Values]:
    """Yield, in portions, scores, the controls' scores, and measures of the representation itself.

    For SimCLR, the default width is expanded with random features to the setting's "widest", and wider ones are
    narrowed to the default.
    """
    images = parts(setting["data"], setting["limit"])
    z = embed(encoder, images.train.images)
    yield {}
    z_test = embed(encoder, images.test.images)
    yield {}
    yield from scores(z, z_test, images)
    if setting["method"] == "simclr" and setting["width"] == DEFAULT:
        random = random_relu(z, z_test, width=setting["widest"], seed=setting["seed"])
        yield from scores(*random, images, of=", random")
    elif setting["method"] == "simclr" and setting["width"] > DEFAULT:
        yield from scores(*narrowed(z, z_test, width=DEFAULT), images, of=", narrowed")
    some = images.test[:GRADIENTS]

    def loss(embeddings: Tensor) -> Terms:
        if setting["method"] == "supervised":
            return {"cross entropy": F.cross_entropy(embeddings, some.labels)}
        return nt_xent(*embeddings.chunk(2), temperature=0.2)  # halves as views: only directions matter

    yield {
        "gradient rank": float(gradient_rank(encoder, as_float(some.images), loss)),
        "zero fraction": zero_fraction(z_test).mean().item(),
        "rankme": rankme(z_test[:1000]),
        "parameters": float(sum(p.numel() for p in encoder.backbone.parameters())),
    }


def scores(z: Tensor, z_test: Tensor, images: Parts, *, of: str = "") -> Iterator[Values]:
    """Score probes of the shape, with tuned and with fixed weight decay, then of the other factors and their mean."""
    y, y_test = images.train.labels, images.test.labels
    yield {f"test{of}": linear_probe(z, y, z_test, y_test).accuracy}
    yield {f"fixed decay{of}": linear_probe(z, y, z_test, y_test, weight_decays=(1e-3,)).accuracy}
    known, asked = ({k: v for k, v in d.factors.items() if k != "shape"} for d in (images.train, images.test))
    readings = {name: reading.score for name, reading in read_factors(z, known, z_test, asked).items()}
    readings["transfer"] = statistics.fmean(readings.values())
    yield {f"{name}{of}": score for name, score in readings.items()}


# Tools for judges.


def slopes(cells: Sequence[Cell], value: str) -> list[float]:
    """The least-squares slope of this value over log2 of the width, for each seed."""
    return by_seed(cells, lambda run: slope([(math.log2(c.setting["width"]), c.result[value]) for c in run]))


def by_seed(cells: Sequence[Cell], score: Callable[[list[Cell]], float]) -> list[float]:
    """The score of all cells with the same seed, for each seed."""
    ordered = sorted(cells, key=lambda cell: cell.setting["seed"])
    return [score(list(run)) for _, run in groupby(ordered, key=lambda cell: cell.setting["seed"])]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the least-squares line through (x, y)."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def means_by_width(cells: Sequence[Cell], value: str) -> dict[int, float]:
    """The mean of this value over seeds, by width."""
    widths = sorted({cell.setting["width"] for cell in cells})
    return {w: statistics.fmean(c.result[value] for c in cells if c.setting["width"] == w) for w in widths}
