"""Edit what RCDM is conditioned on (Bordes et al., 2022): change h = f(x), and see in the samples what changed.

    _, index = neighbors(bank, h[None], k=20)
    common = common_dimensions(bank[index[0]])
    remove(h, common)                     # drops what the neighbors share, and keeps the rest of the image
    transplant(h, common, other)          # or replaces it with those dimensions of another image

Plain functions on representations come first. Below them are ready-made experiments (`between` two images, `along` a
direction, `without_common`, `hidden`): each names its rows, and `paint_rows` paints them from the same noise, so any
difference between two rows is due to h alone. Use the directions of `directions` with `move`. To see what survives a
change of the image instead, embed the changed image: any view of `augment`, or `mask_patches`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from torch import Tensor

from ssl_toolkit.data import as_bytes, as_float, checked_finite, rng
from ssl_toolkit.diffusion.rcdm import RCDM, conditions, sample
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.encoders.statistics import neighbors

H = Float[Tensor, "*n d"]


@checked_finite
def interpolate(
    a: Float[Tensor, " d"], b: Float[Tensor, " d"], weights: Float[Tensor, " k"], *, spherical: bool = False
) -> Float[Tensor, "k d"]:
    """(1 - w) a + w b for each weight: 0 gives a and 1 gives b.

    `spherical` follows the great circle between the directions of a and b, where theta is the angle between them,

        sin((1 - w) theta) / sin(theta) a / |a| + sin(w theta) / sin(theta) b / |b|,

    times the length (1 - w) |a| + w |b|, so that points in between don't get shorter. Raises ValueError if there is no
    unique path: if a or b is zero, or if they point in opposite directions.
    """
    w = weights[:, None]
    if not spherical:
        return (1 - w) * a + w * b
    given, a, b, w = a, a.double(), b.double(), w.double()
    length_a, length_b = a.norm(), b.norm()
    if not (length_a > 0 and length_b > 0):
        raise ValueError("a or b is zero: it has no direction; interpolate linearly.")
    u, v = a / length_a, b / length_b
    theta = 2 * torch.atan2((u - v).norm(), (u + v).norm())  # acos would lose half the digits near 0 and pi
    if torch.pi - theta < 1e-3:
        raise ValueError("a and b point in opposite directions: there is no unique great circle; interpolate linearly.")
    along_u, along_v = (theta * torch.cat([1 - w, w], dim=1)).sin().div(theta.sin()).split(1, dim=1)
    path = (1 - w) * u + w * v if theta < 1e-6 else along_u * u + along_v * v
    return (((1 - w) * length_a + w * length_b) * path).to(given)


@checked_finite
def common_dimensions(
    h: Float[Tensor, "n d"], *, more_than: int = 14, above: float | Float[Tensor, " d"] = 0.0
) -> Bool[Tensor, " d"]:
    """The dimensions that neighbors have in common: those in which more than `more_than` of the n have |h| > `above`.

    The defaults are the paper's, for 20 neighbors in a ResNet's wide representation, and pick dimensions that are not
    0. If dimensions are hardly ever 0, as after a small net's average pooling or in a projector, the defaults pick all
    of them. Then give each dimension its own threshold, such as `bank.abs().median(dim=0).values`. Raises ValueError
    unless 0 <= more_than < n.
    """
    if not len(h):
        raise ValueError("h holds no representation: give the neighbors'.")
    if not 0 <= more_than < len(h):
        raise ValueError(f"more_than is {more_than}: of {len(h)} representations it must lie in 0 ... {len(h) - 1}.")
    return (h.abs() > above).sum(dim=0) > more_than


@checked_finite
def remove(h: H, dims: Bool[Tensor, " d"]) -> H:
    """h with these dimensions set to 0."""
    return h.masked_fill(dims, 0)


@checked_finite
def transplant(h: Float[Tensor, "*#n d"], dims: Bool[Tensor, " d"], source: Float[Tensor, "*#n d"]) -> H:
    """h with these dimensions taken from another image's representation; h and source broadcast."""
    try:
        return torch.where(dims, source, h)
    except RuntimeError:
        raise ValueError(f"h has shape {tuple(h.shape)} and source {tuple(source.shape)}: they must fit.") from None


@checked_finite
def move(h: Float[Tensor, "*#n d"], direction: Float[Tensor, " d"], amount: float | Float[Tensor, "*#n"]) -> H:
    """h + amount * direction. Several amounts give several rows: (d,) and (k,) give (k, d)."""
    return h + torch.as_tensor(amount, dtype=h.dtype, device=h.device)[..., None] * direction


@checked_finite
def mask_patches(
    x: Float[Tensor, "b c h w"], share: float, *, patch: int = 4, fill: float = 0.0, generator: torch.Generator
) -> Float[Tensor, "b c h w"]:
    """Replace a random `share` of each image's square patches with `fill`.

    The MSN paper (Assran et al., 2022) conditions RCDM on images with 50 to 90 % of the patches masked. Raises
    ValueError for a share outside [0, 1], and for a patch outside 1 ... the image's shorter side.
    """
    b, _, height, width = x.shape
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: it must lie in [0, 1]; MSN uses 0.5 to 0.9.")
    if not 1 <= patch <= min(height, width):
        raise ValueError(f"patch is {patch}: of images of {height} x {width} it must be 1 ... {min(height, width)}.")
    rows, columns = -(-height // patch), -(-width // patch)
    rank = torch.rand(b, rows * columns, generator=generator).argsort(dim=1).argsort(dim=1).to(x.device)
    masked = (rank < round(share * rows * columns)).view(b, 1, rows, columns)
    masked = masked.repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)
    return x.masked_fill(masked[:, :, :height, :width], fill)


class Edits(NamedTuple):
    """The representations to paint and their names; the first is the image's own."""

    names: list[str]
    h: Float[Tensor, "n d"]


@checked_finite
def between(a: Float[Tensor, " d"], b: Float[Tensor, " d"], stops: int, *, spherical: bool = False) -> Edits:
    """`stops` representations on the path from a to b, both included, by `interpolate`."""
    if stops < 2:
        raise ValueError(f"stops is {stops}: a path has at least 2, its ends.")
    weights = torch.linspace(0, 1, stops)
    return Edits([f"{x:.3g}" for x in weights.tolist()], interpolate(a, b, weights, spherical=spherical))


@checked_finite
def along(h: Float[Tensor, " d"], directions: Float[Tensor, "k d"], amounts: Sequence[float]) -> Edits:
    """h unchanged, and h moved along all the directions at once, each by its amount."""
    if len(directions) != len(amounts):
        raise ValueError(f"there are {len(directions)} directions and {len(amounts)} amounts: give one for each.")
    moved = h
    for direction, amount in zip(directions, amounts, strict=True):
        moved = move(moved, direction, amount)
    return Edits(["as it is", "moved"], torch.stack([h, moved]))


class Common(NamedTuple):
    """The image's h, h without what its neighbors have in common, and h with another image's values there."""

    asked: Edits
    dims: Bool[Tensor, " d"]
    neighbors: Int64[Tensor, " k"]  # in the bank, nearest first


@checked_finite
def without_common(
    h: Float[Tensor, " d"],
    other: Float[Tensor, " d"],
    bank: Float[Tensor, "n d"],
    *,
    k: int = 20,
    more_than: int = 14,
    relative: bool = True,
) -> Common:
    """Find the dimensions that h's k neighbors have in common, and set them to 0, or to the values of `other`.

    A dimension counts for a neighbor if it is not 0, as in the paper, or, with `relative`, if its magnitude is above
    the dimension's median in the bank.
    """
    _, index = neighbors(bank, h[None], k=k)
    above = bank.abs().median(dim=0).values if relative else 0.0
    dims = common_dimensions(bank[index[0]], more_than=more_than, above=above)
    rows = torch.stack([h, remove(h, dims), transplant(h, dims, other)])
    return Common(Edits(["as it is", "common ones removed", "common ones from B"], rows), dims, index[0])


@checked_finite
def hidden(
    image: Shaped[Tensor, "c h w"], shares: Sequence[float], *, patch: int = 4, seed: int = 0
) -> UInt8[Tensor, "n c h w"]:
    """The image with each share of its patches hidden; a larger share hides all that a smaller one does, and more."""
    if not len(shares) or not 0 <= min(shares) <= max(shares) <= 1:
        raise ValueError(f"shares is {tuple(shares)}: each must lie in [0, 1], and there must be one.")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise TypeError(f"image is {image.dtype}: it must be uint8, or floats in [0, 1].")
    masked = [mask_patches(as_float(image[None]), s, patch=patch, generator=rng(seed, 0, "masks")) for s in shares]
    return as_bytes(torch.cat(masked))


class Rows(NamedTuple):
    """k samples for each of n representations after `step` steps of the sampler: guesses at first, then the images.

    `distance` is between a sample's features and the h it was painted from, in the units of h. Only the last record
    has it.
    """

    step: int
    images: UInt8[Tensor, "n k c h w"]
    distance: Float[Tensor, "n k"] | None


@checked_finite
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
    """Paint k samples of each h; the j-th sample of every row starts at the same noise. `depth` is the depth of h.

    Raises ValueError for k below 1, and whenever `sample` does.
    """
    if k < 1:
        raise ValueError(f"k is {k}: paint at least 1 sample of each; 4 is usual.")
    noise = torch.randn(k, *model.shape, generator=rng(seed, 0, "noise")).repeat(len(h), 1, 1, 1)
    rows = None
    for step in sample(model, h.repeat_interleave(k, dim=0), steps=steps, guidance=guidance, noise=noise):
        rows = Rows(step.i + 1, as_bytes(step.x0).unflatten(0, (-1, k)), None)
        yield rows
    assert rows is not None
    z = conditions(encoder, rows.images.flatten(0, 1), depth=depth).unflatten(0, (-1, k))
    yield rows._replace(distance=(z - h[:, None]).norm(dim=-1))
