"""Features of images at any depth of a network, read off without touching it: its mode and its averages stay."""

import copy
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ssl_toolkit.data import as_float, check_unit_range, seeded
from ssl_toolkit.encoders.networks import Depths, Encoder


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every submodule's own mode is restored on leaving."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def to_device_of(model: Callable, x: Tensor) -> Tensor:
    """x on the device of the model's weights; as it is, for a function or a model without any."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return x if weight is None else x.to(weight.device)


def embed(
    model: nn.Module | Callable[[Tensor], Tensor],
    images: Shaped[Tensor, "n c h w"],
    *,
    depth: str = "representation",
    batch_size: int = 1024,
) -> Float[Tensor, "n d"]:
    """The features of `images` (uint8, or float in [0, 1]) at one depth of an `Encoder`, on the CPU.

    Any other module or function (b, c, h, w) -> (b, d) is called as it is, and `depth` must be left alone.
    The model's train or eval mode is restored. Raises ValueError for a depth that the model does not have and for
    images outside [0, 1], TypeError for a model that returns no (b, d).
    """
    check_unit_range(images)
    if isinstance(model, Encoder):
        return embed_depths(model, images, depths=(depth,), batch_size=batch_size)[depth]
    if depth != "representation":
        raise ValueError(f"depth is {depth!r}: only an Encoder has named depths; wrap the module (encoders.wrap).")
    with eval_mode(model) if isinstance(model, nn.Module) else torch.no_grad():
        return torch.cat([_vectors(model(as_float(to_device_of(model, x)))) for x in images.split(batch_size)])


def embed_portions(
    model: nn.Module | Callable[[Tensor], Tensor],
    images: Shaped[Tensor, "n c h w"],
    *,
    depth: str = "representation",
    portion: int = 256,
) -> Generator[None, None, Float[Tensor, "n d"]]:
    """`embed` for a panel, which must not be held up: None after each `portion` of the images.

    >>> z = yield from embed_portions(encoder, images)                      # doctest: +SKIP
    """
    parts = []
    for some in images.split(portion):
        parts.append(embed(model, some, depth=depth))
        yield None
    return torch.cat(parts)


def _vectors(z: object) -> Float[Tensor, "b d"]:
    if not isinstance(z, Tensor) or z.ndim != 2:
        what = f"a tensor of shape {tuple(z.shape)}" if isinstance(z, Tensor) else f"a {type(z).__name__}"
        raise TypeError(
            f"the encoder returned {what}: features are one vector per image, (b, d). Return z.mean(dim=(2, 3)) of a "
            "map and one element of a tuple, or wrap the module (encoders.wrap), which averages maps and tokens."
        )
    return z.float().cpu()


def embed_depths(
    model: Encoder,
    images: Shaped[Tensor, "n c h w"],
    *,
    depths: Sequence[str] | None = None,
    batch_size: int = 1024,
) -> dict[str, Float[Tensor, "n _"]]:
    """The features of `images` at `depths` (None: every one that the model has, in order) by one pass, on the CPU.

    The model's train or eval mode is restored. Raises ValueError for a depth that the model does not have.
    """
    parts: list[Depths] = []
    for x in images.split(batch_size):
        features = features_at(model, as_float(to_device_of(model, x)), depths)
        parts.append({depth: z.cpu() for depth, z in features.items()})
    return {depth: torch.cat([part[depth] for part in parts]) for depth in parts[0]}


def features_at(model: nn.Module, x: Float[Tensor, "b c h w"], depths: Sequence[str] | None = None) -> Depths:
    """The features of one batch at `depths` (None: all), in float32 and where the model is; else as `embed_depths`.

    Raises ValueError for a model that is no `Encoder`.
    """
    if not isinstance(model, Encoder):
        raise ValueError(f"the model is a {type(model).__name__}: only an Encoder has depths; see encoders.wrap.")
    with eval_mode(model):
        return _at(model.features(x), depths)


def feature_function(
    model: Encoder, *, depth: str = "representation"
) -> Callable[[Float[Tensor, "b c h w"]], Float[Tensor, "b d"]]:
    """f: the features at one depth as a function of images in [0, 1] through which gradients pass to the pixels, and
    which comes back to where the images are.

    Each call is in evaluation mode and restores the model's; take the gradient by `torch.autograd.grad`, which leaves
    that of the weights alone. f raises ValueError for a depth that the model does not have.
    """

    def f(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        with eval_mode(model), torch.enable_grad():
            return _at(model.features(to_device_of(model, x)), (depth,))[depth].to(x.device)

    return f


def _at(features: Depths, depths: Sequence[str] | None) -> Depths:
    if unknown := [depth for depth in depths or () if depth not in features]:
        raise ValueError(f"depth is {unknown[0]!r}: this encoder has {', '.join(features)}.")
    return {depth: features[depth].float() for depth in depths or features}


def pixels(images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """The baseline that knows nothing: each image as the vector of its pixels in [0, 1]."""
    return as_float(images).flatten(1)


def untrained(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of the model with fresh weights: what the architecture alone knows.

    Each module draws its own anew, as PyTorch's do; a warning names the parameters of modules that have no way to.
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
        warnings.warn(f"not untrained throughout: {', '.join(kept)} cannot be drawn anew and stay.", stacklevel=2)
    return fresh
