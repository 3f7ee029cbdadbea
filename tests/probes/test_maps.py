"""Principal planes that can be compared: what turns nothing, and what turns back."""

import math

import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.probes.maps import LEAST, align, principal_planes

FALLING = torch.arange(1, 65) ** -0.7


def features(n=200, d=64, seed=0):
    return torch.randn(n, d, generator=rng(seed)) * FALLING[:d]


def turned(d, seed=1):
    return torch.linalg.qr(torch.randn(d, d, generator=rng(seed)))[0]


def test_the_planes_are_those_of_the_singular_value_decomposition():
    z = features()
    x = torch.nn.functional.normalize(z, dim=1)
    u, s, _ = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False)
    along = (u * s)[:, :4].T.reshape(2, 2, 200).mT
    planes = principal_planes(z)
    cosine = torch.nn.functional.cosine_similarity(planes, along, dim=1)
    assert cosine.abs().min() > 0.999
    assert torch.allclose(planes.square().sum(dim=2).mean(dim=1), torch.ones(2))


def test_turned_or_scaled_features_have_the_same_planes():
    z = features()
    assert torch.allclose(principal_planes(z @ turned(64)), principal_planes(z), atol=2e-3)
    assert torch.allclose(principal_planes(7 * z), principal_planes(z), atol=1e-4)
    assert torch.equal(principal_planes(z), principal_planes(z.clone()))


@pytest.mark.parametrize("n, d", [(500, 3), (3, 500), (2, 2), (1, 8), (5, 1)])
def test_few_dimensions_or_images_leave_axes_at_0(n, d):
    planes = principal_planes(torch.randn(n, d, generator=rng(0)))
    assert planes.shape == (2, n, 2)
    assert planes.isfinite().all()


def test_a_collapse_is_a_dot():
    direction = torch.randn(64, generator=rng(1))
    assert principal_planes(direction.expand(50, 64)).abs().max() < 1e-3
    near = principal_planes(direction + 1e-3 * features(50))
    assert 0 < near.square().sum(dim=2).mean() < 1e-3 * 8 / LEAST
    assert near.abs().max() < 0.5


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_copy_is_turned_back_even_if_it_was_mirrored(mirrored):
    planes = principal_planes(features())
    c, s = math.cos(2.0), math.sin(2.0)
    turn = torch.tensor([[c, -s], [s, c]]) @ torch.diag(torch.tensor([1.0, -1.0 if mirrored else 1.0]))
    assert torch.linalg.det(turn) == pytest.approx(-1.0 if mirrored else 1.0)
    assert torch.allclose(align(planes @ turn, planes), planes, atol=1e-5)


def test_what_is_aligned_keeps_its_distances_and_comes_no_farther():
    a, b = principal_planes(features()), principal_planes(features(seed=5))
    moved = align(b, a)
    assert torch.allclose(torch.cdist(moved, moved), torch.cdist(b, b), atol=1e-2)
    assert (moved - a).norm() <= (b - a).norm()
    assert torch.allclose(align(moved, a), moved, atol=1e-4)
