"""Features in the plane: PCA in one step, and t-SNE as a generator that you can watch, stop and replay.

scikit-learn's t-SNE returns only at the end, a minute later for 10,000 points; this one yields each iteration. The
gradient is from van der Maaten and Hinton (2008). Its repulsion, a sum over all pairs, becomes a convolution on a grid
(Linderman, Rachh, Hoskins, Steinerberger and Kluger, 2019).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from ssl_toolkit.data import checked_finite
from ssl_toolkit.encoders.statistics import distances, exponent, principal_axes, times_power

FEW_BOXES, MOST_BOXES = 100, 400  # per side of the repulsion's grid: always fast, and more than memory should hold


class Layout(NamedTuple):
    """The points in the plane after an iteration of t-SNE; iteration 0 is still searching neighbors."""

    iteration: int
    iterations: int
    points: Float[Tensor, "n 2"]


@checked_finite
def pca(z: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
    """Project features on the two directions in which they vary most; if d is 1, the second coordinate is 0.

    Raises ValueError for fewer than 3 images, features that are not finite, and features without variance.
    """
    z, power = _checked(z)
    return times_power(_pca(z), power)


def pca_steps(z: Float[Tensor, "n d"], *, rows: int = 4096) -> Iterator[Float[Tensor, "n 2"] | None]:
    """`pca` that lets others have their turn: yields None after some rows, and at last the points.

    >>> *_, points = pca_steps(torch.randn(50, 8, generator=stk.rng(0)), rows=20)
    >>> points.shape
    torch.Size([50, 2])
    """
    if len(z) <= 2 * rows or z.shape[1] < 2:
        yield pca(z)
        return
    largest = torch.zeros(())
    for part in z.split(rows):
        largest = torch.maximum(largest, part.detach().abs().amax().float().cpu())
        yield None
    if not largest.isfinite():
        raise ValueError("z holds NaN or infinite values: a projection needs finite features.")
    power = exponent(largest)

    def scaled() -> Iterator[Float[Tensor, "r d"]]:
        return (times_power(part.detach().cpu().float(), -power) for part in z.split(rows))

    mean, size = torch.zeros(2, z.shape[1], dtype=torch.float64)
    for part in scaled():
        mean += part.sum(dim=0, dtype=torch.float64) / len(z)
        size += part.abs().sum(dim=0, dtype=torch.float64) / len(z)
        yield None
    covariance = torch.zeros(z.shape[1], z.shape[1], dtype=torch.float64)
    for part in scaled():
        x = part - mean.float()
        covariance += (x.T @ x).double() / len(z)
        yield None
    if bool((covariance.diagonal().sqrt() <= 1e-6 * size).all()):
        raise ValueError("the features z are the same for all images: the encoder has collapsed.")
    axes = torch.linalg.eigh(covariance)[1].flip(1)[:, :2].float()
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    points = []
    for part in scaled():
        points.append(times_power((part - mean.float()) @ axes, power))
        yield None
    yield torch.cat(points)


def _pca(z: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
    if z.shape[1] == 1:
        return torch.cat([z - z.mean(), torch.zeros_like(z)], dim=1)
    x = z - z.mean(dim=0)
    first = principal_axes(x)[0][:, :2]
    largest = first.gather(0, first.abs().argmax(dim=0, keepdim=True))  # the sign of an axis is arbitrary
    return x @ (first * largest.sign())


@checked_finite
def tsne(
    z: Float[Tensor, "n d"],
    *,
    perplexity: float = 30.0,
    iterations: int = 500,
    exaggeration: float = 12.0,
    exaggerated: int = 200,
    lr: float | None = None,
) -> Iterator[Layout]:
    """t-SNE of features, starting from their PCA; yields the layout before the first and after every iteration.

        min over y of KL(p | q),   p_ij = (p_j|i + p_i|j) / 2n,   q_ij ~ 1 / (1 + |y_i - y_j|^2)

    p_j|i is a Gaussian around z_i over its 3 * `perplexity` nearest neighbors, with a width that gives this perplexity.
    For the first `exaggerated` iterations p is multiplied by `exaggeration`, which gathers the clusters. If `lr` is
    None, it is max(n / exaggeration / 4, 50) (Belkina et al., 2019, as in scikit-learn). Raises ValueError as `pca`
    does, and for a perplexity outside [1, (n - 1) / 3].

    >>> *_, layout = stk.probes.tsne(torch.randn(50, 8, generator=stk.rng(0)), perplexity=5.0, iterations=20)
    >>> layout.points.shape
    torch.Size([50, 2])
    """
    z, _ = _checked(z)
    n = len(z)
    if not (lr is None or lr > 0) or not exaggeration > 0 or iterations < 0 or exaggerated < 0:
        raise ValueError(
            f"lr={lr} (or None) and exaggeration={exaggeration} must be positive, and iterations={iterations} and "
            f"exaggerated={exaggerated} at least 0."
        )
    if not 1 <= perplexity <= (n - 1) / 3:
        raise ValueError(f"perplexity is {perplexity}: for {n} images it must lie in [1, {(n - 1) / 3:.4g}].")
    y = _pca(z)
    y = 1e-4 * y / y[:, 0].std()
    lr = max(n / exaggeration / 4, 50.0) if lr is None else lr
    portions = []
    for rows in torch.arange(n).split(256):
        portions.append(_affinities(z, rows, perplexity))
        yield Layout(0, iterations, y)
    affinities = Affinities(*(torch.cat(parts) for parts in zip(*portions, strict=True)))
    velocity, gain = torch.zeros_like(y), torch.ones_like(y)
    for i in range(1, iterations + 1):
        early = i <= exaggerated
        gradient = kl_gradient(affinities, y, exaggeration if early else 1.0)
        # a coordinate whose gradient keeps its sign gains speed (Jacobs, 1988)
        gain = torch.where(velocity * gradient < 0, gain + 0.2, gain * 0.8).clamp_min(0.01)
        velocity = (0.5 if early else 0.8) * velocity - lr * gain * gradient
        y = y + velocity
        y = y - y.mean(dim=0)
        if not y.isfinite().all():
            raise FloatingPointError(f"iteration {i}: a point left the plane; lr is {lr:g}, try a lower one.")
        yield Layout(i, iterations, y)


class Affinities(NamedTuple):
    """p_j|i of each point for its k nearest others j = index[i, :]; all other p are 0."""

    p: Float[Tensor, "n k"]
    index: Int64[Tensor, "n k"]  # type: ignore[assignment]  # hides tuple.index, of no use here


@checked_finite
def kl_gradient(affinities: Affinities, y: Float[Tensor, "n 2"], exaggeration: float = 1.0) -> Float[Tensor, "n 2"]:
    """The gradient of KL(p | q), with p multiplied by `exaggeration`:

    4 sum_j (p_ij - q_ij) w_ij (y_i - y_j),   w_ij = 1 / (1 + |y_i - y_j|^2),   q_ij = w_ij / sum_k,l w_kl
    """
    n, k = affinities.p.shape
    j = affinities.index.flatten()
    away = [column[:, None] - column.index_select(0, j).view(n, k) for column in y.T.contiguous()]  # x, then y
    pull = affinities.p / (2 * n) / (1 + away[0].square() + away[1].square())
    attraction = []
    for column in away:  # p_j|i pulls i toward j, and j toward i equally
        force = column.mul_(pull)
        attraction.append(force.sum(dim=1).index_add_(0, j, force.flatten(), alpha=-1))
    push, total = repulsion(y)
    return 4 * (exaggeration * torch.stack(attraction, dim=1) - push / total)


@checked_finite
def repulsion(y: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, "n 2"], float]:
    """sum_j w_ij^2 (y_i - y_j) for each i, and the sum of w over all pairs, both interpolated.

    The plane is cut into boxes at most 1 wide, with 3 x 3 nodes each. Lagrange polynomials spread a point's charges to
    the nodes of its box, an FFT convolves them with w and w^2, and the same polynomials interpolate the result back.
    Where a grid for the map's span would cost more than all pairs, these are summed one by one.
    """
    if not len(y):
        raise ValueError("y holds no point.")
    y = y.float()
    low = y.min(dim=0).values
    span = (y.max(dim=0).values - low).max().clamp_min(1e-9).item()
    boxes = max(50, 10 * math.ceil(span / 10))
    if boxes > FEW_BOXES and (boxes > MOST_BOXES or len(y) < 24 * boxes):
        return _exact_repulsion(y)
    m, h = 3 * boxes, span / boxes  # nodes per side, and the width of a box
    place = (y - low) / h
    box = place.floor().clamp_max(boxes - 1)
    u = place - box
    a, b, c = (u - node for node in (1 / 6, 3 / 6, 5 / 6))
    polynomials = torch.stack([4.5 * b * c, -9 * a * c, 4.5 * a * b], dim=2)  # (n, 2, 3)
    weight = polynomials[:, 0, :, None] * polynomials[:, 1, None, :]  # (n, 3, 3)
    row, column = (3 * box[:, i, None].long() + torch.arange(3) for i in (0, 1))
    at = (m * row[:, :, None] + column[:, None, :]).flatten()

    charges = (torch.ones(len(y)), *y.T)
    grids = [torch.zeros(m * m).index_add_(0, at, (weight * q[:, None, None]).flatten()) for q in charges]
    waves = torch.fft.rfft2(torch.stack(grids).view(3, m, m), s=(2 * m, 2 * m))  # twice as wide: nothing wraps around
    step = torch.arange(2 * m)
    step = torch.minimum(step, 2 * m - step) * (h / 3)
    w = 1 / (1 + step[:, None] ** 2 + step**2)
    near, far = torch.fft.rfft2(torch.stack([w.square(), w]))
    fields = torch.fft.irfft2(waves * near, s=(2 * m, 2 * m))[:, :m, :m].reshape(3, -1)
    one, x1, x2 = ((f.index_select(0, at).view(-1, 9) * weight.flatten(1)).sum(dim=1) for f in fields)
    # sum_i,j w_ij by Parseval; rfft2 stores half of the waves, so all but the outer columns count twice
    power = waves[0].abs().square() * far.real
    total = (2 * power.sum() - power[:, 0].sum() - power[:, -1].sum()).item() / (2 * m) ** 2
    return y * one[:, None] - torch.stack([x1, x2], dim=1), total - len(y)


def _exact_repulsion(y: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, "n 2"], float]:
    y, force, total = y - y.mean(dim=0), [], 0.0
    for rows in y.split(512):
        w = 1 / (1 + torch.cdist(rows, y, compute_mode="donot_use_mm_for_euclid_dist").square())
        total += w.sum(dtype=torch.float64).item()
        w.square_()
        force.append(w.sum(dim=1, keepdim=True) * rows - w @ y)
    return torch.cat(force), total - len(y)


def _affinities(z: Float[Tensor, "n d"], rows: Int64[Tensor, " r"], perplexity: float) -> Affinities:
    """p_j|i ~ exp(-beta_i |z_i - z_j|^2) for these rows i, bisecting beta until exp(entropy) is the perplexity."""
    squared = next(distances(z[rows], z)).square_().float()
    squared[torch.arange(len(rows)), rows] = torch.inf
    squared, index = squared.topk(int(3 * perplexity), dim=1, largest=False)
    squared -= squared[:, :1].clone()
    squared /= squared.mean(dim=1, keepdim=True).clamp_min(1e-12)
    low, high = torch.full((len(rows), 1), -12.0), torch.full((len(rows), 1), 12.0)  # of log beta
    for _ in range(32):
        log_p = (-((low + high) / 2).exp() * squared).log_softmax(dim=1)
        entropy = -(log_p.exp() * log_p).sum(dim=1, keepdim=True)
        wide = entropy > math.log(perplexity)
        low, high = torch.where(wide, (low + high) / 2, low), torch.where(wide, high, (low + high) / 2)
    return Affinities(log_p.exp(), index)


def _checked(z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Int32[Tensor, ""]]:
    """The features scaled to lie around 1, so that no square leaves float32, and the power of 2 that undoes it."""
    if len(z) < 3:
        raise ValueError(f"z holds {len(z)} images: a projection needs at least 3.")
    if not z.numel():
        raise ValueError(f"z has shape {tuple(z.shape)}: its rows hold no number.")
    z = z.detach().cpu()
    z = z if z.dtype == torch.float64 else z.float()
    power = exponent(z.abs().amax())
    z = times_power(z, -power)
    if bool((z.std(dim=0) <= 1e-6 * z.abs().mean(dim=0)).all()):
        raise ValueError("the features z are the same for all images: the encoder has collapsed.")
    return z.float(), power
