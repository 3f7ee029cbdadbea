"""How many bits an image costs under a discrete diffusion model: the variational bound of DDPM, term by term.

    bits = sum(term.bits for term in bits_per_dim(denoise, x, schedule=linear_schedule()))

Images are in [-1, 1], in 256 levels a dimension, as uint8 / 127.5 - 1 gives them.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion.denoise import Denoise, DenoiseWithVariance, Guess
from ssl_toolkit.diffusion.schedule import Schedule, per_sample

X = Float[Tensor, "b *x"]


class Bits(NamedTuple):
    """What step t adds to the bound, in bits per dimension; t = T is the prior."""

    t: int
    bits: Float[Tensor, " b"]


@torch.no_grad()
def bits_per_dim(
    denoise: Denoise | DenoiseWithVariance,
    x: X,
    *,
    schedule: Schedule,
    variance: Literal["small", "large", "learned"] = "large",
    clip: float | None = 1.0,
    seed: int = 0,
) -> Iterator[Bits]:
    """The T + 1 terms of the bound (Ho et al., 2020, eq. 5), from the prior down to the image; their sum is the bound.

        KL(q(x_T | x) || N(0, 1)) + sum_t KL(q(x_{t-1} | x_t, x) || p(x_{t-1} | x_t)) - ln p(x | x_0)

    x_t is drawn by rng(seed, t, "bits"), each step one network call. Raises ValueError for a continuous schedule.
    """
    T = len(_alpha_bar(schedule))
    log2 = math.log(2)
    final = torch.tensor(T - 1)
    a, s = schedule.alpha(final).item(), schedule.sigma(final).item()
    kl = 0.5 * (s**2 + a**2 * x.square() - 1) - math.log(s)
    yield Bits(T, kl.flatten(1).mean(dim=1) / log2)
    for t in range(T - 1, -1, -1):
        noise = torch.randn(x.shape, generator=rng(seed, t, "bits"), dtype=x.dtype).to(x.device)
        times = torch.full((len(x),), t, device=x.device)
        guess = denoise(schedule.add_noise(x, times, noise), times)
        yield Bits(t, variational_term(guess, x, times, noise, schedule=schedule, variance=variance, clip=clip))


def variational_term(
    guess: X | Guess,
    x: X,
    t: Int64[Tensor, " b"],
    noise: X,
    *,
    schedule: Schedule,
    variance: Literal["small", "large", "learned"] = "large",
    clip: float | None = None,
) -> Float[Tensor, " b"]:
    """L_t of each image in bits per dimension, given the guess at x_t = alpha x + sigma noise; it can be trained on.

    The KL of two Gaussians of known variance, or at t = 0 minus the log likelihood of the image's level under one. For
    the hybrid loss of Nichol and Dhariwal (2021) detach guess.x0, so that it trains the variance alone.
    """
    if isinstance(guess, Guess) != (variance == "learned"):
        raise ValueError(f"variance is {variance!r}: 'learned' and a denoise that returns a Guess go together.")
    x0, v = guess if isinstance(guess, Guess) else (guess, None)
    x0 = x0 if clip is None else x0.clamp(-clip, clip)
    alpha_bar = _alpha_bar(schedule).to(x.device)
    now, before = alpha_bar[t], torch.where(t > 0, alpha_bar[t - 1], 1.0)
    beta = 1 - now / before
    small = beta * (1 - before) / (1 - now)
    # q's variance is 0 at t = 0, where no KL is taken; a learned range starts from that of t = 1, as in ADM
    log_small = torch.where(t > 0, small, _first_variance(alpha_bar)).log()
    fixed = log_small if variance == "small" else beta.log()
    log_var = per_sample(fixed, x) if v is None else v * per_sample(beta.log(), x) + (1 - v) * per_sample(log_small, x)
    c0, c = (
        per_sample(before.sqrt() * beta / (1 - now), x),
        per_sample((now / before).sqrt() * (1 - before) / (1 - now), x),
    )
    x_t = schedule.add_noise(x, t, noise)
    mean, true_mean = c0 * x0 + c * x_t, c0 * x + c * x_t
    log_true = per_sample(log_small, x)
    kl = 0.5 * (log_var - log_true + (log_true - log_var).exp() + (true_mean - mean).square() * (-log_var).exp() - 1)
    nats = torch.where(per_sample(t, x) > 0, kl, -_log_level(x, mean, log_var))
    return nats.flatten(1).mean(dim=1) / math.log(2)


def _first_variance(alpha_bar: Float[Tensor, " T"]) -> Float[Tensor, ""]:
    first, second = alpha_bar[0], alpha_bar[min(1, len(alpha_bar) - 1)]
    return (1 - second / first) * (1 - first) / (1 - second) if len(alpha_bar) > 1 else 1 - first


def _log_level(x: X, mean: X, log_var: Tensor) -> X:
    """ln of the probability that N(mean, var) gives to the level of x among 256 from -1 to 1, the outer ones open."""
    inverse = (-0.5 * log_var).exp()
    upper = torch.special.ndtr((x - mean + 1 / 255) * inverse)
    lower = torch.special.ndtr((x - mean - 1 / 255) * inverse)
    upper, lower = torch.where(x > 0.999, 1.0, upper), torch.where(x < -0.999, 0.0, lower)
    return (upper - lower).clamp(min=1e-12).log()


def _alpha_bar(schedule: Schedule) -> Float[Tensor, " T"]:
    if schedule.alpha_bar is None:
        raise ValueError("schedule is continuous in time: the bound is of linear_schedule and cosine_schedule.")
    return schedule.alpha_bar
