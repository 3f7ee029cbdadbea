"""Objectives that sort images into prototypes: the views of an image belong to the same (DINO, SwAV)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.augment import Augment
from ssl_toolkit.data import Batch, seeded
from ssl_toolkit.joint.objectives import all_gather_views, at_least_two, full_precision, views_of
from ssl_toolkit.losses import Terms, dino, swav
from ssl_toolkit.training import Objective, TrainState


class Prototypes(nn.Module):
    """k directions to be compared with: cos(z, c_j) for embeddings of `dim` dimensions.

    Only the direction of a prototype matters, as in DINO's last layer, which is weight-normalized. SwAV normalizes the
    weights themselves, in place and in each step, which gives the same scores.
    """

    def __init__(self, dim: int, k: int, *, seed: int = 0):
        super().__init__()
        if dim < 1 or k < 2:
            raise ValueError(f"dim is {dim} and k is {k}: an embedding has 1 dimension or more, a choice 2 prototypes.")
        with seeded(seed, "prototypes"):
            self.linear = nn.Linear(dim, k, bias=False)

    def forward(self, z: Float[Tensor, "*n dim"]) -> Float[Tensor, "*n k"]:
        return F.linear(F.normalize(z, dim=-1), F.normalize(self.linear.weight, dim=1))


class Center(nn.Module):
    """DINO's center (Caron et al., 2021): the moving average of the teacher's mean scores, at first 0."""

    value: Tensor

    def __init__(self, k: int, *, momentum: float = 0.9):
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}: it lies in [0, 1); 0.9 is usual.")
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(k))

    @torch.no_grad()
    def update(self, scores: Float[Tensor, "*n k"]) -> None:
        """value <- momentum * value + (1 - momentum) * the mean of the scores."""
        self.value.lerp_(scores.flatten(0, -2).mean(dim=0), 1 - self.momentum)


def self_distillation(
    augment: Augment, *, views: int = 2, student_temperature: float = 0.1, teacher_temperature: float = 0.04
) -> Objective:
    """`dino`: the student sorts each of `views` views into prototypes as the teacher sorts the first two.

    The teacher is `state.ema` with its own prototypes and its center, which moves within the step, after the loss.
    Without these a ValueError says what to assign before `start`.
    """
    at_least_two(views)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        center = getattr(state.ema, "center", None)
        if state.ema is None or center is None:
            raise ValueError("a teacher that sorts needs encoder.center = Center(300) before start(encoder, ema=0.99).")
        x = views_of(augment, batch, generator, views)
        student = _scores(state.model, x, views)
        with torch.no_grad():
            teacher = _scores(state.ema, x[: 2 * len(batch.labels)], 2)
        with full_precision(student):
            terms = dino(
                student,
                teacher,
                center.value,
                student_temperature=student_temperature,
                teacher_temperature=teacher_temperature,
            )
            center.update(all_gather_views(teacher))
        return terms

    return objective


def swapped_prediction(
    augment: Augment, *, views: int = 2, temperature: float = 0.1, eps: float = 0.05, iterations: int = 3
) -> Objective:
    """`swav`: the model predicts from each view into which prototypes another view of the image was sorted.

    The batch is sorted into all prototypes equally, so it should hold more images than there are prototypes; SwAV's
    queue of earlier scores is left out. Without prototypes a ValueError says what to assign before `start`.
    """
    at_least_two(views)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        scores = all_gather_views(_scores(state.model, views_of(augment, batch, generator, views), views))
        with full_precision(scores):
            return swav(scores, temperature=temperature, eps=eps, iterations=iterations)

    return objective


def _scores(model: nn.Module, x: Tensor, views: int) -> Float[Tensor, "v b k"]:
    """Cosines of the embeddings with the model's prototypes, not cast."""
    prototypes = getattr(model, "prototypes", None)
    if prototypes is None:
        raise ValueError(
            "the model has no prototypes: encoder.prototypes = Prototypes(128, 300) before start(encoder)."
        )
    z = model(x).float()
    with full_precision(z):
        return prototypes(z).unflatten(0, (views, -1))
