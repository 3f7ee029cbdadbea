"""Gradient inversion of features, a baseline of RCDM: optimise pixels until their representation is h.

The first version of Bordes et al. (2022) shows its failure, and that is what it is here for: it soon finds an image
whose features are right and which looks like none, since an encoder says little about images that it never saw. A model
of images is what RCDM adds.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Inverted(NamedTuple):
    """The images after `step` updates, and the terms of their loss there, one value for each image."""

    step: int
    images: Float[Tensor, "b c h w"]
    terms: dict[str, Float[Tensor, " b"]]


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
    """Minimise over images in [0, 1], by Adam from `start` (noise as a rule), yielding after each update

        features   |f(x) - h|^2 / |h|^2
        variation  tv mean |x - its neighbour below| + |x - its neighbour to the right|
        norm       l2 mean x^2

    f is differentiable in the pixels, as `features.differentiable` makes it. Each image has its own loss and moments,
    so that a batch changes nothing for its members. Raises ValueError where h and start differ in length, for fewer
    than one step, and for an lr that is not positive.
    """
    if len(h) != len(start):
        raise ValueError(f"h has {len(h)} rows and start {len(start)} images: there must be one for each.")
    if steps < 1 or not lr > 0:
        raise ValueError(f"steps is {steps} and lr is {lr}: there must be at least 1 step, and a positive rate.")
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
    """The terms where x is now, their gradient left in x.grad: of the pixels alone."""
    with torch.enable_grad():
        values = terms(x)
        (x.grad,) = torch.autograd.grad(torch.stack(list(values.values())).sum(), x)
    return {name: value.detach() for name, value in values.items()}
