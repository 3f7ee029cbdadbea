"""The variational bound against exact likelihoods and its terms written out."""

import math

import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion import Guess, bits_per_dim, cosine_schedule, flow_schedule, linear_schedule, variational_term


def levels(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=rng(seed)).double() / 127.5 - 1


def test_an_oracle_that_knows_the_image_pays_almost_nothing():
    x, schedule = levels(3, 20), linear_schedule(300, 1e-6, 0.06)
    costs = {}
    for variance in ("small", "large"):
        terms = list(bits_per_dim(lambda x_t, t: x, x, schedule=schedule, variance=variance))
        assert [term.t for term in terms] == list(range(300, -1, -1))
        assert all((term.bits > -1e-6).all() for term in terms)
        costs[variance] = sum(term.bits.mean() for term in terms)
    assert costs["small"] < 0.01
    assert costs["small"] < costs["large"] < 4  # a variance r times too large costs ln r + 1 / r - 1 a step


def test_a_blind_model_of_white_noise_pays_about_eight_bits():
    """Uniform levels have 8 bits each, and no model can do better; the Gaussian's best denoiser comes close."""
    x, std = levels(64, 40), (256**2 - 1) ** 0.5 / 12**0.5 / 127.5
    schedule = linear_schedule(200, 1e-5, 0.08)

    def denoise(x_t, t):
        a, s = schedule.alpha(t).double()[:, None], schedule.sigma(t).double()[:, None]
        return a * std**2 / (a**2 * std**2 + s**2) * x_t

    bound = sum(term.bits.mean() for term in bits_per_dim(denoise, x, schedule=schedule))
    assert 8 < bound < 8.6


def test_a_term_is_the_divergence_of_two_gaussians():
    from torch.distributions import Normal, kl_divergence

    schedule, x, noise, x0 = (
        linear_schedule(),
        levels(4, 5),
        torch.randn(4, 5, generator=rng(0)).double(),
        levels(4, 5, seed=1),
    )
    t = torch.tensor([1, 10, 500, 999])
    now, before = schedule.alpha_bar[t][:, None], schedule.alpha_bar[t - 1][:, None]
    beta = 1 - now / before
    x_t = now.sqrt() * x + (1 - now).sqrt() * noise

    def step(image, std):
        mean = (before.sqrt() * beta * image + (1 - beta).sqrt() * (1 - before) * x_t) / (1 - now)
        return Normal(mean, std)

    small = (beta * (1 - before) / (1 - now)).sqrt()
    half = (small.log() + beta.sqrt().log()).div(2).exp()
    for variance, guess, std in (
        ("small", x0, small),
        ("large", x0, beta.sqrt()),
        ("learned", Guess(x0, torch.full_like(x0, 0.5)), half),
    ):
        expected = kl_divergence(step(x, small), step(x0, std)).mean(dim=1) / math.log(2)
        found = variational_term(guess, x, t, noise, schedule=schedule, variance=variance)
        assert torch.allclose(found, expected, rtol=1e-4), variance


def test_the_last_term_is_the_probability_of_a_level():
    schedule, every = linear_schedule(), (torch.arange(256).double() / 127.5 - 1)[:, None]
    t, guess = torch.zeros(256, dtype=torch.int64), torch.full((256, 1), 0.2).double()
    nats = variational_term(guess, every, t, torch.zeros(256, 1).double(), schedule=schedule) * math.log(2)
    assert (-nats).exp().sum() == pytest.approx(1, abs=1e-6)
    assert nats.argmin() == round((0.2 + 1) * 127.5)


def test_a_learned_variance_can_be_trained_without_moving_the_mean():
    x0, v = (torch.rand(4, 5, generator=rng(i)).double().requires_grad_() for i in (0, 1))
    t, noise = torch.tensor([0, 3, 500, 900]), torch.randn(4, 5, generator=rng(2)).double()
    guess = Guess(x0.detach(), v)
    variational_term(guess, levels(4, 5), t, noise, schedule=cosine_schedule(), variance="learned").sum().backward()
    assert x0.grad is None
    assert v.grad.isfinite().all()
    assert (v.grad[1:] != 0).all()


def test_what_has_no_bound_is_named():
    with pytest.raises(ValueError, match="continuous"):
        next(bits_per_dim(lambda x, t: x, levels(2, 3), schedule=flow_schedule()))
    with pytest.raises(ValueError, match="returns a Guess"):
        list(bits_per_dim(lambda x, t: x, levels(2, 3), schedule=linear_schedule(5), variance="learned"))
