"""Any network as an `Encoder`: from torchvision, timm or Hugging Face, or your own.

    encoder = stk.wrap(timm.create_model("convnext_tiny", pretrained=True))
    print(encoder)                                     # what was found: size, normalization, depths, width

The representation is what the network itself feeds to its classifier. Where we cannot tell, `wrap` raises an error that
says what to pass.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.data import rng
from ssl_toolkit.encoders.anatomy import (
    Trace,
    channel_axis,
    depth_of,
    find_head,
    find_stages,
    hooks,
    only_tensor,
    parts_of,
    same,
    tensors_in,
    trace,
)
from ssl_toolkit.encoders.networks import Encoder
from ssl_toolkit.encoders.preprocessing import Preprocessing, preprocessing_of, vision_tower

Pool = Literal["cls", "mean", "map"]
FEATURES = ("representation", "features", "feats", "x_norm_clstoken")  # what networks call them in a dict


class _Hooked(nn.Module):
    """A foreign network as a backbone: prepares its input, and returns its features at some depths, each (b, d)."""

    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, given: Preprocessing, pool: Pool | None, output: str | int | None):
        super().__init__()
        self.module, self.size, self.interpolation, self.normalization = module, given.size, given.mode, given.source
        self.depths: tuple[str, ...] = ()
        self.head: str | None = None
        self.pool, self.output = pool, output
        self.axes: dict[str, int] = {}  # the axis of the channels at each depth, and "" for the representation
        self.way: Literal["forward", "forward_head"] = "forward"
        with torch.inference_mode(False):
            self.register_buffer("mean", torch.tensor(given.mean).view(-1, 1, 1), persistent=False)
            self.register_buffer("std", torch.tensor(given.std).view(-1, 1, 1), persistent=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Callable:
            # pooled, so a copy: a later layer may write in place
            return lambda _module, _args, output: seen.__setitem__(name, self._vector(name, depth_of(output)))

        def read(_module: nn.Module, args: Any, kwargs: Any) -> None:
            seen[""] = self._vector("", next(tensors_in([args, kwargs]), None))

        handles = [self.module.get_submodule(name).register_forward_hook(keep(name)) for name in self.depths]
        if self.head is not None:
            handles.append(self.module.get_submodule(self.head).register_forward_pre_hook(read, with_kwargs=True))
        with hooks(handles):
            output = self.run(self.prepare(x))
        if missing := [name for name in (*self.depths, *([""] if self.head is not None else [])) if name not in seen]:
            raise ValueError(f"{missing[0] or self.head!r} was not called in this forward pass: it has no features.")
        last = seen.pop("") if self.head is not None else self._vector("", self._chosen(output))
        return {**{name: seen[name] for name in self.depths}, "representation": last}

    def prepare(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b c h w"]:
        """Images in [0, 1] as the network wants them: its size, normalization, dtype and device."""
        weight = next((p for p in self.module.parameters() if p.is_floating_point()), self.mean)
        x = x.to(weight.device, self.mean.dtype)
        if self.size is not None and tuple(x.shape[-2:]) != self._height_and_width():
            kind = {} if self.interpolation == "nearest" else {"antialias": True}
            x = F.interpolate(x, size=self._height_and_width(), mode=self.interpolation, **kind)
            x = x.clamp(0, 1) if self.interpolation == "bicubic" else x
        return ((x - self.mean.to(x.device)) / self.std.to(x.device)).to(weight.dtype)

    def _height_and_width(self) -> tuple[int, int]:
        return self.size if isinstance(self.size, tuple) else (self.size or 0, self.size or 0)

    def run(self, x: Tensor) -> Any:
        """The network's forward pass, or timm's, which ends before the classifier."""
        with _eagerly(self.module):
            if self.way == "forward_head":
                net: Any = self.module
                return net.forward_head(net.forward_features(x), pre_logits=True)
            if "pixel_values" in _parameters_of(self.module):
                return self.module(pixel_values=x)
            return self.module(x)

    def _chosen(self, output: Any) -> Tensor:
        """The features among what the network returned, by the names that libraries give them."""
        parts = parts_of(output)
        if self.output is not None:
            if self.output not in parts:
                raise ValueError(f"output is {self.output!r}: forward returns {_listed(parts)}.")
            return parts[self.output]
        if self.way == "forward_head" or isinstance(output, Tensor):
            return parts[0]
        if "last_hidden_state" in parts:
            return self._hidden(parts)
        if known := [key for key in FEATURES if key in parts]:
            return parts[known[0]]
        if len(parts) == 1:
            return next(iter(parts.values()))
        raise TypeError(
            f"a depth returned a {type(output).__name__}, not a tensor: forward gives {_listed(parts)}. Pass output= "
            "for one of them, or head= for the layer that reads the features."
        )

    def _hidden(self, parts: dict[str | int, Tensor]) -> Tensor:
        """Hugging Face's output: the pooler's where there is one, else the class token, else the mean."""
        hidden, pooled = parts["last_hidden_state"], parts.get("pooler_output")
        first = _first_tokens(self.module) if hidden.ndim == 3 else 0
        if self.pool is None and pooled is None and "image_embeds" in parts:
            raise ValueError(
                "forward projects its features to 'image_embeds': pass output='image_embeds' for these, head= (such as "
                "'visual_projection') for what goes into the projection, or pool=."
            )
        pool = self.pool or ("map" if pooled is not None else "cls" if first else "mean")
        if pool == "map":
            if pooled is None:
                raise ValueError("pool is 'map', but this network has no pooler: pass pool='cls' or pool='mean'.")
            return pooled.flatten(1)
        if pool == "cls":
            if not first:
                raise ValueError("pool is 'cls', but this network has no class token: pass pool='mean' or 'map'.")
            return hidden[:, 0]
        return hidden[:, first:]

    def _vector(self, name: str, z: Any) -> Float[Tensor, "b d"]:
        """One vector per image: maps and tokens are averaged over positions. At least float32."""
        found = only_tensor(z)
        if found is None:
            raise TypeError(
                f"a depth returned a {type(z).__name__}, not a tensor: choose a submodule that returns one."
            )
        z = found.dequantize() if found.is_quantized else found
        z = z if z.dtype == torch.float64 else z.float()
        if z.ndim == 2:
            return z.clone()
        axis = self.axes.get(name, -1 if z.ndim == 3 else 1)
        return z.mean(dim=[d for d in range(1, z.ndim) if d != axis % z.ndim])

    def describe(self) -> list[str]:
        """What was found, a line each."""
        kind = type(self.module)
        library = kind.__module__.split(".")[0]
        size = "any size" if self.size is None else "resized to {} x {}".format(*self._height_and_width())
        numbers = [", ".join(f"{v:.3g}" for v in values.flatten().tolist()) for values in (self.mean, self.std)]
        what = {"forward_head": "forward_head(pre_logits=True)"}.get(
            self.way, "the output" if self.head is None else f"the input of {self.head!r}"
        )
        return [
            f"{library} {kind.__name__}" if library in ("timm", "torchvision", "transformers") else kind.__name__,
            f"images: {size}" + ("" if self.size is None else f" ({self.interpolation})"),
            f"normalized by mean ({numbers[0]}), std ({numbers[1]}): {self.normalization}",
            f"depths: {', '.join(self.depths) or 'none'}",
            f"representation: {what}",
        ]


def _listed(parts: dict[str | int, Tensor]) -> str:
    return ", ".join(f"{key!r} {tuple(z.shape)}" for key, z in parts.items()) or "no tensor"


def _parameters_of(module: nn.Module) -> Sequence[str]:
    try:
        return list(inspect.signature(module.forward).parameters)
    except (TypeError, ValueError):
        return []


def _eagerly(module: nn.Module) -> Any:
    """Compiled parts run as they were written: hooks do not run in compiled code."""
    compiled = any(
        type(m).__name__ == "OptimizedModule" or getattr(m, "_compiled_call_impl", None) for m in module.modules()
    )
    set_stance = getattr(torch.compiler, "set_stance", None)  # torch >= 2.6
    return set_stance("force_eager") if compiled and set_stance else nullcontext()


def _first_tokens(module: nn.Module) -> int:
    """How many tokens come before those of the patches: a class token, a distillation token, registers."""
    names = {name.rpartition(".")[2] for name, _ in module.named_parameters()}
    if not names & {"cls_token", "class_token", "class_embedding", "cls_embedding"}:
        return 0
    registers = getattr(getattr(module, "config", None), "num_register_tokens", 0) or 0
    return 1 + int(registers) + len(names & {"distillation_token", "dist_token"})


def wrap(
    module: nn.Module,
    *,
    depths: Sequence[str] | None = None,
    head: str | None = "auto",
    channels: int = 3,
    size: int | tuple[int, int] | Literal["auto"] | None = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    projector: Sequence[int] = (),
    pool: Pool | None = None,
    output: str | int | None = None,
    processor: Any = None,
) -> Encoder:
    """Wrap any network as an `Encoder`, unchanged: from torchvision, timm or Hugging Face, or your own.

    The representation is what the network feeds to its classifier. `head` names that layer; "auto" finds it by running
    the network, and raises an error if the last layer may be a classifier or not; None takes the output. Maps and
    tokens are averaged over positions. `output` is the key or position of the features in a tuple or dict that forward
    returns. Of Hugging Face's outputs, `pool` takes "cls", the class token, "mean", over the patches, or "map", the
    network's own pooler; None: the pooler where there is one, else the class token, else the mean.

    Images in [0, 1] are resized to `size` (None: not at all) and normalized by `mean` and `std`. Unless given, these
    are what the network or `processor`, a Hugging Face image processor, says, else ImageNet's; "auto" resizes only
    where the network has a size of its own. A one-channel network gets the averages of mean and std; a three-channel
    network sees a gray image as three equal channels.

    `depths` names submodules whose outputs are features, as in `dict(module.named_modules())`; None: its stages.
    DataParallel, DDP and `torch.compile` are looked through, and an `Encoder` stays as it is unless `head` or `depths`
    say otherwise. The module is shared, not copied; `print` the encoder to see what was found. Raises ValueError for
    what is missing, never called, or open.

    >>> from torchvision.models import resnet18
    >>> encoder = stk.wrap(resnet18(), depths=["layer2", "layer3"], size=64)
    >>> {depth: z.shape[1] for depth, z in encoder.features(torch.rand(2, 3, 64, 64)).items()}
    {'layer2': 128, 'layer3': 256, 'representation': 512}
    >>> print(stk.wrap(resnet18()))
    Encoder: torchvision ResNet
      images: any size
      normalized by mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225): ImageNet's
      depths: layer1, layer2, layer3, layer4
      representation: the input of 'fc'
      width: 512
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module is a {type(module).__name__}: wrap takes a network, an nn.Module.")
    if isinstance(module, Encoder) and head == "auto" and depths is None:
        return module
    if pool not in (None, "cls", "mean", "map"):
        raise ValueError(f"pool is {pool!r}: it must be 'cls', 'mean', 'map' or None.")
    net = vision_tower(_unwrapped(module))
    head, depths = _named(net, head), None if depths is None else [_named(net, name) or "" for name in depths]
    if isinstance(net, torch.jit.ScriptModule) and (depths or head is not None):
        raise ValueError(
            f"{type(net).__name__} is TorchScript, whose layers cannot be watched: wrap the network before it is "
            "scripted or traced, or pass head=None if its output is features, no logits."
        )
    backbone = _Hooked(net, preprocessing_of(net, size, mean, std, channels, processor), pool, output)
    modes = {m: m.training for m in net.modules()}
    try:
        net.eval()  # the trial images below must not move BatchNorm's averages
    except NotImplementedError:
        raise ValueError(f"{type(net).__name__} was exported and has no modes: wrap the network before that.") from None
    try:
        with torch.no_grad():
            width = _look(backbone, depths, head, channels, fixed=size != "auto")
    finally:
        for m, training in modes.items():
            m.training = training
    weight = next((p for p in net.parameters() if p.is_floating_point()), backbone.mean)
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    with torch.inference_mode(False):
        backbone.to(weight.device) if weight.device.type != "meta" else backbone
        return _as_encoder(backbone, width, projector, weight.device, dtype)


def _as_encoder(
    backbone: _Hooked, width: int, projector: Sequence[int], device: torch.device, dtype: torch.dtype
) -> Encoder:
    encoder = Encoder(backbone, width=width, projector=projector)
    encoder.projector.to(device, dtype)
    return encoder


def _unwrapped(module: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel and torch.compile."""
    while type(module).__name__ in ("DataParallel", "DistributedDataParallel", "OptimizedModule"):
        module = getattr(module, "_orig_mod", None) or module.module  # type: ignore[assignment]
    return module


def _named(net: nn.Module, name: str | None) -> str | None:
    """The name as the network has it, without what a wrapper put in front. Raises ValueError for no submodule."""
    names = dict(net.named_modules())
    if name is None or name == "auto" or (name and name in names):
        return name
    for prefix in ("module.", "_orig_mod."):
        if name.startswith(prefix):
            return _named(net, name.removeprefix(prefix))
    near = ", ".join(list(names)[1:20])
    raise ValueError(f"{name!r} is no submodule of {type(net).__name__}: it has {near} ...")


def _look(backbone: _Hooked, depths: Sequence[str] | None, head: str | None, channels: int, *, fixed: bool) -> int:
    """Run two trial images, and set the backbone's head, depths and axes from what is seen; returns the width."""
    net: Any = backbone.module
    timm = head == "auto" and backbone.output is None and "pre_logits" in _parameters_of_method(net, "forward_head")
    backbone.way = "forward_head" if timm and hasattr(net, "forward_features") else "forward"
    x, seen = _trial(backbone, channels, fixed=fixed)
    name = type(net).__name__
    parts, again = parts_of(seen.result), parts_of(backbone.run(x))
    if not all(same(again[key], part) for key, part in parts.items()):
        raise ValueError(
            f"{name} answers the same images differently each time: it draws random numbers in forward. Turn that off "
            "(mask_ratio, say), or wrap the part that does not."
        )
    if head == "auto":
        head = None
        hidden = parts.get("last_hidden_state", x[:, 0, 0])  # (b, d) may be logits under another name
        features = (
            backbone.output is not None or hidden.ndim > 2 or any(k in parts for k in ("pooler_output", *FEATURES))
        )
        if backbone.way == "forward" and parts and ("logits" in parts or not features):
            heads = {key: find_head(net, lambda: backbone.run(x), seen, key) for key in parts}
            found = [h for h in heads.values() if h is not None]
            if any(not same(seen.inputs[h], seen.inputs[found[0]]) for h in found):
                raise ValueError(f"{name} has several heads, {', '.join(map(repr, found))}: choose one by head=.")
            head = found[0] if found else None
    for at in (*(depths or ()), *([head] if head is not None else [])):
        if seen.calls.get(at, 0) != 1:
            how = (
                f"is called {seen.calls[at]} times"
                if at in seen.calls
                else "is never called (it may be used as weights)"
            )
            raise ValueError(f"{at!r} {how} by the forward of {name}: name a submodule that is called once.")
    stages = [] if isinstance(net, torch.jit.ScriptModule) else find_stages(net, seen, head)
    backbone.head, square = head, x.shape[-1] == x.shape[-2]
    for at in stages if depths is None else depths:
        z = depth_of(seen.outputs[at])
        try:
            backbone.axes[at] = -1 if z is None else channel_axis(net, at, z, square=square)
        except ValueError:
            if depths is not None:  # one that nobody asked for is left out
                raise
    backbone.depths = tuple(backbone.axes)
    last = seen.inputs[head] if head is not None else backbone._chosen(seen.result)
    if last.ndim > 2:
        backbone.axes[""] = _axis_of_last(net, head, last, square=square)
    if not 2 <= last.ndim <= 5 or len(last) != len(x):
        raise ValueError(
            f"the representation of {name} has shape {tuple(last.shape)} for {len(x)} images: it must be vectors "
            "(b, d), tokens (b, n, d) or maps. Pass head= for another layer."
        )
    return backbone._vector("", last).shape[1]


def _axis_of_last(net: nn.Module, head: str | None, z: Tensor, *, square: bool) -> int:
    reader = None if head is None else net.get_submodule(head)
    width = getattr(reader, "in_features", None)
    if width is not None:
        return -1
    return 1 if getattr(reader, "in_channels", None) is not None else channel_axis(net, "", z, square=square)


def _parameters_of_method(net: nn.Module, name: str) -> Sequence[str]:
    method = getattr(net, name, None)
    return list(inspect.signature(method).parameters) if callable(method) else []


def _trial(backbone: _Hooked, channels: int, *, fixed: bool) -> tuple[Tensor, Trace]:
    """Two random images of the first size that works, and what happens to them."""
    sizes = [backbone.size] if fixed and backbone.size else [backbone.size or 64, 64, 224, 256, 299, 384, 32, 28]
    first: Exception | None = None
    for size in dict.fromkeys(sizes):
        h, w = size if isinstance(size, tuple) else (size, size)
        images = torch.rand(2, channels, h or 64, w or 64, generator=rng(0, 0, "wrap"))
        chosen, backbone.size = backbone.size, size if (size != sizes[0] or backbone.size) else None
        try:
            x = backbone.prepare(images)
            return x, trace(backbone.module, lambda x=x: backbone.run(x))  # type: ignore[misc]
        except (
            RuntimeError,
            ValueError,
            TypeError,
            AssertionError,
            IndexError,
            AttributeError,
            NotImplementedError,
        ) as e:
            first, backbone.size = first or e, chosen
    conv = next((m for m in backbone.module.modules() if isinstance(m, nn.Conv2d)), None)
    hint = f" Its first convolution takes {conv.in_channels} channels." if conv is not None else ""
    reason = str(first).strip().splitlines()[0] if str(first).strip() else type(first).__name__
    raise ValueError(
        f"{type(backbone.module).__name__} fails on images of {channels} channels, {sizes[0]} pixels: {reason[:200]}. "
        f"Pass size= and channels= as it needs them.{hint}"
    ) from first
