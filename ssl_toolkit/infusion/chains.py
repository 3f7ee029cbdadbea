"""The chain: it starts at z_0 ~ p_0, and each step draws z_t from the operator's p_t(z_t | z_{t-1}).

With a target x, the chain is *infused*: at step t, each pixel is replaced by the target's with probability alpha_t,

    q_t(z_t | z_{t-1}, x) = (1 - alpha_t) p_t(z_t | z_{t-1}) + alpha_t delta_x(z_t)    per pixel, all channels together

so the chains that the operator learns from do reach the target. Noise and masks come from separate random streams, so
with a rate of 0 this is exactly the model's chain.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ssl_toolkit.data import checked, must_be_finite, rng
from ssl_toolkit.encoders import eval_mode, to_device_of
from ssl_toolkit.infusion.operators import Moments

Transition = Callable[[Tensor, int], Moments]  # z_{t-1}, t -> mean, std
Alpha = float | Float[Tensor, "..."]  # one for all pixels, or a tensor that broadcasts to z
Rate = Alpha | Callable[[int], Alpha]


class Link(NamedTuple):
    """One state of a chain, z_t, and the distribution it was drawn from; `infused` marks the target's pixels."""

    t: int
    z: Float[Tensor, "b *x"]
    mean: Float[Tensor, "b *x"]
    std: Float[Tensor, "b *x"] | None  # None: z is in {0, 1}, with the mean as its probability
    infused: Bool[Tensor, "b *x"] | None


class Prior(NamedTuple):
    """p_0, independent over pixels: Gaussian, or Bernoulli if std is None."""

    mean: Float[Tensor, "*x"]
    std: Float[Tensor, "*x"] | None

    def sample(self, n: int, *, seed: int = 0) -> Float[Tensor, "n *x"]:
        """Draw z_0 of n chains."""
        mean, std = self.over(n)
        return _draw(mean, std, rng(seed, 0, "noise"))

    def over(self, n: int) -> Moments:
        """The mean and std of n states."""
        return self.mean.expand(n, *self.mean.shape), None if self.std is None else self.std.expand(n, *self.std.shape)

    def to(self, device: torch.device | str) -> "Prior":
        return Prior(self.mean.to(device), None if self.std is None else self.std.to(device))


@checked
def fit_prior(data: Shaped[Tensor, "n *x"], *, bernoulli: bool = False) -> Prior:
    """Fit the mean and standard deviation of each pixel of the images (uint8, or float in [0, 1]), with var + 1e-5.

    Raises ValueError if there is no image, and for images outside [0, 1].
    """
    if not data.numel():
        raise ValueError(f"data holds no image: fit a prior to at least one; its shape is {tuple(data.shape)}.")
    if data.dtype != torch.uint8 and not data.is_floating_point():
        raise TypeError(f"data is {data.dtype}: images are uint8, or floats in [0, 1].")
    if data.dtype != torch.uint8:
        must_be_finite("data", data)
    if data.ndim == 4 and data.dtype != torch.uint8:
        in_range("data", data)
    scale = 255.0 if data.dtype == torch.uint8 else 1.0
    total = squares = torch.zeros(data.shape[1:], dtype=torch.float64, device=data.device)
    for part in data.split(4096):
        x = part.double() / scale
        total, squares = total + x.sum(dim=0), squares + x.square().sum(dim=0)
    mean = total / len(data)
    std = None if bernoulli else ((squares / len(data) - mean.square()).clamp_min(0) + 1e-5).sqrt().float()
    return Prior(mean.float(), std)


@checked
def increasing(omega: float = 0.01, first: float = 0.0) -> Callable[[int], Alpha]:
    """alpha_t = alpha_0 + omega t, at most 1."""
    return lambda t: min(1.0, first + omega * t)


DEFAULT_RATE = increasing()


@dataclass(frozen=True)
class Mixture:
    """The paper's infusion: each pixel is the target's with probability alpha_t, and the model's otherwise.

    With `var`, the copy is N(x, var). That gives q a density, which the bound needs (1e-4 in the released code).
    """

    var: float = 0.0

    def __post_init__(self) -> None:
        if not hasattr(self.var, "__float__"):
            raise TypeError(f"var is {self.var!r}: it must be a number.")
        if not 0 <= self.var < math.inf:
            raise ValueError(f"var is {self.var}: it is a variance and must be at least 0; 1e-4 is usual.")

    def infuse(
        self, z: Tensor, mean: Tensor, target: Tensor, alpha: Alpha, seed: int, t: int
    ) -> tuple[Tensor, Tensor | None]:
        """Turn z ~ p_t into z ~ q_t, and mark the target's pixels. The draws depend only on (seed, t)."""
        pixels = z[:, :1].shape if z.ndim == 4 else z.shape  # one decision for all channels
        infused = (torch.rand(pixels, generator=rng(seed, t, "mask")).to(z.device) < alpha).expand(z.shape)
        if self.var:
            target = target + self.var**0.5 * _normal(z, rng(seed, t, "copy"))
        return torch.where(infused, target, z), infused

    def log_ratio(self, z: Tensor, moments: Moments, target: Tensor, alpha: Alpha) -> Float[Tensor, " b"]:
        """log p_t(z) - log q_t(z)."""
        std = None if moments[1] is None else torch.full_like(z, self.var**0.5)
        if std is not None and not self.var:
            raise ValueError("var is 0: an exact copy has no density, so there is no bound; Mixture(1e-4) is usual.")
        a = torch.as_tensor(alpha, dtype=z.dtype, device=z.device)
        log_p, copied = (_over_channels(log_density(z, *m)) for m in (moments, (target, std)))
        log_q = torch.logaddexp(torch.log1p(-a) + log_p, a.log() + copied)
        return (log_p - log_q).flatten(1).sum(dim=1)

    def divergence(self, z: Tensor, moments: Moments, target: Tensor, alpha: Alpha) -> Float[Tensor, " b"]:
        """KL(q_t || p_t), estimated from one z ~ q_t."""
        return -self.log_ratio(z, moments, target, alpha)


@dataclass(frozen=True)
class Gaussian:
    """q_t = N((1 - alpha_t) mu + alpha_t x, sigma^2): pulls every pixel toward the target's (cGCA: Zhang et al., 2022).

    The divergence then has a closed form, KL(q_t || p_t) = alpha_t^2 |x - mu|^2 / (2 sigma^2).
    """

    def infuse(
        self, z: Tensor, mean: Tensor, target: Tensor, alpha: Alpha, seed: int, t: int
    ) -> tuple[Tensor, Tensor | None]:
        return z + alpha * (target - mean), None

    def log_ratio(self, z: Tensor, moments: Moments, target: Tensor, alpha: Alpha) -> Float[Tensor, " b"]:
        mean, std = self._moments(moments)
        log_q = log_density(z, mean + alpha * (target - mean), std)
        return (log_density(z, mean, std) - log_q).flatten(1).sum(dim=1)

    def divergence(self, z: Tensor, moments: Moments, target: Tensor, alpha: Alpha) -> Float[Tensor, " b"]:
        mean, std = self._moments(moments)
        return ((alpha * (target - mean) / std).square() / 2).flatten(1).sum(dim=1)

    def _moments(self, moments: Moments) -> tuple[Tensor, Tensor]:
        if moments[1] is None:
            raise ValueError(
                "infusion is Gaussian() and the outputs are Bernoulli: use Mixture(), which is exact for them."
            )
        return moments[0], moments[1]


Infusion = Mixture | Gaussian
EXACT = Mixture()


@checked
def chain(
    operator: Transition,
    z: Float[Tensor, "b *x"],
    *,
    steps: int,
    target: Float[Tensor, "..."] | None = None,
    rate: Rate | None = None,
    infusion: Infusion = EXACT,
    seed: int = 0,
) -> Iterator[Link]:
    """Yield z_1 ... z_T from z_0 = z: the infused chain q if there is a target, else the model's chain p.

    `rate` is alpha_t: a number, a tensor that broadcasts to z, or a function of t that gives either (None: 0.01 t).
    The operator runs in evaluation mode, without gradients; its mode is restored. Raises ValueError for fewer than 1
    step, for a rate outside [0, 1] or without a target, and for a target whose shape is not z's or whose images leave
    [0, 1].

    >>> operator = stk.zoo.load("fashion-mnist-infusion")
    >>> noise = stk.infusion.prior_of(operator).sample(16)
    >>> *_, last = stk.chain(operator, noise, steps=operator.steps)
    >>> last.mean.shape
    torch.Size([16, 1, 28, 28])
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}: a chain has at least 1.")
    if not z.numel():
        raise ValueError(f"z has shape {tuple(z.shape)}: it must hold the states of at least one chain.")
    if target is None and rate is not None:
        raise ValueError("rate is given without a target, so there is nothing to infuse: give both, or neither.")
    must_be_finite("z", z)
    z = to_device_of(operator, z)
    if target is not None:
        check_target(z, target)
        target = target.to(z)

    def step(z: Tensor, t: int) -> Moments:
        with evaluated(operator):
            return operator(z, t)

    links = walk(step, z, steps=steps, target=target, rate=rate, infusion=infusion, seed=seed)
    return (link._replace(z=link.z.clone()) for link in links)  # so that editing a link cannot steer the chain


def walk(
    operator: Transition,
    z: Float[Tensor, "b *x"],
    *,
    steps: int,
    target: Float[Tensor, "b *x"] | None,
    rate: Rate | None,
    infusion: Infusion,
    seed: int,
) -> Iterator[Link]:
    """`chain` without checks, the operator in its own mode. `mean` and `std` have gradients; states are detached."""
    for t in range(1, steps + 1):
        mean, std = operator(z, t)
        _check_copies(std, infusion, target)
        z = _draw(mean.detach(), None if std is None else std.detach(), rng(seed, t, "noise"))
        infused = None
        if target is not None:
            z, infused = infusion.infuse(z, mean.detach(), target, rate_at(rate, t), seed, t)
        yield Link(t, z, mean, std, infused)


@checked
def first(
    prior: Prior,
    target: Float[Tensor, "b *x"],
    *,
    rate: Rate | None = None,
    infusion: Infusion = EXACT,
    seed: int = 0,
) -> Link:
    """z_0 of the infused chain, already infused at rate alpha_0: q_0 = (1 - alpha_0) p_0 + alpha_0 delta_x."""
    must_be_finite("target", target)
    mean, std = prior.over(len(target))
    if mean.shape != target.shape:
        raise ValueError(f"target has shape {tuple(target.shape)}, but the prior's states have {tuple(mean.shape)}.")
    _check_copies(std, infusion, target)
    z = _draw(mean, std, rng(seed, 0, "noise"))
    z, infused = infusion.infuse(z, mean, target, rate_at(rate, 0), seed, 0)
    return Link(0, z, mean, std, infused)


def _check_copies(std: Tensor | None, infusion: Infusion, target: Tensor | None) -> None:
    if std is None and target is not None and (not isinstance(infusion, Mixture) or infusion.var):
        raise ValueError(
            f"infusion is {infusion} and the states are Bernoulli, 0 or 1: take Mixture(), whose copies are exact, and "
            "targets that are not dequantized."
        )


def infused(
    operator: Transition,
    prior: Prior,
    target: Float[Tensor, "b *x"],
    *,
    steps: int,
    rate: Rate | None,
    infusion: Infusion,
    seed: int,
) -> Iterator[Link]:
    """Yield z_0 ... z_T of the infused chain, for objectives and bounds; like `walk`, with z_0."""
    link = first(prior.to(target.device), target, rate=rate, infusion=infusion, seed=seed)
    yield link
    yield from walk(operator, link.z, steps=steps, target=target, rate=rate, infusion=infusion, seed=seed)


def rate_at(rate: Rate | None, t: int) -> Alpha:
    """alpha_t, checked. Raises ValueError if it leaves [0, 1]."""
    rate = DEFAULT_RATE if rate is None else rate
    alpha = rate(t) if callable(rate) else rate
    low, high = (float(alpha.min()), float(alpha.max())) if isinstance(alpha, Tensor) else (alpha, alpha)
    if not 0 <= low <= high <= 1:
        raise ValueError(f"rate is {low if not low >= 0 else high} at t = {t}: a probability must lie in [0, 1].")
    return alpha


def check_target(z: Tensor, target: Tensor) -> None:
    """Check the target. Raises ValueError if its shape is not the chain's, or if its images leave [0, 1]."""
    if target.shape != z.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)} and z {tuple(z.shape)}: give each chain its own target."
        )
    if target.ndim == 4:
        in_range("target", target)


def in_range(name: str, x: Tensor) -> None:
    """Check the range. Raises ValueError if x leaves [0, 1] or holds NaN."""
    if not x.numel():
        raise ValueError(f"{name} holds no image: its shape is {tuple(x.shape)}.")
    if not (float(x.min()) >= 0 and float(x.max()) <= 1):  # NaN too
        raise ValueError(f"{name} lies in [{float(x.min()):.3g}, {float(x.max()):.3g}]: images are floats in [0, 1].")


@checked
def log_density(
    x: Float[Tensor, "b *x"], mean: Float[Tensor, "b *x"], std: Float[Tensor, "b *x"] | None
) -> Float[Tensor, "b *x"]:
    """log N(x; mean, std^2) of each coordinate, or log Bernoulli(x; mean) if std is None."""
    if std is None:
        return -F.binary_cross_entropy(mean, x, reduction="none")
    return -((x - mean) / std).square() / 2 - std.log() - math.log(2 * math.pi) / 2


def evaluated(operator: Transition) -> AbstractContextManager:
    """Turn gradients off, and put a network in evaluation mode."""
    return eval_mode(operator) if isinstance(operator, nn.Module) else torch.no_grad()


def fork(generator: torch.Generator) -> int:
    """Draw a new seed, for independent random streams."""
    return int(torch.randint(2**62, (1,), generator=generator))


def _draw(mean: Tensor, std: Tensor | None, generator: torch.Generator) -> Tensor:
    if std is None:
        return (torch.rand(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device) < mean).to(mean.dtype)
    return mean + std * _normal(mean, generator)


def _normal(z: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)


def _over_channels(log_p: Tensor) -> Tensor:
    """Sum an image's log densities over channels before the mixture, since a pixel is copied whole."""
    return log_p.sum(dim=1, keepdim=True) if log_p.ndim == 4 else log_p
