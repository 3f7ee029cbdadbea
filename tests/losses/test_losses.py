"""Losses against the papers' formulas written out, gradcheck, laws, and lightly where lightly is right."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from torch import Tensor

from ssl_toolkit.data import rng
from ssl_toolkit.losses import barlow_twins, byol, nt_xent, vicreg

SYMMETRIC = [nt_xent, vicreg]
ALL = [*SYMMETRIC, barlow_twins, byol]


def pair(seed: int, b: int = 6, d: int = 5, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    z = torch.randn(2, b, d, generator=rng(seed), dtype=dtype)
    return z[0], z[1]


def total(loss, za, zb) -> Tensor:
    return sum(loss(za, zb).values())


def nt_xent_by_loops(za: Tensor, zb: Tensor, temperature: float) -> Tensor:
    z, b, losses = F.normalize(torch.cat([za, zb]), dim=1), len(za), []
    for i in range(2 * b):
        s = torch.stack([z[i] @ z[j] / temperature for j in range(2 * b)])
        denominator = sum(s[j].exp() for j in range(2 * b) if j != i)
        losses.append(-(s[(i + b) % (2 * b)].exp() / denominator).log())
    return torch.stack(losses).mean()


def vicreg_by_the_paper(za: Tensor, zb: Tensor) -> Tensor:
    b, d = za.shape
    variance = covariance = torch.zeros(())
    for z in (za, zb):
        std = torch.sqrt(((z - z.mean(0)) ** 2).sum(0) / (b - 1) + 1e-4)
        variance = variance + F.relu(1 - std).mean() / 2
        c = (z - z.mean(0)).T @ (z - z.mean(0)) / (b - 1)
        covariance = covariance + sum(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return 25 * ((za - zb) ** 2).mean() + 25 * variance + covariance


def barlow_by_the_paper(za: Tensor, zb: Tensor) -> Tensor:
    norm = torch.nn.BatchNorm1d(za.shape[1], affine=False).double()
    c = norm(za).T @ norm(zb) / len(za)
    off = c - torch.diag(c.diagonal())
    return ((c.diagonal() - 1) ** 2).sum() + 5e-3 * (off**2).sum()


@pytest.mark.parametrize("seed", range(5))
def test_each_loss_equals_its_formula_written_out(seed):
    za, zb = pair(seed)
    assert torch.allclose(total(nt_xent, za, zb), nt_xent_by_loops(za, zb, 0.2))
    assert torch.allclose(total(vicreg, za, zb), vicreg_by_the_paper(za, zb))
    assert torch.allclose(total(barlow_twins, za, zb), barlow_by_the_paper(za, zb))
    assert torch.allclose(total(byol, za, zb), ((F.normalize(za) - F.normalize(zb)) ** 2).sum(1).mean())


@pytest.mark.parametrize("seed", range(10))
def test_lightly_agrees_on_random_embeddings(seed):
    lightly = pytest.importorskip("lightly.loss", reason="lightly is in the extra `bench`")
    za, zb = pair(seed, b=32, d=16, dtype=torch.float32)
    peers = {nt_xent: lightly.NTXentLoss(temperature=0.2), vicreg: lightly.VICRegLoss(), barlow_twins: None}
    for loss, peer in peers.items():
        if peer is not None:
            assert total(loss, za, zb).item() == pytest.approx(peer(za, zb).item(), rel=1e-5)


@pytest.mark.parametrize("loss", [nt_xent, vicreg, barlow_twins])
def test_gradients_are_those_of_the_value(loss):
    za, zb = (z.requires_grad_() for z in pair(1))
    assert torch.autograd.gradcheck(lambda a, b: total(loss, a, b), (za, zb))


def test_the_teacher_of_byol_gets_no_gradient():
    p, z = (z.requires_grad_() for z in pair(1))
    assert torch.autograd.gradcheck(lambda p: total(byol, p, z), (p,))
    total(byol, p, z).backward()
    assert z.grad is None


@pytest.mark.parametrize("loss", ALL)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_images_does_not_matter(loss, seed):
    za, zb = pair(seed)
    order = torch.randperm(len(za), generator=rng(seed, 1))
    assert torch.allclose(total(loss, za, zb), total(loss, za[order], zb[order]))


@pytest.mark.parametrize("loss", [*ALL])
@given(seed=st.integers(0, 10**6))
def test_swapping_the_views_changes_nothing(loss, seed):
    za, zb = pair(seed)
    assert torch.allclose(total(loss, za, zb), total(loss, zb, za))


@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_barlow_twins_ignores_an_affine_map_of_each_dimension(seed, scale, shift):
    za, zb = pair(seed, b=16)
    # BatchNorm's eps of 1e-5 under the root is what breaks exact invariance
    assert torch.allclose(total(barlow_twins, scale * za + shift, zb), total(barlow_twins, za, zb), rtol=1e-2)


@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10))
def test_nt_xent_sees_directions_only(seed, scale):
    za, zb = pair(seed)
    assert torch.allclose(total(nt_xent, scale * za, zb), total(nt_xent, za, zb))


def test_all_negatives_drawn_is_all_negatives():
    za, zb = pair(3)
    drawn = nt_xent(za, zb, negatives=2 * len(za) - 2, generator=rng(0))
    assert torch.allclose(drawn["uniformity"], nt_xent(za, zb)["uniformity"])


def test_one_negative_is_a_softplus():
    za, zb = pair(4, b=2)
    # with b = 2 and one negative drawn per anchor: loss_i is softplus(s- - s+) for one of two possible negatives
    z = F.normalize(torch.cat([za, zb]), dim=1)
    s = z @ z.T / 0.2
    possible = torch.stack(
        [torch.stack([F.softplus(s[i, j] - s[i, (i + 2) % 4]) for j in range(4) if j % 2 != i % 2]) for i in range(4)]
    )
    loss = total(partial(nt_xent, negatives=1, generator=rng(0)), za, zb)
    means = torch.cartesian_prod(*possible).mean(dim=1)
    assert torch.isclose(means, loss).any()


def test_a_perfect_pair_leaves_no_invariance_term():
    za, _ = pair(5)
    assert vicreg(za, za)["invariance"] == 0
    assert byol(za, za)["prediction"] == pytest.approx(0, abs=1e-12)
    assert barlow_twins(za, za)["invariance"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: nt_xent(torch.ones(1, 3), torch.ones(1, 3)), "1 image"),
        (lambda: vicreg(torch.ones(1, 3), torch.ones(1, 3)), "1 image"),
        (
            lambda: barlow_twins(torch.ones(4, 3), torch.ones(5, 3)),
            r"zb has shape \(5, 3\): .* b = 4, as za has",
        ),
        (
            lambda: byol(torch.ones(4, 3), torch.ones(4, 2)),
            r"z has shape \(4, 2\): .* d = 3, as p has",
        ),
        (lambda: nt_xent(*pair(0), temperature=0.0), "temperature is 0.0"),
        (lambda: nt_xent(*pair(0), negatives=11, generator=rng(0)), "negatives is 11.* 1 to 10"),
        (lambda: nt_xent(*pair(0), negatives=0, generator=rng(0)), "negatives is 0"),
        (lambda: nt_xent(*pair(0), negatives=2), "generator"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_losses_in_half_precision_are_those_in_full_precision(kind):
    za, zb = (10 * z for z in pair(6, b=64))
    za[0] = 0
    for loss in (nt_xent, vicreg, barlow_twins, byol):
        half, full = loss(za.to(kind), zb.to(kind)), loss(za.to(kind).float(), zb.to(kind).float())
        assert half == full
        with torch.autocast("cpu", kind):
            assert loss(za, zb) == loss(za, zb)
            assert loss(za.to(kind).float(), zb.to(kind).float()) == full


def test_a_loss_that_overflows_is_refused():
    za, zb = (1e30 * z for z in pair(7))
    with pytest.raises(ValueError, match=r"covariance is inf|invariance is inf"):
        vicreg(za.float(), zb.float())
