"""Several representations painted from the same noise: what differs between the rows is due to h alone.

    path = between(a, b, 9)                                          # by the edits of edit.py
    *_, rows = paint_rows(encoder, model, path.h)                    # rows.images[i, j]: h number i from noise number j

What is asked has names, so that a picture or a table of the rows can say what they are.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from torch import Tensor

from ssl_toolkit.data import as_bytes, as_float
from ssl_toolkit.diffusion.edit import common_dimensions, interpolate, mask_patches, move, remove, transplant
from ssl_toolkit.diffusion.rcdm import RCDM, conditions, sample
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.knn import neighbours
from ssl_toolkit.seeds import rng


class Asked(NamedTuple):
    """The representations to paint and their names; the first is that of the image itself."""

    names: list[str]
    h: Float[Tensor, "n d"]


def between(a: Float[Tensor, " d"], b: Float[Tensor, " d"], stops: int, *, spherical: bool = False) -> Asked:
    """`stops` representations on the way from a to b, both among them, as by `interpolate`."""
    if stops < 2:
        raise ValueError(f"stops is {stops}: a way has at least 2, its ends.")
    weights = torch.linspace(0, 1, stops)
    return Asked([f"{x:.3g}" for x in weights.tolist()], interpolate(a, b, weights, spherical=spherical))


def along(h: Float[Tensor, " d"], directions: Float[Tensor, "k d"], amounts: Sequence[float]) -> Asked:
    """h as it is, and h moved by so much along each of the directions at once."""
    moved = h
    for direction, amount in zip(directions, amounts, strict=True):
        moved = move(moved, direction, amount)
    return Asked(["as it is", "moved"], torch.stack([h, moved]))


class Common(NamedTuple):
    """What an image's neighbours have in common, without it and with another image's in its place."""

    asked: Asked
    dims: Bool[Tensor, " d"]
    neighbours: Int64[Tensor, " k"]  # in the bank, nearest first


def without_common(
    h: Float[Tensor, " d"],
    other: Float[Tensor, " d"],
    bank: Float[Tensor, "n d"],
    *,
    k: int = 20,
    more_than: int = 14,
    relative: bool = True,
) -> Common:
    """h with the dimensions that are common to its k neighbours set to 0, and to those of `other`.

    A neighbour has a dimension that is not 0, as in the paper, or if `relative` one above its median in the bank.
    """
    _, index = neighbours(bank, h[None], k=k)
    above = bank.abs().median(dim=0).values if relative else 0.0
    dims = common_dimensions(bank[index[0]], more_than=more_than, above=above)
    rows = torch.stack([h, remove(h, dims), transplant(h, dims, other)])
    return Common(Asked(["as it is", "common ones removed", "common ones from B"], rows), dims, index[0])


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
