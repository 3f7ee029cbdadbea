"""A U-Net (Ronneberger et al., 2015) for 16 to 128 pixels, conditioned on the time and optionally on h.

    UNet(1, condition=1024)                                                    0.9 M parameters, for 28 or 32 pixels
    UNet(1, condition=1024, patch=2, width=32, multipliers=(1, 2), blocks=1)          0.8 M, 2.5 times as fast
    UNet(3, condition=2048, width=256, multipliers=(1, 1, 2, 3, 4), attention=(2, 3, 4))      as RCDM's, for 128

There are three ways to condition on h; each scales and shifts the normalized features of a block:

    film   GN(x) (1 + G e) + B e with e = MLP(t) + W h                     as in RCDM's released code (ADM's AdaGN)
    cbn    BN(x) (1 + G P h) + B P h, with the time added before it        conditional batch norm, as in RCDM's paper
    adaln  like film, and also a gate on the block's output that starts at 0        adaLN-zero (Peebles and Xie)
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ssl_toolkit.data import seeded

Conditioning = Literal["film", "cbn", "adaln"]
Map = Float[Tensor, "b c h w"]
_WAVES = 4  # size of the time embedding, as a multiple of `width`


class Block(nn.Module):
    """Two convolutions and a shortcut; the conditioning enters at the second normalization."""

    def __init__(self, channels: int, width: int, told: int, conditioning: Conditioning):
        super().__init__()
        self.conditioning = conditioning
        self.norm1 = _norm(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(width, affine=False) if conditioning == "cbn" else _norm(width, affine=False)
        self.modulation = nn.Linear(told, (3 if conditioning == "adaln" else 2) * width)
        self.time = nn.Linear(told, width) if conditioning == "cbn" else None
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()
        # a block starts as its shortcut: the gate starts at 0 with adaLN-zero, else the last convolution does
        _zero(self.modulation)
        if conditioning != "adaln":
            _zero(self.conv2)

    def forward(self, x: Map, told: Float[Tensor, "b e"], time: Float[Tensor, "b e"]) -> Float[Tensor, "b k h w"]:
        y = self.conv1(F.silu(self.norm1(x)))
        if self.time is not None:
            y = y + self.time(time)[:, :, None, None]
        scale, shift, *gate = self.modulation(told)[:, :, None, None].chunk(3 if self.conditioning == "adaln" else 2, 1)
        y = self.conv2(F.silu(torch.addcmul(shift, self.norm2(y), 1 + scale)))
        return self.shortcut(x) + (gate[0] * y if gate else y)


class Attention(nn.Module):
    """Self-attention over positions, with heads of 32 channels; it starts as the identity."""

    def __init__(self, width: int):
        super().__init__()
        self.heads = max(1, width // 32)
        self.norm, self.qkv, self.out = _norm(width), nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)
        _zero(self.out)

    def forward(self, x: Map) -> Map:
        heads, h = self.heads, x.shape[2]
        q, k, v = rearrange(self.qkv(self.norm(x)), "b (n heads d) h w -> n b heads (h w) d", n=3, heads=heads)
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(rearrange(y, "b heads (h w) d -> b (heads d) h w", h=h))


class Level(nn.Module):
    """The blocks of one resolution, each followed by attention if asked for."""

    def __init__(self, widths: Sequence[tuple[int, int]], told: int, conditioning: Conditioning, attention: bool):
        super().__init__()
        self.blocks = nn.ModuleList(Block(a, b, told, conditioning) for a, b in widths)
        self.attention = nn.ModuleList(Attention(b) if attention else nn.Identity() for _, b in widths)

    def forward(self, x: Map, told: Tensor, time: Tensor, skips: list[Tensor] | None = None) -> list[Tensor]:
        """The output of every block; on the way up, each block also takes the last of `skips`."""
        outputs = []
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = x if skips is None else torch.cat([x, skips.pop()], dim=1)
            x = attention(block(x, told, time))
            outputs.append(x)
        return outputs


class UNet(nn.Module):
    """network(x, t, h) -> an output like x, with levels of width * multiplier channels, each half the size of the last.

    With `patch` above 1, each square of patch x patch pixels becomes one position with patch^2 times the channels, and
    the output is unfolded again: a step costs less, and no pixel is lost.
    `condition` is the width d of h (None: a network of x and t alone), and `attention` lists the levels that have it.
    `time_scale` multiplies t: use 1000 for t in [0, 1] and 1 for steps. `outputs` is the number of output channels
    (None: as many as the input; use twice as many for a learned variance). In the rows where `null` is true, a learned
    vector replaces h; training with dropped conditions makes that the unconditional model. With null=False the network
    has no such vector, and asking for it raises ValueError.
    """

    def __init__(
        self,
        channels: int = 1,
        *,
        condition: int | None = None,
        null: bool = True,
        conditioning: Conditioning = "film",
        patch: int = 1,
        width: int = 16,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 2,
        attention: Sequence[int] = (),
        outputs: int | None = None,
        time_scale: float = 1000.0,
        seed: int = 0,
    ):
        super().__init__()
        if conditioning not in get_args(Conditioning):
            raise ValueError(f"conditioning is {conditioning!r}: it must be 'film', 'cbn' or 'adaln'.")
        if conditioning == "cbn" and condition is None:
            raise ValueError("conditioning is 'cbn', which needs h: give its width as condition=.")
        if unknown := [level for level in attention if not 0 <= level < len(multipliers)]:
            raise ValueError(f"attention holds {unknown[0]}: the levels are 0 ... {len(multipliers) - 1}.")
        if patch < 1:
            raise ValueError(f"patch is {patch}: it must be at least 1 pixel.")
        self.condition, self.conditioning, self.time_scale, self.width = condition, conditioning, time_scale, width
        self.patch = patch
        widths, told = [width * m for m in multipliers], 8 * width

        def level(i: int, pairs: Sequence[tuple[int, int]]) -> Level:
            return Level(pairs, told, conditioning, i in attention)

        with seeded(seed, "init"):
            self.time = nn.Sequential(nn.Linear(_WAVES * width, told), nn.SiLU(), nn.Linear(told, told))
            self.h = None if condition is None else nn.Linear(condition, told)
            self.null = None if condition is None or not null else nn.Parameter(torch.zeros(condition))
            self.stem = nn.Conv2d(channels * patch**2, widths[0], 3, padding=1)
            self.down = nn.ModuleList(level(i, [(w, w)] * blocks) for i, w in enumerate(widths))
            self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(widths))
            self.middle = level(len(widths) - 1, [(widths[-1], widths[-1])])
            self.up = nn.ModuleList(level(i, [(2 * w, w)] * blocks) for i, w in enumerate(widths))
            self.grow = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in pairwise(widths))
            self.norm = _norm(widths[0])
            self.out = nn.Conv2d(widths[0], (channels if outputs is None else outputs) * patch**2, 3, padding=1)
            _zero(self.out)

    def forward(
        self,
        x: Map,
        t: Shaped[Tensor, " b"],
        h: Float[Tensor, "b d"] | None = None,
        null: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b c2 h w"]:
        if x.shape[-1] % (step := self.patch * 2 ** len(self.shrink)) or x.shape[-2] % step:
            raise ValueError(f"x is {x.shape[-2]} x {x.shape[-1]}: for these levels sides must be multiples of {step}.")
        waves = _waves(self.time_scale * t.float(), _WAVES * self.width).to(x.dtype)  # half and double networks, too
        time = F.silu(self.time(waves))
        told = time
        if self.h is not None:
            told = F.silu(self.h(self._condition(h, null)) + (0 if self.conditioning == "cbn" else time))
        x = self.stem(F.pixel_unshuffle(x, self.patch))
        skips: list[Tensor] = []
        for i, level in enumerate(self.down):
            x = self.shrink[i - 1](x) if i else x
            skips += level(x, told, time)
            x = skips[-1]
        x = self.middle(x, told, time)[-1]
        for i, level in reversed(list(enumerate(self.up))):
            x = level(x, told, time, skips)[-1]
            x = F.interpolate(self.grow[i - 1](x), scale_factor=2.0, mode="nearest") if i else x
        return F.pixel_shuffle(self.out(F.silu(self.norm(x))), self.patch)

    def _condition(self, h: Tensor | None, null: Tensor | None) -> Float[Tensor, "b d"]:
        if h is None:
            raise ValueError(f"the network is conditioned on h of {self.condition} dimensions: pass it.")
        if h.shape[1] != self.condition:
            raise ValueError(
                f"h has {h.shape[1]} dimensions and the network was made for {self.condition}: "
                "use the encoder and the depth that it was trained with."
            )
        if null is None:
            return h
        if self.null is None:
            raise ValueError("this network has no learned null, so it cannot be guided: train one with drop=0.1.")
        return torch.where(null[:, None], self.null, h)


def _zero(layer: nn.Linear | nn.Conv2d) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _norm(width: int, *, affine: bool = True) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(width, max(1, width // 4), 32), width, affine=affine)


def _waves(t: Float[Tensor, " b"], n: int) -> Float[Tensor, "b n"]:
    """cos and sin of t at n / 2 frequencies from 1 to 1 / 10,000 (Vaswani et al., 2017)."""
    frequency = torch.exp(-math.log(10_000) / (n // 2) * torch.arange(n // 2, device=t.device))
    angle = t[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=1)
