"""Samplers: generators that go from noise to an image, all through one contract, denoise(x, t) -> x0.

    x = torch.randn(16, 1, 28, 28, generator=rng(0))
    for i, t, x, x0 in heun(from_flow(network), x, schedule=flow_schedule(), timesteps=flow_schedule().timesteps(20)):
        ...                                                      # show x and x0, count calls, break

`timesteps` descend, and x is a state at the first of them. Each step goes from one entry to the *next in the list*, and
the last step goes to the image (alpha = 1, sigma = 0). If you give `sigmas` instead, the schedule is EDM's. Step i
draws its noise from rng(seed, i, "sampler"), so you can compare two samplers on the same noise. `clip` bounds the guess
to [-clip, clip]; the implied noise changes with it.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked, must_be_finite, rng
from ssl_toolkit.diffusion.denoise import Denoise
from ssl_toolkit.diffusion.schedule import Schedule, edm_schedule

X = Float[Tensor, "b *x"]
Times = Tensor | Sequence[int] | Sequence[float]


class Denoised(NamedTuple):
    """Step i: the guess x0 made at time t, and the state x after the step."""

    i: int
    t: float
    x: X
    x0: X


class _Level(NamedTuple):
    time: float
    t: Tensor  # the time as a tensor, for the network
    alpha: float
    sigma: float


def _levels(x: Tensor, schedule: Schedule | None, timesteps: Any, sigmas: Any) -> list[_Level]:
    """The levels that a sampler visits, the image last. Coefficients are Python floats, so they launch no kernels."""
    if (timesteps is None) == (sigmas is None) or (schedule is None and sigmas is None):
        raise ValueError("give schedule= and timesteps=, or sigmas=.")
    if not x.numel() or not x.ndim:
        raise ValueError(f"x has shape {tuple(x.shape)}: it must hold the states of at least one sample.")
    must_be_finite("x", x)
    schedule = schedule or edm_schedule()
    name = "timesteps" if sigmas is None else "sigmas"
    times = _as_times(name, timesteps if sigmas is None else sigmas)
    if times.ndim != 1 or not bool(times.isfinite().all()):
        raise ValueError(f"{name} is {times.tolist()}: give a list of finite times, like schedule.timesteps(20).")
    if sigmas is not None and (schedule.alpha_bar is not None or bool((schedule.alpha(times.double()) != 1).any())):
        raise ValueError("sigmas belong to EDM's schedule: leave out schedule=; this one takes timesteps.")
    if schedule.alpha_bar is not None:
        T = len(schedule.alpha_bar)
        if len(times) and not (0 <= times.min() <= times.max() < T and bool((times == times.long()).all())):
            raise ValueError(f"{name} is {times.tolist()}: this schedule takes timesteps, integers 0 ... {T - 1}.")
        exact = schedule.alpha_bar[times.long()]
        alpha, sigma = exact.sqrt(), (1 - exact).sqrt()
    else:
        alpha, sigma = schedule.alpha(times.double()), schedule.sigma(times.double())
        if len(times) and min(float(alpha.min()), float(sigma.min())) < 0:
            raise ValueError(f"{name} is {times.tolist()}: on the straight path t is in [0, 1], and sigma >= 0.")
    told = times.to(x.device)
    levels = [_Level(*level) for level in zip(times.tolist(), told, alpha.tolist(), sigma.tolist(), strict=True)]
    if levels and levels[-1].sigma == 0:  # the list includes the image itself
        levels.pop()
    if not levels or any(a.sigma <= b.sigma for a, b in pairwise(levels)):
        raise ValueError(f"{name} is {times.tolist()}: give at least one; noise must fall from each to the next.")
    return [*levels, _Level(0.0, told.new_zeros(()), 1.0, 0.0)]


def _as_times(name: str, times: Any) -> Tensor:
    try:
        found = torch.as_tensor(times).cpu()
    except (TypeError, ValueError, RuntimeError):
        found = None
    if found is None or found.is_complex() or found.dtype == torch.bool:
        raise TypeError(f"{name} is {times!r:.80}: give a list of numbers, like schedule.timesteps(20).")
    return found


def _guess(denoise: Denoise, x: X, t: Tensor, clip: float | None = None) -> X:
    x0 = denoise(x, t)
    if not isinstance(x0, Tensor) or x0.shape != x.shape:
        told = f"shape {tuple(x0.shape)}" if isinstance(x0, Tensor) else f"a {type(x0).__name__}"
        raise ValueError(f"denoise returned {told} for x of shape {tuple(x.shape)}: it must guess x0 for each sample.")
    if clip is None:
        return x0
    if not clip > 0:
        raise ValueError(f"clip is {clip}: it bounds the guess to [-clip, clip] and must be positive, or None.")
    return x0.clamp(-clip, clip)


def _frozen(i: int, now: _Level, x: X, x0: X) -> Denoised:
    """Yield copies, so that editing them cannot steer the sampler."""
    return Denoised(i, now.time, x.clone(), x0.clone())


def _noise(x: X, seed: int, i: int) -> X:
    return torch.randn(x.shape, generator=rng(seed, i, "sampler"), dtype=x.dtype).to(x.device)


def _added_variance(alpha: float, sigma: float, alpha_to: float, sigma_to: float) -> tuple[float, float]:
    """beta and r of q(x | x') = N(r x', beta), x' less noisy: r = alpha / alpha', beta = sigma^2 - r^2 sigma'^2."""
    keep = alpha / alpha_to
    return sigma**2 - keep**2 * sigma_to**2, keep


@checked
@torch.no_grad()
def ddpm(
    denoise: Denoise,
    x: X,
    *,
    schedule: Schedule | None = None,
    timesteps: Times | None = None,
    sigmas: Times | None = None,
    variance: Literal["small", "large"] = "small",
    clip: float | None = None,
    seed: int = 0,
) -> Iterator[Denoised]:
    """Ancestral sampling (Ho et al., 2020, Algorithm 2) on any schedule: x' ~ q(x' | x, x0) = N(mean, var).

        beta = sigma^2 - (alpha / alpha')^2 sigma'^2             the variance that the forward step adds
        mean = alpha' beta / sigma^2 x0 + alpha / alpha' sigma'^2 / sigma^2 x
        var  = beta sigma'^2 / sigma^2  (small)   beta  (large)

    The last step adds no noise.
    """
    if variance not in ("small", "large"):
        raise ValueError(f"variance is {variance!r}: it must be 'small' or 'large'.")
    levels = _levels(x, schedule, timesteps, sigmas)
    for i, (now, to) in enumerate(pairwise(levels)):
        x0 = _guess(denoise, x, now.t, clip)
        beta, keep = _added_variance(now.alpha, now.sigma, to.alpha, to.sigma)
        x = to.alpha * beta / now.sigma**2 * x0 + keep * to.sigma**2 / now.sigma**2 * x
        if to.sigma > 0:
            added = beta * to.sigma**2 / now.sigma**2 if variance == "small" else beta
            x = x + math.sqrt(added) * _noise(x, seed, i)
        yield _frozen(i, now, x, x0)


@checked
@torch.no_grad()
def ddim(
    denoise: Denoise,
    x: X,
    *,
    schedule: Schedule | None = None,
    timesteps: Times | None = None,
    sigmas: Times | None = None,
    eta: float = 0.0,
    clip: float | None = None,
    seed: int = 0,
) -> Iterator[Denoised]:
    """DDIM (Song et al., 2021, eq. 12): x' = alpha' x0 + sqrt(sigma'^2 - s^2) e + s z, where s is eta times DDPM's.

    e = (x - alpha x0) / sigma. With eta = 0, no noise is added and the chain can run backward (`ddim_invert`). With
    eta = 1, it is ancestral sampling.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}: it must lie in [0, 1]; 0 is DDIM and 1 is DDPM.")
    levels = _levels(x, schedule, timesteps, sigmas)
    for i, (now, to) in enumerate(pairwise(levels)):
        x0 = _guess(denoise, x, now.t, clip)
        e = (x - now.alpha * x0) / now.sigma
        beta, _ = _added_variance(now.alpha, now.sigma, to.alpha, to.sigma)
        s = eta * math.sqrt(beta) * to.sigma / now.sigma
        x = to.alpha * x0 + math.sqrt(to.sigma**2 - s**2) * e
        if s > 0:
            x = x + s * _noise(x, seed, i)
        yield _frozen(i, now, x, x0)


@checked
@torch.no_grad()
def ddim_invert(
    denoise: Denoise,
    x: X,
    *,
    schedule: Schedule | None = None,
    timesteps: Times | None = None,
    sigmas: Times | None = None,
    refine: int = 0,
) -> Iterator[Denoised]:
    """Run DDIM backward: from an image, taken as the state at the last of `timesteps`, to the noise that generates it.

    Each step uses the guess at the lower level for the higher one, as in Song et al. (2021). Then it recomputes the
    guess at the new level, `refine` times: a fixed-point iteration after which the step back returns to the start.
    """
    if refine < 0:
        raise ValueError(f"refine is {refine}: it counts repetitions and must be at least 0.")
    *levels, _ = _levels(x, schedule, timesteps, sigmas)
    for i, (now, to) in enumerate(pairwise(reversed(levels))):
        start, at = x, now
        for _ in range(1 + refine):
            x0 = _guess(denoise, x, at.t)
            e = (x - at.alpha * x0) / at.sigma
            x, at = start + (to.alpha - now.alpha) * x0 + (to.sigma - now.sigma) * e, to
        yield _frozen(i, now, x, x0)


@checked
@torch.no_grad()
def euler(
    denoise: Denoise,
    x: X,
    *,
    schedule: Schedule | None = None,
    timesteps: Times | None = None,
    sigmas: Times | None = None,
    clip: float | None = None,
) -> Iterator[Denoised]:
    """Euler's method on the probability-flow ODE, dx = x0 d(alpha) + e d(sigma) for any schedule.

    On EDM's schedule that is dx = (x - x0) / sigma d(sigma); on the straight path of flow matching, dx = (e - x0) dt.
    """
    levels = _levels(x, schedule, timesteps, sigmas)
    for i, (now, to) in enumerate(pairwise(levels)):
        x0 = _guess(denoise, x, now.t, clip)
        x = x + _slope(x, x0, now, to)
        yield _frozen(i, now, x, x0)


@checked
@torch.no_grad()
def heun(
    denoise: Denoise,
    x: X,
    *,
    schedule: Schedule | None = None,
    timesteps: Times | None = None,
    sigmas: Times | None = None,
    churn: float = 0.0,
    churn_range: tuple[float, float] = (0.0, float("inf")),
    churn_noise: float = 1.0,
    clip: float | None = None,
    seed: int = 0,
) -> Iterator[Denoised]:
    """Heun's method (trapezoidal) on the ODE of `euler`: EDM's Algorithm 2 (Karras et al., 2022). Two calls per step.

    With `churn` (S_churn), if sigma is in `churn_range`, each step first raises the noise from sigma to
    sigma (1 + gamma), gamma = min(S_churn / N, sqrt(2) - 1), by adding noise of standard deviation `churn_noise`. This
    needs `sigmas`. The last step, to the image, is an Euler step.
    """
    levels = _levels(x, schedule, timesteps, sigmas)
    if not churn >= 0:
        raise ValueError(f"churn is {churn}: it raises the noise and must be at least 0.")
    if churn and levels[0].alpha != 1:
        raise ValueError(f"churn is {churn}: it raises sigma alone, so it needs EDM's schedule; give sigmas=.")
    for i, (now, to) in enumerate(pairwise(levels)):
        if churn and churn_range[0] <= now.sigma <= churn_range[1]:
            raised = now.sigma * (1 + min(churn / (len(levels) - 1), math.sqrt(2) - 1))
            x = x + churn_noise * math.sqrt(raised**2 - now.sigma**2) * _noise(x, seed, i)
            now = now._replace(t=torch.full_like(now.t, raised), sigma=raised)
        x0 = _guess(denoise, x, now.t, clip)
        step = _slope(x, x0, now, to)
        if to.sigma > 0:
            end = x + step
            # the slope at the end, taken backward over the same step
            step = (step - _slope(end, _guess(denoise, end, to.t, clip), to, now)) / 2
        x = x + step
        yield _frozen(i, now, x, x0)


def _slope(x: X, x0: X, now: _Level, to: _Level) -> X:
    """x0 d(alpha) + e d(sigma), with x0 and e at level `now`, for a step to level `to`."""
    return (to.alpha - now.alpha) * x0 + (to.sigma - now.sigma) / now.sigma * (x - now.alpha * x0)


@checked
@torch.no_grad()
def dpmpp_2m(
    denoise: Denoise,
    x: X,
    *,
    schedule: Schedule | None = None,
    timesteps: Times | None = None,
    sigmas: Times | None = None,
    clip: float | None = None,
) -> Iterator[Denoised]:
    """DPM-Solver++(2M) (Lu et al., 2022, Algorithm 2): second order with one call per step, reusing the last guess.

        lambda = ln(alpha / sigma)   h = lambda' - lambda   r = h_before / h
        D = (1 + 1 / 2r) x0 - 1 / 2r x0_before              x' = sigma' / sigma x - alpha' (e^-h - 1) D

    The first step, and the last step to the image, are first order.
    """
    levels = _levels(x, schedule, timesteps, sigmas)
    before, h_before = x, math.inf
    for i, (now, to) in enumerate(pairwise(levels)):
        x0 = _guess(denoise, x, now.t, clip)
        h = _log_snr(to) - _log_snr(now)
        c = h / h_before / 2 if to.sigma > 0 and h_before < math.inf else 0.0  # 1 / 2r
        D = (1 + c) * x0 - c * before if c else x0
        x = to.sigma / now.sigma * x - to.alpha * math.expm1(-h) * D
        before, h_before = x0, h
        yield _frozen(i, now, x, x0)


def _log_snr(level: _Level) -> float:
    """ln(alpha / sigma), infinite at pure noise and at the image."""
    if level.alpha == 0 or level.sigma == 0:
        return -math.inf if level.alpha == 0 else math.inf
    return math.log(level.alpha / level.sigma)
