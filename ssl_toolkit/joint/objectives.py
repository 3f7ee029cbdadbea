"""Objectives of joint-embedding self-supervised learning: what one training step minimizes.

An objective maps (state, batch, generator) to the named terms of a loss. It draws two or more views of each image, so
the encoder learns to ignore whatever `augment` changes. Objectives with a queue of earlier images or with a patch are
in `contrastive`; those that assign images to prototypes are in `clustering`.

With several processes, each holds a part of the batch, and all share one generator: each draws for the whole batch and
keeps its own `part=`. A loss that compares images gets the gathered embeddings of all processes. A plain mean over
images needs no gathering.
"""

from collections.abc import Callable
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ssl_toolkit.augment import Augment
from ssl_toolkit.data import Batch
from ssl_toolkit.losses import Terms, simsiam
from ssl_toolkit.training import Objective, TrainState
from ssl_toolkit.training.distributed import all_gather, rank_and_world_size


def joint_embedding(
    loss: Callable[..., Terms], augment: Augment, *, views: int = 2, stochastic: bool = False
) -> Objective:
    """loss(za, zb) on the embeddings of two views of each image: the loss makes it SimCLR, VICReg or Barlow Twins.

    All views go through the encoder as one batch, so BatchNorm's statistics cover all of them. With more than two
    views, each term is the mean over pairs of views. Set `stochastic` for a loss that uses randomness, such as
    `partial(nt_xent, negatives=1)`: it is then called with `generator=`.

    >>> from functools import partial
    >>> loss = partial(stk.losses.nt_xent, temperature=0.1)
    >>> objective = stk.joint_embedding(loss, stk.simclr_views(28))
    >>> data, state = stk.load_data("digits", size=28), stk.start(stk.small_conv(1))
    >>> list(objective(state, stk.data.batch(data, 0, batch_size=8), stk.rng(0)))
    ['alignment', 'uniformity']
    """

    def over_pairs(z: Float[Tensor, "v b d"], generator: torch.Generator | None = None) -> Terms:
        pairs = [loss(*pair, generator=generator) if stochastic else loss(*pair) for pair in combinations(z, 2)]
        return {name: torch.stack([terms[name] for terms in pairs]).mean() for name in pairs[0]}

    return multi_view(over_pairs, augment, views=views, stochastic=stochastic)


def multi_view(
    loss: Callable[..., Terms], augment: Augment, *, views: int = 2, labels: bool = False, stochastic: bool = False
) -> Objective:
    """loss(z) on the embeddings of all views at once, z of shape (views, b, d).

    Set `labels` for a loss that uses them: it is called as loss(z, labels). Set `stochastic` for one that uses
    randomness: it is called with `generator=` too. Raises ValueError for fewer than two views.

    >>> objective = stk.joint.multi_view(stk.losses.supcon, stk.simclr_views(28), views=4, labels=True)
    """
    at_least_two(views)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        z = all_gather_views(state.model(views_of(augment, batch, generator, views)).float().unflatten(0, (views, -1)))
        given = (z, _each_its_own(all_gather(batch.labels))) if labels else (z,)
        with full_precision(z):
            return loss(*given, generator=generator) if stochastic else loss(*given)

    return objective


def teacher_student(loss: Callable[..., Terms], augment: Augment) -> Objective:
    """loss(p, z), both ways: the student predicts from each view the embedding that the teacher `state.ema` gives the
    other (BYOL).

    The model needs a predictor and the state an `ema`. A ValueError says if one is missing.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        predictor = predictor_of(state.model)
        if state.ema is None:
            raise ValueError("the state has no teacher: start(model, ema=0.99) makes one.")
        x = views_of(augment, batch, generator)
        pa, pb = predictor(state.model(x)).float().chunk(2)
        with torch.no_grad():
            za, zb = state.ema(x).float().chunk(2)
        with full_precision(pa):
            there, back = loss(pa, zb), loss(pb, za)
        return {name: there[name] + back[name] for name in there}

    return objective


def siamese(augment: Augment) -> Objective:
    """-cos(p, z), averaged over both ways: one network predicts from each view its embedding of the other (SimSiam).

    There is no teacher: the stop-gradient on z, and a predictor that keeps up, prevent collapse. Raises ValueError if
    the model has no predictor.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        predictor = predictor_of(state.model)
        z = state.model(views_of(augment, batch, generator))
        pa, pb = predictor(z).float().chunk(2)
        za, zb = z.float().chunk(2)
        with full_precision(z):
            there, back = simsiam(pa, zb), simsiam(pb, za)
        return {name: (there[name] + back[name]) / 2 for name in there}

    return objective


def supervised(augment: Augment) -> Objective:
    """Cross-entropy with the labels, taking the embedding as logits: supervised training in the same loop.

    Raises ValueError if the projector has fewer outputs than there are classes, and for negative labels.

    >>> data, objective = stk.load_data("digits", size=28), stk.supervised(stk.simclr_views(28))
    >>> state = stk.start(stk.small_conv(1, projector=(10,)))
    >>> list(objective(state, stk.data.batch(data, 0, batch_size=8), stk.rng(0)))
    ['cross entropy']
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        logits = state.model(augment(batch.stored, generator, part=rank_and_world_size()).x).float()
        if (least := int(batch.labels.min())) < 0:
            raise ValueError(f"a label is {least}: labels start at 0; leave out unlabeled images.")
        if (largest := int(batch.labels.max())) >= logits.shape[1]:
            raise ValueError(
                f"the embedding has {logits.shape[1]} dimensions and a label is {largest}: "
                f"supervised training needs projector=(..., {largest + 1}) or wider."
            )
        return {"cross entropy": F.cross_entropy(logits, batch.labels)}

    return objective


def _each_its_own(labels: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """An image without a label is like no other: it gets a number that no other has."""
    return torch.where(labels < 0, -1 - torch.arange(len(labels), device=labels.device), labels)


def views_of(augment: Augment, batch: Batch, generator: torch.Generator, n: int = 2) -> Float[Tensor, "nb c h w"]:
    """n views of every image: all first views, then all second views, and so on."""
    return as_one_batch(*(augment(batch.stored, generator, part=rank_and_world_size()).x for _ in range(n)))


def as_one_batch(*x: Tensor) -> Tensor:
    """Concatenate to one batch, in the memory format that is fastest for convolutions."""
    return torch.cat(x).contiguous(memory_format=torch.channels_last)


def all_gather_views(z: Float[Tensor, "v b d"]) -> Float[Tensor, "v n d"]:
    """Gather the views from all processes."""
    return all_gather(z.transpose(0, 1)).transpose(0, 1)


def full_precision(z: Tensor) -> torch.autocast:
    """Turn autocast off for the loss: bfloat16 would leave only eight bits to compare embeddings."""
    return torch.autocast(z.device.type, enabled=False)


def predictor_of(model: nn.Module) -> nn.Module:
    """The encoder's predictor. Raises ValueError if it has none."""
    predictor = getattr(model, "predictor", None)
    if predictor is None:
        raise ValueError("the encoder has no predictor: make it with predictor=(256, 128).")
    return predictor


def at_least_two(views: int) -> None:
    """Check the number of views. Raises ValueError for fewer than two."""
    if views < 2:
        raise ValueError(f"views is {views}: there must be at least 2 for each image, since they are compared.")
