"""Losses without negatives: the views agree, and a regulariser of the batch's statistics keeps them from collapsing."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.losses.checks import Terms, batch_of_pairs


def vicreg(
    za: Float[Tensor, "b d"], zb: Float[Tensor, "b d"], *, sim: float = 25.0, std: float = 25.0, cov: float = 1.0
) -> Terms:
    """VICReg (Bardes, Ponce and LeCun, 2022, eq. 6): invariance, variance, covariance; no negatives.

        invariance = sim * mean (za - zb)^2
        variance   = std * mean_d relu(1 - sqrt(Var z_d + 1e-4)), averaged over the two branches
        covariance = cov * sum_{i != j} Cov(z)_ij^2 / d, summed over the two branches

    The average of one and the sum of the other are the official code's; variances are unbiased.
    Raises ValueError for fewer than two images or unequal shapes.
    """
    batch_of_pairs(za, zb)
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


def barlow_twins(za: Float[Tensor, "b d"], zb: Float[Tensor, "b d"], *, lambd: float = 5e-3) -> Terms:
    """Barlow Twins (Zbontar et al., 2021, eq. 1): the cross-correlation of the two views is pushed to the identity.

        C = bn(za)^T bn(zb) / b,   invariance = sum_i (1 - C_ii)^2,   redundancy = lambd * sum_{i != j} C_ij^2

    bn standardises each dimension over the batch by its *biased* variance, as the official BatchNorm1d(affine=False).
    Raises ValueError for fewer than two images or unequal shapes.
    """
    b = batch_of_pairs(za, zb)
    c = F.batch_norm(za, None, None, training=True).T @ F.batch_norm(zb, None, None, training=True) / b  # (d, d)
    diagonal = c.diagonal()
    return {
        "invariance": (1 - diagonal).square().sum(),
        "redundancy": lambd * (c.square().sum() - diagonal.square().sum()),
    }
