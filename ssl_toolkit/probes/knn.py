"""Nearest neighbors of features by cosine similarity: which images a representation finds similar, and their votes."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ssl_toolkit.data import checked_finite
from ssl_toolkit.encoders.statistics import neighbors

MOST = 1 << 24  # votes in memory at once


@checked_finite
def knn_predict(
    bank: Float[Tensor, "n d"],
    bank_labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "q d"],
    *,
    k: int = 20,
    temperature: float = 0.1,
) -> Int64[Tensor, "q c"]:
    """Rank the labels for each query, best first, by a weighted vote of its k nearest neighbors (Wu et al., 2018).

    A neighbor at cosine similarity s votes for its label with weight exp(s / temperature). The c labels are those that
    occur in the bank; equal votes rank the smaller label first. Raises ValueError as `neighbors` does, for unequal
    lengths, negative labels, and a temperature that is not positive.
    """
    classes, votes = _votes(bank, bank_labels, queries, k, temperature)
    ranked = [classes[part.argsort(dim=1, descending=True, stable=True)] for part in votes]
    return torch.cat([*ranked, bank_labels.new_zeros(0, len(classes))])


@checked_finite
def knn_accuracy(
    bank: Float[Tensor, "n d"],
    bank_labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "q d"],
    labels: Int64[Tensor, " q"],
    *,
    k: int = 20,
    temperature: float = 0.1,
) -> float:
    """The share of queries whose top label from `knn_predict` is right.

    >>> data, test = stk.load_data("digits"), stk.load_data("digits", split="test")
    >>> stk.knn_accuracy(stk.pixels(data.images), data.labels, stk.pixels(test.images), test.labels) > 0.9
    True
    """
    if not len(queries):
        raise ValueError("queries holds no row: an accuracy needs at least one.")
    classes, votes = _votes(bank, bank_labels, queries, k, temperature)
    top = torch.cat([classes[part.argmax(dim=1)] for part in votes])
    return (top == labels).float().mean().item()


def _votes(
    bank: Tensor, bank_labels: Tensor, queries: Tensor, k: int, temperature: float
) -> tuple[Int64[Tensor, " c"], Iterator[Float[Tensor, "p c"]]]:
    """The labels in the bank, and the votes for each of them, a portion of queries at a time."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive; 0.07 to 0.2 are usual.")
    if len(bank_labels) and (least := int(bank_labels.min())) < 0:
        raise ValueError(f"bank_labels holds {least}: labels start at 0; leave out images without one.")
    similarity, nearest = neighbors(bank, queries, k=k)
    classes, column = bank_labels.unique(return_inverse=True)
    # relative to the nearest neighbor's vote: rankings stay the same, and no vote overflows
    weight, voted = ((similarity - similarity[:, :1]) / temperature).exp(), column[nearest]
    portion = max(1, MOST // max(1, len(classes)))
    return classes, (
        w.new_zeros(len(w), len(classes)).scatter_add_(1, v, w)
        for w, v in zip(weight.split(portion), voted.split(portion), strict=True)
    )
