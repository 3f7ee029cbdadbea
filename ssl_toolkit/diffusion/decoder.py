"""A deterministic decoder, a baseline of RCDM: h -> one image, trained by squared error.

    state = start(Decoder(h, (1, 28, 28)), lr=2e-3)
    for step in train(state, data, mean_image(h), until=1000, batch_size=64): ...

The best guess under squared error is the mean of all images that have this h, E[x | h]: what h does not hold is not
drawn anew as by RCDM, it is averaged to a blur.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.data import Batch
from ssl_toolkit.gauges import mean_and_std
from ssl_toolkit.losses import Terms
from ssl_toolkit.seeds import seeded
from ssl_toolkit.train import Objective, TrainState


class Decoder(nn.Module):
    """h (b, d) -> images in [0, 1]: a linear map to a quarter of the size, then twice doubled and convolved.

    h is standardised as by `RCDM`. Raises ValueError for sides that are no multiples of 4, and for another d.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, h: Float[Tensor, "n d"], shape: tuple[int, int, int], *, width: int = 32, seed: int = 0):
        super().__init__()
        channels, height, breadth = shape
        if height % 4 or breadth % 4:
            raise ValueError(f"shape is {shape}: sides are doubled twice, so they must be multiples of 4, as 28 or 32.")
        for name, value in zip(("mean", "std"), mean_and_std(h), strict=True):
            self.register_buffer(name, value)
        self.quarter = (height // 4, breadth // 4)
        with seeded(seed, "init"):
            self.enter = nn.Linear(h.shape[1], 2 * width * height * breadth // 16)
            self.conv1 = nn.Conv2d(2 * width, width, 3, padding=1)
            self.conv2 = nn.Conv2d(width, width, 3, padding=1)
            self.out = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, h: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        if h.shape[1] != len(self.mean):
            raise ValueError(f"h has {h.shape[1]} dimensions and this decoder was made for {len(self.mean)}.")
        x = F.silu(self.enter((h - self.mean) / self.std)).unflatten(1, (-1, *self.quarter))
        for conv in (self.conv1, self.conv2):
            x = F.silu(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        return self.out(x).sigmoid()


def mean_image(h: Float[Tensor, "n d"]) -> Objective:
    """mean (x - D(h))^2, with h[i] the representation of the i-th image of the data, computed beforehand."""

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        given = h[batch.index.to(h.device)].to(batch.images.device)
        return {"squared error": F.mse_loss(state.model(given).float(), batch.images)}

    return objective
