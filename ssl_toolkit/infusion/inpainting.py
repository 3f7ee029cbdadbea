"""What a trained chain is good for besides new images: completing one, varying one, and going on past T."""

from collections.abc import Iterator

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ssl_toolkit.infusion.chains import Link, Mixture, Moments, Prior, Transition, chain, first, in_range
from ssl_toolkit.infusion.operators import Operator


def complete(
    operator: Transition,
    image: Float[Tensor, "c h w"],
    hidden: Bool[Tensor, "..."],
    *,
    prior: Prior,
    steps: int,
    n: int = 8,
    seed: int = 0,
) -> Iterator[Link]:
    """z_0 ... z_T of n completions of the image where `hidden` (h, w) is true; the rest is there at every step.

    A completion is an infused chain whose rate is 1 where the image is known and 0 where it is not. Raises ValueError
    for a mask of another size, one that hides nothing, or an image outside [0, 1].
    """
    if hidden.shape != image.shape[1:]:
        raise ValueError(f"hidden has shape {tuple(hidden.shape)}: the image has {tuple(image.shape[1:])} pixels.")
    if not bool(hidden.any()):
        raise ValueError("hidden is false everywhere: there is nothing to complete; mark some pixels.")
    in_range("image", image)
    target = image.expand(n, *image.shape)
    known = (~hidden).to(image.dtype)
    link = first(prior, target, rate=known, seed=seed)
    yield link
    yield from chain(operator, link.z, steps=steps, target=target, rate=known, seed=seed)


def vary(
    operator: Transition,
    image: Float[Tensor, "c h w"],
    *,
    prior: Prior,
    steps: int,
    keep: float = 0.2,
    n: int = 8,
    seed: int = 0,
) -> Iterator[Link]:
    """z_0 ... z_T of n variations: chains that start with a share `keep` of the image's pixels and then run free."""
    in_range("image", image)
    link = first(prior, image.expand(n, *image.shape), rate=keep, infusion=Mixture(), seed=seed)
    yield link
    yield from chain(operator, link.z, steps=steps, seed=seed)


def past(operator: Operator) -> nn.Module:
    """The operator for chains longer than it was trained for: after its own T steps, the last one again and again."""
    return _Past(operator)


class _Past(nn.Module):
    def __init__(self, operator: Operator):
        super().__init__()
        self.operator = operator

    def forward(self, z: Float[Tensor, "b *x"], t: int) -> Moments:
        return self.operator(z, min(t, self.operator.steps))
