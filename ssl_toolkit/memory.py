"""A memory of embeddings: more to compare an image with than one batch holds.

    model = small_conv(1, projector=(256, 128))
    model.queue = Queue(4096, 128)

As a part of the encoder it moves to its device, is saved and loaded with it, and a step that fails leaves no trace.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.seeds import rng


class Queue(nn.Module):
    """The last `size` embeddings, normalised, first in, first out (MoCo: He et al., 2020; NNCLR: Dwibedi et al., 2021).

    It starts with random directions. `train` copies a model's buffers in each step to be able to undo it, so a queue
    costs a copy of its memory: 2 MB at 4096 x 128.
    """

    z: Tensor  # (size, dim)
    position: Tensor  # of the oldest, which the next one replaces

    def __init__(self, size: int = 4096, dim: int = 128, *, seed: int = 0):
        super().__init__()
        if size < 1 or dim < 1:
            raise ValueError(f"size is {size} and dim is {dim}: both must be at least 1; 4096 and 128 are usual.")
        self.register_buffer("z", F.normalize(torch.randn(size, dim, generator=rng(seed, 0, "queue")), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, z: Float[Tensor, "b d"]) -> None:
        """Replace the oldest by z; of more than `size` only the last stay."""
        size = len(self.z)
        self._check(z)
        z = F.normalize(z.to(self.z.dtype), dim=1)[-size:]
        self.z[(self.position + torch.arange(len(z), device=z.device)) % size] = z
        self.position.add_(len(z)).remainder_(size)

    @torch.no_grad()
    def nearest(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """For each z the embedding in memory with the largest cosine."""
        self._check(z)
        return self.z[(z.to(self.z.dtype) @ self.z.T).argmax(dim=1)]  # the length of z does not change the order

    def _check(self, z: Tensor) -> None:
        if z.ndim != 2 or z.shape[1] != self.z.shape[1]:
            raise ValueError(
                f"z has shape {tuple(z.shape)}: this queue of {len(self.z)} takes (b, {self.z.shape[1]}); "
                "its dim must be that of the embedding."
            )
