"""Losses without negatives: views must agree, and a regularizer on batch statistics prevents collapse."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.losses.checks import Terms, in_full_precision, several_images, several_views


@in_full_precision
def vicreg(
    za: Float[Tensor, "b d"], zb: Float[Tensor, "b d"], *, sim: float = 25.0, std: float = 25.0, cov: float = 1.0
) -> Terms:
    """VICReg (Bardes, Ponce and LeCun, 2022, eq. 6): invariance, variance, covariance; no negatives.

        invariance = sim * mean (za - zb)^2
        variance   = std * mean_d relu(1 - sqrt(Var z_d + 1e-4)), averaged over the two branches
        covariance = cov * sum_{i != j} Cov(z)_ij^2 / d, summed over the two branches

    The average in one term and the sum in the other follow the official code; variances are unbiased.
    Raises ValueError for fewer than two images or unequal shapes.
    """
    several_images(len(za))
    return {
        "invariance": sim * F.mse_loss(za, zb),
        "variance": std * (_hinge_on_std(za) + _hinge_on_std(zb)) / 2,
        "covariance": cov * (_off_diagonal_covariance(za) + _off_diagonal_covariance(zb)),
    }


def _hinge_on_std(z: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    return F.relu(1 - (z.var(dim=0) + 1e-4).sqrt()).mean()


def _off_diagonal_covariance(z: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    b, d = z.shape
    z = z - z.mean(dim=0)
    covariance = z.T @ z / (b - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / d


@in_full_precision
def barlow_twins(za: Float[Tensor, "b d"], zb: Float[Tensor, "b d"], *, lambd: float = 5e-3) -> Terms:
    """Barlow Twins (Zbontar et al., 2021, eq. 1): push the cross-correlation of the two views to the identity.

        C = bn(za)^T bn(zb) / b,   invariance = sum_i (1 - C_ii)^2,   redundancy = lambd * sum_{i != j} C_ij^2

    bn standardizes each dimension over the batch by its *biased* variance, like the official BatchNorm1d(affine=False).
    Raises ValueError for fewer than two images or unequal shapes.
    """
    b = several_images(len(za))
    c = F.batch_norm(za, None, None, training=True).T @ F.batch_norm(zb, None, None, training=True) / b  # (d, d)
    diagonal = c.diagonal()
    return {
        "invariance": (1 - diagonal).square().sum(),
        "redundancy": lambd * (c.square().sum() - diagonal.square().sum()),
    }


@in_full_precision
def w_mse(
    za: Float[Tensor, "b d"],
    zb: Float[Tensor, "b d"],
    *,
    w_size: int | None = None,
    iterations: int = 1,
    eps: float = 0.0,
    generator: torch.Generator | None = None,
) -> Terms:
    """W-MSE (Ermolov et al., 2021): mean of 2 - 2 cos(ya, yb), where y are the whitened embeddings of one view.

        y = L^-1 (z - mean z),   L L^T = (1 - eps) Cov(z) + eps I   (Cholesky, the covariance is unbiased)

    It whitens the whole batch, or random slices of `w_size` images, which `generator` draws `iterations` times.
    `w_size` must exceed d for a covariance of full rank; 2 d is better.
    Raises ValueError for unequal shapes, a `w_size` that does not exceed d or does not divide b, and embeddings without
    a covariance of full rank (a NaN in training).
    """
    b, d = several_images(len(za)), za.shape[1]
    w = b if w_size is None else w_size
    if not d < w <= b or b % w:
        raise ValueError(f"w_size is {w}: it must divide the {b} images and exceed the {d} dimensions; 2 d is best.")
    if not 0 <= eps <= 1 or iterations < 1:
        raise ValueError(f"eps={eps} must lie in [0, 1] and iterations={iterations} be at least 1.")
    if w < b and generator is None:
        raise ValueError("the slices are drawn at random: pass generator=rng(seed, step, 'slices').")
    z, distances = torch.stack([za, zb]), []
    for _ in range(iterations):
        dealt = z if w == b else z[:, torch.randperm(b, generator=generator).to(z.device)]
        ya, yb = _whitened(dealt.view(2, b // w, w, d), eps)
        distances.append((2 - 2 * F.cosine_similarity(ya, yb, dim=-1)).mean())
    return {"distance": torch.stack(distances).mean()}


def _whitened(z: Float[Tensor, "*n w d"], eps: float) -> Float[Tensor, "*n w d"]:
    z = z - z.mean(dim=-2, keepdim=True)
    covariance = z.mT @ z / (z.shape[-2] - 1)
    covariance = (1 - eps) * covariance + eps * torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not z.requires_grad and failed.any():
        raise ValueError("za or zb has no covariance of full rank: it has collapsed, or needs eps=1e-3.")
    factor = factor.masked_fill((failed > 0)[..., None, None], torch.nan)  # in training: see `checks.finite`
    return torch.linalg.solve_triangular(factor, z.mT, upper=False).mT


@in_full_precision
def mmcr(z: Float[Tensor, "v b d"], *, lambd: float = 5e-3) -> Terms:
    """MMCR (Yerxa et al., 2023): the views of an image lie close together, and the centroids fill the space.

        centroids = -|C|_*,   views = lambd * mean_i |Z_i|_*

    |.|_* is the nuclear norm, the sum of the singular values; embeddings are normalized first, as in the official code.
    Z_i (v, d) holds the views of image i, and C (b, d) their means. A mean is long if the image's views agree, so the
    first term alone rewards both. Raises ValueError for fewer than two views or images, or a negative `lambd`.
    """
    several_views(z)
    if lambd < 0:
        raise ValueError(f"lambd is {lambd}: it must be at least 0.")
    z = F.normalize(z, dim=2)
    return {
        "centroids": -torch.linalg.svdvals(z.mean(dim=0)).sum(),
        "views": lambd * torch.linalg.svdvals(z.transpose(0, 1)).sum(dim=1).mean(),
    }
