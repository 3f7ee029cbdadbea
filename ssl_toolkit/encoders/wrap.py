"""Any network as an `Encoder`: from torchvision, from timm, or your own."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.encoders.networks import Encoder, _pool


class _Hooked(nn.Module):
    """A foreign network as a backbone: normalizes its input, and returns the outputs of some submodules."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        module: nn.Module,
        depths: Sequence[str],
        head: str | None,
        mean: Sequence[float],
        std: Sequence[float],
        size: int | None,
    ):
        super().__init__()
        self.module, self.depths, self.head, self.size = module, tuple(depths), head, size
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> dict[str, Any]:
        if self.size is not None and x.shape[-2:] != (self.size, self.size):
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear", antialias=True)
        seen: dict[str, Any] = {}
        hooks = [
            self.module.get_submodule(name).register_forward_hook(
                lambda _module, _args, output, name=name: seen.__setitem__(name, output)
            )
            for name in self.depths
        ]
        if self.head is not None:
            head = self.module.get_submodule(self.head)
            hooks.append(head.register_forward_pre_hook(lambda _module, args: seen.__setitem__("", args[0])))
        try:
            output = self.module((x - self.mean) / self.std)
        finally:
            for hook in hooks:
                hook.remove()
        last = seen.pop("", output)
        return {**{name: seen[name] for name in self.depths}, "representation": last}


def wrap(
    module: nn.Module,
    *,
    depths: Sequence[str] = (),
    head: str | None = "auto",
    channels: int = 3,
    size: int | None = None,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    projector: Sequence[int] = (),
) -> Encoder:
    """Wrap any network as an `Encoder`, unchanged: from torchvision, from timm, or your own.

    Images in [0, 1] are resized to `size` (None: not resized) and normalized by `mean` and `std`; the defaults suit
    ImageNet networks of torchvision and most of timm. A one-channel network gets their averages; a three-channel
    network sees a gray image as three equal channels. The representation is the input of `head`, the classifier
    ("auto" looks for a submodule named fc, classifier, head or heads; None takes the network's output). `depths` names
    more submodules whose outputs are features, as in `dict(module.named_modules())`. The module is shared, not copied.
    Raises ValueError for a missing submodule, and for a mean or std with neither 1 nor `channels` numbers.

    >>> from torchvision.models import resnet18
    >>> encoder = stk.wrap(resnet18(), depths=["layer2", "layer3"], size=64)
    >>> {depth: z.shape[1] for depth, z in encoder.features(torch.rand(2, 3, 64, 64)).items()}
    {'layer2': 128, 'layer3': 256, 'representation': 512}
    """
    names = dict(module.named_modules())
    if head == "auto":
        head = next((name for name in ("fc", "classifier", "head", "heads") if name in names), None)
    if unknown := [name for name in (*depths, *([head] if head else [])) if name not in names]:
        near = ", ".join(list(names)[1:20])
        raise ValueError(f"{unknown[0]!r} is no submodule of {type(module).__name__}: it has {near} ...")
    if channels == 1:
        mean, std = (fmean(mean),), (fmean(std),)
    for what, numbers in {"mean": mean, "std": std}.items():
        if len(numbers) not in (1, channels):
            raise ValueError(f"{what} has {len(numbers)} numbers: it must have 1 or {channels}, one per channel.")
    backbone = _Hooked(module, depths, head, mean, std, size)
    was_training = module.training
    module.eval()  # the trial image below must not move BatchNorm's averages
    with torch.no_grad():
        reference = next(module.parameters(), torch.zeros(()))
        probe = torch.zeros(1, channels, size or 64, size or 64, device=reference.device, dtype=reference.dtype)
        *_, last = backbone.to(reference.device)(probe).values()
    module.train(was_training)
    return Encoder(backbone, width=_pool(last).shape[1], projector=projector)
