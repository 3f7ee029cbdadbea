"""Losses of joint-embedding self-supervised learning, each a function of two batches of embeddings.

A loss returns its named terms, already weighted: the loss *is* `sum(terms.values())`. A trainer sums them, a plot
stacks them, a text can name them. The formulas are those of the papers' official code, which several libraries
change silently; what differs between them is said where it matters.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Terms = dict[str, Float[Tensor, ""]]  # the loss is their sum


def nt_xent(
    za: Float[Tensor, "b d"],
    zb: Float[Tensor, "b d"],
    *,
    temperature: float = 0.2,
    negatives: int | None = None,
    generator: torch.Generator | None = None,
) -> Terms:
    """SimCLR's normalised temperature-scaled cross entropy (Chen et al., 2020, eq. 1), in two terms.

    With s_ij = cos(z_i, z_j) / temperature over all 2b embeddings and p(i) the other view of i,

        alignment  = -mean_i s_ip(i)
        uniformity =  mean_i log( exp s_ip(i) + sum_{j in N(i)} exp s_ij )

    N(i) is all 2b - 2 embeddings of the other images, or `negatives` of them drawn for each anchor with `generator`
    (Bordes et al., 2023: down to one). Raises ValueError for fewer than two images, unequal shapes, a temperature
    that is not positive, or `negatives` outside 1 ... 2b - 2.
    """
    b = _batch_of_pairs(za, zb)
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive; 0.1 to 0.5 are usual.")
    z = F.normalize(torch.cat([za, zb]), dim=1)
    s = z @ z.T / temperature  # (2b, 2b)
    positive = s.diagonal(b).repeat(2)  # (2b,): s_ip(i), the same for both views since s is symmetric
    others = ~torch.eye(2 * b, dtype=torch.bool, device=s.device)
    if negatives is not None:
        others = _drawn_negatives(b, negatives, generator).to(s.device)
    uniformity = s.masked_fill(~others, -torch.inf).logsumexp(dim=1)
    return {"alignment": -positive.mean(), "uniformity": uniformity.mean()}


def _drawn_negatives(b: int, k: int, generator: torch.Generator | None) -> Bool[Tensor, "n n"]:
    """For each of the 2b anchors: its positive, and k of the 2b - 2 embeddings of other images, without replacement."""
    if not 1 <= k <= 2 * b - 2:
        raise ValueError(f"negatives is {k}: {b} images give an anchor 1 to {2 * b - 2}; None takes them all.")
    if generator is None:
        raise ValueError("negatives are drawn at random: pass generator=rng(seed, step, 'negatives').")
    same_image = torch.eye(b, dtype=torch.bool).repeat(2, 2)
    scores = torch.rand(2 * b, 2 * b, generator=generator).masked_fill(same_image, -1.0)
    drawn = torch.zeros_like(same_image).scatter(1, scores.topk(k, dim=1).indices, True)
    return drawn | (same_image & ~torch.eye(2 * b, dtype=torch.bool))


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
    _batch_of_pairs(za, zb)
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
    b = _batch_of_pairs(za, zb)
    c = F.batch_norm(za, None, None, training=True).T @ F.batch_norm(zb, None, None, training=True) / b  # (d, d)
    diagonal = c.diagonal()
    return {
        "invariance": (1 - diagonal).square().sum(),
        "redundancy": lambd * (c.square().sum() - diagonal.square().sum()),
    }


def byol(p: Float[Tensor, "b d"], z: Float[Tensor, "b d"]) -> Terms:
    """BYOL (Grill et al., 2020, eq. 2): mean of 2 - 2 cos(p, z); z comes from the teacher and gets no gradient.

    `p` is the student's prediction from one view, `z` the teacher's embedding of the other.
    Raises ValueError for unequal shapes.
    """
    _same_shape(p, z)
    return {"prediction": (2 - 2 * F.cosine_similarity(p, z.detach(), dim=1)).mean()}


def _same_shape(za: Tensor, zb: Tensor) -> None:
    if za.shape != zb.shape:
        raise ValueError(
            f"the embeddings have shapes {tuple(za.shape)} and {tuple(zb.shape)}: "
            "both must be (b, d), row i of each from the same image."
        )


def _batch_of_pairs(za: Tensor, zb: Tensor) -> int:
    """b, checked: these losses compare images with each other, so one image has nothing to be compared with."""
    _same_shape(za, zb)
    if len(za) < 2:
        raise ValueError(f"the batch holds {len(za)} image(s): this loss compares images and needs at least 2.")
    return len(za)
