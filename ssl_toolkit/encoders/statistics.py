"""Feature statistics shared by probes, samplers and panels: scale, principal axes, distances, neighbors."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32, Int64, Shaped
from torch import Tensor

from ssl_toolkit.data import checked_finite


@checked_finite
def principal_axes(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "d r"], Float[Tensor, " r"]]:
    """The principal axes of centered features and the variance along each, largest first; r = min(n, d)."""
    n, d = x.shape
    if not x.numel():
        raise ValueError(f"x has shape {tuple(x.shape)}: it holds no number, so it has no axes.")
    if abs(power := int(exponent(x.detach().abs().amax()))) > 32 and bool(
        x.any()
    ):  # squares may leave the range of float32
        axes, variance = principal_axes(times_power(x, torch.tensor(-power)))
        return axes, times_power(variance, torch.tensor(2 * power))
    if n < d:
        _, s, axes = torch.linalg.svd(x, full_matrices=False)
        return axes.T, s.square() / n
    covariance = x.T @ x / n
    try:
        variance, axes = torch.linalg.eigh(covariance)
    except torch.linalg.LinAlgError:  # LAPACK's float32 solver can fail if many eigenvalues are equal
        variance, axes = (part.to(x) for part in torch.linalg.eigh(covariance.double()))
    return axes.flip(1), variance.flip(0).clamp_min(0)


@checked_finite
@torch.no_grad()
def neighbors(
    bank: Float[Tensor, "n d"], queries: Float[Tensor, "q d"], *, k: int = 8
) -> tuple[Float[Tensor, "q k"], Int64[Tensor, "q k"]]:
    """Cosine similarity and index of the k nearest bank features, nearest first.

    Raises ValueError for k outside 1 ... n and for features that are not finite.
    """
    if not len(queries) and 1 <= k <= len(bank):
        dtype = torch.promote_types(torch.promote_types(bank.dtype, queries.dtype), torch.float32)
        return bank.new_zeros(0, k, dtype=dtype), bank.new_zeros(0, k, dtype=torch.int64)
    similarity, index = (torch.cat(parts) for parts in zip(*neighbor_portions(bank, queries, k=k), strict=True))
    return similarity, index


def neighbor_portions(
    bank: Float[Tensor, "n d"], queries: Float[Tensor, "q d"], *, k: int, portion: int = 256
) -> Iterator[tuple[Float[Tensor, "p k"], Int64[Tensor, "p k"]]]:
    """`neighbors` of some queries at a time."""
    if not 1 <= k <= len(bank):
        raise ValueError(f"k is {k}: it must be 1 ... {len(bank)}, the size of the bank.")
    dtype = torch.promote_types(torch.promote_types(bank.dtype, queries.dtype), torch.float32)
    keys = unit_rows(bank.to(dtype)).T.contiguous()
    similarities = keys.new_empty(
        portion, len(bank)
    )  # one buffer for all portions: fresh memory pages cost as much as the product
    for q in unit_rows(queries.to(keys)).split(portion):
        yield _largest(torch.mm(q, keys, out=similarities[: len(q)]), k)


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


@checked_finite
def mean_and_std(z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """The mean and std of each dimension, to standardize features of any scale by (z - mean) / std.

    A dimension that is constant up to rounding carries no information and must not explode on other images, so its
    std is infinite: it always becomes 0.
    """
    if not len(z):
        raise ValueError("z holds no row: a mean needs at least one.")
    power = exponent(z.abs().amax()) if z.numel() else torch.zeros((), dtype=torch.int32)
    far = abs(int(power)) > 32  # squares may leave the range of float32
    x = times_power(z, -power) if far else z
    mean, std = x.mean(dim=0), x.std(dim=0) if len(x) > 1 else torch.zeros_like(x[0])
    std = std.masked_fill(std <= 1e-6 * mean.abs(), torch.inf)
    return (times_power(mean, power), times_power(std, power)) if far else (mean, std)


def exponent(largest: Float[Tensor, "*n"]) -> Int32[Tensor, "*n"]:
    """e with 2^(e - 1) <= largest < 2^e, within the range that `times_power` can undo without loss."""
    limit = 1000 if largest.dtype == torch.float64 else 126
    return torch.frexp(largest).exponent.clamp(-limit, limit)


def times_power(z: Float[Tensor, "*n"], e: Int32[Tensor, "*#n"]) -> Float[Tensor, "*n"]:
    """z 2^e, exactly (`torch.ldexp` takes the power in float32, whatever z is)."""
    return z * torch.exp2(e.to(z.dtype))


def unit_rows(z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Rows of length 1, of any scale: the bits of `F.normalize`, where that neither overflows nor gives up. 0 stays."""
    if not z.numel():
        return z
    return F.normalize(times_power(z, -exponent(z.abs().amax(dim=-1, keepdim=True))), dim=-1)


def distances(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, portion: int = 1024
) -> Iterator[Float[Tensor, "p m"]]:
    """Euclidean distances of each x to all y, in float64, a portion of rows at a time.

    They come from dot products, which lose digits for points much closer to each other than to the mean. What is below
    1e-5 of the largest length is computed again, from differences.
    """
    center = y.double().mean(dim=0)
    others = y.double() - center
    largest = others.square().sum(dim=1).amax()
    for part in x.split(portion) if len(x) else ():
        rows = part.double() - center
        far = torch.cdist(rows, others)
        close = far < 1e-5 * torch.maximum(largest, rows.square().sum(dim=1).amax()).sqrt()
        if int(close.sum()) > close.numel() // 100:
            far = torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")
        else:
            for i, j in (pairs.T for pairs in close.nonzero().split(max(1, (1 << 21) // rows.shape[1]))):
                far[i, j] = (rows[i] - others[j]).norm(dim=1)
        yield far


def share_of_commonest(labels: Int64[Tensor, " n"]) -> float:
    """The share of the commonest label: what guessing gets."""
    return labels.unique(return_counts=True)[1].max().item() / len(labels)


@checked_finite
def typical_distance(z: Float[Tensor, "n d"]) -> float:
    """Root mean square distance of two random rows, sqrt(2 sum var): the unit for other distances."""
    return (2 * at_least(2, z).double().var(dim=0).sum()).sqrt().item()


def at_least(least: int, z: Shaped[Tensor, "n *d"], name: str = "z") -> Shaped[Tensor, "n *d"]:
    """z itself. Raises ValueError for fewer rows, and for rows without a number."""
    if len(z) < least:
        raise ValueError(f"{name} holds {len(z)} sample(s): this needs at least {least}.")
    if not z.numel():
        raise ValueError(f"{name} has shape {tuple(z.shape)}: its rows hold no number.")
    return z
