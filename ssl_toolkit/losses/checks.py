"""The checks that every loss makes on its embeddings, and the type that it returns."""

from jaxtyping import Float
from torch import Tensor

Terms = dict[str, Float[Tensor, ""]]  # the loss is their sum
Names = tuple[str, str]


def same_shape(za: Tensor, zb: Tensor, *, names: Names = ("za", "zb")) -> None:
    """Raises ValueError for embeddings that are not both (b, d) with the same b >= 1 and d, TypeError for integers."""
    if za.shape != zb.shape or za.ndim != 2 or not len(za):
        raise ValueError(
            f"{names[0]} and {names[1]} have shapes {tuple(za.shape)} and {tuple(zb.shape)}: "
            "both must be (b, d), row i of each from the same image."
        )
    if not (za.is_floating_point() and zb.is_floating_point()):
        raise TypeError(f"{names[0]} is {za.dtype} and {names[1]} {zb.dtype}: embeddings are floats.")


def finite(**embeddings: Tensor) -> None:
    """Raises ValueError for NaN or infinite values, and names the argument that holds them.

    Tensors that carry a graph are not checked: their NaN reaches the terms, which `train` checks once a step in all
    processes, to stop with the last good state. A check here would leave the state half updated, keep other processes
    waiting and stall the accelerator.
    """
    if any(z.grad_fn is not None for z in embeddings.values()):
        return
    for name, z in embeddings.items():
        if not bool((good := z.isfinite()).all()):
            raise ValueError(
                f"{name} holds {int((~good).sum())} values of {z.numel()} that are NaN or infinite: "
                "embeddings must be finite."
            )


def several_images(b: int) -> None:
    """Raises ValueError for a batch of fewer than two images."""
    if b < 2:
        raise ValueError(f"the batch holds {b} image(s): this loss compares images and needs at least 2.")


def batch_of_pairs(za: Tensor, zb: Tensor, *, names: Names = ("za", "zb")) -> int:
    """Check the embeddings and return b; these losses compare images with each other, so b must be at least 2."""
    same_shape(za, zb, names=names)
    several_images(len(za))
    finite(**{names[0]: za, names[1]: zb})
    return len(za)


def batch_of_views(z: Tensor) -> tuple[int, int]:
    """Check embeddings (v, b, d) and return (v, b): at least two views of at least two images."""
    if z.ndim != 3 or len(z) < 2:
        raise ValueError(f"z has shape {tuple(z.shape)}: it must be (v, b, d), with at least 2 views of each image.")
    several_images(z.shape[1])
    finite(z=z)
    return z.shape[0], z.shape[1]


def must_be_positive(name: str, value: float, usual: str) -> None:
    """Raises ValueError for a value that is not positive, and names usual values."""
    if not value > 0:
        raise ValueError(f"{name} is {value}: it must be positive; {usual}.")


def must_be_a_share(name: str, value: float) -> None:
    """Raises ValueError for a value outside [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}: it divides the loss between two terms and must be in [0, 1].")
