"""Features of images at any depth of a network. Its mode and its BatchNorm averages stay unchanged."""

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, overload

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ssl_toolkit.data import as_float, check_unit_range, checked, seeded
from ssl_toolkit.encoders.networks import Depths, Encoder


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every submodule's own mode is restored on exit."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def to_device_of(model: Callable, x: Tensor) -> Tensor:
    """Move x to the device of the model's weights, and floats to their precision.

    x stays as it is for a function or a model without weights.
    """
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    if weight is None:
        return x
    both = x.is_floating_point() and weight.is_floating_point()
    return x.to(weight.device, weight.dtype) if both else x.to(weight.device)


def as_input_of(model: Callable, images: Shaped[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
    """Images as floats in [0, 1], on the device and in the dtype of the model's weights: half, bfloat16, double."""
    x = as_float(to_device_of(model, images))
    weights = model.parameters() if isinstance(model, nn.Module) else iter(())
    return x.to(next((w.dtype for w in weights if w.is_floating_point()), x.dtype))


AnyEncoder = nn.Module | Callable[[Tensor], Tensor]
SomeDepths = list[str] | tuple[str, ...] | None  # None: all depths of the model


class Embedded(NamedTuple):
    """How many images are done, and at the end their features by depth."""

    done: int
    total: int
    features: dict[str, Float[Tensor, "n _"]]  # empty until done == total


@checked
def embed_steps(
    model: AnyEncoder,
    images: Shaped[Tensor, "n c h w"],
    *,
    depth: str | SomeDepths = "representation",
    batch_size: int = 256,
) -> Iterator[Embedded]:
    """Embed `images` (uint8, or float in [0, 1]) batch by batch, on the CPU; the last record holds the features.

    `depth` names one depth of an `Encoder`, several, or all (None); one pass computes them all. Any other module or
    function (b, c, h, w) -> (b, d) is called directly, and its only depth is "representation". The model's train or
    eval mode is restored. Raises ValueError for a depth that the model does not have, images outside [0, 1] and
    features that are not finite; TypeError for a model whose output is not (b, d).

    >>> for embedded in stk.embed_steps(stk.small_conv(3), torch.rand(500, 3, 32, 32)):
    ...     print(embedded.done, "of", embedded.total)
    256 of 500
    500 of 500
    >>> embedded.features["representation"].shape
    torch.Size([500, 128])
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: it must be at least 1.")
    check_unit_range(images)
    parts: dict[str, list[Tensor]] = {}
    done = 0
    for x in images.split(batch_size):
        for name, z in _of_batch(model, x, depth).items():
            if len(z) != len(x):
                raise ValueError(
                    f"the model returned {len(z)} rows for {len(x)} images at depth {name!r}: it must give one feature "
                    "vector per image, (b, d); it may pool the wrong dimensions."
                )
            if not z.isfinite().all():
                raise ValueError(f"the features at depth {name!r} hold NaN or infinite values: the encoder diverged.")
            parts.setdefault(name, []).append(z)
        done += len(x)
        whole = {name: torch.cat(z) for name, z in parts.items()} if done == len(images) else {}
        yield Embedded(done, len(images), whole)


@overload
def embed(
    model: AnyEncoder, images: Shaped[Tensor, "n c h w"], *, depth: str = ..., batch_size: int = ...
) -> Float[Tensor, "n d"]: ...
@overload
def embed(
    model: AnyEncoder,
    images: Shaped[Tensor, "n c h w"],
    *,
    depth: SomeDepths,
    batch_size: int = ...,
) -> dict[str, Float[Tensor, "n _"]]: ...
def embed(
    model: AnyEncoder,
    images: Shaped[Tensor, "n c h w"],
    *,
    depth: str | SomeDepths = "representation",
    batch_size: int = 1024,
) -> Float[Tensor, "n d"] | dict[str, Float[Tensor, "n _"]]:
    """The features of `images` at one depth, or a dict of features at several depths (None: all). Runs `embed_steps`.

    >>> encoder, images = stk.small_conv(3), torch.rand(4, 3, 32, 32)
    >>> stk.embed(encoder, images).shape
    torch.Size([4, 128])
    >>> list(stk.embed(encoder, images, depth=None))
    ['stem', 'stage1', 'stage2', 'representation', 'projector1', 'embedding']
    """
    *_, last = embed_steps(model, images, depth=depth, batch_size=batch_size)
    return last.features[depth] if isinstance(depth, str) else last.features


def _of_batch(model: AnyEncoder, x: Tensor, depth: str | SomeDepths) -> Depths:
    depths = (depth,) if isinstance(depth, str) else depth
    x = as_input_of(model, x)
    if isinstance(model, Encoder):
        return {name: z.cpu() for name, z in features_at(model, x, depths).items()}
    if depths is not None and tuple(depths) != ("representation",):
        raise ValueError(f"depth is {depth!r}: only an Encoder has named depths; wrap the module (encoders.wrap).")
    with eval_mode(model) if isinstance(model, nn.Module) else torch.no_grad():
        z = model(x)
    if not isinstance(z, Tensor) or z.ndim != 2:
        what = f"a tensor of shape {tuple(z.shape)}" if isinstance(z, Tensor) else f"a {type(z).__name__}"
        raise TypeError(
            f"the encoder returned {what}: features are one vector per image, (b, d). Return z.mean(dim=(2, 3)) for a "
            "map, one element of a tuple, or wrap the module (encoders.wrap), which averages maps and tokens."
        )
    return {"representation": z.float().cpu()}


def features_at(model: nn.Module, x: Float[Tensor, "b c h w"], depths: Sequence[str] | None = None) -> Depths:
    """The features of one batch at `depths` (None: all), in float32 on the model's device; otherwise like `embed`.

    Raises ValueError for a model that is not an `Encoder`.
    """
    if not isinstance(model, Encoder):
        raise ValueError(f"the model is a {type(model).__name__}: only an Encoder has depths; see encoders.wrap.")
    with eval_mode(model):
        return _at(model.features(as_input_of(model, x)), depths)


def feature_function(
    model: Encoder, *, depth: str = "representation"
) -> Callable[[Float[Tensor, "b c h w"]], Float[Tensor, "b d"]]:
    """Return f, a differentiable function from images in [0, 1] to the features at one depth, on the images' device.

    Each call runs in evaluation mode and then restores the model's mode. Take the gradient with `torch.autograd.grad`,
    which leaves the weights' gradients alone. f raises ValueError for a depth that the model does not have.
    """

    def f(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        with eval_mode(model), torch.enable_grad():
            return _at(model.features(as_input_of(model, x)), (depth,))[depth].to(x.device)

    return f


def _at(features: Depths, depths: Sequence[str] | None) -> Depths:
    if unknown := [depth for depth in depths or () if depth not in features]:
        raise ValueError(f"depth is {unknown[0]!r}: this encoder has {', '.join(features)}.")
    return {depth: features[depth].float() for depth in depths or features}


@checked
def pixels(images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """The baseline without an encoder: each image as the vector of its pixels in [0, 1].

    >>> stk.pixels(stk.load_data("digits").images).shape
    torch.Size([1437, 64])
    """
    check_unit_range(images)
    return as_float(images).flatten(1)


def untrained(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of the model with fresh weights: what the architecture alone knows.

    Each module resets its own weights, as PyTorch's modules do; a warning names parameters that cannot be reset.

    >>> encoder = stk.zoo.load("shapes-simclr")
    >>> images = stk.load_data("shapes", split="test", limit=20).images
    >>> torch.equal(stk.embed(encoder, images), stk.embed(stk.untrained(encoder), images))
    False
    """
    fresh, kept = copy.deepcopy(model), []
    with seeded(seed, "init"):
        for name, module in fresh.named_modules():
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(reset):
                reset()
            else:
                kept += [f"{name}.{own}".lstrip(".") for own, _ in module.named_parameters(recurse=False)]
    if kept:
        warnings.warn(
            f"not fully untrained: {', '.join(kept)} cannot be drawn anew and keep their values.", stacklevel=2
        )
    return fresh
