"""How a foreign network wants its images: size, mean, std and interpolation, from whatever it says of itself."""

import json
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MODES = {0: "nearest", 2: "bilinear", 3: "bicubic", "nearest": "nearest", "bicubic": "bicubic", "lanczos": "bicubic"}
REPOSITORY = r"[\w.-]+(/[\w.-]+)?"
Size = int | tuple[int, int] | None


class Preprocessing(NamedTuple):
    """The input that a network expects, and who says so."""

    size: Size
    mean: Sequence[float]
    std: Sequence[float]
    mode: str
    source: str


def preprocessing_of(
    net: nn.Module,
    size: int | tuple[int, int] | Literal["auto"] | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    channels: int,
    processor: Any,
) -> Preprocessing:
    """What the caller gives, else what the network or the processor says, else ImageNet's numbers at any size."""
    said = _said(net, processor)
    if size == "auto":
        size = said.size
    if size is not None and not all(
        isinstance(s, int) and s > 0 for s in (size if isinstance(size, tuple) else (size,))
    ):
        raise ValueError(f"size is {size!r}: it must be a positive number of pixels, (height, width), 'auto' or None.")
    source = said.source if mean is None and std is None else "given"
    mean, std = said.mean if mean is None else mean, said.std if std is None else std
    if channels == 1:
        mean, std = (fmean(mean),), (fmean(std),)
    for what, numbers in {"mean": mean, "std": std}.items():
        if len(numbers) not in (1, channels):
            raise ValueError(f"{what} has {len(numbers)} numbers: it must have 1 or {channels}, one per channel.")
    return Preprocessing(size, tuple(map(float, mean)), tuple(map(float, std)), said.mode, source)


def _said(net: nn.Module, processor: Any) -> Preprocessing:
    config: Any = getattr(net, "config", None)
    if processor is not None:
        return _from_processor(_as_dict(processor), "the image processor")
    cfg = getattr(net, "pretrained_cfg", None) or getattr(net, "default_cfg", None)
    if cfg:
        cfg = _as_dict(cfg)
        size = cfg.get("input_size")
        return Preprocessing(
            _pair(size[-2:]) if size else None,
            cfg.get("mean") or IMAGENET[0],
            cfg.get("std") or IMAGENET[1],
            MODES.get(cfg.get("interpolation", "bilinear"), "bilinear"),
            "its pretrained_cfg",
        )
    if getattr(net, "image_mean", None) is not None and getattr(net, "image_std", None) is not None:  # open_clip
        return Preprocessing(_own_size(net), net.image_mean, net.image_std, "bicubic", "its image_mean and image_std")  # type: ignore[arg-type]
    if normalizes_itself(net):
        return Preprocessing(_own_size(net), (0.0,), (1.0,), "bilinear", "none, as the network normalizes its input")
    if hasattr(config, "model_type"):
        return _hugging_face(net, config)
    source = "ImageNet's" if type(net).__module__.startswith("torchvision.") else "ImageNet's, for want of others"
    return Preprocessing(_own_size(net), *IMAGENET, "bilinear", source)


def _hugging_face(net: nn.Module, config: Any) -> Preprocessing:
    """From preprocessor_config.json beside the weights, else what the family's processor does by default."""
    size = _pair(getattr(config, "image_size", None)) or _own_size(net)
    if (file := _processor_file(str(getattr(config, "_name_or_path", "")))) is not None:
        said = _from_processor(json.loads(file.read_text(encoding="utf-8")), "its preprocessor_config.json")
        return said._replace(size=size or said.size)
    mean, std = _family_default(config.model_type) or IMAGENET
    whose = "ImageNet's" if mean == IMAGENET[0] else "the family's default"
    warnings.warn(
        f"{type(net).__name__} does not say how its images are normalized: {whose} mean {tuple(mean)} and std "
        f"{tuple(std)} are used. Pass processor=, its image processor, or mean= and std=.",
        stacklevel=5,
    )
    return Preprocessing(size, mean, std, "bilinear", f"{whose}, assumed")


def _processor_file(name: str) -> Path | None:
    if (Path(name) / "preprocessor_config.json").is_file():
        return Path(name) / "preprocessor_config.json"
    hub = sys.modules.get("huggingface_hub")  # imported where the network comes from it
    found = (
        hub.try_to_load_from_cache(name, "preprocessor_config.json") if hub and re.fullmatch(REPOSITORY, name) else None
    )
    return Path(found) if isinstance(found, str) else None


def _family_default(family: str) -> tuple[Sequence[float], Sequence[float]] | None:
    transformers = sys.modules.get("transformers")  # imported where the network comes from it
    try:
        auto = transformers.models.auto.image_processing_auto  # type: ignore[union-attr]
        found = auto.IMAGE_PROCESSOR_MAPPING_NAMES.get(family.removesuffix("_vision_model"))
        found = (
            list(found.values()) if isinstance(found, Mapping) else [found] if isinstance(found, str) else list(found)
        )
        kind = getattr(transformers, next(name for name in reversed(list(found)) if name))
        return tuple(kind.image_mean), tuple(kind.image_std)
    except (ImportError, AttributeError, TypeError, StopIteration):
        return None


def _from_processor(said: Mapping[str, Any], source: str) -> Preprocessing:
    size = said.get("crop_size") if said.get("do_center_crop") else said.get("size")
    mean, std = said.get("image_mean"), said.get("image_std")
    if said.get("do_normalize") is False or mean is None or std is None:
        mean, std = (0.0,), (1.0,)
    mode = MODES.get(said.get("resample", 2), "bilinear")
    return Preprocessing(_pair(size) if said.get("do_resize") is not False else None, mean, std, mode, source)


def _as_dict(x: Any) -> Mapping[str, Any]:
    if isinstance(x, Mapping):
        return x
    return x.to_dict() if callable(getattr(x, "to_dict", None)) else vars(x)


def _pair(size: Any) -> Size:
    """A size in any library's form: a number if both sides are the same."""
    if isinstance(size, Mapping):
        size = (size["height"], size["width"]) if "height" in size else size.get("shortest_edge")
    if isinstance(size, tuple | list):
        size = tuple(int(s) for s in size[-2:])
        return size[0] if len(set(size)) == 1 else size
    return int(size) if isinstance(size, int | float) and size > 0 else None


def _own_size(net: nn.Module) -> Size:
    """The size that a network was built for, as vision transformers keep it."""
    for holder in (net, getattr(net, "patch_embed", None), getattr(net, "visual", None)):
        for name in ("image_size", "img_size"):
            if (size := _pair(getattr(holder, name, None))) is not None:
                return size
    return None


def normalizes_itself(net: nn.Module) -> bool:
    """Whether the network, or a part before its first layer, has a mean and a std of its own, one per channel."""
    for module in net.modules():
        numbers = [getattr(module, name, None) for name in ("mean", "std")]
        if all(_per_channel(n) for n in numbers):
            return True
        if next(module.children(), None) is None and next(module.parameters(), None) is not None:
            return False
    return False


def _per_channel(numbers: Any) -> bool:
    if isinstance(numbers, Tensor):
        return numbers.numel() in (1, 3) and not isinstance(numbers, nn.Parameter)
    return isinstance(numbers, tuple | list) and len(numbers) in (1, 3)


def vision_tower(net: nn.Module) -> nn.Module:
    """The part of a network of images and texts, such as CLIP, that sees the images; any other network is itself."""
    tower = getattr(net, "vision_model", None)
    return tower if isinstance(tower, nn.Module) and callable(getattr(net, "get_image_features", None)) else net
