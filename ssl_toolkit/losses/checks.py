"""What every loss asks of its embeddings, and the type that it returns."""

from jaxtyping import Float
from torch import Tensor

Terms = dict[str, Float[Tensor, ""]]  # the loss is their sum


def same_shape(za: Tensor, zb: Tensor) -> None:
    if za.shape != zb.shape:
        raise ValueError(
            f"the embeddings have shapes {tuple(za.shape)} and {tuple(zb.shape)}: "
            "both must be (b, d), row i of each from the same image."
        )


def batch_of_pairs(za: Tensor, zb: Tensor) -> int:
    """b, checked: these losses compare images with each other, so one image has nothing to be compared with."""
    same_shape(za, zb)
    if len(za) < 2:
        raise ValueError(f"the batch holds {len(za)} image(s): this loss compares images and needs at least 2.")
    return len(za)


def batch_of_views(z: Tensor) -> tuple[int, int, int]:
    """(v, b, d), checked: all views at once, row i of each from the same image."""
    v, b, d = z.shape
    if v < 2 or b < 2:
        raise ValueError(f"z holds {v} view(s) of {b} image(s): this loss compares both and needs at least 2 of each.")
    return v, b, d


def positive(name: str, value: float, usual: str) -> None:
    if not value > 0:
        raise ValueError(f"{name} is {value}: it must be positive; {usual}.")


def share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}: it shares out the loss between two terms and must lie in [0, 1].")
