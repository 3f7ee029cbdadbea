"""Edits of what RCDM is conditioned on (Bordes et al., 2022): change h = f(x), and let the samples tell what changed.

    _, index = neighbours(bank, h[None], k=20)                       # of knn
    common = common_dimensions(bank[index[0]])
    remove(h, common)                     # what the neighbours share is gone, and the rest of the image stays
    transplant(h, common, other)          # or it is replaced by what another image has there

All are plain functions of representations, and `rcdm.sample` paints what they give: with the same `noise` for each row,
what differs between the pictures is due to h alone. Those of `directions` are for `move`. To see what survives a change
of the image instead, embed the changed image: any view of `augment`, or `mask_patches`.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

H = Float[Tensor, "*n d"]


def interpolate(
    a: Float[Tensor, " d"], b: Float[Tensor, " d"], weights: Float[Tensor, " k"], *, spherical: bool = False
) -> Float[Tensor, "k d"]:
    """(1 - w) a + w b for each weight: 0 gives a and 1 gives b.

    `spherical` goes along the great circle from the direction of a to that of b, at an angle theta from each other,

        sin((1 - w) theta) / sin(theta) a / |a| + sin(w theta) / sin(theta) b / |b|,

    times the length (1 - w) |a| + w |b|, so that mid-points are as long as what they lie between. Raises ValueError
    where there is no single such path: for a zero, and for opposite directions.
    """
    w = weights[:, None]
    if not spherical:
        return (1 - w) * a + w * b
    length_a, length_b = a.norm(), b.norm()
    if not (length_a > 0 and length_b > 0):
        raise ValueError("a or b is zero: it has no direction to go from; interpolate linearly.")
    u, v = a / length_a, b / length_b
    theta = 2 * torch.atan2((u - v).norm(), (u + v).norm())  # acos would lose half the digits near 0 and pi
    if torch.pi - theta < 1e-3:
        raise ValueError("a and b point in opposite directions: there are many great circles; interpolate linearly.")
    along_u, along_v = (theta * torch.cat([1 - w, w], dim=1)).sin().div(theta.sin()).split(1, dim=1)
    path = (1 - w) * u + w * v if theta < 1e-6 else along_u * u + along_v * v
    return ((1 - w) * length_a + w * length_b) * path


def common_dimensions(
    h: Float[Tensor, "n d"], *, more_than: int = 14, above: float | Float[Tensor, " d"] = 0.0
) -> Bool[Tensor, " d"]:
    """The dimensions in which more than `more_than` of the n have |h| > `above`: what neighbours have in common.

    The defaults are the paper's for 20 neighbours of a ResNet's wide representation: dimensions that are not 0. Where
    hardly any is ever 0, as after a small net's last average or in a projector, this takes all of them; then give each
    dimension a level of its own, say `bank.abs().median(dim=0).values`. Raises ValueError unless 0 <= more_than < n.
    """
    if not 0 <= more_than < len(h):
        raise ValueError(f"more_than is {more_than}: of {len(h)} representations it must lie in 0 ... {len(h) - 1}.")
    return (h.abs() > above).sum(dim=0) > more_than


def remove(h: H, dims: Bool[Tensor, " d"]) -> H:
    """h with 0 in these dimensions."""
    return h.masked_fill(dims, 0)


def transplant(h: Float[Tensor, "*#n d"], dims: Bool[Tensor, " d"], source: Float[Tensor, "*#n d"]) -> H:
    """h with the values of another image's representation in these dimensions; either may be one for many."""
    return torch.where(dims, source, h)


def move(h: Float[Tensor, "*#n d"], direction: Float[Tensor, " d"], amount: float | Float[Tensor, "*#n"]) -> H:
    """h + amount * direction. Several amounts make several of h: (d,) and (k,) give (k, d)."""
    return h + torch.as_tensor(amount, dtype=h.dtype, device=h.device)[..., None] * direction


def mask_patches(
    x: Float[Tensor, "b c h w"], share: float, *, patch: int = 4, fill: float = 0.0, generator: torch.Generator
) -> Float[Tensor, "b c h w"]:
    """Images of which a `share` of the square patches, drawn for each image, is replaced by `fill`.

    The MSN paper (Assran et al., 2022) conditions RCDM on images of which half to nine tenths are masked. Raises
    ValueError for a share outside [0, 1] and a patch that is not from 1 pixel to the image's shorter side wide.
    """
    b, _, height, width = x.shape
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: it must lie in [0, 1]; 0.5 to 0.9 are MSN's.")
    if not 1 <= patch <= min(height, width):
        raise ValueError(f"patch is {patch}: of images of {height} x {width} it must be 1 ... {min(height, width)}.")
    rows, columns = -(-height // patch), -(-width // patch)
    rank = torch.rand(b, rows * columns, generator=generator).argsort(dim=1).argsort(dim=1).to(x.device)
    masked = (rank < round(share * rows * columns)).view(b, 1, rows, columns)
    masked = masked.repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)
    return x.masked_fill(masked[:, :, :height, :width], fill)
