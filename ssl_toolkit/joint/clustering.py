"""Objectives that assign images to prototypes: all views of an image should get the same ones (DINO, SwAV)."""

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
    """k learned directions c_j: scores each embedding of `dim` dimensions by cos(z, c_j).

    Only the direction of a prototype matters, as in DINO's weight-normalized last layer. SwAV normalizes the weights
    in place at each step, which gives the same scores.
    """

    def __init__(self, dim: int, k: int, *, seed: int = 0):
        super().__init__()
        if dim < 1 or k < 2:
            raise ValueError(f"dim is {dim} and k is {k}: dim must be at least 1 and k at least 2.")
        with seeded(seed, "prototypes"):
            self.linear = nn.Linear(dim, k, bias=False)

    def forward(self, z: Float[Tensor, "*n dim"]) -> Float[Tensor, "*n k"]:
        return F.linear(F.normalize(z, dim=-1), F.normalize(self.linear.weight, dim=1))


class Center(nn.Module):
    """DINO's center (Caron et al., 2021): the moving average of the teacher's mean scores. It starts at 0."""

    value: Tensor

    def __init__(self, k: int, *, momentum: float = 0.9):
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}: it must lie in [0, 1); 0.9 is usual.")
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(k))

    @torch.no_grad()
    def update(self, scores: Float[Tensor, "*n k"]) -> None:
        """value <- momentum * value + (1 - momentum) * the mean of the scores."""
        self.value.lerp_(scores.flatten(0, -2).mean(dim=0), 1 - self.momentum)


def self_distillation(
    augment: Augment, *, views: int = 2, student_temperature: float = 0.1, teacher_temperature: float = 0.04
) -> Objective:
    """`dino`: from each of `views` views, the student predicts the prototypes that the teacher gives the first two.

    The teacher is `state.ema`, with its own prototypes and center. The center is updated after the loss, in the same
    step. If they are missing, a ValueError says what to assign before `start`.
    """
    at_least_two(views)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        center = getattr(state.ema, "center", None)
        if state.ema is None or center is None:
            raise ValueError("no teacher with a center: set encoder.center = Center(300) and start(encoder, ema=0.99).")
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
    """`swav`: the model predicts, from each view, the prototypes assigned to another view of the same image.

    Each batch is spread equally over all prototypes, so it should hold more images than there are prototypes. SwAV's
    queue of earlier scores is left out. Without prototypes, a ValueError says what to assign before `start`.
    """
    at_least_two(views)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        scores = all_gather_views(_scores(state.model, views_of(augment, batch, generator, views), views))
        with full_precision(scores):
            return swav(scores, temperature=temperature, eps=eps, iterations=iterations)

    return objective


def _scores(model: nn.Module, x: Tensor, views: int) -> Float[Tensor, "v b k"]:
    """Cosines of the embeddings with the model's prototypes, in full precision."""
    prototypes = getattr(model, "prototypes", None)
    if prototypes is None:
        raise ValueError(
            "the model has no prototypes: set encoder.prototypes = Prototypes(128, 300) before start(encoder)."
        )
    z = model(x).float()
    with full_precision(z):
        return prototypes(z).unflatten(0, (views, -1))
