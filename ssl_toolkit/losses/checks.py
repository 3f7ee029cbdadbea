"""What every loss does with its arguments and its terms, and the type that it returns."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite

Terms = dict[str, Float[Tensor, ""]]  # the loss is their sum
P = ParamSpec("P")
R = TypeVar("R")


def in_full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Hold a loss to its annotations (`checked_finite`), and compute it in float32 at least, under autocast too.

    Raises ValueError for terms that overflow all the same; those that carry a graph are left to `train`, which checks
    them once a step, in all processes, and keeps the last good state.
    """

    def computed(*args: Any, **kwargs: Any) -> Any:
        device = next((v.device.type for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), "cpu")
        result: Any
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                result = loss(*args, **kwargs)
        else:
            result = loss(*args, **kwargs)
        for name, term in (result if isinstance(result, dict) else {"the result": result}).items():
            if term.grad_fn is None and not bool(term.isfinite().all()):
                given = ", ".join(loss.__annotations__)
                raise ValueError(f"{name} is {term}: what was given is too large or too small to compute it ({given}).")
        return result

    return checked_finite(wraps(loss)(computed))


def at_least_one_image(b: int) -> None:
    """Raises ValueError for an empty batch."""
    if b < 1:
        raise ValueError("the batch holds no image: give at least 1.")


def several_images(b: int) -> int:
    """Raises ValueError for a batch of fewer than two images; returns b."""
    if b < 2:
        raise ValueError(f"the batch holds {b} image(s): this loss compares images and needs at least 2.")
    return b


def several_views(z: Tensor) -> tuple[int, int]:
    """Return (v, b) of embeddings (v, b, d). Raises ValueError for fewer than two views or images."""
    if len(z) < 2:
        raise ValueError(f"z has shape {tuple(z.shape)}: it must be (v, b, d), with at least 2 views of each image.")
    return len(z), several_images(z.shape[1])


def must_be_positive(name: str, value: float, usual: str) -> None:
    """Raises ValueError for a value that is not positive, and names usual values."""
    if not value > 0:
        raise ValueError(f"{name} is {value}: it must be positive; {usual}.")


def must_be_a_share(name: str, value: float) -> None:
    """Raises ValueError for a value outside [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}: it divides the loss between two terms and must be in [0, 1].")
