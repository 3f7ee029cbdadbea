"""What methods that classify without labels learn beside the encoder: prototypes, and the centre of their scores.

Assign them before `start`, so that the optimizer, the teacher and every checkpoint hold them:

    encoder = small_conv(1, projector=(256, 64))
    encoder.prototypes, encoder.center = Prototypes(64, 300), Center(300)      # SwAV needs no center
    state = start(encoder, ema=0.99)
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.seeds import seeded


class Prototypes(nn.Module):
    """k directions to be compared with: cos(z, c_j) for embeddings of `dim` dimensions.

    Only the direction of a prototype matters, as in DINO's last layer, which is weight-normalised. SwAV normalises the
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
    """DINO's centre (Caron et al., 2021): the moving average of the teacher's mean scores, at first 0."""

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
