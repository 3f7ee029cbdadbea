"""Noise schedules: how much of the image and how much noise there is in x_t = alpha(t) x0 + sigma(t) e.

    schedule = cosine_schedule()
    for step in ddim(denoise, noise, schedule=schedule, timesteps=schedule.timesteps(20)): ...

The linear and cosine schedules preserve variance, alpha^2 + sigma^2 = 1, and have T steps, t = 0 ... T - 1. On the
straight path of flow matching, t is in [0, 1]. In EDM's variance-exploding schedule, t *is* sigma, and alpha is 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ssl_toolkit.data import checked

Spacing = Literal["leading", "trailing", "linspace"]
Levels = Shaped[Tensor, "*b"] | int | float  # times; integers in a discrete schedule


@dataclass(frozen=True, eq=False)
class Schedule:
    """alpha(t), sigma(t), and `timesteps(n)`: n times for a sampler, from noise to the image."""

    alpha: Callable[[Levels], Float[Tensor, "*b"]]
    sigma: Callable[[Levels], Float[Tensor, "*b"]]
    timesteps: Callable[[int], Shaped[Tensor, " n"]]
    alpha_bar: Float[Tensor, " T"] | None = None  # alpha^2 at each step, in float64; None in continuous time

    def snr(self, t: Levels) -> Float[Tensor, "*b"]:
        """alpha^2 / sigma^2, the ratio of signal to noise."""
        return (self.alpha(t) / self.sigma(t)).square()  # infinite where there is no noise

    def add_noise(
        self, x0: Float[Tensor, "b *x"], t: Shaped[Tensor, " b"], noise: Float[Tensor, "b *x"]
    ) -> Float[Tensor, "b *x"]:
        """x_t = alpha(t) x0 + sigma(t) e."""
        return per_sample(self.alpha(t), x0) * x0 + per_sample(self.sigma(t), x0) * noise


def per_sample(values: Shaped[Tensor, "*b"], x: Tensor) -> Float[Tensor, "..."]:
    """Reshape one number, or one per sample, so that it multiplies x."""
    return values.to(x).reshape(-1, *[1] * (x.ndim - 1))


@checked
def linear_schedule(steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    """DDPM's schedule (Ho et al., 2020): alpha_bar_t = prod_s (1 - beta_s), with evenly spaced beta."""
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(f"beta_start={beta_start} and beta_end={beta_end}: 0 < beta_start <= beta_end < 1 must hold.")
    return _discrete(torch.linspace(beta_start, beta_end, _at_least_one("steps", steps), dtype=torch.float64))


@checked
def cosine_schedule(steps: int = 1000) -> Schedule:
    """Improved DDPM (Nichol and Dhariwal, 2021): alpha_bar ~ cos^2((t / T + 0.008) / 1.008 * pi / 2), beta <= 0.999."""
    t = torch.arange(_at_least_one("steps", steps) + 1, dtype=torch.float64) / steps
    alpha_bar = ((t + 0.008) / 1.008 * math.pi / 2).cos().square()
    return _discrete((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999))


def _discrete(beta: Float[Tensor, " T"]) -> Schedule:
    alpha_bar = (1 - beta).cumprod(dim=0)
    alpha, sigma = alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()
    return Schedule(
        _of_number(lambda t: alpha.to(t.device)[t.long()]),
        _of_number(lambda t: sigma.to(t.device)[t.long()]),
        lambda n: spaced_timesteps(len(beta), n, "trailing"),
        alpha_bar,
    )


def _of_number(f: Callable[[Tensor], Tensor]) -> Callable[[Levels], Tensor]:
    return lambda t: f(torch.as_tensor(t))


def flow_schedule() -> Schedule:
    """The straight path x_t = (1 - t) x0 + t e of flow matching (Lipman et al.; Liu et al., 2023)."""

    def timesteps(n: int) -> Float[Tensor, " n"]:
        return torch.linspace(1, 0, _at_least_one("n", n) + 1)[:-1]

    return Schedule(_of_number(lambda t: 1 - t), torch.as_tensor, timesteps)


def edm_schedule() -> Schedule:
    """EDM's schedule x_t = x0 + t e (Karras et al., 2022), the one for which samplers take `sigmas`."""
    return Schedule(_of_number(torch.ones_like), torch.as_tensor, karras_sigmas)


@checked
def karras_sigmas(n: int, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> Float[Tensor, " n"]:
    """EDM's eq. 5: sigma_i = (s_max^(1/rho) + i / (n - 1) (s_min^(1/rho) - s_max^(1/rho)))^rho, i = 0 ... n - 1.

    The final zero is not included: every sampler steps to it from the last sigma.
    """
    if not 0 < sigma_min <= sigma_max:
        raise ValueError(f"sigma_min={sigma_min} and sigma_max={sigma_max}: 0 < sigma_min <= sigma_max must hold.")
    if not 0.1 <= rho <= 100:  # the roots leave float64
        raise ValueError(f"rho is {rho}: it must lie in [0.1, 100]; 7 is EDM's.")
    ramp = torch.linspace(0, 1, _at_least_one("n", n), dtype=torch.float64)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return ((high + ramp * (low - high)) ** rho).float()


@checked
def spaced_timesteps(T: int, n: int, spacing: Spacing = "leading") -> Int64[Tensor, " n"]:
    """n of the T steps, descending, spaced in one of three ways (names from Lin et al., 2024, table 2):

        leading   floor(T / n) i         never starts at pure noise, a common flaw with few steps
        trailing  round(T - T / n i) - 1   always starts at T - 1
        linspace  includes T - 1 and 0, with the rest evenly in between

    A sampler steps from each entry to the next in the list, whatever the spacing.
    """
    if not 1 <= n <= T:
        raise ValueError(f"n is {n}: a schedule of {T} steps can be sampled with 1 to {T} of them.")
    i = torch.arange(n, dtype=torch.float64)
    match spacing:
        case "leading":
            return (T // n * i).long().flip(0)
        case "trailing":
            return (T - T / n * i).round().long() - 1
        case "linspace":
            return torch.linspace(0, T - 1, n, dtype=torch.float64).round().long().flip(0)
    raise ValueError(f"spacing is {spacing!r}: it must be 'leading', 'trailing' or 'linspace'.")


def _at_least_one(name: str, n: int) -> int:
    if n < 1:
        raise ValueError(f"{name} is {n}: it must be at least 1.")
    return n
