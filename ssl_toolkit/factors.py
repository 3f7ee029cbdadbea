"""What a representation tells of known causes: every factor of a data set, read off linearly.

    read_factors(z, data.factors, z_test, test.factors)["hue"].score

A chosen factor (int64) is read by a logistic probe, its score is the accuracy; a measured one (float) by ridge
regression, its score is R2 on the test set. An angle or a hue is a point of the circle: its cosine and its sine are
regressed, so that 0.99 and 0.01 are neighbours.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.logistic import principal_axes
from ssl_toolkit.probes import linear_probe
from ssl_toolkit.seeds import rng

TURNS = {"hue": 1.0, "background": 1.0, "distractor_hue": 1.0}  # factors on a circle, and how much is once around
WEIGHT_DECAYS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class Reading(NamedTuple):
    """How well a factor is read, by accuracy or R2 (0 for the mean, perhaps negative), and what chance gives."""

    score: float
    chance: float


def read_factors(
    train_z: Float[Tensor, "n d"],
    train: Mapping[str, Tensor],
    test_z: Float[Tensor, "m d"],
    test: Mapping[str, Tensor],
) -> dict[str, Reading]:
    """Each factor of `train`, read from the features linearly. Raises ValueError for a factor that `test` lacks."""
    if missing := [name for name in train if name not in test]:
        raise ValueError(f"test has no factor {missing[0]!r}: it has {', '.join(test)}.")
    measured = {name: _targets(name, values) for name, values in train.items() if values.is_floating_point()}
    scores: dict[str, float] = {}
    if measured:
        r2 = _ridge_r2s(train_z, list(measured.values()), test_z, [_targets(name, test[name]) for name in measured])
        scores = dict(zip(measured, r2, strict=True))
    readings = {}
    for name, values in train.items():
        if name in scores:
            readings[name] = Reading(scores[name], 0.0)
        else:
            probe = linear_probe(train_z, values, test_z, test[name], weight_decays=(1e-3,))
            readings[name] = Reading(probe.accuracy, probe.chance)
    return readings


def _targets(name: str, values: Tensor) -> Float[Tensor, "n k"]:
    if name not in TURNS:
        return values.float()[:, None]
    angle = 2 * math.pi / TURNS[name] * values.float()
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def ridge_r2(
    train_z: Float[Tensor, "n d"],
    train_t: Float[Tensor, "n k"],
    test_z: Float[Tensor, "m d"],
    test_t: Float[Tensor, "m k"],
    *,
    weight_decays: tuple[float, ...] = WEIGHT_DECAYS,
    validation: float = 0.2,
    seed: int = 0,
) -> float:
    """R2 on the test set of ridge regression on standardised features: 1 - |t - t'|^2 / |t - mean t|^2 over all k.

        min over W of   mean |t - W z|^2 + weight_decay |W|^2

    The weight decay is the one with the best R2 on a share `validation` of the training set. Raises ValueError for
    features that are not finite and for targets that do not change.
    """
    return _ridge_r2s(train_z, [train_t], test_z, [test_t], weight_decays, validation, seed)[0]


def _ridge_r2s(
    train_z: Float[Tensor, "n d"],
    train_t: Sequence[Float[Tensor, "n _"]],
    test_z: Float[Tensor, "m d"],
    test_t: Sequence[Float[Tensor, "m _"]],
    weight_decays: tuple[float, ...] = WEIGHT_DECAYS,
    validation: float = 0.2,
    seed: int = 0,
) -> list[float]:
    """`ridge_r2` of each of several targets, which share two decompositions of the features."""
    if not (train_z.isfinite().all() and test_z.isfinite().all()):
        raise ValueError("the features hold NaN or infinite values: the encoder has diverged.")
    if min(t.std(dim=0).min() for t in train_t) == 0:
        raise ValueError("train_t is constant: there is nothing to read.")
    order = torch.randperm(len(train_z), generator=rng(seed, 0, "validation"))
    held_out, rest = order.split([round(validation * len(order)), len(order) - round(validation * len(order))])
    part, whole = _Axes.of(train_z[rest]), _Axes.of(train_z)
    scores = []
    for t, t_test in zip(train_t, test_t, strict=True):
        r2 = {decay: _r2(t[held_out], part.fit(t[rest], decay)(train_z[held_out])) for decay in weight_decays}
        best = max(weight_decays, key=r2.__getitem__)
        scores.append(_r2(t_test, whole.fit(t, best)(test_z)))
    return scores


class _Line(NamedTuple):
    mean: Tensor
    std: Tensor
    weight: Float[Tensor, "d k"]
    bias: Float[Tensor, " k"]

    def __call__(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return (z - self.mean) / self.std @ self.weight + self.bias


class _Axes(NamedTuple):
    """Standardised features by their principal axes: where ridge regression is a division."""

    mean: Tensor
    std: Tensor
    x: Float[Tensor, "n d"]
    axes: Float[Tensor, "d r"]
    variance: Float[Tensor, " r"]

    @classmethod
    def of(cls, z: Float[Tensor, "n d"]) -> "_Axes":
        mean, std = z.mean(dim=0), z.std(dim=0).clamp_min(1e-6)
        x = ((z - mean) / std).double()
        return cls(mean, std, x, *principal_axes(x))

    def fit(self, t: Float[Tensor, "n k"], weight_decay: float) -> _Line:
        bias = t.mean(dim=0)
        projected = self.axes.T @ (self.x.T @ (t - bias).double() / len(t))
        weight = self.axes @ (projected / (self.variance + weight_decay)[:, None])
        return _Line(self.mean, self.std, weight.float(), bias)


def _r2(t: Tensor, prediction: Tensor) -> float:
    return 1 - ((t - prediction).square().sum() / (t - t.mean(dim=0)).square().sum()).item()
