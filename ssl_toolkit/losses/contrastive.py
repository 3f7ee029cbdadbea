"""Contrastive losses: the two views of an image attract each other, other images repel.

Similarities are cosines over a temperature: an anchor has s+ to its positive and s_j to its negatives. All losses here
weigh s+ against n = log sum_j exp s_j, most of them like InfoNCE,

    -s+ + log(exp s+ + exp n) = softplus(n - s+)

and differ in where the positives and the negatives come from.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from ssl_toolkit.losses.checks import (
    Terms,
    at_least_one_image,
    in_full_precision,
    must_be_positive,
    several_images,
    several_views,
)


@in_full_precision
def nt_xent(
    za: Float[Tensor, "b d"],
    zb: Float[Tensor, "b d"],
    *,
    temperature: float = 0.2,
    negatives: int | None = None,
    generator: torch.Generator | None = None,
    rescale: bool = False,
    block: int | None = None,
) -> Terms:
    """SimCLR's normalized temperature-scaled cross entropy (Chen et al., 2020, eq. 1), in two terms.

    With s_ij = cos(z_i, z_j) / temperature over all 2b embeddings, and p(i) the other view of i,

        alignment  = -mean_i s_ip(i)
        uniformity =  mean_i log( exp s_ip(i) + sum_{j in N(i)} exp s_ij )

    N(i) holds all 2b - 2 embeddings of the other images, or `negatives` of them, drawn for each anchor with `generator`
    (Bordes et al., 2023: down to one). `rescale` then weights each drawn negative by (2b - 2) / negatives, so that the
    best temperature stays the same as with all negatives.

    `block` is how many anchors are compared with the batch at a time: memory then grows with the batch size instead of
    its square, and value and gradient stay the same.

    Raises ValueError for fewer than two images, unequal shapes, embeddings that are not finite, a temperature that is
    not positive, `negatives` outside 1 ... 2b - 2 or combined with `block`, or a `block` below 1.
    """
    b = several_images(len(za))
    z, positive = _anchors(za, zb, temperature)
    if negatives is None:
        return _info_nce(positive, _all_negatives(z, temperature, block))
    if block is not None:
        raise ValueError(f"negatives is {negatives} and block is {block}: blocks use all negatives; pass only one.")
    drawn = _drawn_negatives(b, negatives, generator).to(z.device)
    negative = (z @ (z / temperature).T).masked_fill_(~drawn, -torch.inf).logsumexp(dim=1)
    if rescale:
        negative = negative + math.log((2 * b - 2) / negatives)
    return _info_nce(positive, negative)


@in_full_precision
def dcl(
    za: Float[Tensor, "b d"], zb: Float[Tensor, "b d"], *, temperature: float = 0.1, block: int | None = None
) -> Terms:
    """Decoupled contrastive learning (Yeh et al., 2022): NT-Xent whose denominator leaves the positive out.

        alignment = -mean_i s_ip(i),   uniformity = mean_i log sum_{j in N(i)} exp s_ij

    so an anchor with a close positive keeps its full gradient, even in small batches. Otherwise like `nt_xent`.
    """
    several_images(len(za))
    z, positive = _anchors(za, zb, temperature)
    return {"alignment": -positive.mean(), "uniformity": _all_negatives(z, temperature, block).mean()}


@in_full_precision
def patch_negative(
    za: Float[Tensor, "b d"], zb: Float[Tensor, "b d"], zn: Float[Tensor, "m d"], *, temperature: float = 0.2
) -> Terms:
    """NT-Xent with a single negative, which is a patch instead of an image (an idea of Bordes et al., 2023).

        alignment = -mean_i s_ip(i),   uniformity = mean_i log( exp s_ip(i) + exp cos(z_i, zn) / temperature )

    zn, the patch's embedding, is (1, d), shared by all anchors, or (b, d), one per image for both of its views. It gets
    a gradient. The caller chooses the patch: `joint` implements two readings of the idea.
    Raises ValueError for unequal shapes, embeddings that are not finite, or a temperature that is not positive.
    """
    at_least_one_image(len(za))
    if zn.shape not in (za.shape, (1, za.shape[1])):
        raise ValueError(
            f"zn has shape {tuple(zn.shape)}: it must be (1, {za.shape[1]}), one patch for all, "
            f"or {tuple(za.shape)}, one per image."
        )
    z, positive = _anchors(za, zb, temperature)
    zn = F.normalize(zn, dim=1).expand_as(za).repeat(2, 1)
    return _info_nce(positive, (z * zn).sum(dim=1) / temperature)


@in_full_precision
def supcon(z: Float[Tensor, "v b d"], labels: Int64[Tensor, " b"], *, temperature: float = 0.1) -> Terms:
    """Supervised contrastive loss (Khosla et al., 2020, L_out): all views with the anchor's label attract it.

        alignment  = -mean_i mean_{p in P(i)} s_ip
        uniformity =  mean_i log sum_{j != i} exp s_ij

    over the v b embeddings, with P(i) all others that share the label of i. If all labels differ, two views give
    NT-Xent. Raises ValueError for fewer than two views or images, embeddings that are not finite, a number of labels
    other than b, or a temperature that is not positive.
    """
    v, b = several_views(z)
    must_be_positive("temperature", temperature, "0.1 to 0.5 are usual")
    z, labels = F.normalize(z.flatten(0, 1), dim=1), labels.repeat(v)
    s = z @ (z / temperature).T  # (v b, v b)
    itself = torch.eye(v * b, dtype=torch.bool, device=s.device)
    alike = (labels == labels[:, None]) & ~itself
    return {
        "alignment": -((s * alike).sum(dim=1) / alike.sum(dim=1)).mean(),
        "uniformity": s.masked_fill(itself, -torch.inf).logsumexp(dim=1).mean(),
    }


@in_full_precision
def moco(
    q: Float[Tensor, "b d"], k: Float[Tensor, "b d"], queue: Float[Tensor, "m d"], *, temperature: float = 0.2
) -> Terms:
    """MoCo, momentum contrast (He et al., 2020, eq. 1): a query picks out its key among keys of earlier images.

        alignment = -mean_i q_i k_i / temperature
        uniformity = mean_i log( exp(q_i k_i / temperature) + sum_j exp(q_i queue_j / temperature) )

    q, k and the queue are normalized first. k, the teacher's embedding of the other view, and the queue get no
    gradient. Raises ValueError for unequal shapes, embeddings that are not finite, or a temperature that is not
    positive.
    """
    at_least_one_image(len(q))
    must_be_positive("temperature", temperature, "0.1 to 0.5 are usual")
    q, k, queue = (F.normalize(z, dim=1) for z in (q, k.detach(), queue.detach()))
    q = q / temperature
    return _info_nce((q * k).sum(dim=1), (q @ queue.T).logsumexp(dim=1))


@in_full_precision
def nnclr(nn: Float[Tensor, "b d"], p: Float[Tensor, "b d"], *, temperature: float = 0.1) -> Terms:
    """NNCLR (Dwibedi et al., 2021): the nearest neighbor of one view picks out the prediction from the other view.

        alignment = -mean_i nn_i p_i / temperature,   uniformity = mean_i log sum_j exp(nn_i p_j / temperature)

    nn holds the neighbors of one view's embeddings among earlier images (see `joint.contrastive.Queue.nearest`) and
    gets no gradient. p is the predictor's output for the other view. Both are normalized first.
    Raises ValueError for fewer than two images, unequal shapes, embeddings that are not finite, or a temperature that
    is not positive.
    """
    several_images(len(nn))
    must_be_positive("temperature", temperature, "0.1 to 0.5 are usual")
    s = F.normalize(nn.detach(), dim=1) @ F.normalize(p, dim=1).T / temperature
    return {"alignment": -s.diagonal().mean(), "uniformity": s.logsumexp(dim=1).mean()}


def _anchors(
    za: Float[Tensor, "b d"], zb: Float[Tensor, "b d"], temperature: float
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """The 2b normalized embeddings, and the similarity of each one to the other view of its image."""
    must_be_positive("temperature", temperature, "0.1 to 0.5 are usual")
    za, zb = F.normalize(za, dim=1), F.normalize(zb, dim=1)
    return torch.cat([za, zb]), ((za * zb).sum(dim=1) / temperature).repeat(2)


def _info_nce(positive: Float[Tensor, " n"], negative: Float[Tensor, " n"]) -> Terms:
    return {"alignment": -positive.mean(), "uniformity": torch.logaddexp(positive, negative).mean()}


def _drawn_negatives(b: int, k: int, generator: torch.Generator | None) -> Bool[Tensor, "n n"]:
    """For each of the 2b anchors, draw k of the 2b - 2 embeddings of other images, without replacement."""
    if not 1 <= k <= 2 * b - 2:
        raise ValueError(f"negatives is {k}: {b} images give each anchor 1 to {2 * b - 2}; None takes them all.")
    if generator is None:
        raise ValueError("negatives are drawn at random: pass generator=rng(seed, step, 'negatives').")
    same_image = torch.eye(b, dtype=torch.bool).repeat(2, 2)
    scores = torch.rand(2 * b, 2 * b, generator=generator).masked_fill(same_image, -1.0)
    return torch.zeros_like(same_image).scatter(1, scores.topk(k, dim=1).indices, True)


def _all_negatives(z: Float[Tensor, "n d"], temperature: float, block: int | None) -> Float[Tensor, " n"]:
    """log sum_{j in N(i)} exp s_ij for each of the 2b anchors."""
    if block is None:
        same_image = torch.eye(len(z) // 2, dtype=torch.bool, device=z.device).repeat(2, 2)
        return (z @ (z / temperature).T).masked_fill_(same_image, -torch.inf).logsumexp(dim=1)
    if block < 1:
        raise ValueError(f"block is {block}: it must be at least 1 anchor; a few hundred are fast.")
    return _ByBlocks.apply(z, temperature, block)


class _ByBlocks(torch.autograd.Function):
    """The same for `block` anchors at a time; backward recomputes their similarities.

    With n_i = log sum_{j in N(i)} exp s_ij and g_i the gradient of the loss by n_i, the gradient by z_i is

        sum_j w_ij z_j / temperature,   w_ij = g_i exp(s_ij - n_i) + g_j exp(s_ij - n_j)

    The second term comes from z_i as a negative of j. Since s is symmetric, one row of it gives both terms.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float, block: int) -> Tensor:
        rows = z.split(block)
        negative = torch.cat([_ByBlocks.similarities(i * block, r, z, temperature).logsumexp(dim=1)
                              for i, r in enumerate(rows)])  # fmt: skip
        ctx.save_for_backward(z, negative)
        ctx.temperature, ctx.block = temperature, block
        return negative

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        z, negative = ctx.saved_tensors
        gradient = []
        for i, rows in enumerate(z.split(ctx.block)):
            start, stop = i * ctx.block, i * ctx.block + len(rows)
            s = _ByBlocks.similarities(start, rows, z, ctx.temperature)
            w = (s - negative[start:stop, None]).exp_().mul_(g[start:stop, None])
            w.add_(s.sub_(negative).exp_().mul_(g))
            gradient.append(w @ z / ctx.temperature)
        return torch.cat(gradient), None, None

    @staticmethod
    def similarities(start: int, rows: Tensor, z: Tensor, temperature: float) -> Tensor:
        """Similarities of the anchors from `start` on to all embeddings, -inf for both views of their own image."""
        s = (rows / temperature) @ z.T
        row = torch.arange(len(rows), device=z.device)
        for own in (row + start, (row + start + len(z) // 2) % len(z)):
            s[row, own] = -torch.inf
        return s
