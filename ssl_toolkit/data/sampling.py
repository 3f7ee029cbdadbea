"""Data that are not balanced: batches of a few classes only, and sets with a long tail.

    few = FewClasses(data, classes=2)                   # each batch holds images of two classes: a Source for `train`
    tail = long_tail(data, ratio=100)                   # the last class has a hundredth of the images of the first

Bordes et al. (2023, "Expand or Narrow") train on batches of two classes, where a loss that spreads a batch evenly can
only spread what tells these two, and the images within each, apart.
"""

from dataclasses import dataclass

import torch

from ssl_toolkit.data.dataset import Batch, Dataset, as_float
from ssl_toolkit.data.seeds import rng


@dataclass(frozen=True)
class FewClasses:
    """A source of batches: each holds as many images of each of `classes` classes, drawn anew for every step.

    Raises ValueError for more classes than the data have, and for a batch that does not divide among them or needs
    more images of a class than there are.
    """

    data: Dataset
    classes: int = 2

    def __post_init__(self) -> None:
        present = len(self.data.labels.unique())
        if not 1 <= self.classes <= present:
            raise ValueError(f"classes is {self.classes}: the data have {present}, so it must lie in 1 ... {present}.")

    def batch(self, step: int, *, batch_size: int, seed: int = 0, share: slice = slice(None)) -> Batch:
        labels = self.data.labels.cpu()
        present, counts = labels.unique(return_counts=True)
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
        index = torch.stack(parts, dim=1).flatten()[share]  # the classes alternate: each process has its part of all
        index = index.to(self.data.images.device)
        return Batch(as_float(self.data.images.index_select(0, index)), self.data.labels.index_select(0, index), index)


def long_tail(data: Dataset, *, ratio: float = 100.0, seed: int = 0) -> Dataset:
    """A part of the data whose classes shrink geometrically: class i of c keeps n ratio^(-i / (c - 1)) images.

    n is the size of the rarest class, so that the first class keeps n and the last n / ratio; at least 1 each. Which
    images stay is drawn by `seed`. Raises ValueError for a ratio below 1.
    """
    if not ratio >= 1:
        raise ValueError(f"ratio is {ratio}: the first class has so many times the images of the last, at least 1.")
    labels = data.labels.cpu()
    present, counts = labels.unique(return_counts=True)
    order = torch.randperm(len(labels), generator=rng(seed, 0, "long tail"))
    kept = []
    for i, c in enumerate(present):
        size = round(int(counts.min()) * ratio ** (-i / max(1, len(present) - 1)))
        kept.append(order[labels[order] == c][: max(1, size)])
    return data[torch.cat(kept).sort().values.to(data.images.device)]
