"""Nearest neighbours among features, by cosine: which images a representation takes to be alike, and what they vote."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


@torch.no_grad()
def neighbours(
    bank: Float[Tensor, "n d"], queries: Float[Tensor, "q d"], *, k: int = 8
) -> tuple[Float[Tensor, "q k"], Int64[Tensor, "q k"]]:
    """Cosine similarity and index of the k nearest of the bank, nearest first.

    Raises ValueError for k outside 1 ... n and for features that are not finite.
    """
    if not 1 <= k <= len(bank):
        raise ValueError(f"k is {k}: it must lie in 1 ... {len(bank)}, the size of the bank.")
    if not (bank.isfinite().all() and queries.isfinite().all()):
        raise ValueError("the features hold NaN or infinite values: the encoder has diverged.")
    keys = F.normalize(bank, dim=1).T.contiguous()
    similarities = keys.new_empty(
        256, len(bank)
    )  # one memory for all portions: fresh pages cost as much as the product
    portions = F.normalize(queries, dim=1).split(len(similarities))
    found = [_largest(torch.mm(q, keys, out=similarities[: len(q)]), k) for q in portions]
    similarity, index = (torch.cat(parts) for parts in zip(*found, strict=True))
    return similarity, index


def _largest(x: Float[Tensor, "q n"], k: int, members: int = 32) -> tuple[Float[Tensor, "q k"], Int64[Tensor, "q k"]]:
    """`x.topk(k)` in a quarter of the time: the k largest of a row lie in the k groups with the largest maxima."""
    n = x.shape[1]
    groups = n // members  # column j is in group j % groups; the last n % members columns are in none
    if groups <= k:
        return x.topk(k, dim=1)
    best = x[:, : groups * members].unflatten(1, (members, groups)).amax(dim=1).topk(k, dim=1).indices
    inside = best[:, None] + groups * torch.arange(members, device=x.device)[:, None]  # (q, members, k)
    rest = torch.arange(groups * members, n, device=x.device).expand(len(x), -1)
    index = torch.cat([inside.flatten(1), rest], dim=1)
    value, i = x.gather(1, index).topk(k, dim=1)
    return value, index.gather(1, i)


def knn_predict(
    bank: Float[Tensor, "n d"],
    bank_labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "q d"],
    *,
    k: int = 20,
    temperature: float = 0.1,
) -> Int64[Tensor, "q c"]:
    """Labels ranked for each query, best first, by a weighted vote of its k nearest neighbours (Wu et al., 2018).

    A neighbour at cosine similarity s votes for its label with weight exp(s / temperature). Raises ValueError as
    `neighbours` does, for unequal lengths, and for a temperature that is not positive.
    """
    if len(bank) != len(bank_labels):
        raise ValueError(f"bank and bank_labels differ in length: {len(bank)} and {len(bank_labels)}.")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive; 0.07 to 0.2 are usual.")
    similarity, nearest = neighbours(bank, queries, k=k)
    votes = similarity.new_zeros(len(queries), int(bank_labels.max()) + 1)
    # relative to the nearest's vote, which changes no ranking: some vote is 1, and none overflows
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
    """The share of queries whose best label by `knn_predict` is right."""
    ranked = knn_predict(bank, bank_labels, queries, k=k, temperature=temperature)
    return (ranked[:, 0] == labels).float().mean().item()
