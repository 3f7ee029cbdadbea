"""What a group of images has in common: the classes and factor ranges that are over-represented in it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ssl_toolkit.data import Dataset, checked
from ssl_toolkit.data.emoji import GENDERS, SKIN_TONES, SUBGROUPS
from ssl_toolkit.data.shapes import PERIODS, SHAPES, TEXTURES

NAMES = {"shape": SHAPES, "distractor_shape": SHAPES, "texture": TEXTURES}
NAMES |= {"subgroup": SUBGROUPS, "skin tone": SKIN_TONES, "gender": GENDERS}


class Enrichment(NamedTuple):
    """A value, or a range of values, that is more common in the group than among all images."""

    name: str  # "class", or the name of a factor
    value: str
    group: float  # share of the group
    everywhere: float  # share of all images
    z: float  # the excess in standard deviations of a random group of this size

    def __str__(self) -> str:
        return f"{self.name} {self.value}: {self.group:.0%} of the group, {self.everywhere:.0%} of all"


RANGED = 30  # smallest group that is tested for ranges: of random groups of 30, 7 % seem to share one


def group_index(index: Any, n: int) -> Int64[Tensor, " m"]:
    """The members of a group of n images: from indices, as a list, an array or a tensor, or from a mask (n,).

    Raises IndexError for indices outside 0 ... n - 1 and for a mask of another length; TypeError for what is neither.

    >>> group_index([True, False, True], 3)
    tensor([0, 2])
    """
    given = torch.as_tensor(index)
    if given.numel() == 0 and given.dtype != torch.bool:
        return given.long().flatten()
    if given.ndim != 1 or given.is_floating_point() or given.is_complex():
        raise TypeError(f"index is {given.dtype} {tuple(given.shape)}: give indices (m,), or a mask ({n},) of bool.")
    if given.dtype == torch.bool:
        if len(given) != n:
            raise IndexError(f"index is a mask of {len(given)}: there are {n} images, so it must have {n}.")
        return given.nonzero().squeeze(1)
    given = given.long()
    if not 0 <= int(given.min()) <= int(given.max()) < n:
        raise IndexError(f"index runs from {int(given.min())} to {int(given.max())}: the data have {n} images.")
    return given


@checked
def enrichment(
    data: Dataset, index: Any, *, least: float = 4.0, words: Mapping[str, Sequence[str]] = NAMES
) -> list[Enrichment]:
    """List where a group differs from a random one by at least `least` standard deviations, most striking first.

    Classes and categorical factors are tested value by value. A continuous factor is tested by the shortest range that
    holds half of the group; this needs 30 images, because a search in fewer finds ranges by chance. On a circular
    factor the range may wrap around. In m images drawn at random from n, the count of a value with share s has mean m s
    and variance m s (1 - s) (n - m) / (n - 1). `words` name the values of factors. The group is given
    by indices or by a mask, as `group_index` takes them. Raises IndexError for indices outside the data.
    """
    index = group_index(index, len(data)).to(data.labels.device)
    shares = _values("class", data.labels, index, data.classes, least) if len(index) > 1 else []
    for name, values in data.factors.items() if len(index) > 1 else ():
        if values.is_floating_point():
            if len(index) < RANGED:
                continue
            shares.append(_range(name, values, index))
        elif not torch.equal(values, data.labels):  # the class under another name
            shares += _values(name, values, index, words.get(name, ()), least)
    return sorted((share for share in shares if share.z >= least), key=lambda share: -share.z)


def _values(
    name: str, values: Int64[Tensor, " n"], index: Int64[Tensor, " m"], words: Sequence[str], least: float
) -> list[Enrichment]:
    known, place = values.unique(return_inverse=True)
    in_group, in_all = (torch.bincount(places, minlength=len(known)) for places in (place[index], place))
    more = in_group > 0
    if least > 0:  # of very many values, most are no more common
        more = in_group * len(values) > in_all * len(index)
    shares = []
    for v, some, most in zip(known[more].tolist(), in_group[more].tolist(), in_all[more].tolist(), strict=True):
        group, everywhere = some / len(index), most / len(values)
        if (z := _z(group, everywhere, len(index), len(values))) >= least:
            word = words[v] if 0 <= v < len(words) else "unlabeled" if v < 0 else str(v)
            shares.append(Enrichment(name, word, group, everywhere, z))
    return shares


def _range(name: str, values: Float[Tensor, " n"], index: Int64[Tensor, " m"]) -> Enrichment:
    turn, values = PERIODS.get(name), values.double()  # in float64, adding and subtracting a turn is exact
    ordered = values.sort().values
    mine = values[index].sort().values
    half = math.ceil(len(mine) / 2)
    if turn is not None:
        mine = torch.cat([mine, mine[: half - 1] + turn])
    start = int((mine[half - 1 :] - mine[: len(mine) - half + 1]).argmin())
    low, high = mine[start], mine[start + half - 1]
    inside = _count(ordered, low, high)
    member = _count(values[index].sort().values, low, high)
    if turn is not None and high > turn:
        inside += _count(ordered, low - turn, high - turn)
        member += _count(values[index].sort().values, low - turn, high - turn)
    group, everywhere = member / len(index), inside / len(values)
    word = f"{float(low):.2f} to {float(high) - (turn if turn is not None and high > turn else 0.0):.2f}"
    return Enrichment(name, word, group, everywhere, _z(group, everywhere, len(index), len(values)))


def _count(ordered: Shaped[Tensor, " n"], low: Tensor, high: Tensor) -> int:
    return int(torch.searchsorted(ordered, high, right=True) - torch.searchsorted(ordered, low))


def _z(group: float, everywhere: float, m: int, n: int) -> float:
    variance = everywhere * (1 - everywhere) / m * (n - m) / max(1, n - 1)
    return (group - everywhere) / math.sqrt(variance) if variance > 0 else 0.0
