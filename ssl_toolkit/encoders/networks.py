"""Encoders: an image in, a representation out, and a name for every depth on the way.

An encoder f is a stack of stages with average pooling at the end: h = f(x) is the *representation* that
downstream tasks use. A projector g maps it to the *embedding* z = g(h) that the loss sees; it is dropped after
training. Bordes et al. (2023, "Expand or Narrow") change one number of f: the width of its very last block.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.data import seeded

Depths = dict[str, Float[Tensor, "b _"]]


class Block(nn.Module):
    """A residual block: two convolutions and a shortcut. The second convolution maps to `width` channels.

    With `output_kernel=1` a wide output costs `planes * width` weights instead of nine times as many, so a last
    block of 2048 channels stays affordable.
    """

    def __init__(self, channels: int, planes: int, width: int, *, stride: int, output_kernel: Literal[1, 3] = 3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, width, output_kernel, padding=output_kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride) if stride > 1 or channels != width else None

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        # A single pixel only meets the kernel's center. Given the whole kernel and a stride of 2, oneDNN leaves the
        # rest of the bfloat16 gradient unwritten, so it holds whatever was in memory.
        one_pixel = x.shape[-2:] == (1, 1)
        x = F.conv2d(x, self.conv1.weight[:, :, 1:2, 1:2]) if one_pixel else self.conv1(x)
        x = F.relu(self.bn1(x), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


def _shortcut(channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))


class Stages(nn.Sequential):
    """A backbone that runs its named stages in order and returns all their outputs.

    Raises ValueError for input that is not a float batch with the right number of channels.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        first = next(module for module in self.modules() if isinstance(module, nn.Conv2d))
        if x.ndim != 4 or not x.is_floating_point() or x.shape[1] != first.in_channels:
            raise ValueError(
                f"x is {x.dtype} of shape {tuple(x.shape)}: this encoder takes floats in [0, 1] of shape "
                f"(b, {first.in_channels}, h, w)."
            )
        outputs = {}
        for name, stage in self.named_children():
            outputs[name] = x = stage(x)
        return outputs


class Encoder(nn.Module):
    """A backbone, a projector and, for methods with a teacher, a predictor.

    `width` is d, the dimension of the representation; `projector` and `predictor` list the widths of their layers.
    Calling it gives the embedding, or the representation if there is no projector.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        width: int,
        projector: Sequence[int] = (),
        predictor: Sequence[int] | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.width = width
        self.projector = _mlp(width, projector)
        self.predictor = None if predictor is None else _mlp((width, *projector)[-1], predictor)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        *_, last = self.backbone(x).values()
        return self.projector(_one_row_each(_pool(last), x))

    def features(self, x: Float[Tensor, "b c h w"]) -> Depths:
        """Every depth by name, in order, each (b, d): the stages, "representation", "projector1" ..., "embedding".

        Feature maps and tokens are averaged over positions. Without a projector, "representation" comes last.
        """
        *maps, (_, last) = self.backbone(x).items()
        depths = {name: _pool(z) for name, z in maps}
        depths["representation"] = z = _one_row_each(_pool(last), x)
        for i, layer in enumerate(self.projector, start=1):
            z = layer(z)
            depths["embedding" if i == len(self.projector) else f"projector{i}"] = z
        return depths

    def describe(self) -> str:
        """What this encoder is, in one line: its kind, how images are prepared, its depths and width."""
        return " · ".join(self._described())

    def __repr__(self) -> str:
        return "\n  ".join([f"Encoder: {self._described()[0]}", *self._described()[1:]])

    def _described(self) -> list[str]:
        tell = getattr(self.backbone, "describe", None)
        found = (
            tell()
            if tell
            else [type(self.backbone).__name__, f"depths: {', '.join(dict(self.backbone.named_children()))}"]
        )
        layers = [layer.out_features for layer in self.projector.modules() if isinstance(layer, nn.Linear)]
        projected = [f"projector: {' -> '.join(map(str, layers))}"] if layers else []
        return [*found, f"width: {self.width}", *projected]


def _pool(x: object) -> Float[Tensor, "b d"]:
    """Average a map (b, d, h, w) or tokens (b, n, d) over positions; a vector (b, d) stays unchanged."""
    if not isinstance(x, Tensor):
        raise TypeError(f"a depth returned a {type(x).__name__}, not a tensor: choose a submodule that returns one.")
    if x.ndim == 4:
        return x.mean(dim=(2, 3))
    return x.mean(dim=1) if x.ndim == 3 else x


def _one_row_each(h: Float[Tensor, "n d"], x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
    if h.ndim != 2 or len(h) != len(x):
        raise ValueError(
            f"the network gives a representation of shape {tuple(h.shape)} for {len(x)} images: it must be one vector "
            "per image, (b, d). It may pool the wrong dimensions, or keep maps with the channels last."
        )
    return h


def _mlp(width: int, widths: Sequence[int]) -> nn.Sequential:
    """Linear-BatchNorm-ReLU layers, the last one linear: the projector of SimCLR, VICReg, Barlow Twins and BYOL."""
    if any(w < 1 for w in widths):
        raise ValueError(f"the layer widths are {tuple(widths)}: each must be at least 1.")
    layers: list[nn.Module] = []
    for i, out in enumerate(widths, start=1):
        if i == len(widths):
            layers.append(nn.Linear(width, out, bias=False))
        else:
            layers.append(nn.Sequential(nn.Linear(width, out, bias=False), nn.BatchNorm1d(out), nn.ReLU(inplace=True)))
        width = out
    return nn.Sequential(*layers)


def small_conv(
    channels: int = 3,
    *,
    width: int = 128,
    projector: Sequence[int] = (256, 128),
    predictor: Sequence[int] | None = None,
    planes: Sequence[int] = (32, 64, 128),
    blocks: int = 1,
    seed: int = 0,
) -> Encoder:
    """A residual net for images of 24 to 64 pixels that trains on a laptop.

    It has a stem of 32 channels and stages of 32, 64 and 128 planes, each with stride 2, so the last one sees the whole
    image. `width` is the output width of the last block and the size of the representation. Larger `planes` widen the
    whole network, more `blocks` per stage deepen it.

    >>> encoder = stk.small_conv(1, width=64)
    >>> encoder(torch.rand(2, 1, 28, 28)).shape
    torch.Size([2, 128])
    >>> encoder.features(torch.rand(2, 1, 28, 28))["representation"].shape
    torch.Size([2, 64])
    """
    if channels < 1 or width < 1:
        raise ValueError(f"channels is {channels} and width is {width}: both must be at least 1.")
    if len(planes) != 3 or min(planes) < 1 or blocks < 1:
        raise ValueError(
            f"planes is {tuple(planes)} and blocks is {blocks}: they must be three numbers and one, all >= 1."
        )
    a, b, c = planes
    with seeded(seed, "init"):
        first = nn.Conv2d(channels, a, 5, stride=2, padding=2, bias=False)
        stages = Stages(
            OrderedDict(
                stem=nn.Sequential(first, nn.BatchNorm2d(a), nn.ReLU(inplace=True)),
                stage1=_stage(a, a, a, blocks),
                stage2=_stage(a, b, b, blocks),
                stage3=_stage(b, c, width, blocks, output_kernel=1),
            )
        )
        return Encoder(stages, width=width, projector=projector, predictor=predictor)


def _stage(channels: int, planes: int, width: int, blocks: int, *, output_kernel: Literal[1, 3] = 3) -> nn.Sequential:
    """`blocks` residual blocks, the first of stride 2 and the last of `width` outputs."""
    inner = [Block(channels if i == 0 else planes, planes, planes, stride=1 if i else 2) for i in range(blocks - 1)]
    channels, stride = (planes, 1) if inner else (channels, 2)
    return nn.Sequential(*inner, Block(channels, planes, width, stride=stride, output_kernel=output_kernel))


def resnet(
    name: str,
    *,
    channels: int = 3,
    stem: Literal["small", "imagenet"] = "small",
    width: int | None = None,
    projector: Sequence[int] = (2048, 2048, 2048),
    predictor: Sequence[int] | None = None,
    seed: int = 0,
) -> Encoder:
    """torchvision's ResNet by name ("resnet18" ... "wide_resnet101_2"), untrained, without its classifier.

    stem="small" starts with a 3x3 convolution of stride 1 and no pooling, as is usual at 32 pixels; "imagenet" is the
    original stem. `width` sets the output width of the last block (see `set_last_block_width`); None keeps it.

    >>> encoder = stk.resnet("resnet18", width=64, projector=(64, 32))
    >>> encoder(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """
    from torchvision import models

    known = [m for m in models.list_models(module=models) if "resnet" in m]
    if name not in known:
        raise ValueError(f"name is {name!r}: it must be one of torchvision's ResNets: {', '.join(known)}.")
    if channels < 1:
        raise ValueError(f"channels is {channels}: it must be at least 1.")
    if stem not in ("small", "imagenet"):
        raise ValueError(f"stem is {stem!r}: it must be 'small' (3x3, no pooling) or 'imagenet'.")
    with seeded(seed, "init"):
        net = models.get_model(name, weights=None)
        if width is not None:
            set_last_block_width(net, width)
        small = stem == "small"
        first = nn.Conv2d(channels, 64, 3 if small else 7, 1 if small else 2, padding=1 if small else 3, bias=False)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        layers: list[nn.Module] = [first, net.bn1, net.relu]
        stages = Stages(
            OrderedDict(
                stem=nn.Sequential(*layers, *([] if small else [net.maxpool])),
                stage1=net.layer1,
                stage2=net.layer2,
                stage3=net.layer3,
                stage4=net.layer4,
            )
        )
        return Encoder(stages, width=net.fc.in_features, projector=projector, predictor=predictor)


def set_last_block_width(module: nn.Module, width: int) -> None:
    """Set the output width of the last block of a torchvision ResNet, or of an `Encoder` from this module.

    Only that block's output convolution and shortcut change: the inner width stays, and the identity shortcut becomes
    a 1x1 convolution, even at the original width (Bordes et al., 2023, "Expand or Narrow"; reconstructed from the
    parameter counts of its figure: ResNet-50 has 22.455 M + 2564 * width parameters without its classifier). The
    layer that reads the representation, the projector or the classifier `fc`, is replaced. New layers are initialized
    from torch's global generator. Raises ValueError for a width below 1, TypeError for a module without residual
    blocks.
    """
    if width < 1:
        raise ValueError(f"width is {width}: it must be at least 1.")
    stage: Any = getattr(module, "layer4", None)
    if isinstance(module, Encoder) and isinstance(module.backbone, Stages):
        stage = module.backbone[-1]
    block: Any = stage[-1] if isinstance(stage, nn.Sequential) else None
    output = "conv3" if hasattr(block, "conv3") else "conv2"
    if block is None or not hasattr(block, output):
        name = type(module).__name__
        raise TypeError(f"{name} has no residual block at its end: pass a torchvision ResNet or one of our Encoders.")
    conv = getattr(block, output)
    stride = block.downsample[0].stride[0] if block.downsample is not None else 1
    new = nn.Conv2d(conv.in_channels, width, conv.kernel_size, conv.stride, conv.padding, bias=False)
    setattr(block, output, new.to(conv.weight))
    setattr(block, output.replace("conv", "bn"), nn.BatchNorm2d(width).to(conv.weight))
    block.downsample = _shortcut(block.conv1.in_channels, width, stride).to(conv.weight)
    for layer in (new, block.downsample[0]):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(module, Encoder):
        module.width = width
        widths = [layer.out_features for layer in module.projector.modules() if isinstance(layer, nn.Linear)]
        module.projector = _mlp(width, widths).to(conv.weight)
        if module.predictor is not None and not widths:
            widths = [layer.out_features for layer in module.predictor.modules() if isinstance(layer, nn.Linear)]
            module.predictor = _mlp(width, widths).to(conv.weight)
    elif isinstance(classifier := getattr(module, "fc", None), nn.Linear):
        module.fc = nn.Linear(width, classifier.out_features).to(conv.weight)
