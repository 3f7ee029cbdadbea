"""Data as plain tensors that you can index and edit.

    data = load_data("fashion-mnist")
    shoes = data[data.labels == 7]
    images, labels, index = batch(shoes, step, batch_size=256)

Images stay uint8 until a step needs them: 60,000 of 28 x 28 take 47 MB. The batch is a function of (seed, step), so
training resumes without saving any loader state.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from ssl_toolkit.data.arguments import as_tensor
from ssl_toolkit.data.labels import number_labels
from ssl_toolkit.data.seeds import rng

if TYPE_CHECKING:
    Labels = Int64[Tensor, " n"]
else:
    Labels = Any  # all that `number_labels` takes, which makes it the above


@dataclass(repr=False, eq=False)
class Dataset:
    """Images, their labels, and any known factors of each image: one tensor per factor, with first dimension n.

    The images are uint8, or floats in [0, 1]. Labels may be given as numbers of any type or as names, see
    `labels.number_labels`, and are kept as int64: the number of the class, or -1 for an image without a label (all of
    them if `labels` is None). `names` are what each image is called, one per image, or empty.

    Raises ValueError for another number of labels or of a factor's values than of images, and for labels outside
    `classes`.

    >>> data = stk.load_data("digits")
    >>> data
    Dataset(digits: 1,437 images of 1 x 8 x 8, 10 classes)
    >>> data[data.labels == 7].images.shape
    torch.Size([143, 1, 8, 8])
    """

    images: Shaped[Tensor, "n c h w"]
    labels: Labels
    classes: tuple[str, ...]
    factors: dict[str, Tensor] = field(default_factory=dict)
    name: str = ""
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.images = as_tensor("images", self.images)
        self.factors = {name: as_tensor(name, values) for name, values in self.factors.items()}
        self.labels, self.classes = number_labels(self.labels, len(self.images), self.classes)
        rows = {name: len(values) for name, values in self.factors.items()} | {"names": len(self.names or self.images)}
        if wrong := [f"{name} has {n}" for name, n in rows.items() if n != len(self.images)]:
            raise ValueError(f"{wrong[0]} values, and there are {len(self.images)} images: give one for each.")

    def __len__(self) -> int:
        return len(self.images)

    def labeled(self) -> "Dataset":
        """The images that have a label; a warning says how many have none."""
        known = self.labels >= 0
        if (unlabeled := len(self) - int(known.sum())) == 0:
            return self
        if unlabeled == len(self):
            raise ValueError(f"none of the {len(self):,} images has a label: all are -1.")
        warnings.warn(f"{unlabeled:,} of {len(self):,} images have no label (-1) and are left out.", stacklevel=3)
        return self[known]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image: (c, h, w)."""
        return tuple(self.images.shape[1:])

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Dataset":
        """Select a subset by a slice (a view, as for tensors), a list or tensor of indices, or a bool mask."""
        if isinstance(index, int):
            raise TypeError(
                f"index is {index}: indexing a Dataset gives a Dataset; take [{index}] of .images or .labels."
            )
        if isinstance(index, list):
            index = torch.tensor(index, dtype=None if index else torch.int64)
        factors = {name: values[index] for name, values in self.factors.items()}
        names = self.names
        if names:
            names = tuple(names[i] for i in torch.arange(len(self), device=self.images.device)[index].tolist())
        return Dataset(self.images[index], self.labels[index], self.classes, factors, self.name, names)

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        known = f", factors {' '.join(self.factors)}" if self.factors else ""
        known += ", with names" if self.names else ""
        if not self.labels.is_meta and (unlabeled := int((self.labels < 0).sum())):
            known = f", {unlabeled:,} images without a label{known}"
        return f"Dataset({self.name or 'unnamed'}: {n:,} images of {c} x {h} x {w}, {len(self.classes)} classes{known})"

    def to(self, device: torch.device | str) -> "Dataset":
        factors = {name: values.to(device) for name, values in self.factors.items()}
        return Dataset(self.images.to(device), self.labels.to(device), self.classes, factors, self.name, self.names)


@dataclass(frozen=True, repr=False, eq=False)
class Batch:
    """The images of one step, their labels, and their indices in the data: `images, labels, index = batch(...)`.

    `stored` are the images as the data set stores them, usually uint8; `augment` takes these too, and is then faster.
    """

    stored: Shaped[Tensor, "b c h w"]
    labels: Int64[Tensor, " b"]
    index: Int64[Tensor, " b"]

    @cached_property
    def images(self) -> Float[Tensor, "b c h w"]:
        """The images as floats in [0, 1]."""
        return as_float(self.stored)

    def __iter__(self) -> Iterator[Tensor]:
        yield from (self.images, self.labels, self.index)


@runtime_checkable
class Source(Protocol):
    """Anything that makes its own batches, like `stream.Stream`; `batch` and `train` take it in place of a Dataset."""

    def batch(self, step: int, *, batch_size: int, seed: int = 0, share: slice = slice(None)) -> Batch: ...


def batch(data: Dataset | Source, step: int, *, batch_size: int, seed: int = 0, share: slice = slice(None)) -> Batch:
    """The batch of a step, or the `share` of it that one of several processes takes.

    Each epoch draws a new permutation of the data and drops an incomplete last batch.
    Raises ValueError for a batch_size outside 1 ... len(data), or if images and labels differ in number.
    """
    if not isinstance(data, Dataset | Source):
        raise TypeError(f"data is a {type(data).__name__}: give a Dataset(images, labels, classes) or a Stream.")
    if not isinstance(data, Dataset):
        return data.batch(step, batch_size=batch_size, seed=seed, share=share)
    n = len(data)
    if len(data.labels) != n:
        raise ValueError(
            f"the data have {n} images and {len(data.labels)} labels: select from both, as data[mask] does."
        )
    index = batch_index(n, step, batch_size=batch_size, seed=seed)[share].to(data.images.device)
    # index_select is ten times as fast as images[index]
    return Batch(data.images.index_select(0, index), data.labels.index_select(0, index), index)


def batch_index(n: int, step: int, *, batch_size: int, seed: int = 0) -> Int64[Tensor, " b"]:
    """Indices of the images in the batch of a step. Raises ValueError for a batch_size outside 1 ... n."""
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size is {batch_size}: for these {n} images it must be from 1 to {n}.")
    epoch, i = divmod(step, n // batch_size)
    return _order(n, seed, epoch)[i * batch_size : (i + 1) * batch_size].clone()  # never change the cached order


@lru_cache(maxsize=4)
def _order(n: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    return torch.randperm(n, generator=rng(seed, epoch, "order"))


def as_float(images: Shaped[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
    """Convert uint8 images to floats in [0, 1]; float images come back unchanged.

    Raises TypeError for other integer types.
    """
    if images.dtype == torch.uint8:
        return images.float().div_(255)
    if not images.is_floating_point():
        raise TypeError(f"images are {images.dtype}: they must be uint8, or floats in [0, 1].")
    return images


def as_bytes(images: Float[Tensor, "*b c h w"]) -> UInt8[Tensor, "*b c h w"]:
    """Convert float images in [0, 1] to uint8 on the CPU; values slightly outside are clamped."""
    return (255 * images).round().clamp(0, 255).byte().cpu()


def check_unit_range(images: Shaped[Tensor, "*b c h w"], name: str = "images") -> None:
    """Raises ValueError for images without a pixel, and for floats that are NaN or clearly outside [0, 1]."""
    if 0 in images.shape[1:]:
        raise ValueError(f"{name} has shape {tuple(images.shape)}: an image needs at least one pixel.")
    if images.is_floating_point() and images.numel():
        low, high = (v.item() for v in images.detach().aminmax())
        if not -0.05 <= low <= high <= 1.05:
            how = "divide by 255" if low >= 0 else "undo a normalization by x * std + mean"
            raise ValueError(f"{name} lie in [{low:.3g}, {high:.3g}]: they must be uint8, or floats in [0, 1]; {how}.")
