"""Image files and folders of images as uint8 tensors, in a fixed order; every skipped file is reported."""

import io
import os
import re
import warnings
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

USUAL = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # what errors suggest
# JPEG by names that Pillow does not list, and formats that not every Pillow has: they are reported, not overlooked
_OTHERS = (".jfi", ".jif", ".avif", ".avifs", ".heic", ".heif")
# EPS runs another program, WMF needs Windows, and the others have no decoder in Pillow
_NEVER = ("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG")

_KINDS = {  # the words by which folders of a split are known, the usual one first
    "train": ("train", "training", "trn", "trainval"),
    "test": ("test", "testing", "tst", "eval", "evaluation"),
    "val": ("val", "valid", "validation", "validate", "dev"),
}
_RANK = {word: (kind, rank) for kind, words in _KINDS.items() for rank, word in enumerate(words)}
_FILLERS = ("set", "data", "dataset", "image", "images", "img", "imgs", "split", "folder")
# what stands beside the images of a data set, and what systems leave in folders, in lower case
_BESIDE = ("annotation", "annotations", "label", "labels", "mask", "masks", "segmentations", "ground_truth")
_SYSTEMS = ("__macosx", "@eadir", "lost+found", "$recycle.bin", "system volume information", "__pycache__")


class DataError(OSError):
    """Data that cannot be found, fetched or read; the message says what was tried and what to do."""


class Listing(NamedTuple):
    """The image files of a folder, one of each class in turn, so that every prefix is balanced."""

    paths: list[Path]
    labels: list[int]  # -1 of an image without one
    classes: tuple[str, ...]


def list_folder(folder: Path, *, split: str = "train") -> Listing:
    """List the images below each class folder, at any depth, sorted by name; a flat folder is one class.

    A folder may be divided into splits, such as "train" and "test", "Training" and "val", "seg_train" and "seg_test".
    Then the class folders are inside these, and a name has the same number in all splits: first come the classes that
    all have, then the others. A split knows the names up to the last that it has. A split that has images but no class
    folders, where another split has them, is without labels (-1). If the folder is not divided, every image belongs to
    the split "train".

    Hidden files are skipped, and what is no file, such as a FIFO. Links are followed, except in a circle, and each file
    is taken once. Warnings say what else was left out. Raises ValueError for a split that is not "train", "test" or
    "val", DataError if there is no image, or no such split.
    """
    if split not in _KINDS:
        raise ValueError(f"split is {split!r}: it must be one of {', '.join(_KINDS)}.")
    splits = _splits(folder)
    if not splits and split != "train":
        raise DataError(
            f"{folder} has no {split} images: put class folders into {folder / 'train'} and {folder / split}, "
            "or load all the images and split them, as in data[::5]."
        )
    splits = splits or {"train": folder}
    named = {kind: [f.name for f in _folders(root) if _holds_image(f)] for kind, root in splits.items()}
    kind = _chosen(folder, split, named)
    root, shared = splits[kind], _shared([named[k] for k in _KINDS if named.get(k)])
    found, flat = _walk(root, named[kind]), _files(root)
    if not named[kind] and not flat:
        raise DataError(f"{root} holds no image: make one folder per class, with {', '.join(USUAL)} files.")
    if not named[kind]:
        classes = shared or (folder.resolve().name,)
        return Listing(flat, [-1 if shared else 0] * len(flat), classes)
    if flat:
        left = ", ".join(f.name for f in flat)
        warnings.warn(f"{root} has images outside its class folders, which are left out: {left}.", stacklevel=4)
    if empty := [f.name for f in _folders(root) if f.name not in shared and _holds_other_files(f)]:
        warnings.warn(
            f"{root} has folders without an image that can be read, which are no classes: {', '.join(empty)}. Images "
            f"are files such as {', '.join(USUAL)}.",
            stacklevel=4,
        )
    number = {name: i for i, name in enumerate(shared)}
    turns = zip_longest(*([(path, number[name]) for path in paths] for name, paths in found.items()))
    in_turn = [pair for turn in turns for pair in turn if pair]
    return Listing([path for path, _ in in_turn], [i for _, i in in_turn], shared[: 1 + max(number[n] for n in found)])


def _shared(named: list[list[str]]) -> tuple[str, ...]:
    """The classes of all splits in one order, which makes the names of a split that lacks some the first of them."""
    names = dict.fromkeys(name for some in named for name in some)
    return tuple(sorted(names, key=lambda name: not all(name in some for some in named)))


def _chosen(folder: Path, split: str, named: dict[str, list[str]]) -> str:
    """Which of the splits there are is the one asked for: images to validate on may be the test images."""
    usable = [kind for kind in (("test", "val") if split == "test" else (split,)) if kind in named]
    if not usable:
        raise DataError(f"{folder} has no {split} images, only those of the splits {', '.join(named)}.")
    labeled = [kind for kind in usable if named[kind]]
    if labeled and labeled[0] != usable[0]:
        warnings.warn(
            f"the {usable[0]} images of {folder} have no labels: its {labeled[0]} split is used.", stacklevel=5
        )
    return (labeled or usable)[0]


def _splits(folder: Path, wrapped: int = 3) -> dict[str, Path]:
    """The folder of each split if `folder` is divided into splits, else nothing; other folders may be around them."""
    folders = [f for f in _folders(folder) if f.name.lower() not in _BESIDE]
    stems: dict[tuple[str, ...], list[tuple[int, str, Path]]] = {}
    for f in folders:
        if word := _split_word(f.name):
            stem, (kind, rank) = word
            stems.setdefault(stem, []).append((rank, kind, f))
    # the usual word of a kind wins
    kinds = {stem: {kind: f for _, kind, f in sorted(some, reverse=True)} for stem, some in stems.items()}
    divided = [some for some in kinds.values() if "train" in some and len(some) > 1]
    holding = [f for f in folders if _holds_image(f)]
    if len(divided) == 1:
        (splits,) = divided
        if left := [f.name for f in holding if f not in splits.values()]:
            warnings.warn(
                f"{folder} is divided into {', '.join(f.name for f in splits.values())}; what is in its other folders "
                f"is left out: {', '.join(left)}.",
                stacklevel=5,
            )
    elif divided:
        names = ", ".join(f.name for some in divided for f in some.values())
        warnings.warn(f"{folder} has the folders {names}: they are taken for classes, not for splits.", stacklevel=5)
        return {}
    elif holding and all(f in kinds.get((), {}).values() for f in holding):
        splits = kinds[()]
    elif len(holding) == 1 and wrapped and not _files(folder):
        return _splits(holding[0], wrapped - 1)
    else:
        return {}
    return {kind: _inner(f) for kind, f in splits.items() if f in holding}


def _split_word(name: str) -> tuple[tuple[str, ...], tuple[str, int]] | None:
    """What else a name says, and the split that it names, such as ("seg",) and that of "train" for "seg_train"."""
    words = re.findall("[a-z]+", re.sub("([a-z])([A-Z])", r"\1 \2", name).lower())
    words = [short if (short := re.sub("(set|data|images)$", "", word)) in _RANK else word for word in words]
    said = [word for word in words if word in _RANK]
    if len(said) != 1:
        return None
    return tuple(word for word in words if word not in (*said, *_FILLERS)), _RANK[said[0]]


def _inner(folder: Path) -> Path:
    """Archives often hold seg_train/seg_train: the innermost of these."""
    inside = _folders(folder)
    if len(inside) == 1 and not _files(folder) and _split_word(inside[0].name) == _split_word(folder.name):
        return _inner(inside[0])
    return folder


def _walk(root: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """The image files below each class folder, each real one once: links come last, so that a class keeps its own."""
    found: dict[str, list[Path]] = {name: [] for name in names}
    real_root = os.path.realpath(root)
    above = {real_root, *map(str, Path(real_root).parents)}  # a link may lead back up
    owner: dict[str, str] = {}  # the class that has a real folder or, where there are links to files, a real file
    own = deque((root / name, name) for name in names if not (root / name).is_symlink())
    links = deque((root / name, name) for name in names if (root / name).is_symlink())
    linked_files: list[tuple[Path, str]] = []
    twice: list[str] = []
    while own or links:
        folder, name = own.popleft() if own else links.popleft()
        real = os.path.realpath(folder)
        if real in above or real in owner:
            twice += [str(folder)] * (owner.get(real, name) != name)
            continue
        owner[real] = name
        for entry, is_folder in _entries(folder):
            path = folder / entry.name
            if is_folder:
                (links if entry.is_symlink() else own).append((path, name))
            elif path.suffix.lower() in _suffixes():
                linked_files.append((path, name)) if entry.is_symlink() else found[name].append(path)
    if linked_files:
        owner = {os.path.join(os.path.realpath(f.parent), f.name): name for name in names for f in found[name]}
    for path, name in linked_files:
        real = os.path.realpath(path)
        twice += [str(path)] * (owner.get(real, name) != name)
        if real not in owner:
            owner[real] = name
            found[name].append(path)
    if twice:
        warnings.warn(
            f"{root} has links from one class to images of another, which stay in the class where they are: "
            f"{', '.join(twice[:9])}{', ...' * (len(twice) > 9)}.",
            stacklevel=5,
        )
    start = len(root.parts) + 1
    for paths in found.values():  # by name, and in each folder its files before its folders
        paths.sort(key=lambda path: [(1, part) for part in path.parts[start:-1]] + [(0, path.name)])
    return found


def _entries(folder: Path) -> list[tuple[os.DirEntry, bool]]:
    """What is in a folder by name, and whether it is a folder: without what is hidden, FIFOs, devices and sockets."""
    with os.scandir(folder) as inside:
        shown = (entry for entry in inside if entry.name[0] != "." and entry.name.lower() not in _SYSTEMS)
        known = [(entry, kind) for entry in shown if (kind := _is_folder(entry)) is not None]
    return sorted(known, key=lambda pair: pair[0].name)


def _is_folder(entry: os.DirEntry) -> bool | None:
    """True for a folder, False for a file or a link that leads nowhere, which is reported as broken, else None."""
    with suppress(OSError):  # a circle of links
        if entry.is_dir():
            return True
        if entry.is_file():
            return False
    return False if entry.is_symlink() and not os.path.exists(entry.path) else None


def _folders(folder: Path) -> list[Path]:
    return [folder / entry.name for entry, is_folder in _entries(folder) if is_folder]


def _files(folder: Path) -> list[Path]:
    files = [folder / entry.name for entry, is_folder in _entries(folder) if not is_folder]
    return [f for f in files if f.suffix.lower() in _suffixes()]


def _holds_image(folder: Path) -> bool:
    return _holds(folder, lambda name: os.path.splitext(name)[1].lower() in _suffixes())


def _holds_other_files(folder: Path) -> bool:
    return folder.name.lower() not in _BESIDE and _holds(folder, lambda name: True)


def _holds(folder: Path, wanted: Callable[[str], bool]) -> bool:
    """Whether there is such a file at any depth."""
    around = Path(os.path.realpath(folder.parent))
    todo, seen = [folder], {str(around), *map(str, around.parents)}  # a link may lead back up
    while todo:
        inner = todo.pop()
        if (real := os.path.realpath(inner)) in seen:
            continue
        seen.add(real)
        for entry, is_folder in _entries(inner):
            if is_folder:
                todo.append(inner / entry.name)
            elif wanted(entry.name):
                return True
    return False


@cache
def _suffixes() -> frozenset[str]:
    """All endings of image files that Pillow reads here, in lower case."""
    from PIL import Image

    Image.init()
    readable = {suffix for suffix, name in Image.registered_extensions().items() if name in (*_formats(), "TGA")}
    return frozenset((*USUAL, *_OTHERS, *readable))


@cache
def _formats() -> tuple[str, ...]:
    """Those that Pillow tells by their first bytes, so that a damaged file of another is not taken for one of them."""
    from PIL import Image

    Image.init()
    return tuple(name for name in Image.ID if Image.OPEN[name][1] and name not in _NEVER)


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
    notes: list[str] = []

    def attempt(path: Path) -> UInt8[np.ndarray, "3 s s"] | Exception:
        try:
            return decode(path, size, notes)
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
    for note, n in Counter(notes).items():
        warnings.warn(f"{n} of these images {note}.", stacklevel=4)
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
        raise DataError(f"the file is no image that can be read: use one of {', '.join(USUAL)}.") from error
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

    by_name = not isinstance(file, io.BytesIO) and Image.registered_extensions().get(Path(file).suffix.lower()) == "TGA"
    return Image.open(file, formats=["TGA"] if by_name else list(_formats()))  # the first bytes of TGA may be anything


def decode(
    path: str | os.PathLike[str] | io.BytesIO, size: int, notes: list[str] | None = None
) -> UInt8[np.ndarray, "3 s s"]:
    """Decode one file to upright RGB: the shorter side is resized to `size`, the longer side center-cropped.

    Gray becomes three equal channels; transparency becomes white; the EXIF orientation is applied; an animation gives
    its first frame. Types of more than 8 bits are scaled to 8: from the range that the file's tags state, else by its
    type, else by the values that are there. Then a warning says so, or `notes`, if given, gets it.
    """
    with _open(path) as file:
        file.draft(None, (size, size))  # decode a large JPEG at 1/2, 1/4 or 1/8 of its size if that is enough
        return fit(file, size, notes)


def fit(image: "Image", size: int, notes: list[str] | None = None) -> UInt8[np.ndarray, "3 s s"]:
    """Crop an image to its central square, upright and as RGB, and resize it to `size`. See `decode`."""
    from PIL import Image, ImageOps

    turn = _orientation(image)
    image, note = _rgb(image)
    if note and notes is None:
        warnings.warn(f"images here {note}.", stacklevel=2)
    elif note and notes is not None:
        notes.append(note)
    if turn in _TURNS:
        image = image.transpose(Image.Transpose[_TURNS[turn]])
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.array(image).transpose(2, 0, 1)


_TURNS = {  # of EXIF's orientation
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
    8: "ROTATE_90",
}  # fmt: skip


def _orientation(image: "Image") -> int:
    image.load()  # Pillow turns TIFF itself when it loads it, and then it has no orientation any more
    with suppress(Exception):  # damaged EXIF is no damaged image
        return image.getexif().get(0x0112, 1)
    return 1


def _rgb(image: "Image") -> tuple["Image", str]:
    """The image as RGB, and a note where the range of its values was not plain."""
    from PIL import Image

    if image.mode[0] in "IF":  # integers of 16 or 32 bits, whatever the mode's name, or floats
        values = np.asarray(image, dtype=np.float64)
        black, white, note = _range(values, image)
        gray = (np.nan_to_num(values, nan=black, posinf=white, neginf=black) - black) / (white - black)
        return Image.fromarray((gray.clip(0, 1) * 255).round().astype(np.uint8)).convert("RGB"), note
    if image.mode == "LAB":
        from PIL import ImageCms

        to_rgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        image = ImageCms.applyTransform(image, to_rgb) or image
    if image.mode == "La":
        image = image.convert("LA")
    clear = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa")
    if clear or (image.mode == "P" and image.palette is not None and image.palette.mode == "RGBA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB"), ""


def _range(values: Float64[np.ndarray, "h w"], image: "Image") -> tuple[float, float, str]:
    """The values of black and of white, and how they were found if that is not plain: from tags, type or values."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("it holds no finite value")
    low, high = float(finite.min()), float(finite.max())
    floats, stated = image.mode == "F", _stated_range(image)
    if stated[0] <= low and high <= stated[1]:
        told = f"are read from {stated[0]:g} (black) to {stated[1]:g} (white), as their files say"
        return *stated, "" if stated == (0.0, 1.0 if floats else 65535.0) else told
    if (floats and low >= -0.05 and high <= 1.05) or (not floats and low >= 0 and (high == 0 or 4095 < high <= 65535)):
        lost = "" if finite.size == values.size else "hold NaN or infinite values, which are read as black"
        return 0.0, 1.0 if floats else 65535.0, lost
    for most in (255.0,) if floats else (255.0, 4095.0):
        if low >= 0 and high <= most:
            return 0.0, most, f"hold no value above {most:g}, so they are read from 0 (black) to {most:g} (white)"
    return low, max(high, low + 1e-9), "hold values in no usual range, and are read from their lowest to their highest"


def _stated_range(image: "Image") -> tuple[float, float]:
    """What the tags of a TIFF say of its values; an empty range if they say nothing."""
    tags = getattr(image, "tag_v2", {})

    def tag(*numbers: int) -> int | float | None:
        found = next((tags[number] for number in numbers if number in tags), None)
        return found[0] if isinstance(found, tuple) else found

    bits = tag(258)  # BitsPerSample
    white = tag(341, 281)  # SMaxSampleValue, MaxSampleValue
    if white is None and bits is not None and bits < 16:
        white = 2**bits - 1
    black = tag(340, 280) or 0  # SMinSampleValue, MinSampleValue
    return (float(black), float(white)) if white is not None and white > black else (1.0, 0.0)
