"""How good samples are and what they keep: distances between sets, ranks, variation and retention, on any features.

These numbers are only as meaningful as the features: use an encoder that knows the images, with d much smaller than n.
The Fréchet distance is called FD here, since FID means the features of one particular network, trained on photographs
of 299 pixels. Parzen likelihoods are in `infusion`.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ssl_toolkit.data import checked_finite
from ssl_toolkit.encoders.statistics import at_least, distances

_PORTION = 1024  # rows of a distance matrix held in memory at once


class KID(NamedTuple):
    """The mean of the unbiased estimates over blocks, and its standard error (NaN for a single block)."""

    mean: float
    error: float


class PRDC(NamedTuple):
    """Precision and recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020)."""

    precision: float  # the share of samples inside some real point's ball
    recall: float  # the share of real points inside some sample's ball
    density: float  # like precision, but counts how many balls a sample is in; not bounded by 1
    coverage: float  # the share of real points with a sample in their ball


class Faithfulness(NamedTuple):
    """Where the conditioning image ranks among the candidates. The best mean rank is 1, and so is the best MRR."""

    mean_rank: float
    mrr: float
    chance: float  # the mean reciprocal rank of a random guess, H_n / n


class Recognition(NamedTuple):
    """What a classifier sees in samples; entropies in nats."""

    score: float  # 1 ... number of classes: high if each sample is clearly of one class, and all classes occur
    entropy: float  # of one sample's predicted classes, on average: 0 if the classifier is certain
    balance: float  # the entropy of the marginal over classes, relative to the uniform distribution's


class Nearest(NamedTuple):
    """The closest image of a bank to each sample, and how far away it is."""

    distance: Float[Tensor, " n"]
    index: Int64[Tensor, " n"]  # type: ignore[assignment]  # hides tuple.index, of no use here


@checked_finite
def frechet_distance(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"]) -> float:
    """Fréchet distance between two sets, each fitted by a Gaussian with its mean and covariance:

        |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))

    With S = R^T R, the trace of the root is the sum of the singular values of R1 R2^T, so no matrix root is needed.
    FD is biased upward unless n is much larger than d: compare only sets of equal n.
    """
    _check(least=2, real=real, fake=fake)
    (m1, r1), (m2, r2) = _gaussian(real), _gaussian(fake)
    root = torch.linalg.svdvals(r1 @ r2.T).sum()
    return ((m1 - m2).square().sum() + r1.square().sum() + r2.square().sum() - 2 * root).clamp_min(0).item()


def _gaussian(z: Tensor) -> tuple[Float[Tensor, " d"], Float[Tensor, "r d"]]:
    """The mean, and R such that R^T R is the covariance."""
    mean = z.double().mean(dim=0)
    return mean, torch.linalg.qr((z.double() - mean) / (len(z) - 1) ** 0.5, mode="r").R


@checked_finite
def kid(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], *, block: int = 1000) -> KID:
    """KID (Bińkowski et al., 2018): the squared MMD between two sets under the kernel (x.y / d + 1)^3.

    It is unbiased, so it may be negative. It is the mean over pairs of disjoint blocks of `block` rows, in the order
    given (shorter if a set has fewer rows); the spread over blocks gives the error. Raises ValueError for blocks of
    fewer than 2 rows.
    """
    _check(least=2, real=real, fake=fake)
    if block < 2:
        raise ValueError(f"block is {block}: an unbiased estimate needs at least 2 rows of each set.")
    block = min(block, len(real), len(fake))
    pairs = zip(real.double().split(block), fake.double().split(block), strict=False)
    mmd = torch.stack([_mmd(x, y) for x, y in pairs if len(x) == len(y) == block])
    return KID(mmd.mean().item(), mmd.std().item() / len(mmd) ** 0.5 if len(mmd) > 1 else float("nan"))


def _mmd(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """The mean over i != j of k(x_i, x_j) + k(y_i, y_j), minus twice the mean of k(x_i, y_j)."""
    n, d = x.shape
    xx, yy, xy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    return (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (n * (n - 1)) - 2 * xy.mean()


@checked_finite
def kid_in_units(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"]) -> float:
    """The mean of `kid`, with features in units of the real features' standard deviation, pooled over all dimensions.

    All dimensions share one unit, so that a dimension that is dead on real images doesn't explode. Raises ValueError
    like `kid`.
    """
    _check(least=2, real=real, fake=fake)
    unit = real.double().var(dim=0).mean().sqrt()
    if not unit > 0:
        raise ValueError("real holds the same features for all images: there is no unit; the encoder has collapsed.")
    return kid(real.double() / unit, fake.double() / unit).mean


@checked_finite
def prdc(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], *, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage. Each point's ball reaches to its k-th neighbor in its own set.

        precision  share of j with |f_j - r_i| < R_i for some i        density  mean over j of #{i: ...} / k
        recall     share of i with |r_i - f_j| < R_j for some j        coverage share of i with |r_i - f_j| < R_i

    Raises ValueError for k outside 1 ... min(n, m) - 1.
    """
    _check(least=2, real=real, fake=fake)
    least = min(len(real), len(fake))
    if not 1 <= k < least:
        raise ValueError(f"k is {k}: with {least} points in the smaller set it must lie in 1 ... {least - 1}.")
    of_real, of_fake = _radii(real, k), _radii(fake, k)
    inside, covered, recalled = of_real.new_zeros(len(fake)), [], []
    for distance, radius in zip(distances(real, fake, portion=_PORTION), of_real.split(_PORTION), strict=True):
        within = distance < radius[:, None]  # (portion of the real, m)
        inside += within.sum(dim=0)
        covered.append(within.any(dim=1))
        recalled.append((distance < of_fake).any(dim=1))
    shares = ((inside > 0), torch.cat(recalled), inside / k, torch.cat(covered))
    return PRDC(*(share.double().mean().item() for share in shares))


def _radii(z: Float[Tensor, "n d"], k: int) -> Float[Tensor, " n"]:
    return torch.cat([d.kthvalue(k + 1, dim=1).values for d in distances(z, z)])  # the first neighbor is itself


@checked_finite
def ranks(
    queries: Float[Tensor, "n d"], candidates: Float[Tensor, "m d"], truth: Int64[Tensor, " n"] | None = None
) -> Int64[Tensor, " n"]:
    """The rank of the right candidate by distance to each query: 1 + #{j: |q_i - h_j| < |q_i - h_truth(i)|}.

    Each tie counts half, so identical features don't count as recognition.

    Bordes et al. (2022) embed a sample of RCDM and check whether the closest representation is that of the image it
    was conditioned on. `truth` is the index of that candidate (None: the query's own row).
    """
    _check(least=1, queries=queries, candidates=candidates)
    truth = torch.arange(len(queries), device=queries.device) if truth is None else truth
    if not 0 <= (low := int(truth.min())) <= (high := int(truth.max())) < len(candidates):
        raise ValueError(
            f"truth holds {low if low < 0 else high}: there are {len(candidates)} candidates, counted from 0."
        )
    parts = []
    for d, t in zip(distances(queries, candidates, portion=_PORTION), truth.split(_PORTION), strict=True):
        own = d.gather(1, t[:, None])
        parts.append(1 + (d < own).sum(dim=1) + ((d == own).sum(dim=1) - 1) // 2)
    return torch.cat(parts)


@checked_finite
def faithfulness(
    queries: Float[Tensor, "n d"], candidates: Float[Tensor, "m d"], truth: Int64[Tensor, " n"] | None = None
) -> Faithfulness:
    """Mean rank and mean reciprocal rank (MRR) from `ranks`, and the MRR expected by chance."""
    rank, m = ranks(queries, candidates, truth).double(), len(candidates)
    chance = (1 / torch.arange(1, m + 1, dtype=torch.float64)).sum().item() / m
    return Faithfulness(rank.mean().item(), (1 / rank).mean().item(), chance)


@checked_finite
def pixel_variation(samples: Float[Tensor, "*m k c h w"]) -> Float[Tensor, "*m h w"]:
    """The standard deviation of each pixel over k samples of one condition, pooled over channels (RMS)."""
    if not samples.numel() or samples.shape[-4] < 2:
        raise ValueError(f"samples holds k={samples.shape[-4]} of each condition: variation needs at least 2.")
    return samples.var(dim=-4).mean(dim=-3).sqrt()


@checked_finite
def retention(values: Shaped[Tensor, "m k"], reference: Shaped[Tensor, " n"], *, period: float | None = None) -> float:
    """How much of a factor v the samples keep: 1 - E_h[Var(v | h)] / Var(v). 1 if h determines v, 0 if v varies freely.

    `values` holds the factor as read from k samples of each of m conditions h, `reference` as read from real images.
    Integers are categories, with the variance of their one-hot code. With `period`, the length of a full circle (1 for
    a hue, 2 pi for an angle), it is the variance of (cos, sin). Variances are unbiased, so the result may fall slightly
    below 0. Raises ValueError for k < 2 and for a constant reference.
    """
    if not values.shape[0] or values.shape[1] < 2:
        raise ValueError(f"values holds k={values.shape[1]} sample of each condition: the variance needs at least 2.")
    if period is not None and not period > 0:
        raise ValueError(f"period is {period}: it is the length of a full circle and must be positive.")
    if len(reference) < 2 or not (reference != reference[0]).any():
        raise ValueError("reference is constant: there is nothing to retain.")
    if values.is_floating_point() != reference.is_floating_point():
        raise TypeError(
            f"values is {values.dtype} and reference {reference.dtype}: both are floats, or both categories."
        )
    classes = None
    if not values.is_floating_point():  # ids may be large: number the categories that occur
        known, places = torch.cat([values.flatten(), reference]).unique(return_inverse=True)
        values, reference, classes = places[: values.numel()].view_as(values), places[values.numel() :], len(known)
    total = _code(reference, period, classes).var(dim=0).sum()
    return 1 - (_code(values, period, classes).var(dim=1).sum(dim=-1).mean() / total).item()


def _code(values: Tensor, period: float | None, classes: int | None) -> Float[Tensor, "*n e"]:
    if classes is not None:
        return F.one_hot(values.long(), classes).double()
    if period is None:
        return values.double()[..., None]
    angle = values.double() * (2 * torch.pi / period)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


@checked_finite
def recognition(logits: Float[Tensor, "n c"]) -> Recognition:
    """The Inception score (Salimans et al., 2016) with any classifier, and its two parts:

        exp E[KL(p(y|x) || p(y))] = exp(H(p(y)) - E[H(p(y|x))]),   p(y) = E[p(y|x)]

    Noise can fool a classifier that was not trained on noise: look at a distance between sets, too.
    """
    if not len(logits) or logits.shape[1] < 2:
        raise ValueError(
            f"logits has shape {tuple(logits.shape)}: it must hold a sample, and at least 2 classes to tell apart."
        )
    log_p = logits.double().log_softmax(dim=1)
    marginal, entropy = torch.special.entr(log_p.exp().mean(dim=0)).sum(), torch.special.entr(log_p.exp()).sum(1).mean()
    score = (marginal - entropy).exp().item()
    return Recognition(score, entropy.item(), (marginal / math.log(logits.shape[1])).item())


@checked_finite
def nearest(samples: Shaped[Tensor, "n *x"], bank: Shaped[Tensor, "m *x"]) -> Nearest:
    """The image (or feature) in the bank that is closest to each sample, by Euclidean distance.

    Raises ValueError if one holds bytes and the other floats in [0, 1]: both must be on one scale.
    """
    for one, two in ((samples, bank), (bank, samples)):
        if one.dtype == torch.uint8 and two.dtype != torch.uint8 and two.numel() and two.max() <= 1:
            raise ValueError(
                "one of samples and bank holds bytes, the other floats in [0, 1]: bring both to one scale."
            )
    if samples.shape[1:] != bank.shape[1:]:
        raise ValueError(
            f"samples has shape {tuple(samples.shape)} and bank {tuple(bank.shape)}: a row of each must be alike."
        )
    _check(least=1, samples=samples, bank=bank)
    z, other = samples.flatten(1), bank.flatten(1)
    dtype = torch.promote_types(torch.promote_types(z.dtype, other.dtype), torch.float32)
    found = [d.min(dim=1) for d in distances(z.to(dtype), other.to(dtype))]
    return Nearest(torch.cat([f.values for f in found]).to(dtype), torch.cat([f.indices for f in found]))


@checked_finite
def memorization(
    samples: Shaped[Tensor, "n *x"], held_out: Shaped[Tensor, "k *x"], train: Shaped[Tensor, "m *x"]
) -> float:
    """The median distance from samples to their nearest training image, divided by the same for held-out images.

    It is about 1 for a model that generalizes, and well below 1 for one that copies its training set.
    """
    _check(least=1, samples=samples, held_out=held_out, train=train)
    apart = nearest(held_out, train).distance.median().item()
    if not apart > 0:
        raise ValueError("held_out holds images of train: give images that the model was not trained on.")
    return nearest(samples, train).distance.median().item() / apart


def _check(*, least: int, **sets: Tensor) -> None:
    for name, z in sets.items():
        at_least(least, z, name)
