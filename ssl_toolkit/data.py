"""Data as plain tensors that you may index and edit.

    data = load_data("fashion-mnist")
    shoes = data[data.labels == 7]
    images, labels, index = batch(shoes, step, batch_size=256)

Images stay uint8 until a step needs them: 60,000 of 28 x 28 take 47 MB. The batch of a step is a function of
(seed, step), so training that stops and goes on needs no state of a loader.
"""

import gzip
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from ssl_toolkit.folders import DataError as DataError
from ssl_toolkit.folders import list_folder, read_images
from ssl_toolkit.seeds import rng
from ssl_toolkit.shapes import SHAPES, shapes

NAMES = ("shapes", "digits", "fashion-mnist", "mnist", "cifar10", "celeba")
_CLASSES = {
    "digits": tuple("0123456789"),
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}


@dataclass(repr=False, eq=False)
class Dataset:
    """Images, their labels, and what else is known of each of them: one tensor per factor, its first dimension n."""

    images: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    factors: dict[str, Tensor] = field(default_factory=dict)
    name: str = ""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: (c, h, w)."""
        return tuple(self.images.shape[1:])

    def __getitem__(self, index: slice | list[int] | Tensor) -> "Dataset":
        """The part at a slice (a view, as of tensors), at a list or tensor of indices, or where a bool mask is true."""
        if isinstance(index, int):
            raise TypeError(
                f"index is {index}: a part of a Dataset is a Dataset; take [{index}] of .images or .labels."
            )
        if isinstance(index, list):
            index = torch.tensor(index, dtype=None if index else torch.int64)
        factors = {name: values[index] for name, values in self.factors.items()}
        return Dataset(self.images[index], self.labels[index], self.classes, factors, self.name)

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        known = f", factors {' '.join(self.factors)}" if self.factors else ""
        return f"Dataset({self.name or 'unnamed'}: {n:,} images of {c} x {h} x {w}, {len(self.classes)} classes{known})"

    def to(self, device: torch.device | str) -> "Dataset":
        factors = {name: values.to(device) for name, values in self.factors.items()}
        return Dataset(self.images.to(device), self.labels.to(device), self.classes, factors, self.name)


@dataclass(frozen=True, repr=False, eq=False)
class Batch:
    """The images of one step, their labels, and where in the data they are: `images, labels, index = batch(...)`.

    `stored` are the images as the data hold them, most often bytes: `augment` makes views of these too, and sooner.
    """

    stored: Shaped[Tensor, "b c h w"]
    labels: Int64[Tensor, " b"]
    index: Int64[Tensor, " b"]

    @cached_property
    def images(self) -> Float[Tensor, "b c h w"]:
        """In [0, 1]."""
        return as_float(self.stored)

    def __iter__(self) -> Iterator[Tensor]:
        yield from (self.images, self.labels, self.index)


@runtime_checkable
class Source(Protocol):
    """What makes the batch of a step by itself, as `stream.Stream` does; `batch` and `train` take it for a Dataset."""

    def batch(self, step: int, *, batch_size: int, seed: int = 0, share: slice = slice(None)) -> Batch: ...


def batch(data: Dataset | Source, step: int, *, batch_size: int, seed: int = 0, share: slice = slice(None)) -> Batch:
    """The batch of a step, or the `share` of it that one of several processes takes.

    Each epoch permutes the data anew and leaves out what does not fill a last batch.
    Raises ValueError for a batch_size outside 1 ... len(data), or when there is not one label for each image.
    """
    if not isinstance(data, Dataset | Source):
        raise TypeError(f"data is a {type(data).__name__}: give a Dataset(images, labels, classes), or a Stream.")
    if not isinstance(data, Dataset):
        return data.batch(step, batch_size=batch_size, seed=seed, share=share)
    n = len(data)
    if len(data.labels) != n:
        raise ValueError(
            f"the data have {n} images and {len(data.labels)} labels: take parts of both, as data[mask] does."
        )
    index = batch_index(n, step, batch_size=batch_size, seed=seed)[share].to(data.images.device)
    # index_select takes a tenth of the time of images[index]
    return Batch(data.images.index_select(0, index), data.labels.index_select(0, index), index)


def batch_index(n: int, step: int, *, batch_size: int, seed: int = 0) -> Int64[Tensor, " b"]:
    """Which of n images make the batch of a step. Raises ValueError for a batch_size outside 1 ... n."""
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size is {batch_size}: for these {n} images it must be from 1 to {n}.")
    epoch, i = divmod(step, n // batch_size)
    return _order(n, seed, epoch)[i * batch_size : (i + 1) * batch_size].clone()  # the epoch's order is needed again


@lru_cache(maxsize=4)
def _order(n: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    return torch.randperm(n, generator=rng(seed, epoch, "order"))


def as_float(images: Shaped[Tensor, "*b c h w"]) -> Float[Tensor, "*b c h w"]:
    """Stored images (uint8) as numbers in [0, 1]; those that are floats already come back as they are.

    Raises TypeError for other integers.
    """
    if images.dtype == torch.uint8:
        return images.float().div_(255)
    if not images.is_floating_point():
        raise TypeError(f"images are {images.dtype}: they are stored as uint8, or are floats in [0, 1].")
    return images


def as_bytes(images: Float[Tensor, "*b c h w"]) -> UInt8[Tensor, "*b c h w"]:
    """Images in [0, 1], or a little beyond it, as they are stored, on the CPU."""
    return (255 * images).round().clamp(0, 255).byte().cpu()


def in_unit_range(images: Shaped[Tensor, "*b c h w"]) -> None:
    """Raises ValueError for float images that leave [0, 1] by more than rounding, or hold NaN: those of 0 ... 255."""
    if images.is_floating_point() and images.numel():
        low, high = (v.item() for v in images.aminmax())
        if not -0.05 <= low <= high <= 1.05:
            raise ValueError(
                f"images lie in [{low:.3g}, {high:.3g}]: they are uint8, or floats in [0, 1]; divide by 255."
            )


def load_data(
    name_or_folder: str | os.PathLike[str], *, split: str = "train", size: int | None = None, limit: int | None = None
) -> Dataset:
    """The "train" or "test" images of a set, by its name, or of a folder that holds a folder for each class.

        "shapes"         10,000 and 2,000 pictures with known factors (or `limit`, any number), 32 x 32
        "digits"         1,437 and 360 handwritten digits, 8 x 8, the last ones for the test
        "fashion-mnist"  60,000 and 10,000 pieces of clothing, 28 x 28
        "mnist"          60,000 and 10,000 handwritten digits, 28 x 28
        "cifar10"        50,000 and 10,000 photographs, 32 x 32
        "celeba"         162,770 and 19,962 faces, 64 x 64; the label is the smile, `factors` has all 40 attributes
        a folder         its JPEG, PNG and other files, 64 x 64, as `folders.list_folder` and `folders.decode` say

    `size` resizes to so many pixels a side, `limit` keeps the first so many images. "shapes" and "digits" need neither
    files nor a network. The other sets are looked for in the folder SSL_TOOLKIT_DATA (or ~/.cache/ssl_toolkit), and
    fetched into it. A name goes before a folder of that name, which is written "./mnist".

    Raises ValueError for an argument out of range, DataError for data that cannot be found, fetched or read.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}: it must be 'train' or 'test'.")
    if size is not None and size < 4:
        raise ValueError(f"size is {size}: images need at least 4 pixels a side; None keeps the set's own size.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}: keep at least 1 image; None keeps them all.")
    name_or_folder = os.fspath(name_or_folder)
    match name_or_folder:
        case "":
            raise ValueError(f"name_or_folder is empty: give the path of a folder, or one of {', '.join(NAMES)}.")
        case "shapes":
            return _shapes(split, size or 32, limit)
        case "digits":
            data = _digits(split)
        case "fashion-mnist" | "mnist":
            data = _idx(name_or_folder, split, limit)
        case "cifar10":
            data = _cifar10(split)
        case "celeba":
            return _celeba(split, size or 64, limit)
        case _:
            return _folder(name_or_folder, split, size or 64, limit)
    data = data[:limit]
    if size is not None:
        data.images = F.interpolate(data.images, (size, size), mode="bilinear", antialias=True)
    return data


# Sets that are always there.


def _shapes(split: str, size: int, limit: int | None) -> Dataset:
    n, seed = (10_000, 0) if split == "train" else (2_000, 1)
    images, factors = shapes(limit or n, size=size, seed=seed)
    return Dataset(images, factors["shape"].clone(), SHAPES, factors, "shapes")


def _digits(split: str) -> Dataset:
    """scikit-learn's digits, one writer after the other: most of the last 360 are by hands not seen in training."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    part = slice(1437) if split == "train" else slice(1437, None)
    images = torch.from_numpy(digits.images[part]).mul(255 / 16).round().to(torch.uint8)  # drawn in 17 greys
    labels = torch.from_numpy(digits.target[part]).long()
    return Dataset(images.unsqueeze(1), labels, _CLASSES["digits"], name="digits")


def _folder(folder: str | os.PathLike[str], split: str, size: int, limit: int | None) -> Dataset:
    root = Path(folder).expanduser()
    if not root.is_dir():
        near = get_close_matches(str(folder).lower(), NAMES, n=1)
        raise ValueError(
            f"name_or_folder is {str(folder)!r}: it is no folder and none of {', '.join(map(repr, NAMES))}."
            + (f" Did you mean {near[0]!r}?" if near else "")
            + " A folder is given by its path and holds a folder of images for each class."
        )
    paths, labels, classes = list_folder(root, split=split)
    images, index = read_images(paths, size=size, limit=limit)
    return Dataset(images, torch.tensor(labels)[index], classes, name=root.resolve().name)


# Sets that are files: looked for, then fetched.

_SYSTEM = Path("/usr/share/datasets")  # of Debian, whose package dataset-fashion-mnist has the original files


def cache() -> Path:
    """Where data are looked for, and where they are fetched to."""
    return Path(os.environ.get("SSL_TOOLKIT_DATA") or Path.home() / ".cache" / "ssl_toolkit").expanduser()


def _torchvision(dataset: str, *, places: list[Path], **options: Any) -> Any:
    """A data set of torchvision, which downloads what it does not find in our cache and knows the checksums."""
    from torchvision import datasets

    try:
        return getattr(datasets, dataset)(cache(), download=True, **options)
    except Exception as error:  # network, server, checksum, disk: each raises its own kind
        raise DataError(
            f"{dataset} is not in {' nor in '.join(map(str, places))}, and fetching it failed ({error}). Put its files "
            f"into {places[0]}, or set SSL_TOOLKIT_DATA to where you keep such data. "
            "'shapes' and 'digits' always work: they need neither files nor a network."
        ) from error


_IDX = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}  # as torchvision writes them


def at_hand(name: Literal["mnist", "fashion-mnist"]) -> bool:
    """Whether both splits are on this machine, so that `load_data` need not fetch them."""
    return all(_find_idx(_places(name), split) for split in ("train", "test"))


def _places(name: str) -> list[Path]:
    return [cache() / name, cache() / _IDX[name] / "raw", _SYSTEM / name]


def _idx(name: str, split: str, limit: int | None) -> Dataset:
    places = _places(name)
    if not (files := _find_idx(places, split)):
        _torchvision(_IDX[name], places=places)
        files = _find_idx(places, split)
    images, labels = (_read_idx(file, limit) for file in files)
    if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max() >= len(_CLASSES[name]):
        raise DataError(f"{files[0]} and {files[1]} are not the images and labels of {name!r}: replace them.")
    return Dataset(images.unsqueeze(1), labels.long(), _CLASSES[name], name=name)


def _find_idx(places: list[Path], split: str) -> list[Path]:
    """The files of images and of labels, plain or compressed, in the first place that has both."""
    prefix = "train" if split == "train" else "t10k"
    for place in places:
        kinds = [place / f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        files = [next((f for f in (kind, Path(f"{kind}.gz")) if f.is_file()), None) for kind in kinds]
        if all(files):
            return [f for f in files if f]
    return []


def _read_idx(path: Path, limit: int | None) -> UInt8[Tensor, "..."]:
    """The first `limit` items of LeCun's format: 0, 0, 8 (bytes), how many sizes, the sizes (big-endian), the bytes."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            *kind, ndim = file.read(4)
            if kind != [0, 0, 8]:
                raise ValueError("it starts otherwise")
            n, *shape = struct.unpack(f">{ndim}I", file.read(4 * ndim))
            shape = [min(n, limit or n), *shape]
            data = bytearray(file.read(math.prod(shape) + 1))  # one more: at its end gzip compares the checksum
            return torch.frombuffer(data, dtype=torch.uint8, count=math.prod(shape)).view(shape)
    except Exception as error:  # gzip, zlib, struct and torch each raise their own kind
        raise DataError(f"{path} is not a whole idx file ({error}): delete it, or replace it by a good one.") from error


def _cifar10(split: str) -> Dataset:
    """The archive holds pickles; torchvision opens them only when their MD5 sums are those of the original."""
    data = _torchvision("CIFAR10", places=[cache() / "cifar-10-batches-py"], train=split == "train")
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return Dataset(images, torch.tensor(data.targets), tuple(data.classes), name="cifar10")


def _celeba(split: str, size: int, limit: int | None) -> Dataset:
    root = cache() / "celeba"
    data = _torchvision("CelebA", places=[root], split=split)
    images, index = read_images([root / "img_align_celeba" / name for name in data.filename], size=size, limit=limit)
    factors = {name: values[index] for name, values in zip(data.attr_names, data.attr.T, strict=False)}
    factors["identity"] = data.identity[index, 0]
    return Dataset(images, factors["Smiling"].clone(), ("not smiling", "smiling"), factors, "celeba")
