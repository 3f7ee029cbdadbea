"""Operators of a chain: networks that give the next state's p_t(z_t | z_{t-1}), independent over coordinates.

An operator is any function (z, t) -> (mean, std) with t = 1 ... T. If std is None, z_t is drawn from {0, 1} with the
mean as its probability. The operators here share all weights over the steps, except for what tells the steps apart.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.data import checked, seeded

Apart = Literal["batchnorm", "embedding", "shared"]  # scale and shift: one for each step, FiLM, or one for all
BETA, FLOOR = 0.1, 1e-4  # var = BETA sigmoid(net) + FLOOR, as in the released code
FREQUENCIES = 6  # in the step's embedding
Moments = tuple[Float[Tensor, "b *x"], Float[Tensor, "b *x"] | None]


class Operator(nn.Module):
    """mean = sigmoid(net); std comes from the net or from a fixed variance, or is None for Bernoulli outputs.

    `steps` is the T that the operator is trained for. Raises ValueError for t outside 1 ... T and for z of another
    shape.
    """

    def __init__(self, net: nn.Module, shape: Sequence[int], steps: int, variance: float | None, bernoulli: bool):
        super().__init__()
        self.net, self.shape, self.steps, self.variance, self.bernoulli = net, tuple(shape), steps, variance, bernoulli

    def forward(self, z: Float[Tensor, "b *x"], t: int) -> Moments:
        if not 1 <= t <= self.steps:
            raise ValueError(
                f"t is {t}: this operator was made for {self.steps} steps, t = 1 ... {self.steps}; "
                "past(operator) repeats the last one."
            )
        if z.shape[1:] != self.shape:
            raise ValueError(
                f"z has shape {tuple(z.shape)}: this operator takes (b, {', '.join(map(str, self.shape))})."
            )
        out = self.net(z, t).to(z.dtype)  # a sigmoid in bfloat16 would round to 1/256
        if self.bernoulli:
            return out.sigmoid(), None
        if self.variance is not None:
            return out.sigmoid(), torch.full_like(z, self.variance**0.5)
        mean, var = out.chunk(2, dim=1)
        return mean.sigmoid(), (BETA * var.sigmoid() + FLOOR).sqrt()


@checked
def mlp(
    shape: Sequence[int],
    *,
    steps: int = 15,
    hidden: Sequence[int] = (1200, 1200),
    apart: Apart = "batchnorm",
    variance: float | None = None,
    bernoulli: bool = False,
    seed: int = 0,
) -> Operator:
    """The paper's MLP on (b, *shape): Linear-BatchNorm-ReLU layers of these widths, then a linear layer.

    `variance` is learned if None (0.0001 to 0.1), fixed if a number. Raises ValueError for arguments out of range.

    >>> mean, std = stk.infusion.mlp((1, 28, 28))(torch.rand(4, 1, 28, 28), 1)
    >>> mean.shape
    torch.Size([4, 1, 28, 28])
    """
    _check(steps, apart, variance, bernoulli)
    with seeded(seed, "init"):
        outputs = _outputs(shape[0], variance, bernoulli)
        return Operator(_MLP(shape, outputs, hidden, steps, apart), shape, steps, variance, bernoulli)


@checked
def conv(
    shape: Sequence[int],
    *,
    steps: int = 15,
    width: int = 32,
    apart: Apart = "batchnorm",
    variance: float | None = None,
    bernoulli: bool = False,
    seed: int = 0,
) -> Operator:
    """A convolutional operator for square images (c, s, s) with s of 16, 28, 32 or 64.

    Convolutions halve the image down to 7 or 8 pixels, a fully connected layer sees the whole image, and transposed
    convolutions go back up. There are `width` channels at full size, and twice as many at each smaller size. Otherwise
    it is like `mlp`. The paper's own nets for CIFAR-10 and CelebA are not public.
    """
    _check(steps, apart, variance, bernoulli)
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] not in (16, 28, 32, 64):
        raise ValueError(f"shape is {tuple(shape)}: conv takes (c, s, s) with s of 16, 28, 32 or 64; mlp takes any.")
    with seeded(seed, "init"):
        net = _Conv(shape, _outputs(shape[0], variance, bernoulli), width, steps, apart)
        return Operator(net, shape, steps, variance, bernoulli)


def _outputs(channels: int, variance: float | None, bernoulli: bool) -> int:
    return channels if bernoulli or variance is not None else 2 * channels


def _check(steps: int, apart: str, variance: float | None, bernoulli: bool) -> None:
    if steps < 1:
        raise ValueError(f"steps is {steps}: a chain has at least 1.")
    if apart not in get_args(Apart):
        raise ValueError(f"apart is {apart!r}: it must be one of {', '.join(get_args(Apart))}.")
    if variance is not None and not variance > 0:
        raise ValueError(f"variance is {variance}: it must be positive, or None to learn it.")
    if variance is not None and bernoulli:
        raise ValueError(f"variance is {variance}: Bernoulli outputs have none; leave it out.")


class _StepNorm(nn.Module):
    """BatchNorm with averages of its own for each step; `apart` says which scale and shift follow it.

    Training normalizes by the statistics of one step, so evaluation must, too: averages over all steps fit none.
    """

    def __init__(self, norm: type[nn.BatchNorm1d | nn.BatchNorm2d], width: int, steps: int, apart: Apart):
        super().__init__()
        self.steps = steps
        self.norms = nn.ModuleList(norm(width, affine=apart == "batchnorm") for _ in range(steps))
        self.film = nn.Linear(2 * FREQUENCIES, 2 * width) if apart == "embedding" else None
        self.shared = nn.Parameter(torch.zeros(2 * width)) if apart == "shared" else None
        if self.film is not None:
            nn.init.zeros_(self.film.bias)

    def forward(self, h: Float[Tensor, "b d *hw"], t: int) -> Float[Tensor, "b d *hw"]:
        h = self.norms[t - 1](h)
        film = self.shared
        if self.film is not None:
            angle = torch.pi * t / self.steps * 2.0 ** torch.arange(FREQUENCIES, device=h.device)
            film = self.film(torch.cat([angle.sin(), angle.cos()]))
        if film is not None:
            gain, bias = film.view(2, -1, *[1] * (h.ndim - 2))
            h = h * (1 + gain) + bias
        return F.relu(h, inplace=True)


class _MLP(nn.Module):
    def __init__(self, shape: Sequence[int], outputs: int, hidden: Sequence[int], steps: int, apart: Apart):
        super().__init__()
        self.out_shape = (outputs, *shape[1:])
        widths = [torch.Size(shape).numel(), *hidden]
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(widths, hidden, strict=False))
        self.norms = nn.ModuleList(_StepNorm(nn.BatchNorm1d, width, steps, apart) for width in hidden)
        self.last = nn.Linear(widths[-1], torch.Size(self.out_shape).numel())

    def forward(self, z: Float[Tensor, "b *x"], t: int) -> Float[Tensor, "b *y"]:
        h = z.flatten(1)
        for linear, norm in zip(self.linears, self.norms, strict=True):
            h = norm(linear(h), t)
        return self.last(h).unflatten(1, self.out_shape)


class _Conv(nn.Module):
    def __init__(self, shape: Sequence[int], outputs: int, width: int, steps: int, apart: Apart):
        super().__init__()
        channels, size, _ = shape
        widths, side = [width], size
        while side > 8:
            widths, side = [*widths, 2 * widths[-1]], side // 2
        pairs, deep = list(pairwise(widths)), widths[-1] * side * side

        def norm(n: int) -> _StepNorm:
            return _StepNorm(nn.BatchNorm2d, n, steps, apart)

        self.first, self.first_norm = nn.Conv2d(channels, width, 3, padding=1, bias=False), norm(width)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairs)
        self.down_norms = nn.ModuleList(norm(b) for _, b in pairs)
        self.squeeze, self.spread = nn.Linear(deep, 4 * width), nn.Linear(4 * width, deep, bias=False)
        self.middle = norm(widths[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 4, stride=2, padding=1, bias=False) for a, b in pairs[::-1])
        self.up_norms = nn.ModuleList(norm(a) for a, _ in pairs[::-1])
        self.last = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, z: Float[Tensor, "b c h w"], t: int) -> Float[Tensor, "b k h w"]:
        h = self.first_norm(self.first(z), t)
        levels = []
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            levels.append(h)
            h = norm(conv(h), t)
        whole = self.spread(F.relu(self.squeeze(h.flatten(1)))).view_as(h)
        h = self.middle(h + whole, t)
        for conv, norm in zip(self.up, self.up_norms, strict=True):
            h = norm(conv(h), t) + levels.pop()
        return self.last(h)
