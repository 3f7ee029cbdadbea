"""What a representation knows about known factors: every factor of a data set, read linearly.

    read_factors(z, data.factors, z_test, test.factors)["hue"].score

A categorical factor (int64) is read by a logistic probe and scored by accuracy; a continuous one (float) by ridge
regression and scored by R2 on the test set. A factor on a circle, such as a hue, is regressed as its cosine and sine,
so that 0.99 and 0.01 are neighbors.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite, must_be_finite, rng
from ssl_toolkit.data.shapes import PERIODS
from ssl_toolkit.encoders.statistics import at_least, mean_and_std, principal_axes
from ssl_toolkit.probes.linear import linear_probe

WEIGHT_DECAYS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class Reading(NamedTuple):
    """How well a factor is read, by accuracy or R2 (0 for predicting the mean; may be negative), and chance."""

    score: float
    chance: float


@checked_finite
def read_factors(
    train_z: Float[Tensor, "n d"],
    train: Mapping[str, Tensor],
    test_z: Float[Tensor, "m d"],
    test: Mapping[str, Tensor],
) -> dict[str, Reading]:
    """Read each factor of `train` linearly from the features. Raises ValueError for a factor that `test` lacks."""
    return dict(iter_factors(train_z, train, test_z, test))


@checked_finite
def iter_factors(
    train_z: Float[Tensor, "n d"],
    train: Mapping[str, Tensor],
    test_z: Float[Tensor, "m d"],
    test: Mapping[str, Tensor],
) -> Iterator[tuple[str, Reading]]:
    """Yield the items of `read_factors` one by one."""
    if missing := [name for name in train if name not in test]:
        raise ValueError(f"test has no factor {missing[0]!r}: it has {', '.join(test)}.")
    ridge = None
    for name, values in train.items():
        if values.shape != train_z.shape[:1] or test[name].shape != test_z.shape[:1]:
            raise ValueError(
                f"{name!r} has shape {tuple(values.shape)} in train and {tuple(test[name].shape)} in test: there are "
                f"{len(train_z)} and {len(test_z)} rows of features, and each needs one value."
            )
        if values.is_floating_point() != test[name].is_floating_point():
            raise TypeError(f"{name!r} is {values.dtype} in train and {test[name].dtype} in test: one kind is meant.")
        try:
            if not values.is_floating_point():
                probe = linear_probe(train_z, values, test_z, test[name], weight_decays=(1e-3,))
                reading = Reading(probe.accuracy, probe.chance)
            else:
                must_be_finite(f"train[{name!r}]", values)
                must_be_finite(f"test[{name!r}]", test[name])
                ridge = ridge or Ridge(train_z)
                score = ridge.r2(_targets(name, values), test_z, _targets(name, test[name]))
                reading = Reading(score, 0.0)
        except (TypeError, ValueError) as error:
            raise type(error)(f"factor {name!r} of train and test: {error}") from None
        yield name, reading


def _targets(name: str, values: Tensor) -> Float[Tensor, "n k"]:
    if name not in PERIODS:
        return values.float()[:, None]
    angle = 2 * math.pi / PERIODS[name] * values.float()
    return torch.stack([angle.cos(), angle.sin()], dim=1)


@checked_finite
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
    """Test R2 of ridge regression on standardized features: 1 - |t - t'|^2 / |t - mean t|^2 over all k.

        min over W of   mean |t - W z|^2 + weight_decay |W|^2

    The weight decay is the one with the best R2 on a share `validation` of the training set. Raises ValueError for
    features that are not finite and for constant targets.
    """
    return Ridge(train_z, validation=validation, seed=seed).r2(train_t, test_z, test_t, weight_decays=weight_decays)


class Ridge:
    """Several ridge regressions on the same features, which are decomposed only once."""

    def __init__(self, z: Float[Tensor, "n d"], *, validation: float = 0.2, seed: int = 0):
        z = at_least(3, z, "train_z").detach()
        z = z if z.dtype == torch.float64 else z.float()
        must_be_finite("train_z", z)
        if not 0 < validation < 1:
            raise ValueError(f"validation is {validation}: it is a share of the training set, in (0, 1); 0.2 is usual.")
        order = torch.randperm(len(z), generator=rng(seed, 0, "validation"))
        self.z = z
        self.held_out, self.rest = order.tensor_split([round(validation * len(order))])
        self._part, self._whole = _Axes.of(z[self.rest]), _Axes.of(z)

    def r2(
        self,
        t: Float[Tensor, "n k"],
        test_z: Float[Tensor, "m d"],
        test_t: Float[Tensor, "m k"],
        *,
        weight_decays: tuple[float, ...] = WEIGHT_DECAYS,
    ) -> float:
        """Like `ridge_r2`."""
        if not weight_decays or not min(weight_decays) > 0:
            raise ValueError(f"weight_decays is {tuple(weight_decays)}: it must hold positive numbers.")
        must_be_finite("test_z", test_z)
        if not t.numel() or not t.std(dim=0).min() > 0:
            raise ValueError("train_t is constant: there is nothing to read.")
        if not test_t.numel() or not (test_t - test_t[:1]).any():
            raise ValueError("test_t is constant: R2 compares errors with its variance, which is 0.")
        t, test_t = t.to(self.z), test_t.to(self.z)
        z, held_out = self.z[self.held_out], t[self.held_out]
        best = max(weight_decays)
        if len(held_out) and (held_out - held_out[:1]).any():
            r2 = {decay: _r2(held_out, self._part.fit(t[self.rest], decay)(z)) for decay in weight_decays}
            best = max(weight_decays, key=r2.__getitem__)
        return _r2(test_t, self._whole.fit(t, best)(test_z.detach().to(self.z)))


class _Line(NamedTuple):
    mean: Tensor
    std: Tensor
    weight: Float[Tensor, "d k"]
    bias: Float[Tensor, " k"]

    def __call__(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return (z - self.mean) / self.std @ self.weight + self.bias


class _Axes(NamedTuple):
    """Standardized features and their principal axes, along which ridge regression is a division."""

    mean: Tensor
    std: Tensor
    x: Float[Tensor, "n d"]
    axes: Float[Tensor, "d r"]
    variance: Float[Tensor, " r"]

    @classmethod
    def of(cls, z: Float[Tensor, "n d"]) -> "_Axes":
        mean, std = mean_and_std(z)
        x = ((z - mean) / std).double()
        return cls(mean, std, x, *principal_axes(x))

    def fit(self, t: Float[Tensor, "n k"], weight_decay: float) -> _Line:
        bias = t.mean(dim=0)
        projected = self.axes.T @ (self.x.T @ (t - bias).double() / len(t))
        weight = self.axes @ (projected / (self.variance + weight_decay)[:, None])
        return _Line(self.mean, self.std, weight.to(self.std), bias.to(self.std))


def _r2(t: Tensor, prediction: Tensor) -> float:
    t, prediction = t.double(), prediction.double()
    return 1 - ((t - prediction).square().sum() / (t - t.mean(dim=0)).square().sum()).item()
