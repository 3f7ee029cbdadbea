"""Views: random image changes that a representation should ignore, drawn independently for each sample.

    augment = compose(random_resized_crop(32), random_flip(), color_jitter(), random_grayscale())
    x, params = augment(images, rng(seed, step, "views"))

The drawn parameters come back with the view, and `replay(augment, images, params)` gives the same view bit for bit.
You can show them, predict them with a probe, or change them by hand.
"""

import math
from collections.abc import Callable
from inspect import unwrap
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ssl_toolkit.augment import functional as ops
from ssl_toolkit.augment.functional import (
    Images,
    brightness as brightness,
    contrast as contrast,
    gaussian_blur as gaussian_blur,
    grayscale as grayscale,
    hflip as hflip,
    hue as hue,
    resized_crop as resized_crop,
    rotate as rotate,
    saturation as saturation,
    solarize as solarize,
    stored_crop,
    translate as translate,
)
from ssl_toolkit.data import as_float, check_unit_range, checked

# a view's images are checked once, not before every operation
_blur, _crop, _flip, _gray = (unwrap(op) for op in (gaussian_blur, resized_crop, hflip, grayscale))
_rotate, _solarize, _translate = (unwrap(op) for op in (rotate, solarize, translate))

Stored = UInt8[Tensor, "b c h w"]
Params = dict[str, Tensor]  # every value has one entry per sample
CHUNK = 3 << 19  # bytes of images processed at a time on the CPU: they stay in cache, and malloc reuses the memory


class View(NamedTuple):
    """Changed images, and the parameters drawn for each of them, as "op.parameter"."""

    x: Images
    params: Params


class Op(NamedTuple):
    """A random operation: `draw` makes its parameters for images of a shape, `apply` uses them."""

    name: str
    draw: Callable[[torch.Size, torch.Generator], Params]
    apply: Callable[[Tensor, Params], Tensor]
    size: int | None = None  # side of the output images, if it differs
    stored: bool = False  # whether it also takes uint8, and returns floats


class Augment(NamedTuple):
    """Operations in order; call it with images (floats in [0, 1], or uint8) and a CPU generator to get a `View`."""

    ops: tuple[Op, ...]

    @checked
    def __call__(self, x: Images | Stored, generator: torch.Generator, *, part: tuple[int, int] = (0, 1)) -> View:
        """The views of x. If x is the r-th of n equal parts of a batch, `part` (r, n) gives its views in that batch."""
        if not (x.is_floating_point() or x.dtype == torch.uint8):
            raise TypeError(f"x is {x.dtype}: images must be (b, c, h, w), float in [0, 1] or uint8.")
        check_unit_range(x, "x: images")
        if x.dtype in (torch.float16, torch.bfloat16):  # a blur's weights would underflow
            x = x.float()
        params: Params = {}
        r, n = part
        mine = slice(r * len(x), (r + 1) * len(x))
        shape = torch.Size([n * len(x), *x.shape[1:]])
        for op in self.ops:
            drawn = op.draw(shape, generator)
            params |= {f"{op.name}.{name}": value[mine].to(x.device) for name, value in drawn.items()}
            if op.size is not None:
                shape = torch.Size([*shape[:2], op.size, op.size])
        return View(replay(self, x, params), params)


def compose(*ops: Op) -> Augment:
    """Chain operations in order. The second one of the same name gets a 2, so every parameter has its own name.

    >>> augment = stk.compose(stk.augment.random_flip(), stk.augment.gaussian_noise(0.1))
    >>> view = augment(torch.rand(4, 3, 32, 32), stk.rng(0))
    >>> list(view.params)
    ['flip.on', 'noise.e']
    """
    seen: dict[str, int] = {}
    named = []
    for op in ops:
        seen[op.name] = seen.get(op.name, 0) + 1
        named.append(op if seen[op.name] == 1 else op._replace(name=f"{op.name}{seen[op.name]}"))
    return Augment(tuple(named))


@checked
def replay(augment: Augment, x: Images | Stored, params: Params) -> Float[Tensor, "b c s t"]:
    """Make the view of x with these parameters."""
    if not (augment.ops and augment.ops[0].stored):
        x = as_float(x)
    chunk = max(1, CHUNK // x[:1].nbytes if x.device.type == "cpu" and len(x) else len(x))
    parts = []
    for i in range(0, len(x), chunk):
        part = x[i : i + chunk]
        for op in augment.ops:
            start = len(op.name) + 1
            mine = {k[start:]: v[i : i + chunk] for k, v in params.items() if k.startswith(f"{op.name}.")}
            part = op.apply(part, mine)
        parts.append(part)
    if not parts:  # of no image, the views are none, of their size
        side = next((op.size for op in reversed(augment.ops) if op.size is not None), None)
        return as_float(x if side is None else x.new_zeros(0, x.shape[1], side, side))
    return torch.cat(parts)


@checked
def random_resized_crop(
    size: int, *, scale: tuple[float, float] = (0.2, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)
) -> Op:
    """Crop a box with area share uniform in `scale` and aspect ratio log-uniform in `ratio`, and resize it to `size`.

    As in torchvision: the first of ten tries that fits the image, or else the largest centered box within `ratio`.
    """
    if size < 1:
        raise ValueError(f"size is {size}: a view needs at least one pixel.")
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"scale is {scale}: it must be a range of area shares in (0, 1], smaller first.")
    if not 0 < ratio[0] <= ratio[1] < math.inf:
        raise ValueError(f"ratio is {ratio}: width / height must be a range of positive numbers, smaller first.")

    def draw(shape: torch.Size, g: torch.Generator) -> Params:
        b, _, h, w = shape
        area = h * w * _uniform((b, 10), *scale, g)
        aspect = _uniform((b, 10), math.log(ratio[0]), math.log(ratio[1]), g).exp()
        width, height = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (width >= 1) & (width <= w) & (height >= 1) & (height <= h)
        first = fits.int().argmax(dim=1, keepdim=True)
        width, height = width.gather(1, first).squeeze(1), height.gather(1, first).squeeze(1)
        whole_width = float(min(w, round(h * ratio[1])))
        whole_height = float(min(h, round(w / ratio[0])))
        width = torch.where(fits.any(1), width, whole_width)
        height = torch.where(fits.any(1), height, whole_height)
        place = torch.rand(b, 2, generator=g)
        place[~fits.any(1)] = 0.5
        top = (place[:, 0] * (h - height + 1)).floor().clamp_(max=h - 1)
        left = (place[:, 1] * (w - width + 1)).floor().clamp_(max=w - 1)
        return {"box": torch.stack([top, left, height, width], dim=1)}

    def apply(x: Tensor, p: Params) -> Tensor:
        return (stored_crop if x.dtype == torch.uint8 else _crop)(x, p["box"], size)

    return Op("crop", draw, apply, size, stored=True)


@checked
def random_flip(p: float = 0.5) -> Op:
    """Mirror left to right with probability p."""
    _probability(p)
    return Op("flip", lambda shape, g: {"on": _chance(shape[0], p, g)}, lambda x, q: _flip(x, q["on"]))


@checked
def color_jitter(
    brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.1, *, p: float = 0.8
) -> Op:
    """Change colors by factors uniform in [1 - s, 1 + s] and a hue shift uniform in [-hue, hue], in random order.

    With probability 1 - p an image is unchanged: its factors are then 1 and its shift 0.
    """
    _probability(p)
    strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    for name, s in strengths.items():
        if not 0 <= s <= (0.5 if name == "hue" else math.inf):
            raise ValueError(f"{name} is {s}: it must lie in {'[0, 0.5]' if name == 'hue' else '[0, inf)'}.")

    def draw(shape: torch.Size, g: torch.Generator) -> Params:
        b = shape[0]
        on = _chance(b, p, g)
        params: Params = {}
        for name, s in strengths.items():
            neutral, low = (0.0, -s) if name == "hue" else (1.0, max(0.0, 1 - s))
            params[name] = torch.where(on, _uniform((b,), low, neutral + s, g), neutral)
        return params | {"order": torch.rand(b, 4, generator=g).argsort(dim=1)}

    def apply(x: Tensor, q: Params) -> Tensor:
        return ops.jitter(x, q["brightness"], q["contrast"], q["saturation"], q["hue"], q["order"])

    return Op("jitter", draw, apply)


@checked
def random_grayscale(p: float = 0.2) -> Op:
    """Replace every channel by the luma with probability p."""
    _probability(p)
    return Op("gray", lambda shape, g: {"on": _chance(shape[0], p, g)}, lambda x, q: _gray(x, q["on"]))


@checked
def random_blur(p: float = 0.5, *, sigma: tuple[float, float] = (0.1, 2.0), kernel_size: int = 3) -> Op:
    """Blur with probability p by a Gaussian with sigma uniform in its range; a sigma of 0 means no blur."""
    _probability(p)
    if kernel_size % 2 == 0 or kernel_size < 3:
        raise ValueError(f"kernel_size is {kernel_size}: it must be odd and at least 3.")
    if not 0 < sigma[0] <= sigma[1] < math.inf:
        raise ValueError(f"sigma is {sigma}: it must be a range of positive numbers, smaller first.")

    def draw(shape: torch.Size, g: torch.Generator) -> Params:
        on = _chance(shape[0], p, g)
        return {"sigma": torch.where(on, _uniform((shape[0],), *sigma, g), 0.0)}

    def apply(x: Tensor, q: Params) -> Tensor:
        which = q["sigma"].nonzero().squeeze(1)
        if not len(which):
            return x
        return x.index_copy(0, which, _blur(x[which], q["sigma"][which], kernel_size))

    return Op("blur", draw, apply)


@checked
def random_solarize(p: float = 0.2, *, threshold: float = 0.5) -> Op:
    """Invert values from `threshold` up with probability p; a drawn threshold of 2 means no change."""
    _probability(p)
    return Op(
        "solarize",
        lambda shape, g: {"threshold": torch.where(_chance(shape[0], p, g), threshold, 2.0)},
        lambda x, q: _solarize(x, q["threshold"]),
    )


@checked
def gaussian_noise(sigma: float = 0.1) -> Op:
    """Add noise: x + sigma e, clamped to [0, 1]; the parameter e is one standard normal number per value."""
    if not sigma >= 0:
        raise ValueError(f"sigma is {sigma}: it must not be negative.")
    return Op(
        "noise",
        lambda shape, g: {"e": torch.randn(shape, generator=g)},
        lambda x, q: torch.add(x, q["e"], alpha=sigma).clamp_(0, 1),
    )


@checked
def random_translate(pixels: float = 4.0) -> Op:
    """Shift by up to `pixels` horizontally and vertically; black fills the gap."""
    if not pixels >= 0:
        raise ValueError(f"pixels is {pixels}: it must be at least 0.")
    return Op(
        "translate",
        lambda shape, g: {"shift": _uniform((shape[0], 2), -pixels, pixels, g)},
        lambda x, q: _translate(x, q["shift"]),
    )


@checked
def random_rotate(degrees: float = 15.0) -> Op:
    """Rotate by up to `degrees` either way; black fills the gap."""
    if not degrees >= 0:
        raise ValueError(f"degrees is {degrees}: it must be at least 0.")
    return Op(
        "rotate",
        lambda shape, g: {"angle": _uniform((shape[0],), -degrees, degrees, g)},
        lambda x, q: _rotate(x, q["angle"]),
    )


@checked
def simclr_views(
    size: int,
    *,
    scale: tuple[float, float] = (0.2, 1.0),
    flip: float = 0.5,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
    jitter: float = 0.8,
    gray: float = 0.2,
    blur: float = 0.0,
    solarize: float = 0.0,
    noise: float = 0.0,
) -> Augment:
    """SimCLR's augmentations for small images: crop, flip, jitter, gray; blur, solarization and noise on request.

    `flip`, `jitter`, `gray`, `blur` and `solarize` are probabilities; an operation without effect is left out.

    >>> augment = stk.simclr_views(28)
    >>> view = augment(torch.rand(4, 1, 28, 28), stk.rng(0))
    >>> view.x.shape
    torch.Size([4, 1, 28, 28])
    """
    chain = [random_resized_crop(size, scale=scale)]
    if flip:
        chain.append(random_flip(flip))
    if jitter and any((brightness, contrast, saturation, hue)):
        chain.append(color_jitter(brightness, contrast, saturation, hue, p=jitter))
    if gray:
        chain.append(random_grayscale(gray))
    if blur:
        chain.append(random_blur(blur))
    if solarize:
        chain.append(random_solarize(solarize))
    if noise:
        chain.append(gaussian_noise(noise))
    return compose(*chain)


def _uniform(shape: tuple[int, ...], low: float, high: float, g: torch.Generator) -> Float[Tensor, "..."]:
    return low + (high - low) * torch.rand(shape, generator=g)


def _chance(b: int, p: float, g: torch.Generator) -> Tensor:
    return torch.rand(b, generator=g) < p


def _probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}: a probability must be in [0, 1].")
