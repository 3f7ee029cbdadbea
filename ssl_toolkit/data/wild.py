"""Pictures in the wild: gray ones, tinted, placed, scaled and mirrored at random on colored, textured grounds.

    data = in_the_wild(load_data("fashion-mnist"))                      # load_data("garments") is this
    coat = data[[3]]
    render(source, coat.factors | {"hue": torch.tensor([0.0])}, index=torch.tensor([3]))       # the same coat, in red

Hue and place tell these images apart at a glance, and what kind of thing they show does not depend on either. So raw
pixels and an untrained network find images of one color, and an encoder has to learn to find images of one kind.

An image is a function of its picture, its factors and (seed, index): the first k images of a set do not depend on how
many follow.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ssl_toolkit.data.dataset import Dataset, as_float
from ssl_toolkit.data.seeds import rng
from ssl_toolkit.data.shapes import hsv_to_rgb

FACTORS = ("hue", "background", "x", "y", "scale", "flip")
SCALES = (0.6, 1.0)
WIDEST = 0.875  # of the image's side, that a picture takes at scale 1: 28 of 32 pixels
PATCHES = 5  # a ground's texture is that many random gray levels a side, interpolated
CHUNK = 2048  # images rendered at once


def in_the_wild(source: Dataset, *, seed: int = 0, size: int = 32) -> Dataset:
    """Render every gray picture of `source` in `size` x `size` RGB, with factors drawn from `seed`.

        "class"                   the label
        "hue", "background"       of the picture and of the ground, on a circle: 0 and 1 are red
        "x", "y"                  0 touches the left and the top edge, 1 the right and the bottom one
        "scale"                   0.6 ... 1, in units of 7/8 of the image's side
        "flip"                    1 where the picture is mirrored

    Raises ValueError if the pictures are not gray, or `size` is below 8.

    >>> data = stk.data.in_the_wild(stk.load_data("digits", limit=100))
    >>> data
    Dataset(digits in the wild: 100 images of 3 x 32 x 32, 10 classes, factors class hue background x y scale flip)
    """
    n = len(source)
    low, high = SCALES
    factors = {"class": source.labels.clone()} | {name: _draw(name, n, seed) for name in FACTORS}
    factors["scale"] = low + (high - low) * factors["scale"]
    factors["flip"] = (factors["flip"] < 0.5).long()
    images = render(source, factors, seed=seed, size=size)
    return Dataset(images, source.labels, source.classes, factors, f"{source.name or 'pictures'} in the wild")


def render(
    source: Dataset,
    factors: Mapping[str, Tensor],
    *,
    index: Int64[Tensor, " n"] | None = None,
    seed: int = 0,
    size: int = 32,
) -> UInt8[Tensor, "n 3 s s"]:
    """Render pictures of `source` with these factors, each (n,): changing one changes nothing else in the image.

    `index` says which pictures (None: all of them, in order). What is no factor, the brightness and saturation of the
    colors and the texture of the ground, is a function of (seed, index). So with the factors and the seed of a set of
    `in_the_wild` its images come back, and with one factor changed the counterfactual.

    Raises ValueError for factors that are missing or not one value per image, pictures that are not gray, and a `size`
    below 8.

    >>> digits = stk.load_data("digits", limit=9)
    >>> data = stk.data.in_the_wild(digits)
    >>> red = stk.data.wild.render(digits, data.factors | {"hue": torch.zeros(9)})
    >>> red.shape
    torch.Size([9, 3, 32, 32])
    """
    if source.images.shape[1] != 1:
        raise ValueError(f"source has {source.images.shape[1]} channels: pictures to tint are gray, (n, 1, h, w).")
    if size < 8:
        raise ValueError(f"size is {size}: an image in the wild needs at least 8 pixels a side; 32 is usual.")
    if missing := [name for name in FACTORS if name not in factors]:
        raise ValueError(f"factors lack {', '.join(missing)}: start from those of in_the_wild(source).")
    index = torch.arange(len(source)) if index is None else index
    if wrong := [name for name in FACTORS if factors[name].shape != index.shape]:
        raise ValueError(
            f"factors[{wrong[0]!r}] has shape {tuple(factors[wrong[0]].shape)}: it must be ({len(index)},)."
        )
    most = int(index.max()) + 1 if len(index) else 0
    shades = {name: _draw(name, most, seed)[index] for name in ("saturation", "value", "ground's saturation", "light")}
    known = {name: factors[name] for name in FACTORS} | shades
    patches = _draw("texture", most, seed, PATCHES**2)[index].view(-1, 1, PATCHES, PATCHES)
    images = torch.empty(len(index), 3, size, size, dtype=torch.uint8)
    for part in torch.arange(len(index)).split(CHUNK):
        some = {name: values[part] for name, values in known.items()}
        images[part] = _paint(as_float(source.images[index[part]].cpu()), some, patches[part], size)
    return images


def _draw(name: str, n: int, seed: int, *shape: int) -> Float[Tensor, "n *k"]:
    return torch.rand(n, *shape, generator=rng(seed, 0, f"wild/{name}"))


def _paint(
    pictures: Float[Tensor, "n 1 h w"], known: dict[str, Tensor], patches: Float[Tensor, "n 1 p p"], size: int
) -> UInt8[Tensor, "n 3 s s"]:
    picture = _placed(pictures, known, size)
    coverage = (4 * picture).clamp(0, 1)  # opaque from a quarter of full brightness on
    tint = _rgb(known["hue"], 0.5 + 0.5 * known["saturation"], 0.6 + 0.4 * known["value"])
    texture = F.interpolate(patches, size=(size, size), mode="bilinear", align_corners=False)
    ground = _rgb(known["background"], 0.3 + 0.5 * known["ground's saturation"], 0.3 + 0.7 * known["light"])
    ground = (ground * (0.5 + 0.8 * texture)).clamp(0, 1)
    image = coverage * picture.clamp(0.25, 1) * tint + (1 - coverage) * ground
    return image.mul(255).round().byte()


def _placed(pictures: Float[Tensor, "n 1 h w"], known: dict[str, Tensor], size: int) -> Float[Tensor, "n 1 s s"]:
    """Scale, mirror and move each picture on an empty image, by the affine map from the image's frame to its own."""
    half = WIDEST * known["scale"]  # of the picture's side, in the image's frame
    x, y = ((2 * known[name] - 1) * (1 - half) for name in ("x", "y"))  # its center
    mirror = 1 - 2 * known["flip"].float()
    zero = torch.zeros_like(half)
    across = torch.stack([mirror / half, zero, -mirror * x / half], dim=1)
    down = torch.stack([zero, 1 / half, -y / half], dim=1)
    theta = torch.stack([across, down], dim=1)
    grid = F.affine_grid(theta, [len(pictures), 1, size, size], align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def _rgb(hue: Float[Tensor, " n"], saturation: Tensor, value: Tensor) -> Float[Tensor, "n 3 1 1"]:
    each = {"saturation": saturation[:, None].numpy(), "value": value[:, None].numpy()}
    return torch.from_numpy(hsv_to_rgb(hue.numpy(), **each))
