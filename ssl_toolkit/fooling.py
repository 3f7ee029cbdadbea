"""What an encoder sees of images that were made to fool it: its probe's words, and how far the representation went.

    probe = linear_probe(h, data.labels, h_test, test.labels)
    for seen in fool(encoder, probe, test.images[:1], test.labels[:1], target="head", strength=8): ...
    for point in fool_strengths(encoder, probe, test.images, test.labels, strengths=(1, 2, 4, 8), target="head"): ...

Each encoder is attacked by its own gradients (`attacks`): through the probe on it, which raises the loss of the true
label, or in its own space, away from where the representation is.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ssl_toolkit.attacks import apart, mistaken, pgd
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.features import differentiable, embed
from ssl_toolkit.probes import Probe
from ssl_toolkit.seeds import rng

Target = Literal["head", "representation"]


class Seen(NamedTuple):
    """What an encoder says of images before and after an attack, by its probe and by its features."""

    images: Float[Tensor, "b c h w"]  # as they are after it
    before: Float[Tensor, "b k"]  # probabilities of the classes
    after: Float[Tensor, "b k"]
    h: Float[Tensor, "b d"]
    attacked: Float[Tensor, "b d"]  # h of the attacked images

    @property
    def moved(self) -> Float[Tensor, " b"]:
        """How far h went, in its own units."""
        return (self.attacked - self.h).norm(dim=1)


class Point(NamedTuple):
    """Of many images at one strength: the share that the probe still gets right, and how far h went on average."""

    strength: float
    accuracy: float
    moved: float


def fool(
    encoder: Encoder,
    probe: Probe,
    images: Shaped[Tensor, "b c h w"],
    labels: Int64[Tensor, " b"],
    *,
    target: Target,
    strength: float,
    steps: int = 10,
    depth: str = "representation",
    seed: int = 0,
) -> Iterator[Seen | None]:
    """Attack the images and look at them: None after each step of `pgd`, then `Seen`. One step is `fgsm`.

    The probe reads `depth`. The attack on the representation starts at a random place in the ball, as its gradient
    vanishes at the images. Raises ValueError for a target that is neither, and as `pgd` does.
    """
    if target not in ("head", "representation"):
        raise ValueError(f"target is {target!r}: attack the 'head' or the 'representation'.")
    f = differentiable(encoder, depth=depth)
    loss, generator = mistaken(lambda x: probe.logits(f(x)), labels), None
    if target == "representation":
        loss, generator = apart(f, images), rng(seed, 0, "attack")
    rate = strength if steps == 1 else None
    x = images
    for step in pgd(loss, images, strength=strength, steps=steps, rate=rate, generator=generator):
        x = step.images
        yield None
    h, attacked = (embed(encoder, some, depth=depth) for some in (images, x))
    yield Seen(x, probe.logits(h).softmax(dim=1), probe.logits(attacked).softmax(dim=1), h, attacked)


def fool_strengths(
    encoder: Encoder,
    probe: Probe,
    images: Shaped[Tensor, "b c h w"],
    labels: Int64[Tensor, " b"],
    *,
    strengths: Sequence[float],
    target: Target,
    steps: int = 10,
    depth: str = "representation",
    seed: int = 0,
) -> Iterator[Point | None]:
    """The same at each of `strengths` in turn: a `Point` after each, None after each step towards it."""
    for strength in strengths:
        for seen in fool(
            encoder, probe, images, labels, target=target, strength=strength, steps=steps, depth=depth, seed=seed
        ):
            if seen is None:
                yield None
            else:
                right = (seen.after.argmax(dim=1) == labels).float().mean().item()
                yield Point(strength, right, seen.moved.mean().item())
