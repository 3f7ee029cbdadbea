"""Objectives of joint-embedding self-supervised learning: what one training step minimises.

An objective maps (state, batch, generator) to the named terms of a loss. It draws two views of each image, so that
whatever `augment` changes is what the encoder learns to ignore. Of several processes each has a part of the batch and
the same generator: a draw is one for the whole batch, of which `part=place()` is taken, and a loss that compares images
with each other gets the gathered embeddings of all. What is a mean over images needs no gathering.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_toolkit.augment import Augment
from ssl_toolkit.data import Batch
from ssl_toolkit.losses import Terms
from ssl_toolkit.processes import gather, place
from ssl_toolkit.train import Objective, TrainState


def joint_embedding(loss: Callable[..., Terms], augment: Augment, *, stochastic: bool = False) -> Objective:
    """loss(za, zb) of the embeddings of two views of each image: SimCLR, VICReg, Barlow Twins by their loss.

    Both views go through the encoder as one batch, so BatchNorm's statistics are of both. Set `stochastic` for a loss
    that draws, as `partial(nt_xent, negatives=1)` does: it is then called with `generator=`.

    >>> objective = joint_embedding(partial(nt_xent, temperature=0.2), simclr_views(28))
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        za, zb = (gather(z) for z in state.model(_two_views(augment, batch, generator)).float().chunk(2))
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
        logits = state.model(augment(batch.images, generator, part=place()).x).float()
        if (largest := int(batch.labels.max())) >= logits.shape[1]:
            raise ValueError(
                f"the embedding has {logits.shape[1]} dimensions and a label is {largest}: "
                f"supervised training needs projector=(..., {largest + 1}) or wider."
            )
        return {"cross entropy": F.cross_entropy(logits, batch.labels)}

    return objective


def _two_views(augment: Augment, batch: Batch, generator: torch.Generator) -> Tensor:
    a, b = (augment(batch.images, generator, part=place()).x for _ in range(2))
    return torch.cat([a, b]).contiguous(memory_format=torch.channels_last)


def _full_precision(z: Tensor) -> torch.autocast:
    """Losses are not cast: products of embeddings in bfloat16 would have eight bits for what they compare."""
    return torch.autocast(z.device.type, enabled=False)
