"""Factors read linearly: exact where the features hold them, nothing where they do not."""

import math

import pytest
import torch
from sklearn.linear_model import Ridge

from ssl_toolkit.data import rng
from ssl_toolkit.probes import read_factors, ridge_r2


def gaussian(n: int, d: int, stream: str = "z") -> torch.Tensor:
    return torch.randn(n, d, generator=rng(0, 0, stream))


def test_a_factor_that_is_a_direction_is_read_and_one_that_is_absent_is_not():
    z, hidden = gaussian(600, 8), gaussian(600, 1, "hidden")[:, 0]
    factors = {"x": 3 * z[:, 0] - z[:, 1] + 2, "hidden": hidden, "sign": (z[:, 2] > 0).long()}
    part, rest = slice(400), slice(400, None)
    readings = read_factors(
        z[part], {k: v[part] for k, v in factors.items()}, z[rest], {k: v[rest] for k, v in factors.items()}
    )
    assert readings["x"].score > 0.999
    assert abs(readings["hidden"].score) < 0.1
    assert readings["sign"].score > 0.9
    assert 0.4 < readings["sign"].chance < 0.65


def test_a_hue_is_read_around_its_circle():
    hue = torch.rand(400, generator=rng(0))
    z = torch.stack([(2 * math.pi * hue).cos(), (2 * math.pi * hue).sin()], dim=1)
    reading = read_factors(z[:300], {"hue": hue[:300]}, z[300:], {"hue": hue[300:]})["hue"]
    assert reading.score > 0.999  # a line through hue itself would break where 1 meets 0


def test_ridge_is_scikit_learns():
    z, noise = gaussian(300, 6) * torch.arange(1, 7), gaussian(300, 1, "noise")
    t = z[:, :1] + 0.5 * z[:, 3:4] + noise
    decay = 0.1
    x = (z - z[:200].mean(0)) / z[:200].std(0)
    peer = Ridge(alpha=decay * 200).fit(x[:200], t[:200]).score(x[200:], t[200:])
    assert ridge_r2(z[:200], t[:200], z[200:], t[200:], weight_decays=(decay,)) == pytest.approx(peer, abs=1e-4)


def test_features_of_any_precision_are_read():
    z, t = torch.randn(200, 6, generator=rng(0)), torch.randn(200, 1, generator=rng(1))
    t = z[:, :1] + 0.1 * t
    double, half = (ridge_r2(z.to(d), t, z.to(d), t) for d in (torch.float64, torch.float16))
    assert double == pytest.approx(half, abs=1e-2)
    assert double > 0.9


def test_bad_input_is_named():
    z = gaussian(20, 3)
    with pytest.raises(ValueError, match="constant"):
        ridge_r2(z, torch.ones(20, 1), z, torch.ones(20, 1))
    with pytest.raises(ValueError, match="NaN"):
        ridge_r2(z / 0, z[:, :1], z, z[:, :1])
    with pytest.raises(ValueError, match="no factor 'x'"):
        read_factors(z, {"x": z[:, 0]}, z, {"y": z[:, 0]})


def test_ridge_is_the_same_on_whichever_side_it_is_solved():
    z, t = torch.randn(60, 40, generator=rng(3)), torch.randn(60, 2, generator=rng(4))
    t = t + z[:, :2]
    wide = torch.cat([z, z], dim=1)  # as many weights again, of half the size, and half the penalty
    few, many = (
        ridge_r2(features, t, features, t, weight_decays=(decay,)) for features, decay in ((z, 0.1), (wide, 0.2))
    )
    assert few == pytest.approx(many, abs=1e-4)
