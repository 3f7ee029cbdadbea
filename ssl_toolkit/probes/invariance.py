"""What an augmentation does to the features at each depth: how far they move, and whether they reveal its parameters.

These two questions are often confused. Invariant features do not move. Equivariant features move in a way that lets you
read back the augmentation's parameters. Features may be neither: they move, but do not reveal the parameters.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ssl_toolkit.augment import Op, Params, compose, transforms as aug
from ssl_toolkit.data import as_float, checked, checked_finite, rng
from ssl_toolkit.encoders import AnyEncoder, embed_steps
from ssl_toolkit.encoders.statistics import at_least
from ssl_toolkit.probes.factors import ridge_r2

# name: (strength and image size -> operation, usual strengths, weakest first)
Family = tuple[Callable[[float, int], Op], Sequence[float]]
AUGMENTATIONS: dict[str, Family] = {
    "crop": (lambda s, size: aug.random_resized_crop(size, scale=(1 - s, 1.0)), (0.2, 0.5, 0.8)),
    "translate": (lambda s, size: aug.random_translate(s * size), (0.05, 0.1, 0.2)),
    "rotate": (lambda s, size: aug.random_rotate(s), (5.0, 15.0, 45.0)),
    "flip": (lambda s, size: aug.random_flip(s), (0.5,)),
    "brightness": (lambda s, size: aug.color_jitter(s, 0.0, 0.0, 0.0, p=1.0), (0.2, 0.4, 0.8)),
    "contrast": (lambda s, size: aug.color_jitter(0.0, s, 0.0, 0.0, p=1.0), (0.2, 0.4, 0.8)),
    "saturation": (lambda s, size: aug.color_jitter(0.0, 0.0, s, 0.0, p=1.0), (0.2, 0.4, 0.8)),
    "hue": (lambda s, size: aug.color_jitter(0.0, 0.0, 0.0, s, p=1.0), (0.05, 0.1, 0.3)),
    "gray": (lambda s, size: aug.random_grayscale(s), (0.5,)),
    "blur": (lambda s, size: aug.random_blur(1.0, sigma=(0.1, s)), (0.5, 1.0, 2.0)),
    "noise": (lambda s, size: aug.gaussian_noise(s), (0.05, 0.1, 0.2)),
}
UNREADABLE = ("order", "e")  # parameters that do not describe the view as a whole


class Reaction(NamedTuple):
    """What one augmentation does to the features at one depth."""

    augmentation: str
    strength: float
    depth: str
    moved: float  # 0: not at all; 1: as far as the distance to another image
    read_back: float | None  # R2 of the parameters; None if there is nothing to read


@checked
def reactions(
    model: AnyEncoder,
    images: Shaped[Tensor, "n c h w"],
    *,
    augmentations: Mapping[str, Family] = AUGMENTATIONS,
    batch_size: int = 64,
    seed: int = 0,
) -> Iterator[Reaction | None]:
    """Yield a `Reaction` for every augmentation, strength and depth, and None after each batch in between.

    It compares the features f(t(x)) and f(x); see `moved` and `read_back`. Half of the images fit the regression, the
    other half test it. Raises ValueError for fewer than 8 images, and for features without variance.

    >>> images = stk.load_data("shapes", limit=40).images
    >>> moved = [r for r in stk.probes.reactions(stk.small_conv(3), images) if r and r.depth == "embedding"]
    """
    if len(images) < 8:
        raise ValueError(f"there are {len(images)} images: half fit a regression, half test it; use several hundred.")
    x = as_float(images)
    before: dict[str, Tensor] = {}
    for embedded in embed_steps(model, x, depth=None, batch_size=batch_size):
        before = embedded.features
        yield None
    for name, (operation, strengths) in augmentations.items():
        for strength in strengths:
            augment = compose(operation(strength, images.shape[-1]))
            view = augment(x, rng(seed, 0, f"invariance/{name}"))
            changed = (view.x != x).flatten(1).any(dim=1) if view.x.shape == x.shape else torch.ones(len(x)).bool()
            after: dict[str, Tensor] = {}
            for embedded in embed_steps(model, view.x, depth=None, batch_size=batch_size):
                after = embedded.features
                yield None
            target = parameters(view.params)
            for depth, z in before.items():
                r2 = None if target is None else read_back(z, after[depth], target)
                yield Reaction(name, strength, depth, moved(z, after[depth], changed), r2)


@checked_finite
def moved(z: Float[Tensor, "n d"], z_t: Float[Tensor, "n d"], changed: Bool[Tensor, " n"] | None = None) -> float:
    """How far the features move, relative to the distance between different images, both as RMS:

        sqrt( mean_i |f(t(x_i)) - f(x_i)|^2 / mean_{i != j} |f(x_i) - f(x_j)|^2 )

    i runs over the images that `changed` (None: all); if none did, the result is 0. Raises ValueError for features that
    are the same for all images.
    """
    z, z_t = at_least(2, z).double(), z_t.double()
    apart = 2 * z.var(dim=0).sum()  # equals the mean over pairs
    if not apart > 0:
        raise ValueError("z holds the same features for all images: the encoder has collapsed.")
    squared = (z_t - z).square().sum(dim=1)
    squared = squared if changed is None else squared[changed]
    return (squared.mean() / apart).sqrt().item() if len(squared) else 0.0


@checked_finite
def read_back(z: Float[Tensor, "n d"], z_t: Float[Tensor, "n d"], target: Float[Tensor, "n k"]) -> float:
    """Read the parameters from [f(x), f(t(x))] by ridge regression: fit on the first half, R2 on the second."""
    pair, half = torch.cat([z, z_t], dim=1), len(z) // 2
    return ridge_r2(pair[:half], target[:half], pair[half:], target[half:])


def parameters(params: Params) -> Float[Tensor, "n k"] | None:
    """The parameters drawn for each view, as columns of unit variance; None if none of them varies."""
    named = [v.float().view(len(v), -1) for name, v in params.items() if name.split(".")[-1] not in UNREADABLE]
    if not named:
        return None
    columns, half = torch.cat(named, dim=1), len(named[0]) // 2
    varies = (columns[:half].std(dim=0) > 1e-6) & (columns[half:].std(dim=0) > 1e-6)
    columns = columns[:, varies]
    return (columns - columns.mean(dim=0)) / columns.std(dim=0) if varies.any() else None
