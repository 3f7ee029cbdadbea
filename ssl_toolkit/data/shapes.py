"""Pictures with known factors: one textured shape on a colored background, every factor drawn independently.

A shape is a signed distance function, negative inside (after Inigo Quilez). It covers a share of each pixel,
clamp(1/2 - distance in pixels, 0, 1), which is all the antialiasing. A texture is another such function.
The factors are independent and uniform, and each is visible in the picture:

    shape       which of SHAPES
    texture     which of TEXTURES darkens the shape; it moves, turns and scales with the shape
    hue         hue of the shape, in turns of the HSV circle; `augment.hue` changes it
    x, y        center, from the top left corner, in image sides; the shape never leaves the frame
    scale       radius of the circle around the shape, in image sides
    angle       in radians, counter-clockwise; it stays within +-30 degrees, less than any shape's symmetry (a star
                repeats after 72), so it never wraps around. Only plain circles and rings do not show it
    background  hue of the background, which is darker and grayer than any shape

On request there are also `distractor_shape`, `distractor_hue`, `distractor_x` and `distractor_y`: a small plain shape
in a corner, behind the main one, which a good representation may ignore.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor

from ssl_toolkit.data.seeds import rng

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "moon")
TEXTURES = ("plain", "stripes", "dots", "checker")
RANGES = {
    "hue": (0.0, 1.0),
    "x": (0.34, 0.66),
    "y": (0.34, 0.66),
    "scale": (0.2, 0.34),
    "angle": (-math.pi / 6, math.pi / 6),
    "background": (0.0, 1.0),
}
PERIODS = {"hue": 1.0, "background": 1.0, "distractor_hue": 1.0}  # circular factors, and the length of a full turn
_FACTORS = ("shape", "texture", *RANGES)
_DISTRACTOR = ("distractor_shape", "distractor_hue", "distractor_x", "distractor_y")
_DISTRACTOR_SCALE = 0.11

Plane = Float[np.ndarray, "n h w"]
Distance = Callable[[Plane, Plane], Plane]


class Shapes(NamedTuple):
    """Images and the factors of each."""

    images: UInt8[Tensor, "n 3 s s"]
    factors: dict[str, Tensor]


def shapes(n: int, *, size: int = 32, seed: int = 0, distractor: bool = False) -> Shapes:
    """Draw n pictures of `size` pixels a side. The first k of them are `shapes(k)`, whatever n is.

    >>> images, factors = shapes(100)
    >>> images.shape, SHAPES[factors["shape"][2]]
    (torch.Size([100, 3, 32, 32]), 'ring')
    """
    factors = draw_factors(n, seed=seed, distractor=distractor)
    return Shapes(render(factors, size=size), factors)


def draw_factors(n: int, *, seed: int = 0, distractor: bool = False) -> dict[str, Tensor]:
    """Draw the factors of n pictures, each (n,): categorical ones in int64, continuous ones in float32 within RANGES.

    Each factor has its own random stream, so adding a distractor changes none of the others.
    """
    if n < 1:
        raise ValueError(f"n is {n}: draw at least 1 picture.")

    def uniform(name: str, low: float = 0.0, high: float = 1.0) -> Float[Tensor, " n"]:
        return low + (high - low) * torch.rand(n, generator=rng(seed, 0, f"shapes/{name}"))

    def choice(name: str, among: int) -> Int64[Tensor, " n"]:
        return (among * uniform(name)).long()

    factors = {"shape": choice("shape", len(SHAPES)), "texture": choice("texture", len(TEXTURES))}
    factors |= {name: uniform(name, *RANGES[name]) for name in RANGES}
    if distractor:
        factors["distractor_shape"] = choice("distractor_shape", len(SHAPES))
        factors["distractor_hue"] = uniform("distractor_hue")
        for name in ("distractor_x", "distractor_y"):
            factors[name] = 0.12 + 0.76 * choice(name, 2)
    return factors


def render(factors: Mapping[str, Tensor], *, size: int = 32) -> UInt8[Tensor, "n 3 s s"]:
    """Render pictures from factors, inside or outside RANGES; changing one factor changes nothing else in the picture.

    >>> _, factors = shapes(1)
    >>> turned = {name: values.expand(12) for name, values in factors.items()}
    >>> render(turned | {"angle": torch.linspace(0, 2 * math.pi, 12)}).shape
    torch.Size([12, 3, 32, 32])

    Raises ValueError for missing or unknown factors, unequal lengths, an index that is no shape or texture, a scale
    that is not positive, and a `size` below 4.
    """
    n = _checked(factors, size)
    known = {name: values.cpu().numpy() for name, values in factors.items()}
    images = np.empty((n, 3, size, size), dtype=np.uint8)
    chunk = max(1, 2**16 // size**2)  # few enough pixels to stay in the cache
    for start in range(0, n, chunk):
        part = {name: values[start : start + chunk] for name, values in known.items()}
        images[start : start + chunk] = _paint(part, size) * 255 + 0.5
    return torch.from_numpy(images)


def _checked(factors: Mapping[str, Tensor], size: int) -> int:
    """Check the factors; return how many pictures they describe."""
    known = _FACTORS + (_DISTRACTOR if any(name in factors for name in _DISTRACTOR) else ())
    if wrong := sorted(set(known) ^ set(factors)):
        raise ValueError(f"factors lack, or should not have, {', '.join(wrong)}: start from draw_factors(n).")
    lengths = {name: len(values) for name, values in factors.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"factors have the lengths {lengths}: each needs one value per picture.")
    for name, names in (("shape", SHAPES), ("distractor_shape", SHAPES), ("texture", TEXTURES)):
        if name in factors and not ((factors[name] >= 0) & (factors[name] < len(names))).all():
            raise ValueError(f"factors[{name!r}] must be from 0 to {len(names) - 1}, which stand for {names}.")
    if not (factors["scale"] > 0).all():
        raise ValueError(
            "factors['scale'] must be positive: it is the radius in image sides; draw_factors gives 0.2 to 0.34."
        )
    if size < 4:
        raise ValueError(f"size is {size}: a picture needs at least 4 pixels a side.")
    return lengths["hue"]


# NumPy from here on: its elementwise operations are as fast as PyTorch's, and do not wait for other threads.


def _paint(factors: dict[str, np.ndarray], size: int) -> Float[np.ndarray, "n 3 s s"]:
    n = len(factors["hue"])
    image = np.broadcast_to(hsv_to_rgb(factors["background"], saturation=0.5, value=0.36), (n, 3, size, size))
    if "distractor_shape" in factors:
        plain = {"texture": np.zeros(n, dtype=int), "scale": np.full(n, _DISTRACTOR_SCALE), "angle": np.zeros(n)}
        image = _draw(image, plain | {name.removeprefix("distractor_"): factors[name] for name in _DISTRACTOR})
    return _draw(image, factors)


def _draw(image: Float[np.ndarray, "n 3 s s"], factors: dict[str, np.ndarray]) -> Float[np.ndarray, "n 3 s s"]:
    """Draw one shape on each image."""
    x, y, scale, angle = (factors[name][:, None, None] for name in ("x", "y", "scale", "angle"))
    size = image.shape[-1]
    pixels = (np.arange(size) + 0.5) / size  # pixel centers
    # the shape's own frame: its center is 0, its radius 1, its angle 0
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    right, up = pixels - x, y - pixels[:, None]
    u = (right * cos + up * sin).astype(np.float32)
    v = (up * cos - right * sin).astype(np.float32)

    def coverage(functions: tuple[Distance, ...], which: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 1 s s"]:
        distance = np.empty_like(u)
        for i in np.unique(which):
            distance[which == i] = functions[i](u[which == i], v[which == i])
        return (0.5 - distance * (scale * size).astype(np.float32)).clip(0, 1)[:, None]

    paint = hsv_to_rgb(factors["hue"], saturation=0.75, value=0.95)
    paint = paint * (1 - 0.42 * coverage(_TEXTURES, factors["texture"]))
    return image + coverage(_SHAPES, factors["shape"]) * (paint - image)


def hsv_to_rgb(
    hue: Float[np.ndarray, " n"],
    *,
    saturation: float | Float[np.ndarray, "n 1"],
    value: float | Float[np.ndarray, "n 1"],
) -> Float[np.ndarray, "n 3 1 1"]:
    """HSV to RGB: value (1 - saturation max(0, min(k, 4 - k, 1))), k = (c + 6 hue) mod 6, c = 5, 3, 1."""
    k = (np.array([5, 3, 1]) + 6 * hue[:, None]) % 6
    return (value - value * saturation * np.minimum(k, 4 - k).clip(0, 1))[..., None, None].astype(np.float32)


# Signed distances in the shape's own frame: shapes lie within the unit circle, min is union, max is intersection.
# u points right, v points up.


def _circle(u: Plane, v: Plane, radius: float = 0.85) -> Plane:
    return np.sqrt(u * u + v * v) - radius


def _ring(u: Plane, v: Plane) -> Plane:
    return np.abs(_circle(u, v, 0.68)) - 0.24


def _moon(u: Plane, v: Plane) -> Plane:
    return np.maximum(_circle(u, v, 0.95), -_circle(u - 0.46, v - 0.2, 0.7))


def _polygon(*corners: tuple[float, float]) -> Distance:
    """Distance to the nearest edge, negative where a ray to the right crosses an odd number of edges."""

    def distance(u: Plane, v: Plane) -> Plane:
        squared = np.full_like(u, np.inf)
        inside = np.zeros_like(u, dtype=bool)
        for (au, av), (bu, bv) in pairwise([*corners, corners[0]]):
            eu, ev = bu - au, bv - av
            pu, pv = u - au, v - av
            along = ((pu * eu + pv * ev) / (eu * eu + ev * ev)).clip(0, 1)
            squared = np.minimum(squared, (pu - eu * along) ** 2 + (pv - ev * along) ** 2)
            if ev != 0:
                inside ^= ((v >= av) != (v >= bv)) & (pu < pv * (eu / ev))
        edge = np.sqrt(squared)
        return np.where(inside, -edge, edge)

    return distance


def _spikes(*radii: float) -> Distance:
    """The polygon with corners at these distances from the center, at equal angles, starting at the top."""
    turns = [2 * math.pi * i / len(radii) for i in range(len(radii))]
    return _polygon(*((-r * math.sin(turn), r * math.cos(turn)) for r, turn in zip(radii, turns, strict=True)))


def _box(w: float, h: float) -> Distance:
    return _polygon((w, h), (-w, h), (-w, -h), (w, -h))


def _cross(u: Plane, v: Plane) -> Plane:
    return np.minimum(_box(0.93, 0.32)(u, v), _box(0.32, 0.93)(u, v))


def _heart(u: Plane, v: Plane) -> Plane:
    """A square standing on a corner, with a circle on each upper side."""
    v = v + 0.19
    square = _spikes(0.78, 0.78, 0.78, 0.78)
    return np.minimum(square(u, v), _circle(np.abs(u) - 0.39, v - 0.39, 0.39 * math.sqrt(2)))


_PERIOD = 0.56


def _plain(u: Plane, v: Plane) -> Plane:
    return np.full_like(u, np.inf)


def _stripes(u: Plane, v: Plane) -> Plane:
    return np.abs(_from_lattice(v)) - _PERIOD / 4


def _dots(u: Plane, v: Plane) -> Plane:
    return _circle(_from_lattice(u), _from_lattice(v), _PERIOD / 3)


def _checker(u: Plane, v: Plane) -> Plane:
    across, along = _stripes(u, v), _stripes(v, u)
    return np.maximum(np.minimum(across, along), -np.maximum(across, along))  # in exactly one of them


def _from_lattice(u: Plane) -> Plane:
    """The signed distance from the nearest multiple of the period."""
    return u - _PERIOD * np.rint(u / _PERIOD)


# in the order of SHAPES and of TEXTURES
_SHAPES = (_circle, _box(0.7, 0.7), _spikes(1.0, 1.0, 1.0), _spikes(*5 * (1.0, 0.45)), _cross, _ring, _heart, _moon)
_TEXTURES = (_plain, _stripes, _dots, _checker)
