"""Batch image operations with one parameter value per sample; each equals torchvision's of the same name to 1/255.

Images are float (b, c, h, w) in [0, 1] and stay so; the input is never changed. There is no loop over samples, except
in `stored_crop`. In torchvision's functions, the whole batch shares one value; here each sample has its own.

If only some images change, both outcomes are computed and mixed by `lerp` with a weight of 0 or 1. This is exact, and
on a CPU several times as fast as `where` or indexed assignment. Resizing and blurring are matrix products for the same
reason: at laptop sizes, products run near a core's peak speed and gathers do not.
"""

import math
from collections.abc import Callable
from functools import wraps
from inspect import unwrap
from typing import Concatenate, ParamSpec

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from torch import Tensor

from ssl_toolkit.data import check_unit_range, checked

Images = Float[Tensor, "b c h w"]
PerSample = Shaped[Tensor, " b"]
P = ParamSpec("P")
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # their codes in the `order` of `jitter`
_SMALL = 48 * 48  # pixels: below this, a dense product crops faster than a loop over images


def _operation(function: Callable[Concatenate[Tensor, P], Tensor]) -> Callable[Concatenate[Tensor, P], Tensor]:
    """What users call: `checked`, of images in [0, 1]. `transforms` unwraps it, and checks its images once."""

    @wraps(function)
    def call(x: Tensor, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        check_images(x)
        check_unit_range(x, "x")
        return function(x, *args, **kwargs)

    return checked(call)


@_operation
def brightness(x: Images, f: PerSample) -> Images:
    """Multiply each image by its own factor: clamp(f x)."""
    return (x * _each(x, "f", f, 0.0)).clamp_(0, 1)


@_operation
def contrast(x: Images, f: PerSample) -> Images:
    """clamp(f x + (1 - f) m), where m is the mean luma of the image."""
    f = _each(x, "f", f, 0.0)
    return (x * f).add_(_luma(x).mean(dim=(2, 3), keepdim=True) * (1 - f)).clamp_(0, 1)


@_operation
def saturation(x: Images, f: PerSample) -> Images:
    """clamp(f x + (1 - f) luma(x)); gray images do not change."""
    f = _each(x, "f", f, 0.0)
    return x if x.shape[1] == 1 else (x * f).add_(_luma(x) * (1 - f)).clamp_(0, 1)


@_operation
def hue(x: Images, f: PerSample) -> Images:
    """Rotate the HSV hue by f full turns, f in [-0.5, 0.5]; gray images do not change."""
    f = _each(x, "f", f, -0.5, 0.5)
    return x if x.shape[1] == 1 else _turn(x, f)


def jitter(
    x: Images,
    brightness: PerSample,
    contrast: PerSample,
    saturation: PerSample,
    hue: PerSample,
    order: Int64[Tensor, "b 4"],
) -> Images:
    """Apply the four above, in a separate order for each sample: order[i] lists 0 (brightness) to 3 (hue).

    Equal to calling one after the other, at a fraction of the cost: all but hue are clamp(f x + (1 - f) g), with g = 0,
    the mean luma or the luma, so a single pass over the batch applies every sample's i-th operation.
    """
    if x.requires_grad:
        raise ValueError("x requires a gradient, and jitter works in place: x.detach() drops it.")
    gray = x.shape[1] == 1
    factors = torch.stack([_each(x, "brightness", brightness, 0.0), _each(x, "contrast", contrast, 0.0),
                           _each(x, "saturation", saturation, 0.0)], dim=1).view(-1, 3)  # fmt: skip
    turn = _each(x, "hue", hue, -0.5, 0.5)
    if order.shape != (len(x), 4) or not bool((order.sort(dim=1).values == torch.arange(4, device=x.device)).all()):
        raise ValueError("order must have one row per image, each a permutation of 0 (brightness) to 3 (hue).")

    # sort images by the position of hue in their order: those whose hue turns now are a slice; unchanged ones come last
    turns = (turn.view(-1) != 0) & (not gray)
    place = torch.where(turns, order.argmax(dim=1), 4 + (factors == 1).all(dim=1).long())
    by_place = place.argsort()
    *ends, changed, _ = place.bincount(minlength=6).cumsum(0).tolist()
    x, turn = x.index_select(0, by_place), turn.index_select(0, by_place)
    factors, order = factors.index_select(0, by_place), order.index_select(0, by_place)

    linear = 2 if gray else 3
    codes = order[order < linear].view(-1, linear)  # each sample's order without hue
    active, begin = x[:changed], 0
    for i in range(linear + 1):
        if ends[i] > begin:
            _turn(x[begin : ends[i]], turn[begin : ends[i]], out=x[begin : ends[i]])
        begin = ends[i]
        if i < linear and changed:
            code = codes[:changed, i].view(-1, 1, 1, 1)
            f = factors[:changed].gather(1, codes[:changed, i : i + 1]).view(-1, 1, 1, 1)
            luma = _luma(active)
            mean = luma.mean(dim=(2, 3), keepdim=True)
            g = (luma * (code == SATURATION)).add_(mean * (code == CONTRAST))
            torch.lerp(g.expand_as(active), active, f, out=active).clamp_(0, 1)
    return x.index_select(0, by_place.argsort())


def _luma(x: Tensor) -> Float[Tensor, "b 1 h w"]:
    """0.2989 R + 0.587 G + 0.114 B (ITU-R 601-2); a gray image is its own luma."""
    if x.shape[1] == 1:
        return x
    return (x[:, :1] * 0.2989).add_(x[:, 1:2], alpha=0.587).add_(x[:, 2:3], alpha=0.114)


def _turn(x: Tensor, f: Tensor, out: Tensor | None = None) -> Tensor:
    """`hue` of color images, f (b, 1, 1, 1), written to `out`, which may be x."""
    r, g, b = x.split(1, dim=1)
    low = torch.minimum(torch.minimum(r, g), b)
    chroma = torch.maximum(torch.maximum(r, g), b).sub_(low)
    # The hue hexagon: rescale r, g, b so that the smallest is 0 and the largest is 1. The hue is then 1 + g + b - r
    # sixths of a turn away from red, toward green if g > b, otherwise toward blue ...
    angle = (g + b).sub_(r).sub_(low).div_(chroma.clamp_min(1e-12)).add_(1).copysign_(g - b)
    # ... and a channel is 1 up to one sixth from its own hue (red 0, green 2, blue -2), and 0 from two sixths on.
    centres = torch.tensor([0.0, 2.0, -2.0], dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    away = angle + torch.remainder(6 * f - centres + 3, 6).sub_(3)  # (b, 3, h, w), in [-6, 6]; 6 is 0
    channel = away.abs_().sub_(3).abs_().sub_(1).clamp_(0, 1)
    return torch.addcmul(low, channel, chroma, out=out)


@_operation
def grayscale(x: Images, mask: Bool[Tensor, " b"]) -> Images:
    """Replace every channel by the luma if the image's mask is True."""
    mask = _mask(x, mask)
    return x if x.shape[1] == 1 else x.lerp(_luma(x), mask)


@_operation
def solarize(x: Images, threshold: PerSample) -> Images:
    """1 - x for values at or above the threshold; a threshold above 1 changes nothing."""
    return x.lerp(1 - x, (x >= _each(x, "threshold", threshold)).to(x.dtype))


@_operation
def gaussian_blur(x: Images, sigma: PerSample, kernel_size: int = 3) -> Images:
    """Blur by a Gaussian of `sigma` pixels, cut to `kernel_size` taps and normalized; borders are reflected."""
    h, w = x.shape[-2:]
    half = kernel_size // 2
    if kernel_size % 2 == 0 or not 1 <= half < min(h, w):
        raise ValueError(f"kernel_size is {kernel_size}: it must be odd, from 3 to less than twice the image's side.")
    # from 1e-3 on, exp(-1 / 2 sigma^2) is 0, not NaN
    sigma = _each(x, "sigma", sigma, 1e-3).view(-1, 1)
    taps = torch.arange(-half, half + 1, device=x.device)
    kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)  # (b, k)
    rows = _banded(kernel, h)
    return _separable(x, rows, rows if h == w else _banded(kernel, w))


def _banded(kernel: Float[Tensor, "b k"], n: int) -> Float[Tensor, "b n n"]:
    """The matrix that convolves n values with each kernel; values beyond the borders are reflected."""
    b, k = kernel.shape
    target = torch.arange(n, device=kernel.device).view(-1, 1)
    source = (target + torch.arange(-(k // 2), k // 2 + 1, device=kernel.device)).abs()
    source = (n - 1) - ((n - 1) - source).abs()
    place = (target * n + source).flatten()  # a reflected tap may coincide with another: they add up
    flat = kernel.new_zeros(b, n * n).index_add_(1, place, kernel.repeat(1, n))
    return flat.view(b, n, n)


@_operation
def resized_crop(x: Images, boxes: Shaped[Tensor, "b 4"], size: int | tuple[int, int]) -> Float[Tensor, "b c s t"]:
    """Crop boxes (top, left, height, width, in pixels) and resize them to `size` (or height, width), antialiased."""
    check_images(x)
    h, w = x.shape[-2:]
    new_h, new_w = pair(size)
    _check_boxes(x, boxes)
    corner, sides = boxes.to(x.dtype).split(2, dim=1)
    rows = _resampling(corner[:, 0], sides[:, 0], h, new_h)
    return _separable(x, rows, _resampling(corner[:, 1], sides[:, 1], w, new_w))


def stored_crop(
    x: UInt8[Tensor, "b c h w"], boxes: Shaped[Tensor, "b 4"], size: int | tuple[int, int]
) -> Float[Tensor, "b c s t"]:
    """`resized_crop` of uint8 images: equal to torchvision on uint8, which rounds to uint8.

    On a CPU, PyTorch resizes uint8 images one by one, only inside the box: at 256 x 256 pixels this is eight times as
    fast as dense products. Small images, other devices and fractional boxes use floats.
    """
    h, w = x.shape[-2:]
    if x.device.type != "cpu" or h * w < _SMALL or bool((boxes % 1).any()):
        return unwrap(resized_crop)(x.float().div_(255), boxes, size)
    _check_boxes(x, boxes)
    out = x.new_empty(*x.shape[:2], *pair(size))
    for i, (top, left, height, width) in enumerate(boxes.int().tolist()):
        box = x[i : i + 1, :, top : top + height, left : left + width]
        out[i : i + 1] = F.interpolate(box, out.shape[2:], mode="bilinear", antialias=True)
    return out.float().div_(255)


def _check_boxes(x: Tensor, boxes: Tensor) -> None:
    h, w = x.shape[-2:]
    if boxes.shape != (len(x), 4):
        raise ValueError(f"boxes has shape {tuple(boxes.shape)}: it must hold one box per image, ({len(x)}, 4).")
    corner, sides = boxes.to(torch.promote_types(boxes.dtype, torch.float32)).split(2, dim=1)
    whole = torch.tensor([h, w], device=x.device)
    inside = (corner >= 0) & (sides >= 1) & (corner + sides <= whole)
    if not bool(inside.all()):
        bad = boxes[~inside.all(dim=1)][0].tolist()
        raise ValueError(f"boxes holds {bad}: (top, left, height, width) must lie within an image of {h} x {w} pixels.")


def _resampling(start: Tensor, length: Tensor, n: int, size: int) -> Float[Tensor, "b s n"]:
    """Weights of the n inputs for each of `size` outputs: a triangle around the output's center, cut to the box."""
    start, length = start.view(-1, 1, 1), length.view(-1, 1, 1)
    step = length / size
    center = start + (torch.arange(size, device=start.device, dtype=start.dtype).view(1, -1, 1) + 0.5) * step
    pixel = torch.arange(n, device=start.device, dtype=start.dtype) + 0.5
    weight = (pixel - center).abs_().mul_(-1 / step.clamp_min(1)).add_(1).clamp_min_(0)
    weight.mul_((pixel >= start) & (pixel < start + length))
    return weight.div_(weight.sum(dim=2, keepdim=True))


def _separable(x: Images, rows: Float[Tensor, "b s h"], columns: Float[Tensor, "b t w"]) -> Float[Tensor, "b c s t"]:
    """rows x columns^T in every channel. The rows of both sum to 1, so only rounding can push a result above 1."""
    b, c, h, w = x.shape
    s, t = rows.shape[1], columns.shape[1]
    # one product per image and direction, with all channels side by side in one large matrix
    x = torch.bmm(rows, x.transpose(1, 2).reshape(b, h, c * w)).view(b, s * c, w)
    x = torch.bmm(x, columns.transpose(1, 2)).view(b, s, c, t)
    return x.transpose(1, 2).contiguous().clamp_max_(1)


@_operation
def hflip(x: Images, mask: Bool[Tensor, " b"]) -> Images:
    """Mirror an image left to right if its mask is True."""
    return x.lerp(x.flip(3), _mask(x, mask))


@_operation
def rotate(x: Images, angle: PerSample) -> Images:
    """Rotate counter-clockwise by `angle` degrees about the center, bilinear; black fills the gap."""
    h, w = x.shape[-2:]
    a = _each(x, "angle", angle, -math.inf, math.inf).view(-1) * (math.pi / 180)
    cos, sin, zero = a.cos(), a.sin(), torch.zeros_like(a)
    # from output to input, in units of half the image
    theta = torch.stack([cos, -sin * (h / w), zero, sin * (w / h), cos, zero], dim=1).view(-1, 2, 3)
    return _sample(x, theta)


@_operation
def translate(x: Images, shift: Shaped[Tensor, "b 2"]) -> Images:
    """Shift right and down by `shift` = (dx, dy) pixels, bilinear; black fills the gap."""
    check_images(x)
    if shift.shape != (len(x), 2):
        raise ValueError(f"shift has shape {tuple(shift.shape)}: it must hold one (dx, dy) per image, ({len(x)}, 2).")
    if not bool(shift.isfinite().all()):
        raise ValueError("shift holds NaN or infinite values: it must be finite.")
    h, w = x.shape[-2:]
    dx, dy = shift.to(x.dtype).unbind(1)
    one, zero = torch.ones_like(dx), torch.zeros_like(dx)
    return _sample(x, torch.stack([one, zero, -2 * dx / w, zero, one, -2 * dy / h], dim=1).view(-1, 2, 3))


def _sample(x: Images, theta: Float[Tensor, "b 2 3"]) -> Images:
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False).clamp_(0, 1)


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width; one number sets both."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size is {size}: an image needs at least one pixel each way.")
    return height, width


def check_images(x: Tensor) -> None:
    """Raises TypeError or ValueError for input that is not float (b, c, h, w) with one or three channels."""
    if not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}: images must be float in [0, 1]; convert uint8 by x / 255.")
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}: images must be (b, c, h, w); for one image pass x[None].")
    if x.shape[1] not in (1, 3):
        raise ValueError(f"x has {x.shape[1]} channels: images must be gray (1) or RGB (3).")


def _each(x: Tensor, name: str, value: object, low: float = -math.inf, high: float = math.inf) -> Tensor:
    """Reshape the values to (b, 1, 1, 1), after checking that there is one per image, in [low, high]."""
    check_images(x)
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is {value!r}: it must be a tensor of one value per image, ({len(x)},).")
    if value.shape != x.shape[:1]:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: it must hold one value per image, ({len(x)},).")
    if len(value):
        least, most = (v.item() for v in value.aminmax())
        if not (low <= least <= most <= high and math.isfinite(least) and math.isfinite(most)):
            bad = most if low <= least and math.isfinite(least) else least
            raise ValueError(f"{name} holds {bad:g}: it must be finite, and lie in [{low:g}, {high:g}].")
    return value.to(x.dtype).view(-1, 1, 1, 1)


def _mask(x: Tensor, mask: object) -> Tensor:
    """The mask as weights of 0 and 1, (b, 1, 1, 1)."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        what = mask.dtype if isinstance(mask, Tensor) else repr(mask)
        raise TypeError(f"mask is {what}: it must be a bool tensor, True for the images to change.")
    return _each(x, "mask", mask.to(torch.uint8))
