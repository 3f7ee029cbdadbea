"""Objectives of joint-embedding self-supervised learning: what one training step minimises.

An objective maps (state, batch, generator) to the named terms of a loss. It draws two views of each image, so that
whatever `augment` changes is what the encoder learns to ignore.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.augment import Augment
from ssl_toolkit.data import Batch
from ssl_toolkit.losses import Terms, dino, simsiam, swav
from ssl_toolkit.train import Objective, TrainState


def joint_embedding(loss: Callable[..., Terms], augment: Augment, *, stochastic: bool = False) -> Objective:
    """loss(za, zb) of the embeddings of two views of each image: SimCLR, VICReg, Barlow Twins by their loss.

    Both views go through the encoder as one batch, so BatchNorm's statistics are of both. Set `stochastic` for a loss
    that draws, as `partial(nt_xent, negatives=1)` does: it is then called with `generator=`.

    >>> objective = joint_embedding(partial(nt_xent, temperature=0.2), simclr_views(28))
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        za, zb = state.model(_two_views(augment, batch, generator)).float().chunk(2)
        with _full_precision(za):
            return loss(za, zb, generator=generator) if stochastic else loss(za, zb)

    return objective


def teacher_student(loss: Callable[..., Terms], augment: Augment) -> Objective:
    """loss(p, z), both ways: the student predicts from each view what the teacher `state.ema` sees in the other (BYOL).

    The model needs a predictor and the state an `ema`; without them a ValueError says so.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        predictor = getattr(state.model, "predictor", None)
        if state.ema is None or predictor is None:
            raise ValueError("a teacher needs start(model, ema=0.99) and an encoder with predictor=(256, 128).")
        x = _two_views(augment, batch, generator)
        pa, pb = predictor(state.model(x)).float().chunk(2)
        with torch.no_grad():
            za, zb = state.ema(x).float().chunk(2)
        with _full_precision(pa):
            there, back = loss(pa, zb), loss(pb, za)
        return {name: there[name] + back[name] for name in there}

    return objective


def supervised(augment: Augment) -> Objective:
    """Cross-entropy of the labels, the embedding's dimensions read as logits: the same loop with the answer given.

    The projector must end in at least as many dimensions as there are classes, else a ValueError says so.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        logits = state.model(augment(batch.images, generator).x).float()
        if (largest := int(batch.labels.max())) >= logits.shape[1]:
            raise ValueError(
                f"the embedding has {logits.shape[1]} dimensions and a label is {largest}: "
                f"supervised training needs projector=(..., {largest + 1}) or wider."
            )
        return {"cross entropy": F.cross_entropy(logits, batch.labels)}

    return objective


def siamese(augment: Augment) -> Objective:
    """-cos(p, z) both ways, halved: a single network predicts from each view its own embedding of the other (SimSiam).

    No teacher: the stop-gradient on z, and a predictor that keeps up with it, are what prevents collapse. Without a
    predictor, best one with a bottleneck, a ValueError says so.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        predictor = getattr(state.model, "predictor", None)
        if predictor is None:
            raise ValueError("siamese needs an encoder with a predictor, best a bottleneck: predictor=(64, 128).")
        z = state.model(_two_views(augment, batch, generator))
        pa, pb = predictor(z).float().chunk(2)
        za, zb = z.float().chunk(2)
        with _full_precision(z):
            there, back = simsiam(pa, zb), simsiam(pb, za)
        return {name: (there[name] + back[name]) / 2 for name in there}

    return objective


def self_distillation(
    augment: Augment, *, views: int = 2, student_temperature: float = 0.1, teacher_temperature: float = 0.04
) -> Objective:
    """`dino`: the student sorts each of `views` views into prototypes as the teacher sorts the first two.

    The teacher is `state.ema` with its own prototypes and its centre, which moves within the step, after the loss.
    Without these a ValueError says what to assign before `start`.
    """
    _at_least_two(views)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        center = getattr(state.ema, "center", None)
        if state.ema is None or center is None:
            raise ValueError("a teacher that sorts needs encoder.center = Center(300) before start(encoder, ema=0.99).")
        x = _views(augment, batch, generator, views)
        student = _scores(state.model, x, views)
        with torch.no_grad():
            teacher = _scores(state.ema, x[: 2 * len(batch.images)], 2)
        with _full_precision(student):
            terms = dino(
                student,
                teacher,
                center.value,
                student_temperature=student_temperature,
                teacher_temperature=teacher_temperature,
            )
            center.update(teacher)
        return terms

    return objective


def swapped_prediction(
    augment: Augment, *, views: int = 2, temperature: float = 0.1, eps: float = 0.05, iterations: int = 3
) -> Objective:
    """`swav`: the model predicts from each view into which prototypes another view of the image was sorted.

    The batch is sorted into all prototypes equally, so it should hold more images than there are prototypes; SwAV's
    queue of earlier scores is left out. Without prototypes a ValueError says what to assign before `start`.
    """
    _at_least_two(views)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        scores = _scores(state.model, _views(augment, batch, generator, views), views)
        with _full_precision(scores):
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
    with _full_precision(z):
        return prototypes(z).unflatten(0, (views, -1))


def _at_least_two(views: int) -> None:
    if views < 2:
        raise ValueError(f"views is {views}: one view is predicted from another, so it must be at least 2.")


def _views(augment: Augment, batch: Batch, generator: torch.Generator, views: int) -> Tensor:
    x = torch.cat([augment(batch.images, generator).x for _ in range(views)])
    return x.contiguous(memory_format=torch.channels_last)


def _two_views(augment: Augment, batch: Batch, generator: torch.Generator) -> Tensor:
    return _views(augment, batch, generator, 2)


def _full_precision(z: Tensor) -> torch.autocast:
    """Losses are not cast: products of embeddings in bfloat16 would have eight bits for what they compare."""
    return torch.autocast(z.device.type, enabled=False)
