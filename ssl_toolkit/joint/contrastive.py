"""Contrastive objectives with negatives from outside the batch: a queue of earlier images, or a patch of an image."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.augment import Augment, resized_crop
from ssl_toolkit.data import Batch, rng
from ssl_toolkit.joint.objectives import as_one_batch, full_precision, predictor_of, views_of
from ssl_toolkit.losses import Terms, moco, nnclr, patch_negative
from ssl_toolkit.training import Objective, TrainState
from ssl_toolkit.training.distributed import all_gather, rank_and_world_size


class Queue(nn.Module):
    """A FIFO queue of the last `size` normalized embeddings (MoCo: He et al., 2020; NNCLR: Dwibedi et al., 2021).

    It starts with random directions. `train` copies a model's buffers at each step so that it can undo the step, so a
    queue costs one extra copy per step: 2 MB at 4096 x 128.
    """

    z: Tensor  # (size, dim)
    position: Tensor  # of the oldest embedding, which the next one replaces

    def __init__(self, size: int = 4096, dim: int = 128, *, seed: int = 0):
        super().__init__()
        if size < 1 or dim < 1:
            raise ValueError(f"size is {size} and dim is {dim}: both must be at least 1; 4096 and 128 are usual.")
        self.register_buffer("z", F.normalize(torch.randn(size, dim, generator=rng(seed, 0, "queue")), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, z: Float[Tensor, "b d"]) -> None:
        """Replace the oldest embeddings with z. If z has more than `size` rows, only the last `size` stay."""
        size = len(self.z)
        self._check(z)
        z = F.normalize(z.to(self.z.dtype), dim=1)[-size:]
        self.z[(self.position + torch.arange(len(z), device=z.device)) % size] = z
        self.position.add_(len(z)).remainder_(size)

    @torch.no_grad()
    def nearest(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """The embedding in the queue with the largest cosine to each z."""
        self._check(z)
        return self.z[(z.to(self.z.dtype) @ self.z.T).argmax(dim=1)]  # the length of z does not change the order

    def _check(self, z: Tensor) -> None:
        if z.ndim != 2 or z.shape[1] != self.z.shape[1]:
            raise ValueError(
                f"z has shape {tuple(z.shape)}: this queue of {len(self.z)} takes (b, {self.z.shape[1]}); "
                "make it with the dim of the embedding."
            )


def momentum_contrast(augment: Augment, *, temperature: float = 0.2) -> Objective:
    """MoCo (He et al., 2020): pick out the teacher's embedding of the other view among those in the queue, by `moco`.

    The state needs an `ema` and the model a `queue` as wide as its embedding. A ValueError says if one is missing.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        queue = _queue(state)
        if state.ema is None:
            raise ValueError("momentum contrast needs a teacher: start(model, ema=0.99) makes one.")
        xa, xb = views_of(augment, batch, generator).chunk(2)
        q = state.model(xa).float()
        with torch.no_grad():
            k = state.ema(xb).float()
        with full_precision(q):
            terms = moco(q, k, queue.z, temperature=temperature)
        queue.push(all_gather(k))  # in place: the loss holds a normalized copy
        return terms

    return objective


def nearest_neighbor(augment: Augment, *, temperature: float = 0.1) -> Objective:
    """NNCLR (Dwibedi et al., 2021): predict one view's nearest neighbor in the queue from the other view, both ways.

    The loss is the mean of the two `nnclr` terms. The model needs a predictor and a `queue` as wide as its embedding.
    A ValueError says if one is missing.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        queue, predictor = _queue(state), predictor_of(state.model)
        z = state.model(views_of(augment, batch, generator))
        pa, pb = (all_gather(p) for p in predictor(z).float().chunk(2))
        with full_precision(z):
            na, nb = (all_gather(n) for n in queue.nearest(z).chunk(2))
            there, back = nnclr(na, pb, temperature=temperature), nnclr(nb, pa, temperature=temperature)
        queue.push(all_gather(z.chunk(2)[0]))
        return {name: (there[name] + back[name]) / 2 for name in there}

    return objective


def against_a_patch(augment: Augment, patch: Float[Tensor, "1 c h w"], *, temperature: float = 0.2) -> Objective:
    """Two views attract each other, and one patch, the same for all images and steps, repels them: `patch_negative`.

    The patch is a crop of any image, of any size. Each step resizes it to the size of the views and embeds it with
    them. The loss is smallest when all images share one point opposite the patch: nothing in it keeps images apart.

    >>> patch = stk.load_data("digits", size=28).images[:1, :, 4:14, 4:14] / 255
    >>> objective = stk.joint.against_a_patch(stk.simclr_views(28), patch)
    """
    if patch.ndim != 4 or len(patch) != 1:
        raise ValueError(f"patch has shape {tuple(patch.shape)}: it must be one crop of one image, (1, c, h, w).")
    whole = torch.tensor([[0, 0, *patch.shape[2:]]])

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        x = views_of(augment, batch, generator)
        n = resized_crop(patch.to(x.device), whole.to(x.device), (x.shape[2], x.shape[3]))
        z = state.model(as_one_batch(x, n)).float()
        za, zb, zn = z.split([len(batch.labels), len(batch.labels), 1])
        with full_precision(z):
            return patch_negative(za, zb, zn, temperature=temperature)

    return objective


def against_own_patch(augment: Augment, *, smallest: float = 0.25, temperature: float = 0.2) -> Objective:
    """Two views attract each other, and a patch of the same image, next to the first view's crop, repels both.

    The patch is a square as wide as the widest margin around the crop, at a random place along it. Its side is at
    least `smallest` times the image's shorter side; if the margin is narrower, the patch overlaps the crop. It is
    resized to the size of the views and not augmented. `augment` must begin with a `random_resized_crop`; a ValueError
    says so if it doesn't.
    """
    if not 0 < smallest <= 1:
        raise ValueError(f"smallest is {smallest}: it is a share of the image's side and must lie in (0, 1].")

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        a = augment(batch.stored, generator, part=rank_and_world_size())
        if "crop.box" not in a.params or augment.ops[0].name != "crop":
            raise ValueError("a patch next to the crop needs views that begin with random_resized_crop(size).")
        b = augment(batch.stored, generator, part=rank_and_world_size())
        h, w = batch.images.shape[2:]
        patch = _beside(a.params["crop.box"], (h, w), smallest, generator)
        n = resized_crop(batch.images, patch, (a.x.shape[2], a.x.shape[3]))
        z = state.model(as_one_batch(a.x, b.x, n)).float()
        with full_precision(z):
            za, zb, zn = z.chunk(3)
            return patch_negative(za, zb, zn, temperature=temperature)

    return objective


def _beside(
    box: Float[Tensor, "b 4"], shape: tuple[int, int], smallest: float, generator: torch.Generator
) -> Float[Tensor, "b 4"]:
    """For each box (top, left, height, width), a square in the widest margin between it and the edge of the image."""
    h, w = shape
    top, left, height, width = box.unbind(1)
    margin, edge = torch.stack([top, h - top - height, left, w - left - width], dim=1).max(dim=1)
    side = margin.clamp(math.ceil(smallest * min(h, w)), min(h, w))
    rows = edge < 2  # the margin is above or below: rows of the whole image
    r, processes = rank_and_world_size()
    along = torch.rand(processes, len(box), generator=generator)[r].to(box.device)
    along = (along * (torch.where(rows, w, h) - side + 1)).floor()
    across = torch.where(edge % 2 == 0, 0, torch.where(rows, h, w) - side)
    return torch.stack([torch.where(rows, across, along), torch.where(rows, along, across), side, side], dim=1)


def _queue(state: TrainState) -> Queue:
    queue = getattr(state.model, "queue", None)
    if not isinstance(queue, Queue):
        raise ValueError("the model has no queue of earlier images: set model.queue = Queue(4096, 128) before start.")
    return queue
