"""Label-free metrics of a representation: how many dimensions it uses, how evenly, and whether it collapses.

A collapsed encoder gives every image the same output, the cheapest way for two views to agree. The metrics show this
while the loss still looks fine, and `describe_rank` says it in words. A high rank is necessary for a good
representation but not sufficient: use it to compare runs of one method, not different methods.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite
from ssl_toolkit.encoders.statistics import at_least, exponent, times_power, unit_rows

# thresholds of `describe_rank`, as a share of the way from rank 1 to full rank
COLLAPSING, NARROW = 0.08, 0.25
_PORTION = 256  # rows compared with all at once
_FLOOR = 1e-10  # relative to the largest eigenvalue: anything below is float32 rounding


@checked_finite
def describe_rank(rank: float, most: int) -> str:
    """Put an effective rank in words, such as "collapsing: rank 3 of 128"; `most` is the largest possible rank.

    With s = (rank - 1) / (most - 1): "collapsing" if s < 0.08, "narrow" if s < 0.25, otherwise "spread"; "collapsed"
    means collapsing with a rank below 2. `most` is min(n, d) for `rankme` of (n, d) features, and min(n - 1, d) for
    `lidar` of n samples. Raises ValueError for a rank outside 1 ... most.
    """
    if not 0.99 <= rank <= 1.01 * most:  # RankMe's eps shifts it slightly
        raise ValueError(f"rank is {rank} of {most}: an effective rank must be 1 ... most.")
    share = (rank - 1) / (most - 1) if most > 1 else 1.0
    word = "collapsing" if share < COLLAPSING else "narrow" if share < NARROW else "spread"
    if word == "collapsing" and rank < 2:
        word = "collapsed"
    return f"{word}: rank {rank:.0f} of {most}"


@checked_finite
def spectrum(z: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """Singular values of the centered features over sqrt(n - 1), largest first: standard deviations along PCA axes."""
    z = at_least(2, z)
    sigma = _deviations(z)
    return F.pad(sigma, (0, z.shape[1] - len(sigma))).float()


@checked_finite
def rankme(z: Float[Tensor, "n d"], *, eps: float = 1e-7) -> float:
    """RankMe (Garrido et al., 2023): exp of the entropy of p_k = sigma_k / |sigma|_1 + eps, from 1 to min(n, d).

    sigma are the singular values of z, without centering, as in the paper. A collapsed representation has rank near 1.

    >>> z = torch.randn(1000, 64, generator=stk.rng(0))
    >>> round(stk.rankme(z))
    63
    >>> round(stk.rankme(z[:, :1].expand(-1, 64)))  # collapsed to a line
    1
    """
    return _effective_rank(_singular_values(at_least(1, z)), eps)


@checked_finite
def lidar(z: Float[Tensor, "n q d"], *, delta: float = 1e-4) -> float:
    """LiDAR (Thilak et al., 2023) of q views of n samples: the effective rank of the directions that separate samples.

        exp of the entropy of lambda / |lambda|_1,   lambda the eigenvalues of S_w^-1/2 S_b S_w^-1/2

    S_b is the covariance of the sample means, S_w the pooled covariance of views around their sample's mean, plus
    delta I. The result is in 1 ... min(n - 1, d). Directions in which only views differ count little, though they fool
    `rankme`. Raises ValueError for q = 1, fewer than two samples, or delta <= 0.
    """
    n, q, _ = z.shape
    if q < 2:
        raise ValueError(f"z holds q={q} view per sample: LiDAR compares views, so it needs q >= 2; 10 are usual.")
    if not delta > 0:
        raise ValueError(f"delta is {delta}: it must be positive, so that S_w has an inverse; 1e-4 is usual.")
    z = at_least(2, z).double()
    means = z.mean(dim=1)
    within = (z - means[:, None]).flatten(0, 1)  # (n q, d)
    variance, axes = torch.linalg.eigh(within.T @ within / (n * (q - 1)))
    between = (means - means.mean(dim=0)) @ axes / (variance.clamp_min(0) + delta).sqrt()
    return _effective_rank(_singular_values(between).square())


@checked_finite
def alpha_req(z: Float[Tensor, "n d"], *, first: int = 1, last: int | None = None) -> float:
    """alpha-ReQ (Agrawal et al., 2022): alpha in lambda_j ~ j^-alpha, the power-law decay of covariance eigenvalues.

        min over alpha, c of   sum_j 1/j (log lambda_j + alpha log j - c)^2     for j = first ... last

    With weights 1/j each octave of indices counts equally; equal weights would mostly fit the tail. By default, `last`
    is the last eigenvalue above float32 rounding (1e-10 of the largest). With few samples the last eigenvalues fall
    faster than the law, so make n several times d, or choose an earlier `last`. 0 means white; `inf` means a single
    direction, as in a collapsed representation. Raises ValueError for a range without two indices in 1 ... d.
    """
    z = at_least(2, z)
    last = z.shape[1] if last is None else last
    if not 1 <= first < last <= z.shape[1]:
        raise ValueError(f"first={first} and last={last}: a fit needs two indices in 1 ... {z.shape[1]}.")
    eigenvalues = _deviations(z).square()[:last]
    eigenvalues = eigenvalues[eigenvalues > _FLOOR * eigenvalues[0]]
    if len(eigenvalues) <= first:
        return math.inf
    j = torch.arange(first, len(eigenvalues) + 1, dtype=torch.float64, device=z.device)
    x, y, weight = j.log(), eigenvalues[first - 1 :].log(), 1 / j / (1 / j).sum()
    x, y = x - (weight * x).sum(), y - (weight * y).sum()
    return -((weight * x * y).sum() / (weight * x * x).sum()).item()


@checked_finite
def feature_std(z: Float[Tensor, "n d"]) -> float:
    """Mean over dimensions of the standard deviation of z / |z|: 1 / sqrt(d) when spread evenly, 0 when collapsed."""
    return unit_rows(at_least(2, _full(z))).std(dim=0).mean().item()


@checked_finite
def alignment(za: Float[Tensor, "n d"], zb: Float[Tensor, "n d"]) -> float:
    """Mean squared distance of the normalized embeddings of two views (Wang and Isola, 2020): 0 is perfect."""
    return (unit_rows(at_least(1, _full(za), "za")) - unit_rows(_full(zb))).square().sum(dim=1).mean().item()


@checked_finite
def uniformity(z: Float[Tensor, "n d"]) -> float:
    """log mean exp(-2 |z_i - z_j|^2) over pairs of normalized embeddings (Wang and Isola, 2020): low is well spread."""
    z, total = unit_rows(at_least(2, _full(z))), 0.0
    for i, rows in enumerate(z.split(_PORTION)):
        others = z[i * _PORTION :]
        squared = rows.square().sum(dim=1, keepdim=True) + others.square().sum(dim=1) - 2 * rows @ others.T
        total += squared.clamp_min(0).mul(-2).exp().triu(diagonal=1).sum(dtype=torch.float64).item()
    return math.log(total / (len(z) * (len(z) - 1) / 2))


def _full(z: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    return z if z.dtype == torch.float64 else z.float()


def _singular_values(z: Float[Tensor, "n d"]) -> Float[Tensor, " r"]:
    """Singular values, largest first, r = min(n, d), from the smaller of the two Gram matrices in float64."""
    z = z.double() if z.shape[0] >= z.shape[1] else z.double().T
    power = exponent(z.abs().amax())  # squares of very large or small numbers leave even float64
    z = times_power(z, -power)
    return times_power(torch.linalg.eigvalsh(z.T @ z).flip(0).clamp_min(0).sqrt(), power)


def _deviations(z: Float[Tensor, "n d"]) -> Float[Tensor, " r"]:
    """Standard deviations along the principal axes, largest first."""
    z = z.double()
    return _singular_values(z - z.mean(dim=0)) / (len(z) - 1) ** 0.5


def _effective_rank(values: Float[Tensor, " r"], eps: float = 0.0) -> float:
    """exp of the entropy of p = values / their sum + eps."""
    p = values / values.sum().clamp_min(torch.finfo(torch.float64).tiny) + eps
    return torch.special.entr(p).sum().exp().item()
