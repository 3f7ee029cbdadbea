"""Cold diffusion (Bansal et al., 2023): chains that undo a deterministic degradation bit by bit, without noise.

    degrade = covering(pixels, order)                      # D(x, t): covers a share t of the image's pixels
    for i, t, x, x0 in cold(restore, pixels, degrade=degrade, timesteps=flow_schedule().timesteps(20)): ...

A degradation is deterministic. D(x, 0) = x, and at t = 1 nothing of x is left. The network learns R(D(x, t), t) = x.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ssl_toolkit.data import checked, must_be_finite
from ssl_toolkit.diffusion.denoise import Denoise
from ssl_toolkit.diffusion.samplers import Denoised

Degrade = Callable[[Tensor, Tensor], Tensor]


@checked
def covering(pixels: Float[Tensor, "b c h w"], order: Float[Tensor, "b #c h w"]) -> Degrade:
    """D(x, t) is `pixels` where `order`, with values in [0, 1), is below t, and x elsewhere."""

    def degrade(x: Tensor, t: Tensor) -> Tensor:
        if x.shape != pixels.shape:
            raise ValueError(f"x has shape {tuple(x.shape)}, and pixels {tuple(pixels.shape)}: they must be alike.")
        return torch.where(order < t.to(order), pixels, x)

    return degrade


@checked
def cold(
    restore: Denoise, x: Float[Tensor, "b *x"], *, degrade: Degrade, timesteps: Shaped[Tensor, " n"]
) -> Iterator[Denoised]:
    """The improved sampler of the paper (Algorithm 2): x' = x - D(x0, t) + D(x0, t') with x0 = R(x, t), down to t = 0.

    `timesteps` descend within (0, 1], and x is a state at the first. Errors of the restoration cancel wherever a step
    changes nothing. Raises ValueError for times that do not descend or that leave (0, 1].
    """
    must_be_finite("x", x)
    times = [*timesteps.tolist(), 0.0]
    if len(times) < 2 or times[0] > 1 or not all(t > to for t, to in pairwise(times)):
        raise ValueError(f"timesteps is {times[:-1]}: they must descend within (0, 1].")
    for i, (t, to) in enumerate(pairwise(x.new_tensor(times))):
        with torch.no_grad():
            x0 = restore(x, t)
            x = x - degrade(x0, t) + degrade(x0, to)
        yield Denoised(i, t.item(), x, x0)
