"""Edits of what RCDM is conditioned on (Bordes et al., 2022): change h = f(x), and let samples tell what changed.

    _, index = neighbors(bank, h[None], k=20)
    common = common_dimensions(bank[index[0]])
    remove(h, common)                     # what the neighbors share is gone, and the rest of the image stays
    transplant(h, common, other)          # or it is replaced by what another image has there

Plain functions of representations come first. Below them are the questions that a person asks (`between` two images,
`along` a direction, `without_common`, `hidden`): each names its rows, and `paint_rows` paints them from the same noise,
so that what differs between two rows is due to h alone. The directions of `directions` are for `move`. To see what
survives a change of the image instead, embed the changed image: any view of `augment`, or `mask_patches`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from torch import Tensor

from ssl_toolkit.data import as_bytes, as_float, rng
from ssl_toolkit.diffusion.rcdm import RCDM, conditions, sample
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.encoders.statistics import neighbors

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
    """The dimensions in which more than `more_than` of the n have |h| > `above`: what neighbors have in common.

    The defaults are the paper's for 20 neighbors of a ResNet's wide representation: dimensions that are not 0. Where
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


class Edits(NamedTuple):
    """The representations to paint and their names; the first is that of the image itself."""

    names: list[str]
    h: Float[Tensor, "n d"]


def between(a: Float[Tensor, " d"], b: Float[Tensor, " d"], stops: int, *, spherical: bool = False) -> Edits:
    """`stops` representations on the way from a to b, both among them, as by `interpolate`."""
    if stops < 2:
        raise ValueError(f"stops is {stops}: a way has at least 2, its ends.")
    weights = torch.linspace(0, 1, stops)
    return Edits([f"{x:.3g}" for x in weights.tolist()], interpolate(a, b, weights, spherical=spherical))


def along(h: Float[Tensor, " d"], directions: Float[Tensor, "k d"], amounts: Sequence[float]) -> Edits:
    """h as it is, and h moved by so much along each of the directions at once."""
    moved = h
    for direction, amount in zip(directions, amounts, strict=True):
        moved = move(moved, direction, amount)
    return Edits(["as it is", "moved"], torch.stack([h, moved]))


class Common(NamedTuple):
    """What an image's neighbors have in common, without it and with another image's in its place."""

    asked: Edits
    dims: Bool[Tensor, " d"]
    neighbors: Int64[Tensor, " k"]  # in the bank, nearest first


def without_common(
    h: Float[Tensor, " d"],
    other: Float[Tensor, " d"],
    bank: Float[Tensor, "n d"],
    *,
    k: int = 20,
    more_than: int = 14,
    relative: bool = True,
) -> Common:
    """h with the dimensions that are common to its k neighbors set to 0, and to those of `other`.

    A neighbor has a dimension that is not 0, as in the paper, or if `relative` one above its median in the bank.
    """
    _, index = neighbors(bank, h[None], k=k)
    above = bank.abs().median(dim=0).values if relative else 0.0
    dims = common_dimensions(bank[index[0]], more_than=more_than, above=above)
    rows = torch.stack([h, remove(h, dims), transplant(h, dims, other)])
    return Common(Edits(["as it is", "common ones removed", "common ones from B"], rows), dims, index[0])


def hidden(
    image: Shaped[Tensor, "c h w"], shares: Sequence[float], *, patch: int = 4, seed: int = 0
) -> UInt8[Tensor, "n c h w"]:
    """The image with each share of its patches hidden; what a smaller share hides, a larger one hides, too."""
    masked = [mask_patches(as_float(image[None]), s, patch=patch, generator=rng(seed, 0, "masks")) for s in shares]
    return as_bytes(torch.cat(masked))


class Rows(NamedTuple):
    """k samples for each of n representations after `step` steps of the sampler: its guesses, and at last its images.

    `distance` is that of a sample's features from the h it was painted from, in the units of h; the last record has it.
    """

    step: int
    images: UInt8[Tensor, "n k c h w"]
    distance: Float[Tensor, "n k"] | None


def paint_rows(
    encoder: Encoder,
    model: RCDM,
    h: Float[Tensor, "n d"],
    *,
    depth: str = "representation",
    k: int = 4,
    steps: int = 20,
    guidance: float = 1.0,
    seed: int = 0,
) -> Iterator[Rows]:
    """k samples of each h, the j-th of every row from the same noise; `depth` is where the encoder has such an h.

    Raises ValueError for k below 1, and as `sample` does.
    """
    if k < 1:
        raise ValueError(f"k is {k}: paint at least 1 sample of each; 4 are usual.")
    noise = torch.randn(k, *model.shape, generator=rng(seed, 0, "noise")).repeat(len(h), 1, 1, 1)
    rows = None
    for step in sample(model, h.repeat_interleave(k, dim=0), steps=steps, guidance=guidance, noise=noise):
        rows = Rows(step.i + 1, as_bytes(step.x0).unflatten(0, (-1, k)), None)
        yield rows
    assert rows is not None
    z = conditions(encoder, rows.images.flatten(0, 1), depth=depth).unflatten(0, (-1, k))
    yield rows._replace(distance=(z - h[:, None]).norm(dim=-1))
