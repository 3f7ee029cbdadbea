"""Nearest neighbors of features by cosine similarity: which images a representation finds similar, and their votes."""

from jaxtyping import Float, Int64
from torch import Tensor

from ssl_toolkit.encoders.statistics import neighbors


def knn_predict(
    bank: Float[Tensor, "n d"],
    bank_labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "q d"],
    *,
    k: int = 20,
    temperature: float = 0.1,
) -> Int64[Tensor, "q c"]:
    """Rank the labels for each query, best first, by a weighted vote of its k nearest neighbors (Wu et al., 2018).

    A neighbor at cosine similarity s votes for its label with weight exp(s / temperature). Raises ValueError as
    `neighbors` does, for unequal lengths, and for a temperature that is not positive.
    """
    if len(bank) != len(bank_labels):
        raise ValueError(f"bank and bank_labels differ in length: {len(bank)} and {len(bank_labels)}.")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive; 0.07 to 0.2 are usual.")
    similarity, nearest = neighbors(bank, queries, k=k)
    votes = similarity.new_zeros(len(queries), int(bank_labels.max()) + 1)
    # relative to the nearest neighbor's vote: rankings stay the same, and no vote overflows
    votes.scatter_add_(1, bank_labels[nearest], ((similarity - similarity[:, :1]) / temperature).exp())
    return votes.argsort(dim=1, descending=True, stable=True)


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
    ranked = knn_predict(bank, bank_labels, queries, k=k, temperature=temperature)
    return (ranked[:, 0] == labels).float().mean().item()
