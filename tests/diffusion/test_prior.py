"""The mixture of Gaussians as a model of representations: its moments, its modes, its draws."""

import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion.metrics import frechet_distance
from ssl_toolkit.diffusion.prior import Prior, fit_prior


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def bank(n: int = 1500) -> torch.Tensor:
    """Two clusters in 12 dimensions, as wide as long, one three times as full as the other."""
    z = normal(n, 12) @ normal(12, 12, seed=1) * 0.3
    return z + 10 * normal(1, 12, seed=2) + torch.where(torch.arange(n)[:, None] % 4 == 0, 4.0, 0.0)


def moments(prior: Prior) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of the mixture, in closed form."""
    w, m = prior.weights, prior.means
    center = w @ m
    covariance = torch.einsum(
        "k,kij->ij", w, prior.roots @ prior.roots.mT + (m - center)[:, :, None] * (m - center)[:, None]
    )
    whole = torch.block_diag(covariance, prior.rest.square().diag())
    q = m.shape[1]
    return prior.mean + prior.axes[:, :q] @ center, prior.axes @ whole @ prior.axes.T


@pytest.mark.parametrize(("components", "rank"), [(1, 12), (1, 3), (5, 12), (5, 3)])
def test_the_mean_and_the_covariance_are_the_banks(components, rank):
    h = bank()
    mean, covariance = moments(fit_prior(h, components=components, rank=rank))
    torch.testing.assert_close(mean, h.mean(dim=0))
    expected = h.T.cov(correction=0)
    torch.testing.assert_close(covariance, expected, rtol=0, atol=1e-4 * expected.diag().max().item())


def test_samples_have_the_moments_of_the_mixture():
    prior = fit_prior(bank(), components=3, rank=6)
    z = prior.sample(60_000, rng(0))
    mean, covariance = moments(prior)
    scale = covariance.diag().sqrt()
    assert ((z.mean(dim=0) - mean) / scale).abs().max() < 0.02
    assert ((z.T.cov() - covariance) / scale.outer(scale)).abs().max() < 0.03


def test_several_gaussians_hold_what_one_cannot():
    h, held_out = bank().chunk(2)

    def between(z):
        """The share of z that lies between the clusters."""
        low, high = held_out.sum(dim=1).aminmax()
        return ((z.sum(dim=1) - (low + high) / 2).abs() < 6).double().mean()

    one, two = (fit_prior(h, components=k, rank=6).sample(4000, rng(0)) for k in (1, 2))
    assert between(held_out) < 0.01
    assert between(two) < 0.01
    assert between(one) > 0.1
    assert frechet_distance(held_out, two[: len(h)]) < 2 * frechet_distance(held_out, h)


def test_a_bank_smaller_than_its_dimensions_is_modeled_in_its_span():
    h = normal(40, 100)
    z = fit_prior(h, components=1, rank=5).sample(10, rng(0)) - h.mean(dim=0)
    span = torch.linalg.svd(h - h.mean(dim=0), full_matrices=False).Vh[:39]
    torch.testing.assert_close(z @ span.T @ span, z)


def test_a_sample_is_a_function_of_its_generator():
    prior = fit_prior(bank().float(), components=2, rank=4)
    assert torch.equal(prior.sample(5, rng(0)), prior.sample(5, rng(0)))
    assert not torch.equal(prior.sample(5, rng(0)), prior.sample(5, rng(1)))
    assert prior.sample(5, rng(0)).dtype == torch.float32


def test_wrong_arguments_are_named():
    h = bank(30)
    with pytest.raises(ValueError, match=r"rank is 13: 30 h of 12 dimensions have 1 ... 12 axes"):
        fit_prior(h, rank=13)
    with pytest.raises(ValueError, match=r"components is 31: for 30 representations it must lie in 1 ... 30"):
        fit_prior(h, components=31, rank=2)
    with pytest.raises(ValueError, match="NaN or infinite"):
        fit_prior(h.log(), rank=2)
