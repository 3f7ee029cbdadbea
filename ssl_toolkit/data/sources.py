"""Where data come from: `load_data` loads a few data sets by name, and any folder of class folders."""

import gzip
import hashlib
import lzma
import math
import os
import struct
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from ssl_toolkit.data.dataset import Dataset
from ssl_toolkit.data.emoji import on_white, read_emoji
from ssl_toolkit.data.folders import DataError, list_folder, read_images
from ssl_toolkit.data.shapes import SHAPES, shapes
from ssl_toolkit.data.wild import in_the_wild

SIDES = {"garments": 32, "emoji": 64, "shapes": 32, "digits": 8}  # these need no files
SIDES |= {"fashion-mnist": 28, "mnist": 28, "cifar10": 32, "celeba": 64}
OF_FOLDERS = 64  # the same of a folder's images: the side in pixels if nothing else is asked for
_CLASSES = {
    "digits": tuple("0123456789"),
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}


def load_data(
    name_or_folder: str | os.PathLike[str],
    *,
    split: str = "train",
    size: int | None = None,
    limit: int | None = None,
) -> Dataset:
    """Load the "train" or "test" split of a named data set, or of a folder with one subfolder per class.

        "garments"       the clothing of "fashion-mnist", tinted and placed at random on colored grounds, 32 x 32 (see
                         `in_the_wild`): all of it if that set is on this machine, else 10,000 and 2,000
        "emoji"          2,805 and 576 emoji on white, 64 x 64, and their names; the label is Unicode's group, `factors`
                         has subgroup, skin tone and gender (for other grounds see `data.emoji`)
        "shapes"         10,000 and 2,000 pictures with known factors (or any number, by `limit`), 32 x 32
        "digits"         1,437 and 360 handwritten digits, 8 x 8; the last ones are the test split
        "fashion-mnist"  60,000 and 10,000 pieces of clothing, 28 x 28
        "mnist"          60,000 and 10,000 handwritten digits, 28 x 28
        "cifar10"        50,000 and 10,000 photographs, 32 x 32
        "celeba"         162,770 and 19,962 faces, 64 x 64; the label is the smile, `factors` has all 40 attributes
        a folder         its JPEG, PNG and other files, 64 x 64; see `folders.list_folder` and `folders.decode`

    `size` is the side to resize to, in pixels; `limit` keeps the first `limit` images. "garments", "emoji",
    "shapes" and "digits" need neither files nor a network. The other sets are looked up in the folder SSL_TOOLKIT_DATA
    (~/.cache/ssl_toolkit by default) and downloaded into it if missing. A name takes precedence over a folder; write
    "./mnist" for the folder.

    Where "fashion-mnist" can be neither found nor downloaded, the 10,000 and 2,000 images of it that come with the
    package take its place, with a warning.

    Raises ValueError for an argument out of range, DataError for data that cannot be found, downloaded or read.

    >>> load_data("shapes", limit=100)
    Dataset(shapes: 100 images of 3 x 32 x 32, 8 classes, factors shape texture hue x y scale angle background)
    """
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}: it must be 'train' or 'test'.")
    if size is not None and size < 4:
        raise ValueError(f"size is {size}: images need at least 4 pixels a side; None keeps the set's own size.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}: it must be at least 1; None keeps all images.")
    name_or_folder = os.fspath(name_or_folder)
    match name_or_folder:
        case "":
            raise ValueError(f"name_or_folder is empty: pass the path of a folder, or one of {', '.join(SIDES)}.")
        case "garments":
            return _garments(split, size or SIDES["garments"], limit)
        case "emoji":
            return on_white(read_emoji(split, size=size or SIDES["emoji"], limit=limit))
        case "shapes":
            return _shapes(split, size or SIDES["shapes"], limit)
        case "digits":
            data = _digits(split)
        case "fashion-mnist" | "mnist":
            data = _idx(name_or_folder, split, limit)
        case "cifar10":
            data = _cifar10(split)
        case "celeba":
            return _celeba(split, size or SIDES["celeba"], limit)
        case _:
            return _folder(name_or_folder, split, size or OF_FOLDERS, limit)
    data = data[:limit]
    if size is not None:
        data.images = F.interpolate(data.images, (size, size), mode="bilinear", antialias=True)
    return data


# Data sets that are always available.


_SHIPPED = Path(__file__).parent / "fashion-mnist"  # its first images, as xz, with their license
_DIGESTS = {
    "train-images-idx3-ubyte.xz": "fda9dc9165eadbcdb2435260a89a261cd07c90aac7b948d2bbda44b30535100d",
    "train-labels-idx1-ubyte.xz": "5eb7b3b6de61b82e073d961ddbbc65c8a6ac7892246022804c62d46bf1662f23",
    "t10k-images-idx3-ubyte.xz": "b97bbd41dcc545b2f81ad3bb458b8bac2a3a66755fbc6793468c184bd08b3e6b",
    "t10k-labels-idx1-ubyte.xz": "c3d8b109e8c9cf9e1e8def895e8cf07beba3468f8dea3751309f5a88be9672e0",
}


def _garments(split: str, size: int, limit: int | None) -> Dataset:
    """Garments in the wild, of the whole set if it is on this machine, else of the part that comes with the package."""
    at_hand = is_available("fashion-mnist")
    files = _find_idx(_places("fashion-mnist"), split) if at_hand else _shipped(split)
    source = _read_pair("fashion-mnist", files, limit)
    data = in_the_wild(source, seed=0 if split == "train" else 1, size=size)
    data.name = "garments"
    return data


def _shipped(split: str) -> list[Path]:
    files = _find_idx([_SHIPPED], split)
    for file in files:
        if hashlib.sha256(file.read_bytes()).hexdigest() != _DIGESTS[file.name]:
            raise DataError(f"{file} is not the file that came with the package: install it anew.")
    return files


def _shapes(split: str, size: int, limit: int | None) -> Dataset:
    n, seed = (10_000, 0) if split == "train" else (2_000, 1)
    images, factors = shapes(limit or n, size=size, seed=seed)
    return Dataset(images, factors["shape"].clone(), SHAPES, factors, "shapes")


def _digits(split: str) -> Dataset:
    """scikit-learn's digits, ordered by writer: most of the last 360 are by writers unseen in training."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    part = slice(1437) if split == "train" else slice(1437, None)
    images = torch.from_numpy(digits.images[part]).mul(255 / 16).round().to(torch.uint8)  # stored as 17 gray levels
    labels = torch.from_numpy(digits.target[part]).long()
    return Dataset(images.unsqueeze(1), labels, _CLASSES["digits"], name="digits")


def _folder(folder: str | os.PathLike[str], split: str, size: int, limit: int | None) -> Dataset:
    root = Path(folder).expanduser()
    if not root.is_dir():
        near = get_close_matches(str(folder).lower(), SIDES, n=1)
        raise ValueError(
            f"name_or_folder is {str(folder)!r}: it is neither a folder nor one of {', '.join(map(repr, SIDES))}."
            + (f" Did you mean {near[0]!r}?" if near else "")
            + " Pass the path of a folder that holds one folder of images per class."
        )
    paths, labels, classes = list_folder(root, split=split)
    images, index = read_images(paths, size=size, limit=limit)
    return Dataset(images, torch.tensor(labels)[index], classes, name=root.resolve().name)


# Data sets stored as files: looked up first, then downloaded.

_SYSTEM = Path("/usr/share/datasets")  # where Debian's package dataset-fashion-mnist puts the original files


def cache_folder() -> Path:
    """The folder where data are looked up and downloaded to."""
    return Path(os.environ.get("SSL_TOOLKIT_DATA") or Path.home() / ".cache" / "ssl_toolkit").expanduser()


def _torchvision(dataset: str, *, places: list[Path], **options: Any) -> Any:
    """A torchvision data set; torchvision downloads what our cache lacks and verifies the checksums."""
    from torchvision import datasets

    try:
        return getattr(datasets, dataset)(cache_folder(), download=True, **options)
    except Exception as error:  # network, server, checksum, disk: each raises its own kind
        raise DataError(
            f"{dataset} is not in {' nor in '.join(map(str, places))}, and the download failed ({error}). Put its "
            f"files into {places[0]}, or set SSL_TOOLKIT_DATA to the folder where you keep data. "
            "'garments', 'emoji', 'shapes' and 'digits' always work: they need neither files nor a network."
        ) from error


_IDX = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}  # torchvision's names


def is_available(name: Literal["mnist", "fashion-mnist"]) -> bool:
    """Whether both splits are on this machine, so `load_data` need not download them."""
    return all(_find_idx(_places(name), split) for split in ("train", "test"))


def _places(name: str) -> list[Path]:
    return [cache_folder() / name, cache_folder() / _IDX[name] / "raw", _SYSTEM / name]


def _idx(name: str, split: str, limit: int | None) -> Dataset:
    places = _places(name)
    if not (files := _find_idx(places, split)):
        try:
            _torchvision(_IDX[name], places=places)
        except DataError as error:
            if name != "fashion-mnist":
                raise
            warnings.warn(f"{error} For now the part that comes with the package takes its place.", stacklevel=3)
            places = [_SHIPPED]
        files = _shipped(split) if places == [_SHIPPED] else _find_idx(places, split)
    return _read_pair(name, files, limit)


def _read_pair(name: str, files: list[Path], limit: int | None) -> Dataset:
    """The gray images of one idx file with the labels of another."""
    images, labels = (_read_idx(file, limit) for file in files)
    if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max() >= len(_CLASSES[name]):
        raise DataError(f"{files[0]} and {files[1]} are not the images and labels of {name!r}: replace them.")
    return Dataset(images.unsqueeze(1), labels.long(), _CLASSES[name], name=name)


def _find_idx(places: list[Path], split: str) -> list[Path]:
    """The image file and the label file, plain or compressed, from the first folder that has both."""
    prefix = "train" if split == "train" else "t10k"
    for place in places:
        kinds = [place / f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        files = [
            next((f for f in (kind, Path(f"{kind}.gz"), Path(f"{kind}.xz")) if f.is_file()), None) for kind in kinds
        ]
        if all(files):
            return [f for f in files if f]
    return []


def _read_idx(path: Path, limit: int | None) -> UInt8[Tensor, "..."]:
    """Read the first `limit` items of an idx file: 0, 0, 8 (uint8), the rank, the shape (big-endian), the bytes."""
    try:
        opened: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
        with opened(path, "rb") as file:
            *kind, ndim = file.read(4)
            if kind != [0, 0, 8]:
                raise ValueError("its header is wrong")
            n, *shape = struct.unpack(f">{ndim}I", file.read(4 * ndim))
            shape = [min(n, limit or n), *shape]
            data = bytearray(file.read(math.prod(shape) + 1))  # one extra byte: gzip checks the checksum at the end
            return torch.frombuffer(data, dtype=torch.uint8, count=math.prod(shape)).view(shape)
    except Exception as error:  # gzip, zlib, struct and torch each raise their own kind
        raise DataError(f"{path} is not a whole idx file ({error}): delete or replace it.") from error


def _cifar10(split: str) -> Dataset:
    """CIFAR-10. The archive holds pickles; torchvision opens them only if their MD5 sums match the original."""
    data = _torchvision("CIFAR10", places=[cache_folder() / "cifar-10-batches-py"], train=split == "train")
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return Dataset(images, torch.tensor(data.targets), tuple(data.classes), name="cifar10")


def _celeba(split: str, size: int, limit: int | None) -> Dataset:
    root = cache_folder() / "celeba"
    data = _torchvision("CelebA", places=[root], split=split)
    images, index = read_images([root / "img_align_celeba" / name for name in data.filename], size=size, limit=limit)
    factors = {name: values[index] for name, values in zip(data.attr_names, data.attr.T, strict=False)}
    factors["identity"] = data.identity[index, 0]
    return Dataset(images, factors["Smiling"].clone(), ("not smiling", "smiling"), factors, "celeba")
