"""Image files and folders of images as uint8 tensors, in a fixed order; every skipped file is reported."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
    *(".avif", ".heic"),  # not every Pillow reads these; then they are reported, not overlooked
)
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "HEIF")  # none of them runs another program
_SPLITS = ("train", "test", "val", "valid", "validation")


class DataError(OSError):
    """Data that cannot be found, fetched or read; the message says what was tried and what to do."""


class Listing(NamedTuple):
    """The image files of a folder, one of each class in turn, so that every prefix is balanced."""

    paths: list[Path]
    labels: list[int]
    classes: tuple[str, ...]


def list_folder(folder: Path, *, split: str = "train") -> Listing:
    """List the images below each class folder, at any depth, sorted by name; a flat folder is one class.

    If the folder holds only "train" and other splits, the class folders are inside these; otherwise every image
    belongs to the split "train". Hidden files are skipped; links are followed, except in a cycle.
    Raises DataError if there is no image, or no such split.
    """
    root = _split(folder, split)
    found = {f.name: files for f in _folders(root) if (files := list(_images(f, (root.resolve(),))))}
    flat = _files(root)
    if not found and not flat:
        raise DataError(f"{root} holds no image: make one folder per class, with {', '.join(SUFFIXES)} files.")
    if not found:
        found = {root.resolve().name: flat}
    elif flat:
        names = ", ".join(f.name for f in flat)
        warnings.warn(f"{root} has images outside its class folders, which are left out: {names}.", stacklevel=4)
    in_turn = [(path, i) for paths in zip_longest(*found.values()) for i, path in enumerate(paths) if path]
    return Listing([path for path, _ in in_turn], [i for _, i in in_turn], tuple(found))


def _split(folder: Path, split: str) -> Path:
    names = {f.name for f in _folders(folder)}
    divided = "train" in names and names.issubset(_SPLITS)
    if split == "train":
        return folder / "train" if divided else folder
    for name in _SPLITS[1:]:
        if divided and name in names:
            return folder / name
    raise DataError(
        f"{folder} has no {split} images: put class folders into {folder / 'train'} and {folder / split}, "
        "or load all the images and split them, as in data[::5]."
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.name[0] != "." and not f.is_dir())


def _images(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real not in above:  # a link may lead back up
        yield from _files(folder)
        for inner in _folders(folder):
            yield from _images(inner, (*above, real))


class Decoded(NamedTuple):
    """The images that could be read, and the index of each one's file."""

    images: UInt8[Tensor, "n 3 s s"]
    kept: Int64[Tensor, " n"]


def read_images(paths: Sequence[Path], *, size: int, limit: int | None = None) -> Decoded:
    """Read the first `limit` good images; one warning lists the broken files. Raises DataError if all are broken."""
    most = min(len(paths), limit or len(paths))
    images = torch.empty(most, 3, size, size, dtype=torch.uint8)
    kept: list[int] = []
    broken: list[str] = []

    def attempt(path: Path) -> UInt8[np.ndarray, "3 s s"] | Exception:
        try:
            return decode(path, size)
        except Exception as error:  # broken bytes make a decoder raise anything
            return error

    with ThreadPoolExecutor() as pool:
        for i, image in enumerate(pool.map(attempt, paths)):
            if isinstance(image, Exception):
                broken.append(f"{paths[i]} ({image})")
                continue
            images[len(kept)] = torch.from_numpy(image)
            kept.append(i)
            if len(kept) == most:
                break
    if broken:
        listed = "\n  ".join(broken)
        if not kept:
            raise DataError(f"none of the {len(broken)} images can be read:\n  {listed}")
        warnings.warn(f"{len(broken)} broken image files are left out:\n  {listed}", stacklevel=4)
    return Decoded(images[: len(kept)], torch.tensor(kept))


LARGEST = 25_000_000  # most pixels of an image passed in memory


def from_bytes(content: bytes, shape: tuple[int, ...]) -> UInt8[Tensor, "c h w"]:
    """Decode the bytes of an image file, such as an upload, center-cropped to the data's `shape`, (1 or 3, h, w).

    Raises DataError for bytes that are not a whole image, and for images above 25 megapixels.
    """
    from PIL import Image

    c, height, width = shape
    try:
        with _open(io.BytesIO(content)) as file:
            pixels = file.width * file.height
        image = decode(io.BytesIO(content), size := max(height, width)) if pixels <= LARGEST else None
    except Image.DecompressionBombError:
        image = None
    except Exception as error:  # broken bytes make a decoder raise anything
        raise DataError(f"the file is no image that can be read: use one of {', '.join(_FORMATS)}.") from error
    if image is None:
        raise DataError(
            f"the image has more than {LARGEST / 1e6:.0f} megapixels, and only {height} x {width} pixels are used: "
            "make it smaller first."
        )
    if c == 1:
        image = np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))[None].copy()
    top, left = (size - height) // 2, (size - width) // 2
    return torch.from_numpy(image)[:, top : top + height, left : left + width]


def _open(file: str | os.PathLike[str] | io.BytesIO) -> "ImageFile":
    from PIL import Image

    Image.init()
    return Image.open(file, formats=[name for name in _FORMATS if name in Image.OPEN])


def decode(path: str | os.PathLike[str] | io.BytesIO, size: int) -> UInt8[np.ndarray, "3 s s"]:
    """Decode one file to upright RGB: the shorter side is resized to `size`, the longer side center-cropped.

    Gray becomes three equal channels and 16 bits become 8; transparency becomes white; the EXIF orientation is
    applied; an animation gives its first frame.
    """
    from PIL import ImageOps

    with _open(path) as file:
        file.draft(None, (size, size))  # decode a large JPEG at 1/2, 1/4 or 1/8 of its size if that is enough
        ImageOps.exif_transpose(file, in_place=True)
        return fit(file, size)


def fit(image: "Image", size: int) -> UInt8[np.ndarray, "3 s s"]:
    """Crop an image to its central square, as RGB, and resize it to `size`."""
    from PIL import Image, ImageOps

    image = _rgb(image)
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.array(image).transpose(2, 0, 1)


def _rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode[0] in "IF":  # 16-bit integers, whatever the mode's name; floats in [0, 1]
        gray = np.asarray(image, dtype=np.float64) / (65535 if image.mode[0] == "I" else 1)
        return Image.fromarray((gray.clip(0, 1) * 255).round().astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")
