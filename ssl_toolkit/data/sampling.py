"""Imbalanced data: batches from a few classes only, and long-tailed data sets.

    few = FewClasses(data, classes=2)                   # each batch holds images of two classes: a Source for `train`
    tail = long_tail(data, ratio=100)                   # the first class has 100 times as many images as the last

Bordes et al. (2023, "Expand or Narrow") train on batches of two classes. A loss that spreads a batch evenly can then
only spread features that separate the two classes, or the images within each.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from ssl_toolkit.data.dataset import Batch, Dataset, as_float
from ssl_toolkit.data.seeds import rng


@dataclass(frozen=True)
class FewClasses:
    """A source of balanced batches from `classes` classes, which are drawn anew at every step.

    Raises ValueError for more classes than the data have, and for a batch size that is no multiple of `classes` or
    needs more images of a class than there are.
    """

    data: Dataset
    classes: int = 2

    def __post_init__(self) -> None:
        present = len(_labeled(self.data.labels).unique())
        if not 1 <= self.classes <= present:
            raise ValueError(f"classes is {self.classes}: the data have {present}, so it must be 1 ... {present}.")

    def batch(self, step: int, *, batch_size: int, seed: int = 0, share: slice = slice(None)) -> Batch:
        labels = self.data.labels.cpu()
        present, counts = _labeled(labels).unique(return_counts=True)
        each, rest = divmod(batch_size, self.classes)
        if rest or not 1 <= each <= int(counts.min()):
            raise ValueError(
                f"batch_size is {batch_size}: it must be a multiple of {self.classes} classes, at most "
                f"{self.classes * int(counts.min())}, as the rarest class has {int(counts.min())} images."
            )
        generator = rng(seed, step, "few classes")
        chosen = present[torch.randperm(len(present), generator=generator)[: self.classes]]
        parts = []
        for c in chosen:
            members = (labels == c).nonzero().squeeze(1)
            parts.append(members[torch.randperm(len(members), generator=generator)[:each]])
        index = torch.stack(parts, dim=1).flatten()[share]  # classes alternate: each process gets its share of each
        index = index.to(self.data.images.device)
        return Batch(as_float(self.data.images.index_select(0, index)), self.data.labels.index_select(0, index), index)


def _labeled(labels: Tensor) -> Tensor:
    return labels[labels >= 0]


def long_tail(data: Dataset, *, ratio: float = 100.0, seed: int = 0) -> Dataset:
    """A subset whose class sizes shrink geometrically: class i of c keeps n ratio^(-i / (c - 1)) images.

    n is the size of the rarest class, so the first class keeps n images and the last n / ratio; each keeps at least 1.
    `seed` draws which images stay. Raises ValueError for a ratio below 1.
    """
    if not ratio >= 1:
        raise ValueError(f"ratio is {ratio}: it is the size of the first class over that of the last, at least 1.")
    data = data.labeled()
    labels = data.labels.cpu()
    index, place, counts = by_class(labels, torch.randperm(len(labels), generator=rng(seed, 0, "long tail")))
    last = max(1, len(counts) - 1)
    sizes = [max(1, round(int(counts.min()) * ratio ** (-i / last))) for i in range(len(counts))]
    kept = index[place < torch.tensor(sizes).repeat_interleave(counts)]
    return data[kept.sort().values.to(data.images.device)]


def by_class(
    labels: Int64[Tensor, " n"], order: Int64[Tensor, " n"]
) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"], Int64[Tensor, " c"]]:
    """The indices in `order`, class after class; each one's place within its class; and how many each class has.

    One stable sort: time does not grow with the number of classes.
    """
    _, column, counts = labels.unique(return_inverse=True, return_counts=True)
    index = order[column[order].argsort(stable=True)]
    start = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return index, torch.arange(len(labels), device=labels.device) - start, counts
