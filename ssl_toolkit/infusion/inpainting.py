"""What else a trained chain can do: complete an image, vary an image, and continue past T."""

from collections.abc import Iterator

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ssl_toolkit.data import checked
from ssl_toolkit.infusion.chains import Link, Mixture, Moments, Prior, Transition, chain, first, in_range
from ssl_toolkit.infusion.operators import Operator


@checked
def complete(
    operator: Transition,
    image: Float[Tensor, "c h w"],
    hidden: Bool[Tensor, "..."],
    *,
    prior: Prior,
    steps: int,
    n: int = 8,
    gradual: bool = False,
    seed: int = 0,
) -> Iterator[Link]:
    """Complete the image n times where `hidden` (h, w) is true: yield z_0 ... z_T, with the known part in every state.

    A completion is an infused chain with rate 1 where the image is known and rate 0 where it is hidden. No chain in
    training knew that much so early, and all completions come out alike. If `gradual`, the rate where the image is
    known is t/T: completions differ as real images do, but fit the known part less well; z_T holds all of it. Raises
    ValueError for a mask of another size, a mask that hides nothing, or an image outside [0, 1].
    """
    if n < 1:
        raise ValueError(f"n is {n}: complete the image at least once.")
    if hidden.shape != image.shape[1:]:
        raise ValueError(f"hidden has shape {tuple(hidden.shape)}: it must match the image's {tuple(image.shape[1:])}.")
    if not bool(hidden.any()):
        raise ValueError("hidden is false everywhere: there is nothing to complete; mark some pixels.")
    in_range("image", image)
    target = image.expand(n, *image.shape)
    known = (~hidden).to(image.dtype)

    def rate(t: int) -> Tensor:
        return known * t / steps if gradual else known

    link = first(prior, target, rate=rate, seed=seed)
    yield link
    yield from chain(operator, link.z, steps=steps, target=target, rate=rate, seed=seed)


@checked
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
    """Vary the image n times: yield z_0 ... z_T of chains that start with a share `keep` of its pixels and run free."""
    if n < 1:
        raise ValueError(f"n is {n}: vary the image at least once.")
    in_range("image", image)
    if not 0 <= keep <= 1:
        raise ValueError(f"keep is {keep}: it is a share of the pixels and must lie in [0, 1].")
    link = first(prior, image.expand(n, *image.shape), rate=keep, infusion=Mixture(), seed=seed)
    yield link
    yield from chain(operator, link.z, steps=steps, seed=seed)


def past(operator: Operator) -> nn.Module:
    """Extend the operator to chains longer than it was trained for: after its T steps, it repeats the last one."""
    return _Past(operator)


class _Past(nn.Module):
    def __init__(self, operator: Operator):
        super().__init__()
        self.operator = operator

    def forward(self, z: Float[Tensor, "b *x"], t: int) -> Moments:
        return self.operator(z, min(t, self.operator.steps))
