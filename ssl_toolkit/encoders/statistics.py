"""Feature statistics shared by probes, samplers and panels: scale, principal axes, distances, neighbors."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor


def principal_axes(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "d r"], Float[Tensor, " r"]]:
    """The principal axes of centered features and the variance along each, largest first; r = min(n, d)."""
    n, d = x.shape
    if n < d:
        _, s, axes = torch.linalg.svd(x, full_matrices=False)
        return axes.T, s.square() / n
    covariance = x.T @ x / n
    try:
        variance, axes = torch.linalg.eigh(covariance)
    except torch.linalg.LinAlgError:  # LAPACK's float32 solver can fail if many eigenvalues are equal
        variance, axes = (part.to(x) for part in torch.linalg.eigh(covariance.double()))
    return axes.flip(1), variance.flip(0).clamp_min(0)


@torch.no_grad()
def neighbors(
    bank: Float[Tensor, "n d"], queries: Float[Tensor, "q d"], *, k: int = 8
) -> tuple[Float[Tensor, "q k"], Int64[Tensor, "q k"]]:
    """Cosine similarity and index of the k nearest bank features, nearest first.

    Raises ValueError for k outside 1 ... n and for features that are not finite.
    """
    if not 1 <= k <= len(bank):
        raise ValueError(f"k is {k}: it must be 1 ... {len(bank)}, the size of the bank.")
    if not (bank.isfinite().all() and queries.isfinite().all()):
        raise ValueError("the features hold NaN or infinite values: the encoder has diverged.")
    keys = F.normalize(bank, dim=1).T.contiguous()
    similarities = keys.new_empty(
        256, len(bank)
    )  # one buffer for all portions: fresh memory pages cost as much as the product
    portions = F.normalize(queries, dim=1).split(len(similarities))
    found = [_largest(torch.mm(q, keys, out=similarities[: len(q)]), k) for q in portions]
    similarity, index = (torch.cat(parts) for parts in zip(*found, strict=True))
    return similarity, index


def _largest(x: Float[Tensor, "q n"], k: int, members: int = 32) -> tuple[Float[Tensor, "q k"], Int64[Tensor, "q k"]]:
    """`x.topk(k)`, four times as fast: the k largest of a row lie in the k groups with the largest maxima."""
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


def mean_and_std(z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """The mean and std of each dimension, to standardize features of any scale by (z - mean) / std.

    A dimension that is constant up to rounding carries no information and must not explode on other images, so its
    std is infinite: it always becomes 0.
    """
    mean, std = z.mean(dim=0), z.std(dim=0)
    return mean, std.masked_fill(std <= 1e-6 * mean.abs(), torch.inf)


def typical_distance(z: Float[Tensor, "n d"]) -> float:
    """Root mean square distance of two random rows, sqrt(2 sum var): the unit for other distances."""
    return (2 * _checked(z, least=2).var(dim=0).sum()).sqrt().item()


def _checked(z: Shaped[Tensor, "n *d"], *, least: int) -> Shaped[Tensor, "n *d"]:
    if len(z) < least:
        raise ValueError(f"z holds {len(z)} sample(s): this needs at least {least}.")
    if not z.isfinite().all():
        raise ValueError("z holds NaN or infinite values: the encoder has diverged.")
    return z
