"""Contrastive losses: the two views of an image attract each other, other images repel."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ssl_toolkit.losses.checks import Terms, batch_of_pairs


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
    b = batch_of_pairs(za, zb)
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
