"""What each depth of an encoder knows: labels and factors, read from its features.

Probe accuracy over depth shows where the features are best, which is rarely the layer that the loss sees (Bordes et
al., 2022, "Guillotine regularization"). Compare it with two baselines: raw pixels, as the depth "pixels", and chance.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from ssl_toolkit.data import Dataset, as_float, check_unit_range, checked, checked_finite
from ssl_toolkit.probes.factors import iter_factors
from ssl_toolkit.probes.knn import knn_accuracy
from ssl_toolkit.probes.linear import linear_probe

LINEAR, KNN = "linear probe", "kNN"


@checked
def small_pixels(images: Shaped[Tensor, "n c h w"], *, side: int = 16) -> Float[Tensor, "n d"]:
    """The baseline "pixels": the image, average-pooled to at most `side` pixels a side, so it is quick to probe."""
    if side < 1:
        raise ValueError(f"side is {side}: it must be at least 1 pixel.")
    check_unit_range(images)
    x = as_float(images)
    return (F.adaptive_avg_pool2d(x, side) if x.shape[-1] > side else x).flatten(1)


class Score(NamedTuple):
    """How well something is read at a depth: accuracy, or R2 for a continuous factor, and the score of guessing."""

    depth: str
    what: str  # LINEAR or KNN for the classes, or the name of a factor, read linearly
    score: float
    chance: float


@checked_finite
def read_depths(
    train_z: Mapping[str, Float[Tensor, "n _"]],
    train: Dataset,
    test_z: Mapping[str, Float[Tensor, "m _"]],
    test: Dataset,
    *,
    factors: bool = True,
    k: int = 20,
    seed: int = 0,
) -> Iterator[Score]:
    """Score each depth of `train_z`: the classes by a linear probe and by kNN, then every factor of the data, linearly.

    Raises ValueError for one class only, fewer images than classes, and depths that `test_z` lacks.

    >>> data, test = (stk.load_data("digits", split=split, limit=300) for split in ("train", "test"))
    >>> z, z_test = ({"pixels": stk.pixels(part.images)} for part in (data, test))
    >>> [score.what for score in stk.probes.read_depths(z, data, z_test, test)]
    ['linear probe', 'kNN']
    """
    if missing := [depth for depth in train_z if depth not in test_z]:
        raise ValueError(f"test_z has no depth {missing[0]!r}: it has {', '.join(test_z)}.")
    if (seen := train.labels.unique().numel()) < 2:
        raise ValueError(f"the {len(train)} images to train on are of one class: a probe needs at least two classes.")
    if len(train) < len(train.classes):
        raise ValueError(
            f"there are {len(train)} images to train on, of {seen} of {len(train.classes)} classes: a probe needs more."
        )
    for depth, z in train_z.items():
        q = test_z[depth]
        probe = linear_probe(z, train.labels, q, test.labels, weight_decays=(1e-4, 1e-2), seed=seed)
        yield Score(depth, LINEAR, probe.accuracy, probe.chance)
        accuracy = knn_accuracy(z, train.labels, q, test.labels, k=min(k, len(z)))
        yield Score(depth, KNN, accuracy, probe.chance)
        for name, reading in iter_factors(z, train.factors, q, test.factors) if factors else ():
            yield Score(depth, name, reading.score, reading.chance)
