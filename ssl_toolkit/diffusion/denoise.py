"""Adapters that turn any network's prediction into one contract: denoise(x, t) -> x0, the guess of the image.

A network is called with x (b, ...) and t (b,); a sampler calls denoise with a single t. With x = alpha x0 + sigma e

    from_x0    x0                        from_flow  u = e - x0 on the straight path
    from_eps   e = (x - alpha x0) / sigma           v = alpha e - sigma x0    from_v

so every sampler works with every network. All outputs are linear in x0, so guidance on outputs is guidance on x0.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ssl_toolkit.data import checked_finite
from ssl_toolkit.diffusion.schedule import Schedule, per_sample

Network = Callable[[Tensor, Tensor], Tensor]


Denoise = Callable[[Tensor, Tensor], Tensor]


def _call(network: Network, x: Float[Tensor, "b *x"], t: Shaped[Tensor, "*t"]) -> Float[Tensor, "b ..."]:
    return network(x, t.to(x.device).expand(len(x)))


def from_x0(network: Network) -> Denoise:
    """The network predicts the image."""
    return lambda x, t: _call(network, x, t)


def from_eps(network: Network, schedule: Schedule) -> Denoise:
    """The network predicts the noise (Ho et al., 2020): x0 = (x - sigma e) / alpha.

    Raises ValueError at a time where alpha is 0: at pure noise, the predicted noise does not determine x0.
    """

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = _levels_of_noise(schedule, x, t)
        return (x - sigma * _call(network, x, t)) / alpha

    return denoise


def _levels_of_noise(schedule: Schedule, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    alpha = per_sample(schedule.alpha(t), x)
    if not bool(alpha.all()):
        raise ValueError(
            f"t holds {float(t.max()):g}, where alpha is 0: start below it, or predict x0, v or the velocity."
        )
    return alpha, per_sample(schedule.sigma(t), x)


def from_v(network: Network, schedule: Schedule) -> Denoise:
    """The network predicts v = alpha e - sigma x0 (Salimans and Ho, 2022).

    x0 = (alpha x - sigma v) / (alpha^2 + sigma^2). The denominator is 1 on variance-preserving schedules.
    """

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = per_sample(schedule.alpha(t), x), per_sample(schedule.sigma(t), x)
        return (alpha * x - sigma * _call(network, x, t)) / (alpha.square() + sigma.square())

    return denoise


def from_flow(network: Network) -> Denoise:
    """The network predicts the velocity u = e - x0 of the straight path: x0 = x - t u."""
    return lambda x, t: x - per_sample(t, x) * _call(network, x, t)


@checked_finite
def edm_precondition(network: Network, *, sigma_data: float = 0.5) -> Denoise:
    """EDM's preconditioning of F (Karras et al., 2022, eq. 7): D(x; s) = c_skip x + c_out F(c_in x; c_noise), t = s.

    c_skip = d^2 / (s^2 + d^2)   c_out = s d / sqrt(s^2 + d^2)   c_in = 1 / sqrt(s^2 + d^2)   c_noise = ln(s) / 4
    """

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        s, d = per_sample(t, x), sigma_data
        total = s.square() + d**2
        output = _call(network, x / total.sqrt(), t.log() / 4)
        return d**2 / total * x + s * d / total.sqrt() * output

    return denoise


@checked_finite
def guided(
    network: Callable[..., Tensor],
    h: Float[Tensor, "b d"],
    *,
    weight: float = 1.0,
    interval: tuple[float, float] = (0.0, float("inf")),
) -> Network:
    """Classifier-free guidance (Ho and Salimans, 2022): turns network(x, t, h) into a network of x and t alone.

        out = out_null + weight (out_h - out_null)

    at times within `interval`, and out_h at other times (Kynkäänniemi et al., 2024). A weight of 1 gives the
    conditional network, 0 the unconditional one. Both run as one batch: the network gets null, a bool mask (2 b,) that
    is true where the learned null replaces h. With a weight of 1, the network runs on h alone.
    """

    def call(x: Tensor, t: Tensor) -> Tensor:
        low, high = interval
        if weight == 1 or not low <= float(t.flatten()[0]) <= high:
            return network(x, t, h)
        null = torch.arange(2, device=x.device).repeat_interleave(len(x)) == 0
        free, bound = network(x.repeat(2, *[1] * (x.ndim - 1)), t.repeat(2), h.repeat(2, 1), null=null).chunk(2)
        return free + weight * (bound - free)

    return call
