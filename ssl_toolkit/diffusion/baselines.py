"""A baseline for RCDM: a deterministic decoder h -> one image, trained with squared error.

    state = start(Decoder(h, (1, 28, 28)), lr=2e-3)
    for step in train(state, data, mean_image(h), until=1000, batch_size=64): ...

The best guess under squared error is the mean of all images with this h, E[x | h]. RCDM samples whatever h does not
determine; this decoder averages it to a blur.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.data import Batch, checked_finite, seeded
from ssl_toolkit.encoders.statistics import mean_and_std
from ssl_toolkit.losses import Terms
from ssl_toolkit.training import Objective, TrainState


class Decoder(nn.Module):
    """h (b, d) -> images in [0, 1]: a linear map to a quarter of the size, then two upsampling convolutions.

    h is standardized as in `RCDM`. Raises ValueError if the sides are not multiples of 4, or for another d.
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


@checked_finite
def mean_image(h: Float[Tensor, "n d"]) -> Objective:
    """mean (x - D(h))^2, where h[i] is the representation of the data's i-th image, computed beforehand."""

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        given = h[batch.index.to(h.device)].to(batch.images.device)
        return {"squared error": F.mse_loss(state.model(given).float(), batch.images)}

    return objective


class Inverted(NamedTuple):
    """The images after `step` updates, and the terms of their loss, one value for each image."""

    step: int
    images: Float[Tensor, "b c h w"]
    terms: dict[str, Float[Tensor, " b"]]


@checked_finite
def invert(
    f: Callable[[Tensor], Tensor],
    h: Float[Tensor, "b d"],
    start: Float[Tensor, "b c h w"],
    *,
    steps: int = 200,
    lr: float = 0.05,
    tv: float = 0.1,
    l2: float = 0.0,
) -> Iterator[Inverted]:
    """Minimize over images in [0, 1] with Adam, starting at `start` (usually noise), and yield after each update

        features   |f(x) - h|^2 / |h|^2
        variation  tv mean |x - its neighbor below| + |x - its neighbor to the right|
        norm       l2 mean x^2

    f must be differentiable in the pixels, like those from `features.feature_function`. Each image has its own loss and
    moments, so the result does not depend on the rest of the batch. Raises ValueError if h and start differ in length,
    for fewer than one step, and for an lr that is not positive.
    """
    if not (len(h) and tv >= 0 and l2 >= 0):
        raise ValueError(f"h has {len(h)} rows: give at least 1; tv={tv} and l2={l2} must be at least 0.")
    if steps < 1 or not lr > 0:
        raise ValueError(f"steps is {steps} and lr is {lr}: there must be at least 1 step, and lr must be positive.")
    if not start.numel() or min(start.shape[2:]) < 2:
        raise ValueError(f"start has shape {tuple(start.shape)}: images need at least 2 x 2 pixels to vary.")
    if (found := f(start).shape) != h.shape:
        raise ValueError(f"h has shape {tuple(h.shape)}, and f gives {tuple(found)} for start: h must be what f gives.")
    scale = h.square().sum(dim=1).clamp_min(1e-12)

    def terms(x: Tensor) -> dict[str, Tensor]:
        down, right = x.diff(dim=2).abs().mean(dim=(1, 2, 3)), x.diff(dim=3).abs().mean(dim=(1, 2, 3))
        return {
            "features": (f(x) - h).square().sum(dim=1) / scale,
            "variation": tv * (down + right),
            "norm": l2 * x.square().mean(dim=(1, 2, 3)),
        }

    x = start.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=lr)
    _look(terms, x)
    for step in range(1, steps + 1):
        optimizer.step()
        x.data.clamp_(0, 1)
        yield Inverted(step, x.detach().clone(), _look(terms, x))


def _look(terms: Callable[[Tensor], dict[str, Tensor]], x: Tensor) -> dict[str, Tensor]:
    """The terms at the current x. Leaves their gradient in x.grad, and computes it for the pixels only."""
    with torch.enable_grad():
        values = terms(x)
        (x.grad,) = torch.autograd.grad(torch.stack(list(values.values())).sum(), x)
    return {name: value.detach() for name, value in values.items()}
