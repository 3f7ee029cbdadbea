"""Image operations on batches, one value per sample, each equal to torchvision's of the same name to 1/255.

Images are float (b, c, h, w) in [0, 1] and stay so. There is no loop over samples: torchvision's functions take one
value for a whole batch, which makes every view of a batch share one crop and one jitter.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

Images = Float[Tensor, "b c h w"]
PerSample = Shaped[Tensor, " b"]


def _each(value: Tensor) -> Shaped[Tensor, "b 1 1 1"]:
    return value.view(-1, 1, 1, 1)


def _luma(x: Images) -> Float[Tensor, "b 1 h w"]:
    """0.2989 R + 0.587 G + 0.114 B (ITU-R 601-2); a grey image is its own."""
    if x.shape[1] == 1:
        return x
    return (x[:, :1] * 0.2989).add_(x[:, 1:2], alpha=0.587).add_(x[:, 2:3], alpha=0.114)


def brightness(x: Images, f: PerSample) -> Images:
    """clamp(f x)."""
    _factor("f", f)
    return (x * _each(f)).clamp_(0, 1)


def contrast(x: Images, f: PerSample) -> Images:
    """clamp(f x + (1 - f) m), m the mean luma of the image."""
    _factor("f", f)
    mean = _luma(x).mean(dim=(2, 3), keepdim=True)
    return (x * _each(f)).add_(mean.mul_(_each(1 - f))).clamp_(0, 1)


def saturation(x: Images, f: PerSample) -> Images:
    """clamp(f x + (1 - f) luma(x)); a grey image stays as it is."""
    _factor("f", f)
    return x if x.shape[1] == 1 else (x * _each(f)).add_(_luma(x) * _each(1 - f)).clamp_(0, 1)


def hue(x: Images, f: PerSample) -> Images:
    """Turn the hue of HSV by f of a full turn, f in [-0.5, 0.5]; a grey image stays as it is."""
    if bool((f.abs() > 0.5).any()):
        raise ValueError(f"f is {f[f.abs() > 0.5][0].item():.3g}: a shift of hue lies in [-0.5, 0.5] turns.")
    if x.shape[1] == 1:
        return x
    r, g, b = x.unbind(1)
    top, bottom = torch.maximum(torch.maximum(r, g), b), torch.minimum(torch.minimum(r, g), b)
    chroma = top - bottom
    scale = chroma.clamp_min(1e-12).reciprocal_()
    # sixths of a turn: the distance from the channel that is largest, which lies at 0 (red), 2 or 4
    turn = torch.where(r == top, (g - b) * scale, torch.where(g == top, (b - r) * scale + 2, (r - g) * scale + 4))
    turn.add_(6 * f.view(-1, 1, 1))
    out = torch.empty_like(x)
    for channel, n in enumerate((5, 3, 1)):  # v - c max(0, min(k, 4 - k, 1)), k = (n + 6 hue) mod 6
        k = torch.remainder(turn + n, 6)
        torch.sub(top, torch.minimum(k, 4 - k).clamp_(0, 1).mul_(chroma), out=out[:, channel])
    return out


def grayscale(x: Images, mask: Bool[Tensor, " b"]) -> Images:
    """The luma in every channel, where the mask is set."""
    return x if x.shape[1] == 1 else torch.where(_each(mask), _luma(x), x)


def solarize(x: Images, threshold: PerSample) -> Images:
    """1 - x for values at or above the threshold; above 1 it changes nothing."""
    return torch.where(x >= _each(threshold), 1 - x, x)


def gaussian_blur(x: Images, sigma: PerSample, kernel_size: int = 3) -> Images:
    """A Gaussian of `sigma` pixels, cut to `kernel_size` taps and normalised; borders are reflected."""
    if kernel_size % 2 == 0 or not 1 <= kernel_size // 2 < min(x.shape[-2:]):
        raise ValueError(f"kernel_size is {kernel_size}: it must be odd, from 3 to less than twice the image.")
    if bool((sigma <= 0).any()):
        raise ValueError(f"sigma is {sigma.min().item():.3g}: it must be positive (0.1 changes nothing).")
    half = kernel_size // 2
    taps = torch.arange(-half, half + 1, device=x.device)
    kernel = torch.exp(-0.5 * (taps / sigma.view(-1, 1)) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)  # (b, k)
    for dim, pad in ((3, (half, half, 0, 0)), (2, (0, 0, half, half))):
        padded, n = F.pad(x, pad, mode="reflect"), x.shape[dim]
        x = padded.narrow(dim, half, n) * _each(kernel[:, half])
        for i in range(half):
            x.addcmul_(padded.narrow(dim, i, n) + padded.narrow(dim, kernel_size - 1 - i, n), _each(kernel[:, i]))
    return x


def resized_crop(x: Images, boxes: Shaped[Tensor, "b 4"], size: int) -> Float[Tensor, "b c s s"]:
    """The boxes (top, left, height, width, in pixels) resized to `size`, bilinear and antialiased."""
    h, w = x.shape[-2:]
    top, left, height, width = boxes.to(torch.float32).unbind(1)
    if bool(((boxes[:, 2:] <= 0).any(1) | (boxes[:, :2] < 0).any(1) | (top + height > h) | (left + width > w)).any()):
        raise ValueError(f"boxes must lie inside the image of {h} x {w} pixels, as (top, left, height, width).")
    rows, columns = _resampling(top, height, h, size), _resampling(left, width, w, size)
    b, c = x.shape[:2]
    # columns first, transposed on the way, so that both products are of one matrix per image
    x = torch.bmm(columns, x.reshape(b, c * h, w).transpose(1, 2))  # (b, s, c h)
    x = torch.bmm(x.view(b, size * c, h), rows.transpose(1, 2))  # (b, s c, s): x, channel, y
    return x.view(b, size, c, size).permute(0, 2, 3, 1).contiguous()


def _resampling(start: Tensor, length: Tensor, n: int, size: int) -> Float[Tensor, "b s n"]:
    """Weights of the n inputs for each of `size` outputs: a triangle around the output's centre, inside the box."""
    step = (length / size).view(-1, 1, 1)
    centre = start.view(-1, 1, 1) + (torch.arange(size, device=start.device).view(1, -1, 1) + 0.5) * step
    pixel = torch.arange(n, device=start.device) + 0.5
    weight = (1 - (pixel - centre).abs_().div_(step.clamp_min(1))).clamp_min_(0)
    inside = (pixel > start.view(-1, 1, 1)) & (pixel < (start + length).view(-1, 1, 1))
    weight.mul_(inside)
    return weight.div_(weight.sum(dim=2, keepdim=True))


def hflip(x: Images, mask: Bool[Tensor, " b"]) -> Images:
    """Mirrored left to right, where the mask is set."""
    return torch.where(_each(mask), x.flip(3), x)


def rotate(x: Images, angle: PerSample) -> Images:
    """Turned counter-clockwise by `angle` degrees about the centre, bilinear; what comes in from outside is black."""
    h, w = x.shape[-2:]
    a = angle * (math.pi / 180)
    cos, sin, zero = a.cos(), a.sin(), torch.zeros_like(a)
    # from output to input, in units of half the image
    theta = torch.stack([cos, -sin * (h / w), zero, sin * (w / h), cos, zero], dim=1).view(-1, 2, 3)
    return _sample(x, theta)


def translate(x: Images, shift: Shaped[Tensor, "b 2"]) -> Images:
    """Moved right and down by `shift` = (dx, dy) pixels, bilinear; what comes in from outside is black."""
    h, w = x.shape[-2:]
    dx, dy = shift.to(x.dtype).unbind(1)
    one, zero = torch.ones_like(dx), torch.zeros_like(dx)
    return _sample(x, torch.stack([one, zero, -2 * dx / w, zero, one, -2 * dy / h], dim=1).view(-1, 2, 3))


def _sample(x: Images, theta: Float[Tensor, "b 2 3"]) -> Images:
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def erase(x: Images, boxes: Shaped[Tensor, "b 4"]) -> Images:
    """Black inside the boxes (top, left, height, width, in pixels), which may reach outside."""
    h, w = x.shape[-2:]
    rows, columns = torch.arange(h, device=x.device), torch.arange(w, device=x.device)
    top, left, height, width = (v.view(-1, 1) for v in boxes.unbind(1))
    vertical = (rows >= top) & (rows < top + height)  # (b, h)
    horizontal = (columns >= left) & (columns < left + width)  # (b, w)
    return x.masked_fill((vertical[:, :, None] & horizontal[:, None, :])[:, None], 0)


def _factor(name: str, f: Tensor) -> None:
    if bool((f < 0).any()):
        raise ValueError(f"{name} is {f.min().item():.3g}: a factor must not be negative (1 changes nothing).")
