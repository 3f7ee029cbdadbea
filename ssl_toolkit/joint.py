"""Objectives of joint-embedding self-supervised learning: what one training step minimises.

An objective maps (state, batch, generator) to the named terms of a loss. It draws two views of each image, so that
whatever `augment` changes is what the encoder learns to ignore.
"""

import math
from collections.abc import Callable
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.augment import Augment
from ssl_toolkit.data import Batch
from ssl_toolkit.losses import Terms, moco, nnclr, patch_negative
from ssl_toolkit.memory import Queue
from ssl_toolkit.ops import resized_crop
from ssl_toolkit.train import Objective, TrainState


def joint_embedding(
    loss: Callable[..., Terms], augment: Augment, *, views: int = 2, stochastic: bool = False
) -> Objective:
    """loss(za, zb) of the embeddings of two views of each image: SimCLR, VICReg, Barlow Twins by their loss.

    All views go through the encoder as one batch, so BatchNorm's statistics are of all. With more than two, each term
    is its mean over the pairs of views. Set `stochastic` for a loss that draws, as `partial(nt_xent, negatives=1)`
    does: it is then called with `generator=`.

    >>> objective = joint_embedding(partial(nt_xent, temperature=0.2), simclr_views(28))
    """

    def over_pairs(z: Float[Tensor, "v b d"], generator: torch.Generator | None = None) -> Terms:
        pairs = [loss(*pair, generator=generator) if stochastic else loss(*pair) for pair in combinations(z, 2)]
        return {name: torch.stack([terms[name] for terms in pairs]).mean() for name in pairs[0]}

    return multi_view(over_pairs, augment, views=views, stochastic=stochastic)


def multi_view(
    loss: Callable[..., Terms], augment: Augment, *, views: int = 2, labels: bool = False, stochastic: bool = False
) -> Objective:
    """loss(z) of the embeddings of all views at once, z of shape (views, b, d).

    Set `labels` for a loss that knows them, called as loss(z, labels), and `stochastic` for one that draws, called with
    `generator=` too. Raises ValueError for fewer than two views.

    >>> objective = multi_view(supcon, simclr_views(28), views=4, labels=True)
    """
    if views < 2:
        raise ValueError(f"views is {views}: an image needs at least 2, to have something to agree on.")

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        z = state.model(_views(augment, batch, generator, views)).float().unflatten(0, (views, -1))
        given = (z, batch.labels) if labels else (z,)
        with _full_precision(z):
            return loss(*given, generator=generator) if stochastic else loss(*given)

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


def momentum_contrast(augment: Augment, *, temperature: float = 0.2) -> Objective:
    """MoCo (He et al., 2020): a view's embedding finds the teacher's of the other view among earlier ones, `moco`.

    The state needs an `ema`, the model a `queue` as wide as its embedding; without them a ValueError says so.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        queue = _queue(state)
        if state.ema is None:
            raise ValueError("the keys of momentum contrast are a teacher's: start(model, ema=0.99) makes one.")
        xa, xb = _two_views(augment, batch, generator).chunk(2)
        q = state.model(xa).float()
        with torch.no_grad():
            k = state.ema(xb).float()
        with _full_precision(q):
            terms = moco(q, k, queue.z, temperature=temperature)
        queue.push(k)  # in place: the loss holds a normalised copy
        return terms

    return objective


def nearest_neighbour(augment: Augment, *, temperature: float = 0.1) -> Objective:
    """NNCLR (Dwibedi et al., 2021): the mean of `nnclr` both ways between a view's neighbour in `queue` and the other.

    The model needs a predictor, and a `queue` as wide as its embedding; without them a ValueError says so.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        queue, predictor = _queue(state), getattr(state.model, "predictor", None)
        if predictor is None:
            raise ValueError("a neighbour is compared with a prediction: the encoder needs predictor=(256, 128).")
        z = state.model(_two_views(augment, batch, generator))
        pa, pb = predictor(z).float().chunk(2)
        with _full_precision(z):
            na, nb = queue.nearest(z).chunk(2)
            there, back = nnclr(na, pb, temperature=temperature), nnclr(nb, pa, temperature=temperature)
        queue.push(z[: len(pa)])
        return {name: (there[name] + back[name]) / 2 for name in there}

    return objective


def against_a_patch(augment: Augment, patch: Float[Tensor, "1 c h w"], *, temperature: float = 0.2) -> Objective:
    """Two views attract each other and one patch, the same for all images and steps, repels them: `patch_negative`.

    The patch, a crop of any image and size, is resized to that of the views and embedded with them in each step.

    >>> objective = against_a_patch(simclr_views(28), as_float(data.images[:1, :, 4:14, 4:14]))
    """
    if patch.ndim != 4 or len(patch) != 1:
        raise ValueError(f"patch has shape {tuple(patch.shape)}: it must be one crop of one image, (1, c, h, w).")
    whole = torch.tensor([[0, 0, *patch.shape[2:]]])

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        x = _two_views(augment, batch, generator)
        n = resized_crop(patch.to(x.device), whole.to(x.device), (x.shape[2], x.shape[3]))
        z = state.model(_together(x, n)).float()
        za, zb, zn = z.split([len(batch.images), len(batch.images), 1])
        with _full_precision(z):
            return patch_negative(za, zb, zn, temperature=temperature)

    return objective


def against_own_patch(augment: Augment, *, smallest: float = 0.25, temperature: float = 0.2) -> Objective:
    """Two views attract each other and a patch of the same image, beside the first view's crop, repels both.

    The patch is a square that fills the widest margin the crop leaves, anywhere along it, at least `smallest` of the
    image's shorter side wide: a larger crop is overlapped by what is missing. It is resized to the size of the views
    and not changed otherwise. `augment` must begin with a `random_resized_crop`; without one a ValueError says so.
    """
    if not 0 < smallest <= 1:
        raise ValueError(f"smallest is {smallest}: a share of the image's side lies in (0, 1].")

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        a = augment(batch.images, generator)
        if "crop.box" not in a.params or augment.ops[0].name != "crop":
            raise ValueError("a patch beside the crop needs views that begin with random_resized_crop(size).")
        b = augment(batch.images, generator)
        h, w = batch.images.shape[2:]
        patch = _beside(a.params["crop.box"], (h, w), smallest, generator)
        n = resized_crop(batch.images, patch, (a.x.shape[2], a.x.shape[3]))
        z = state.model(_together(a.x, b.x, n)).float()
        with _full_precision(z):
            za, zb, zn = z.chunk(3)
            return patch_negative(za, zb, zn, temperature=temperature)

    return objective


def _beside(
    box: Float[Tensor, "b 4"], shape: tuple[int, int], smallest: float, generator: torch.Generator
) -> Float[Tensor, "b 4"]:
    """For each box (top, left, height, width) a square in the widest margin between it and the edge of the image."""
    h, w = shape
    top, left, height, width = box.unbind(1)
    margin, edge = torch.stack([top, h - top - height, left, w - left - width], dim=1).max(dim=1)
    side = margin.clamp(math.ceil(smallest * min(h, w)), min(h, w))
    rows = edge < 2  # the margin is above or below: rows of the whole image
    along = torch.rand(len(box), generator=generator).to(box.device)
    along = (along * (torch.where(rows, w, h) - side + 1)).floor()
    across = torch.where(edge % 2 == 0, 0, torch.where(rows, h, w) - side)
    return torch.stack([torch.where(rows, across, along), torch.where(rows, along, across), side, side], dim=1)


def _queue(state: TrainState) -> Queue:
    queue = getattr(state.model, "queue", None)
    if not isinstance(queue, Queue):
        raise ValueError("the model has no memory of earlier images: set model.queue = Queue(4096, 128) before start.")
    return queue


def _two_views(augment: Augment, batch: Batch, generator: torch.Generator) -> Tensor:
    return _views(augment, batch, generator, 2)


def _views(augment: Augment, batch: Batch, generator: torch.Generator, n: int) -> Tensor:
    return _together(*(augment(batch.images, generator).x for _ in range(n)))


def _together(*x: Tensor) -> Tensor:
    return torch.cat(x).contiguous(memory_format=torch.channels_last)


def _full_precision(z: Tensor) -> torch.autocast:
    """Losses are not cast: products of embeddings in bfloat16 would have eight bits for what they compare."""
    return torch.autocast(z.device.type, enabled=False)
