"""Maps that can be followed while an encoder learns: principal planes, each turned to lie as the one before it did.

Two maps of the same images differ by more than what was learned, since the sign of a principal axis is arbitrary and
two axes of equal variance may turn into each other. Orthogonal Procrustes (Schönemann, 1966) takes that away.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite, rng
from ssl_toolkit.encoders.statistics import at_least, unit_rows

BLOCK = 12  # directions of the iteration: some more than are shown
ROUNDS = 5  # products with the covariance, which tell the first directions apart
LEAST = 0.02  # radius, of features of length 1, below which a plane is not enlarged: a collapse is a dot


@checked_finite
@torch.no_grad()
def principal_planes(z: Float[Tensor, "n d"], *, planes: int = 2) -> Float[Tensor, "p n 2"]:
    """Features of length 1 along their principal axes, the first two in the first plane and so on, all of one size.

    The root mean square distance from the middle of a plane is 1; it is less where the features have all but collapsed.
    The axes come from subspace iteration, which takes a few milliseconds for 500 images of any width.

    >>> stk.probes.principal_planes(torch.randn(50, 8, generator=stk.rng(0))).shape
    torch.Size([2, 50, 2])
    """
    if planes < 1:
        raise ValueError(f"planes is {planes}: show at least 1.")
    x = unit_rows(at_least(1, z if z.dtype == torch.float64 else z.float()))
    x = x - x.mean(dim=0)
    axes = torch.randn(z.shape[1], min(z.shape[1], BLOCK), generator=rng(0, 0, "axes")).to(z)
    for _ in range(ROUNDS):
        axes, _ = torch.linalg.qr(x.T @ (x @ axes))
    along = x @ axes
    _, turn = torch.linalg.eigh(along.T @ along)
    along = (along @ turn.flip(1))[:, : 2 * planes]  # largest variance first
    largest = along.gather(0, along.abs().argmax(dim=0, keepdim=True))  # the sign of an axis is arbitrary
    along = F.pad(along * largest.sign(), (0, 2 * planes - along.shape[1]))  # fewer dimensions than axes: 0
    points = rearrange(along, "n (p xy) -> p n xy", xy=2)
    radius = points.square().sum(dim=2).mean(dim=1).sqrt()
    return points / radius.clamp_min(LEAST)[:, None, None]


@checked_finite
def align(points: Float[Tensor, "p n 2"], to: Float[Tensor, "p n 2"]) -> Float[Tensor, "p n 2"]:
    """Rotate and reflect each plane so that its points lie as close as possible to those of `to`.

    R = U V^T  minimizes  |points R - to|   where   points^T to = U S V^T
    """
    u, _, vt = torch.linalg.svd(points.mT @ to)
    return points @ (u @ vt)
