"""Pictures whose causes are known: one textured shape on a coloured ground, every factor drawn independently.

A shape is a signed distance function d(p), negative inside (after Inigo Quilez). Its coverage of a pixel is
clamp(1/2 - d, 0, 1) with d in pixels, which is all the antialiasing there is, and a texture is one more such function.
The factors are uniform, and none hides another:

    shape       which of SHAPES
    hue         of the shape, in turns of the HSV circle, so `augment.hue` moves this factor and no other
    x, y        centre, in sides of the image from its top left corner; the shape never leaves the frame
    scale       radius of the circle around the shape, in sides of the image
    angle       counter-clockwise, in radians; narrower than any shape's symmetry (a star's is 2 pi / 5), so that it
                never wraps around. Circles and rings show it in their texture only
    background  hue of the ground, which is darker and greyer than the shape
    texture     which of TEXTURES darkens the shape; it turns and grows with it

and, on request, `distractor_shape`, `distractor_hue`, `distractor_x`, `distractor_y`: a small shape behind the first,
in a corner, to be ignored.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ssl_toolkit.seeds import rng

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
_DISTRACTOR_SCALE = 0.11

Plane = Float[Tensor, "n h w"]


class Shapes(NamedTuple):
    """Images and what each of them was drawn from."""

    images: UInt8[Tensor, "n 3 s s"]
    factors: dict[str, Tensor]


def shapes(n: int, *, size: int = 32, seed: int = 0, distractor: bool = False) -> Shapes:
    """n pictures of `size` pixels a side. The first k of them are those of `shapes(k)`, whatever n is.

    >>> images, factors = shapes(100)
    >>> images.shape, SHAPES[factors["shape"][0]]
    (torch.Size([100, 3, 32, 32]), 'cross')
    """
    factors = draw_factors(n, seed=seed, distractor=distractor)
    return Shapes(render(factors, size=size), factors)


def draw_factors(n: int, *, seed: int = 0, distractor: bool = False) -> dict[str, Tensor]:
    """The factors of n pictures, (n,) each, independent and uniform: int64 for a choice, float32 for a quantity.

    Each factor has a stream of its own, so a distractor changes none of the others.
    """
    if n < 1:
        raise ValueError(f"n is {n}: draw at least 1 picture.")

    def uniform(name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=rng(seed, 0, name))

    def choice(name: str, among: int) -> Tensor:
        return (uniform(name) * among).long()

    factors = {"shape": choice("shape", len(SHAPES)), "texture": choice("texture", len(TEXTURES))}
    factors |= {name: uniform(name, low, high) for name, (low, high) in RANGES.items()}
    if distractor:
        near, far = _DISTRACTOR_SCALE + 0.01, 0.99 - _DISTRACTOR_SCALE
        factors["distractor_shape"] = choice("distractor_shape", len(SHAPES))
        factors["distractor_hue"] = uniform("distractor_hue")
        factors["distractor_x"] = near + (far - near) * choice("distractor_x", 2)
        factors["distractor_y"] = near + (far - near) * choice("distractor_y", 2)
    return factors


def render(factors: Mapping[str, Tensor], *, size: int = 32) -> UInt8[Tensor, "n 3 s s"]:
    """The pictures of given factors, (n,) each: change one, and only what it names changes. Any real value is drawn.

    >>> _, factors = shapes(1)
    >>> turn = torch.linspace(0, 2 * math.pi, 12)
    >>> render({name: values.expand(12) for name, values in factors.items()} | {"angle": turn}).shape
    torch.Size([12, 3, 32, 32])

    Raises ValueError for a missing factor, unequal lengths, a shape or texture that does not exist, or a size below 4.
    """
    n = _checked(factors, size)
    images = torch.empty(n, 3, size, size, dtype=torch.uint8, device=factors["hue"].device)
    chunk = max(1, 2**18 // size**2)  # pixels at a time: small enough to stay in the cache
    for start in range(0, n, chunk):
        part = {name: values[start : start + chunk] for name, values in factors.items()}
        images[start : start + chunk] = _paint(part, size).mul_(255).round_().to(torch.uint8)
    return images


def _checked(factors: Mapping[str, Tensor], size: int) -> int:
    missing = [name for name in ("shape", "texture", *RANGES) if name not in factors]
    if missing:
        raise ValueError(f"factors lack {', '.join(missing)}: start from draw_factors(n) and change what you like.")
    lengths = {name: len(values) for name, values in factors.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"factors have the lengths {lengths}: give one value per picture to each.")
    for name, among in (("shape", SHAPES), ("distractor_shape", SHAPES), ("texture", TEXTURES)):
        index = factors.get(name)
        if index is not None and ((index < 0) | (index >= len(among))).any():
            raise ValueError(f"{name} must index {among}: 0 to {len(among) - 1}.")
    if size < 4:
        raise ValueError(f"size is {size}: a picture needs at least 4 pixels a side.")
    return lengths["hue"]


def _paint(factors: dict[str, Tensor], size: int) -> Float[Tensor, "n 3 s s"]:
    hue, texture = factors["hue"], factors["texture"]
    image = _rgb(factors["background"], saturation=0.5, value=0.4)
    if "distractor_shape" in factors:
        small = torch.full_like(hue, _DISTRACTOR_SCALE)
        x, y, pixels = _frame(factors["distractor_x"], factors["distractor_y"], small, torch.zeros_like(hue), size)
        alpha = _coverage(_distances(_SHAPE, factors["distractor_shape"], x, y), pixels)
        image = torch.lerp(image, _rgb(factors["distractor_hue"], saturation=0.75, value=0.95), alpha)

    x, y, pixels = _frame(factors["x"], factors["y"], factors["scale"], factors["angle"], size)
    alpha = _coverage(_distances(_SHAPE, factors["shape"], x, y), pixels)
    shade = _coverage(_distances(_TEXTURE, texture, x, y), pixels)
    return torch.lerp(image, _rgb(hue, saturation=0.75, value=0.95) * (1 - 0.45 * shade), alpha)


def _frame(
    x: Tensor, y: Tensor, scale: Tensor, angle: Tensor, size: int
) -> tuple[Plane, Plane, Float[Tensor, "n 1 1"]]:
    """The pixels' coordinates in the shape's own frame (unit radius, y upwards), and the unit's length in pixels."""
    x, y, scale, angle = (factor.float()[:, None, None] for factor in (x, y, scale, angle))
    centres = (torch.arange(size, device=x.device) + 0.5) / size
    right, up = (centres - x) / scale, (y - centres[:, None]) / scale
    return right * angle.cos() + up * angle.sin(), up * angle.cos() - right * angle.sin(), scale * size


def _coverage(distance: Plane, pixels: Float[Tensor, "n 1 1"]) -> Float[Tensor, "n 1 h w"]:
    return (0.5 - distance * pixels).clamp_(0, 1).unsqueeze(1)


def _distances(
    functions: tuple[Callable[[Plane, Plane], Plane], ...], which: Int64[Tensor, " n"], x: Plane, y: Plane
) -> Plane:
    """Each picture's own function of its own coordinates."""
    distance = torch.empty_like(x)
    for i, function in enumerate(functions):
        members = (which == i).nonzero().squeeze(1)
        distance[members] = function(x[members], y[members])
    return distance


def _rgb(hue: Float[Tensor, " n"], *, saturation: float, value: float) -> Float[Tensor, "n 3 1 1"]:
    """HSV to RGB: channel c is v - v s max(0, min(k, 4 - k, 1)) with k = (c + 6 h) mod 6 and c = 5, 3, 1."""
    k = (torch.tensor([5.0, 3.0, 1.0], device=hue.device) + 6 * hue[:, None]) % 6
    return (value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1))[..., None, None]


# The signed distance functions. Shapes lie within the unit circle; unions are minima, intersections maxima.


def _circle(x: Plane, y: Plane, radius: float = 0.85) -> Plane:
    return torch.hypot(x, y) - radius


def _polygon(corners: list[tuple[float, float]]) -> Callable[[Plane, Plane], Plane]:
    """The nearest point of any edge; inside where a ray to the right crosses an odd number of edges."""

    def distance(x: Plane, y: Plane) -> Plane:
        nearest = torch.full_like(x, torch.inf)
        inside = torch.zeros_like(x, dtype=torch.bool)
        for (ax, ay), (bx, by) in pairwise([*corners, corners[0]]):
            ex, ey = bx - ax, by - ay
            px, py = x - ax, y - ay
            along = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp_(0, 1)
            nearest = torch.minimum(nearest, (px - ex * along).square_() + (py - ey * along).square_())
            if ey:
                inside ^= ((y >= ay) != (y >= by)) & ((px * ey < py * ex) if ey > 0 else (px * ey > py * ex))
        return torch.where(inside, -nearest.sqrt(), nearest.sqrt())

    return distance


def _star_shaped(points: int, *radii: float) -> Callable[[Plane, Plane], Plane]:
    """Corners at equal angles from the top, their radii taken in turn."""
    turns = [2 * math.pi * i / points for i in range(points)]
    return _polygon(
        [(-radii[i % len(radii)] * math.sin(a), radii[i % len(radii)] * math.cos(a)) for i, a in enumerate(turns)]
    )


def _rectangle(w: float, h: float) -> Callable[[Plane, Plane], Plane]:
    return _polygon([(w, h), (-w, h), (-w, -h), (w, -h)])


def _cross(x: Plane, y: Plane) -> Plane:
    return torch.minimum(_rectangle(0.93, 0.32)(x, y), _rectangle(0.32, 0.93)(x, y))


def _ring(x: Plane, y: Plane) -> Plane:
    return _circle(x, y, 0.66).abs() - 0.24


def _heart(x: Plane, y: Plane) -> Plane:
    """A square on its corner, and a circle on each of its two upper sides."""
    a = 0.82
    diamond = _polygon([(0, a - 0.2), (-a, -0.2), (0, -a - 0.2), (a, -0.2)])
    # centre of a side, and half its length
    return torch.minimum(diamond(x, y), _circle(x.abs() - a / 2, y - a / 2 + 0.2, a / math.sqrt(2)))


def _moon(x: Plane, y: Plane) -> Plane:
    return torch.maximum(_circle(x, y, 0.95), -_circle(x - 0.42, y - 0.2, 0.75))


_SHAPE = (
    _circle,
    _rectangle(0.7, 0.7),
    _star_shaped(3, 1.0),
    _star_shaped(10, 1.0, 0.45),
    _cross,
    _ring,
    _heart,
    _moon,
)

_PERIOD = 0.56


def _fold(x: Plane) -> Plane:
    """The signed distance to the nearest multiple of the period."""
    return (x + _PERIOD / 2) % _PERIOD - _PERIOD / 2


def _stripes(x: Plane, y: Plane) -> Plane:
    return _fold(y).abs() - _PERIOD / 4


def _dots(x: Plane, y: Plane) -> Plane:
    return _circle(_fold(x), _fold(y), 0.33 * _PERIOD)


def _checker(x: Plane, y: Plane) -> Plane:
    a, b = _stripes(x, y), _stripes(y, x)
    return torch.maximum(torch.minimum(a, b), -torch.maximum(a, b))  # in one or in the other, not in both


_TEXTURE = (lambda x, y: torch.full_like(x, torch.inf), _stripes, _dots, _checker)
