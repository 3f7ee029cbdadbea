"""Adversarial images by FGSM and PGD: small pixel changes that change an encoder's output as much as possible.

    f = feature_function(encoder)                                    # images -> representation, differentiable
    for step in pgd(representation_loss(f, images), images, strength=4, generator=rng(0)): ...
    fgsm(label_loss(lambda x: probe.logits(f(x)), labels), images, strength=4).images

An attack maximizes a loss with one value per image, (b, c, h, w) -> (b,). No pixel changes by more than
eps = strength / 255 (strength counts 8-bit gray levels), and none leaves [0, 1].

Bordes et al. (2022) use RCDM to ask which encoders then see another image, supervised or self-supervised ones. `attack`
shows what an encoder sees in attacked images, `attack_curve` how the effect grows with strength. Attack an encoder both
through a probe (`label_loss`) and in its own space (`representation_loss`): small gradients may hide a weakness from
one of the two.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ssl_toolkit.data import as_float, checked_finite, rng
from ssl_toolkit.encoders import Encoder, embed, feature_function
from ssl_toolkit.probes.linear import Probe

Loss = Callable[[Tensor], Tensor]  # (b, c, h, w) -> (b,)


class Attacked(NamedTuple):
    """The images after `step` steps, and the loss of each."""

    step: int
    images: Float[Tensor, "b c h w"]
    loss: Float[Tensor, " b"]


@checked_finite
def label_loss(logits: Callable[[Tensor], Tensor], labels: Int64[Tensor, " b"]) -> Loss:
    """Cross-entropy of each image's true label, from the logits of a supervised encoder or of a probe on any encoder.

    >>> images, labels = torch.rand(2, 1, 28, 28), torch.tensor([3, 5])
    >>> logits = stk.encoders.feature_function(stk.small_conv(1, projector=(10,)), depth="embedding")
    >>> label_loss(logits, labels)(images).shape
    torch.Size([2])
    """

    def loss(x: Tensor) -> Tensor:
        scores = logits(x)
        if len(labels) != len(scores):
            raise ValueError(f"there are {len(labels)} labels and {len(scores)} images: each image needs its own.")
        return F.cross_entropy(scores, labels, reduction="none")

    return loss


@checked_finite
def representation_loss(f: Callable[[Tensor], Tensor], images: Shaped[Tensor, "b c h w"]) -> Loss:
    """|f(x) - f(images)|^2: the squared distance from the representation of the clean images.

    Its gradient vanishes at the images themselves, so `pgd` needs a generator for a random start.
    """
    h = f(as_float(images)).detach()

    def loss(x: Tensor) -> Tensor:
        moved = f(x)
        if moved.shape != h.shape:
            raise ValueError(f"there are {len(moved)} images, and the loss is of {len(h)}: attack the same images.")
        return (moved - h).square().sum(dim=1)

    return loss


@checked_finite
def fgsm(loss: Loss, images: Shaped[Tensor, "b c h w"], *, strength: float) -> Attacked:
    """The fast gradient sign method (Goodfellow et al., 2015), one step: x + eps sign(dloss / dx), within [0, 1].

    Raises as `pgd` does.
    """
    *_, last = pgd(loss, images, strength=strength, steps=1, rate=max(0.0, strength))  # a negative one is named
    return last


@checked_finite
def pgd(
    loss: Loss,
    images: Shaped[Tensor, "b c h w"],
    *,
    strength: float,
    steps: int = 10,
    rate: float | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Attacked]:
    """Projected gradient ascent (Madry et al., 2018): x <- P(x + rate / 255 sign(dloss / dx)), one `Attacked` per step.

    P projects onto the images in [0, 1] within eps of `images` (uint8, or float in [0, 1]). `rate` has the unit of
    `strength`; None means 2.5 strength / steps, enough to cross the ball. With a generator it starts uniformly at
    random in the ball, otherwise at the images. Raises ValueError for a strength outside [0, 255], fewer than one step,
    images outside [0, 1], and a loss without one value per image.
    """
    x0 = as_float(images).detach()
    if not x0.numel():
        raise ValueError(f"images holds no pixel: its shape is {tuple(x0.shape)}; attack at least one image.")
    if not 0 <= strength <= 255:
        raise ValueError(f"strength is {strength}: it counts gray levels and must lie in [0, 255]; 1 to 16 are usual.")
    if rate is not None and not rate >= 0:
        raise ValueError(f"rate is {rate}: it is the size of a step in gray levels and must be at least 0.")
    if steps < 1:
        raise ValueError(f"steps is {steps}: it must be at least 1; 10 to 20 are usual.")
    if not (x0.min() >= 0 and x0.max() <= 1):
        raise ValueError(f"images hold {x0.min():g} to {x0.max():g}: they must lie in [0, 1].")
    eps = strength / 255
    step_size = 2.5 * eps / steps if rate is None else rate / 255
    low, high = (x0 - eps).clamp_min(0), (x0 + eps).clamp_max(1)
    x = x0
    if generator is not None:
        x = low + (high - low) * torch.rand(x0.shape, generator=generator, dtype=x0.dtype).to(x0.device)
    _, slope = _gradient(loss, x)
    for step in range(1, steps + 1):
        x = (x + step_size * slope.sign()).clamp(low, high)
        value, slope = _gradient(loss, x)
        yield Attacked(step, x, value)


def _gradient(loss: Loss, x: Tensor) -> tuple[Float[Tensor, " b"], Float[Tensor, "b c h w"]]:
    """Each image's loss and gradient; the gradient of the sum suffices, as in eval mode images do not interact."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        value = loss(x)
        if value.shape != x.shape[:1]:
            raise ValueError(f"the loss has shape {tuple(value.shape)}: it must have one value per image, ({len(x)},).")
        (slope,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), slope


Target = Literal["head", "representation"]


class AttackResult(NamedTuple):
    """Class probabilities and features of images before and after an attack."""

    images: Float[Tensor, "b c h w"]  # after the attack
    before: Float[Tensor, "b k"]  # probabilities of the classes
    after: Float[Tensor, "b k"]
    h: Float[Tensor, "b d"]
    attacked: Float[Tensor, "b d"]  # h of the attacked images

    @property
    def moved(self) -> Float[Tensor, " b"]:
        """How far h moved, in its own units."""
        return (self.attacked - self.h).norm(dim=1)


class Point(NamedTuple):
    """One strength: the share of images that the probe still gets right, and how far h moved on average."""

    strength: float
    accuracy: float
    moved: float


@checked_finite
def attack(
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
) -> Iterator[AttackResult | None]:
    """Attack images and compare: yields None after each step of `pgd`, then an `AttackResult`. One step is `fgsm`.

    The probe reads `depth`. The attack on the representation starts at a random point of the ball, because its gradient
    vanishes at the images. Raises ValueError for an unknown target, and as `pgd` does.
    """
    if target not in ("head", "representation"):
        raise ValueError(f"target is {target!r}: attack the 'head' or the 'representation'.")
    f = feature_function(encoder, depth=depth)
    loss, generator = label_loss(lambda x: probe.logits(f(x)), probe.columns(labels)), None
    if target == "representation":
        loss, generator = representation_loss(f, images), rng(seed, 0, "attack")
    rate = max(0.0, strength) if steps == 1 else None
    x = images
    for step in pgd(loss, images, strength=strength, steps=steps, rate=rate, generator=generator):
        x = step.images
        yield None
    h, attacked = (embed(encoder, some, depth=depth) for some in (images, x))
    yield AttackResult(x, probe.logits(h).softmax(dim=1), probe.logits(attacked).softmax(dim=1), h, attacked)


@checked_finite
def attack_curve(
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
    """Run `attack` at each of `strengths`: yields None after each step, and a `Point` after each strength."""
    for strength in strengths:
        for seen in attack(
            encoder, probe, images, labels, target=target, strength=strength, steps=steps, depth=depth, seed=seed
        ):
            if seen is None:
                yield None
            else:
                right = (seen.after.argmax(dim=1) == probe.columns(labels)).float().mean().item()
                yield Point(strength, right, seen.moved.mean().item())
