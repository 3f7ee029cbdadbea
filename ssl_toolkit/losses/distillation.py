"""Losses whose target gets no gradient: a student predicts the teacher's, or its own, output for the other view."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.losses.checks import Terms, at_least_one_image, in_full_precision, must_be_positive


@in_full_precision
def byol(p: Float[Tensor, "b d"], z: Float[Tensor, "b d"]) -> Terms:
    """BYOL (Grill et al., 2020, eq. 2): mean of 2 - 2 cos(p, z); z comes from the teacher and gets no gradient.

    `p` is the student's prediction from one view, `z` the teacher's embedding of the other.
    Raises ValueError for unequal shapes, or embeddings that are not finite.
    """
    at_least_one_image(len(p))
    return {"prediction": (2 - 2 * F.cosine_similarity(p, z.detach(), dim=1)).mean()}


@in_full_precision
def simsiam(p: Float[Tensor, "b d"], z: Float[Tensor, "b d"]) -> Terms:
    """SimSiam (Chen and He, 2021): mean of -cos(p, z); z comes from the same network and gets no gradient.

    Sign and offset follow the paper: -1 is perfect agreement, also reached by collapse. `byol` is 2 + 2 times this.
    Raises ValueError for unequal shapes, or embeddings that are not finite.
    """
    at_least_one_image(len(p))
    return {"prediction": -F.cosine_similarity(p, z.detach(), dim=1).mean()}


@in_full_precision
def dino(
    student: Float[Tensor, "v b k"],
    teacher: Float[Tensor, "u b k"],
    center: Float[Tensor, " k"],
    *,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Terms:
    """DINO (Caron et al., 2021): cross-entropy of the student's classes with the teacher's, over views i != j.

        q_i = softmax((teacher_i - center) / teacher_temperature),   p_j = softmax(student_j / student_temperature)
        entropy = mean_i H(q_i),   divergence = mean_{i != j} KL(q_i | p_j)

    Their sum is the paper's loss. Separately they show both kinds of collapse: the entropy goes to log k or to 0, and
    nothing is left to learn. View i is the same for both, but the student may see more views. q gets no gradient;
    `center` is a running mean of the teacher's logits (`joint.clustering.Center`).
    Raises ValueError for unequal shapes, scores that are not finite, fewer than two student views, more teacher than
    student views, and temperatures that are not positive.
    """
    must_be_positive("student_temperature", student_temperature, "0.1 is usual")
    must_be_positive("teacher_temperature", teacher_temperature, "0.04 to 0.07 are usual")
    if not 1 <= len(teacher) <= len(student) or len(student) < 2:
        raise ValueError(
            f"student has {len(student)} view(s) and teacher {len(teacher)}: the student needs at least 2, and all of "
            "the teacher's."
        )
    at_least_one_image(student.shape[1])
    q = F.softmax((teacher.detach() - center) / teacher_temperature, dim=2)
    return _cross_entropy(q, F.log_softmax(student / student_temperature, dim=2))


@in_full_precision
def swav(scores: Float[Tensor, "v b k"], *, temperature: float = 0.1, eps: float = 0.05, iterations: int = 3) -> Terms:
    """SwAV (Caron et al., 2020): each view predicts the codes of the others, over views i != j.

        q_i = sinkhorn(scores_i),   p_j = softmax(scores_j / temperature)
        entropy = mean_i H(q_i),   divergence = mean_{i != j} KL(q_i | p_j)

    Their sum is the paper's loss. Scores are cosines between embeddings and `joint.clustering.Prototypes`. Codes get no
    gradient. Within the batch they use all prototypes equally, which prevents collapse.
    Raises ValueError for fewer than two views, scores that are not finite, or a `temperature` or `eps` not positive.
    """
    must_be_positive("temperature", temperature, "0.1 is usual")
    if len(scores) < 2:
        raise ValueError(f"scores has {len(scores)} view(s): each predicts the others, so it takes at least 2.")
    at_least_one_image(scores.shape[1])
    q = torch.stack([sinkhorn(view, eps=eps, iterations=iterations) for view in scores.detach()])
    return _cross_entropy(q, F.log_softmax(scores / temperature, dim=2))


@in_full_precision
@torch.no_grad()
def sinkhorn(scores: Float[Tensor, "b k"], *, eps: float = 0.05, iterations: int = 3) -> Float[Tensor, "b k"]:
    """Codes of b images over k prototypes: exp(scores / eps), with rows and columns scaled in turn (Cuturi, 2013).

    Each row is an image and sums to 1. Each column sums to b / k, more closely with more `iterations`. In the limit
    this maximizes mean score + eps * entropy over all assignments that use the prototypes equally. It works in
    logarithms, so no eps overflows. Raises ValueError for an `eps` that is not positive or `iterations` below 1.
    """
    must_be_positive("eps", eps, "0.03 to 0.1 are usual for scores that are cosines")
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}: it must be at least 1; 3 are usual.")
    log_q = scores / eps
    for _ in range(iterations):
        log_q = log_q.log_softmax(dim=0)
        log_q = log_q.log_softmax(dim=1)
    return log_q.exp()


def _cross_entropy(q: Float[Tensor, "u b k"], log_p: Float[Tensor, "v b k"]) -> Terms:
    """H(q_i) and KL(q_i | p_j), averaged over images and i != j; view i of q is view i of p."""
    u, v, b = len(q), len(log_p), q.shape[1]
    cross = -(q.flatten(1) @ log_p.flatten(1).T) / b  # (u, v): H(q_i, p_j)
    entropy = torch.special.entr(q).sum(dim=2).mean()
    return {"entropy": entropy, "divergence": (cross.sum() - cross.diagonal().sum()) / (u * (v - 1)) - entropy}
