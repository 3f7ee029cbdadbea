"""Images that do not fit into memory, in the same batches that a `Dataset` would give.

    photos = Stream("photos", size=128, workers=2)
    for step in train(state, photos, joint_embedding(nt_xent, simclr_views(64)), until=10_000): ...

Worker processes decode each image of a step once, to a uint8 square; `augment` makes all the views from it. As for
data in memory, the images of a step are a function of (seed, step); workers only decode ahead. So a stream has no state
to save and resumes from any step. `cache` stores the decoded images.
"""

import multiprocessing
import os
import signal
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int64, UInt8
from torch import Tensor

from ssl_toolkit.data.dataset import Batch, as_bytes, batch_index
from ssl_toolkit.data.folders import DataError, decode, fit, list_folder


@runtime_checkable
class Items(Protocol):
    """A torch Dataset of (image, label), or anything else with a length and such items."""

    def __len__(self) -> int: ...
    def __getitem__(self, i: int, /) -> Any: ...


class Decoded(NamedTuple):
    """Decoded uint8 images, their labels and indices, the reason why each broken image was skipped, by index, and what
    there is to say of the others, as `folders.decode` does."""

    # workers send arrays through a pipe; tensors would need shared memory, which is scarce in containers
    images: UInt8[np.ndarray, "b c s s"]
    labels: Int64[np.ndarray, " b"]
    index: Int64[np.ndarray, " b"]  # type: ignore[assignment]  # hides tuple.index, of no use here
    broken: dict[int, str]
    notes: tuple[str, ...] = ()


class Stream:
    """The images of a folder, or of any torch Dataset of (image, label), as `size` x `size` pixels.

    A folder is listed and decoded as in `load_data`. A Dataset gives PIL images, which become upright RGB, tensors
    (c, h, w), or arrays (h, w) and (h, w, c), uint8 or float in [0, 1]. All have as many channels as the first; where
    that is in color, gray ones become color. A label is a whole number, a name in the `classes` of the Dataset, or None
    (-1), and an image alone is an item, too. Every image is cropped to its central square. Views are crops of that
    square, so twice the side of a view is a good `size`. Items must not be random, or a batch would not be a function
    of its step.

    `workers` processes decode ahead; with 0, this process decodes on demand. Batches are on `device`, where uint8
    becomes float. An image that raises OSError counts as broken: one warning names it, and the next readable image
    takes its place, with its own label and index.

    Raises ValueError for an argument out of range, DataError for a folder without images.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Items,
        *,
        size: int,
        split: str = "train",
        workers: int = 2,
        device: torch.device | str = "cpu",
    ):
        if size < 4:
            raise ValueError(f"size is {size}: images need at least 4 pixels a side.")
        if workers < 0:
            raise ValueError(f"workers is {workers}: it must be at least 1, or 0 to decode in this process.")
        self.size, self.workers, self.device = size, workers, torch.device(device)
        if isinstance(source, str | os.PathLike):
            self._source: _Files | _Items = _files(Path(source).expanduser(), split, size)
        elif isinstance(source, Items) and len(source):
            self._source = _Items(source, size)
        else:
            raise ValueError(f"source is a {type(source).__name__}: pass a folder, or items with a length above 0.")
        self._named: set[int | str] = set()  # broken images and notes that a warning has named
        self._pool: ProcessPoolExecutor | None = None
        self._owner = 0  # parent process of the workers; a fork must start its own
        self._ahead: deque[tuple[Int64[Tensor, " b"], Future[Decoded]]] = deque()

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; empty for a torch Dataset without an attribute `classes`."""
        return self._source.classes

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape (c, h, w) of an image, read from the first one."""
        return _read(self._source, [0]).images.shape[1:]

    def __len__(self) -> int:
        return len(self._source)

    def __repr__(self) -> str:
        return f"Stream({self.name}: {len(self):,} images as {self.size} x {self.size}, {len(self.classes)} classes)"

    def batch(self, step: int, *, batch_size: int, seed: int = 0, share: slice = slice(None)) -> Batch:
        """The batch that `data.batch` gives for these images in memory; only this process's `share` is decoded.

        Raises ValueError for a batch_size outside 1 ... len(self), DataError if no image can be read or a worker died,
        and whatever an item of a torch Dataset raises.
        """
        steps = range(step, step + 1 + self.workers)
        decoded = self._decode([batch_index(len(self), s, batch_size=batch_size, seed=seed)[share] for s in steps])
        images, labels, index = (torch.from_numpy(array).to(self.device) for array in decoded[:3])
        return Batch(images, labels, index)

    def in_order(self, portion: int) -> Iterator[Decoded]:
        """All readable images in order, `portion` images at a time."""
        portions = torch.arange(len(self)).split(portion)
        for i, wanted in enumerate(portions):
            made = self._decode(portions[i : i + 1 + self.workers])
            own = made.index == wanted.numpy()
            yield made._replace(images=made.images[own], labels=made.labels[own], index=made.index[own])

    def fingerprint(self) -> str:
        """Hash the size and the images: path, length and time of each file, or 16 items of a torch Dataset."""
        digest = blake2b(f"{len(self)} images of {self.size} pixels".encode(), digest_size=16)
        for part in self._source.marks():
            digest.update(part)
        return digest.hexdigest()

    def _decode(self, wanted: Sequence[Tensor]) -> Decoded:
        """Decode the first batch in `wanted`; the workers go on with the rest and drop any older requests."""
        decoded = self._from_workers(wanted) if self.workers else _read(self._source, wanted[0].tolist())
        if new := decoded.broken.keys() - self._named:
            self._named |= new
            listed = "\n  ".join(decoded.broken[i] for i in sorted(new))
            warnings.warn(f"{len(new)} broken images are skipped:\n  {listed}", stacklevel=4)
        for note in dict.fromkeys(note for note in decoded.notes if note not in self._named):
            self._named.add(note)
            warnings.warn(f"some of these images {note}.", stacklevel=4)
        return decoded

    def _from_workers(self, wanted: Sequence[Tensor]) -> Decoded:
        if self._pool is None or self._owner != os.getpid():
            self._ahead.clear()
            self._pool, self._owner = ProcessPoolExecutor(self.workers, None, _enter, (self._source,)), os.getpid()
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        if self._ahead and not torch.equal(self._ahead[0][0], wanted[0]):
            for _, future in self._ahead:
                future.cancel()
            self._ahead.clear()
        try:
            for index in wanted[len(self._ahead) :]:
                self._ahead.append((index, self._pool.submit(_read_entered, index.tolist())))
            decoded = self._ahead[0][1].result()
        except BrokenProcessPool as error:
            self._pool = None
            raise DataError(
                f"a worker process of {self!r} died: it was killed, often for lack of memory, or could not start, as "
                'in a script without `if __name__ == "__main__":`. Use fewer workers, or workers=0 for no processes.'
            ) from error
        self._ahead.popleft()
        return decoded


# Where images come from: each worker process gets one of these sources.


@dataclass(frozen=True)
class _Files:
    root: str
    paths: np.ndarray  # relative to the root, as bytes: one block of memory in place of a million objects
    labels: np.ndarray
    classes: tuple[str, ...]
    size: int

    @property
    def name(self) -> str:
        return os.path.basename(self.root)

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, i: int) -> str:
        return os.path.join(self.root, os.fsdecode(self.paths[i]))

    def read(self, i: int, notes: list[str]) -> tuple[UInt8[np.ndarray, "c s s"], int]:
        try:
            return decode(self.path(i), self.size, notes), int(self.labels[i])
        except Exception as error:  # broken bytes make a decoder raise anything
            raise DataError(f"{self.path(i)} ({error})") from error

    def marks(self) -> Iterator[bytes]:
        for i, path in enumerate(self.paths):
            yield path
            with suppress(OSError):  # unreadable files are skipped later
                status = os.stat(self.path(i))
                yield f" {status.st_size} {int(status.st_mtime)}".encode()


def _files(folder: Path, split: str, size: int) -> _Files:
    if not folder.is_dir():
        raise ValueError(f"source is {str(folder)!r}: it is not a folder; pass one that holds one folder per class.")
    paths, labels, classes = list_folder(folder, split=split)
    below = np.array([os.fsencode(path.relative_to(folder)) for path in paths])
    return _Files(str(folder.resolve()), below, np.array(labels), classes, size)


@dataclass(frozen=True)
class _Items:
    items: Items
    size: int

    @property
    def name(self) -> str:
        return type(self.items).__name__

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(getattr(self.items, "classes", None) or ())

    @cached_property
    def channels(self) -> int:
        """Of all images: those of the first one that can be read."""
        for i in range(len(self)):
            with suppress(DataError):
                return self._pixels(i, [])[0].shape[0]
        return 3

    def __len__(self) -> int:
        return len(self.items)

    def read(self, i: int, notes: list[str]) -> tuple[UInt8[np.ndarray, "c s s"], int]:
        pixels, label = self._pixels(i, notes)
        if len(pixels) == 1 < self.channels:
            pixels = pixels.repeat(self.channels, axis=0)
        if len(pixels) != self.channels:
            raise ValueError(
                f"item {i} has {len(pixels)} channels and the first image has {self.channels}: bring all to one number."
            )
        return pixels, label

    def _pixels(self, i: int, notes: list[str]) -> tuple[UInt8[np.ndarray, "c s s"], int]:
        from PIL import Image

        try:
            item = self.items[i]
        except OSError as error:
            raise DataError(f"item {i} ({error})") from error
        pair = isinstance(item, tuple | list)
        if pair and len(item) not in (1, 2):
            raise TypeError(f"item {i} is a {type(item).__name__} of {len(item)}: it must be a pair (image, label).")
        image, label = item if pair and len(item) == 2 else (item[0] if pair else item, None)
        label = self._label(i, label)
        if isinstance(image, Image.Image):
            try:
                return fit(image, self.size, notes), label
            except OSError as error:  # Pillow reads the file only now
                raise DataError(f"item {i} ({error})") from error
        if isinstance(image, np.ndarray) and image.ndim in (2, 3):
            image = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(image).transpose(2, 0, 1)))
        if isinstance(image, Tensor) and image.ndim == 3 and image.is_floating_point():
            low, high = image.aminmax()
            if not (low >= 0 and high <= 1):
                raise ValueError(f"item {i} has values from {low:.3g} to {high:.3g}: floats must be in [0, 1].")
            image = as_bytes(image)
        if not (isinstance(image, Tensor) and image.ndim == 3 and image.dtype == torch.uint8):
            raise TypeError(
                f"item {i} is an image of type {type(image)}: it must be PIL, a uint8 or float tensor (c, h, w), or "
                "such an array (h, w, c)."
            )
        return _fit_tensor(image, self.size), label

    def _label(self, i: int, label: Any) -> int:
        if label is None or (isinstance(label, float) and label != label):
            return -1
        if isinstance(label, str):
            if label in self.classes:
                return self.classes.index(label)
            known = f"its `classes` are {', '.join(self.classes)}" if self.classes else "the Dataset has no `classes`"
            raise ValueError(f"item {i} has the label {label!r}, and {known}: give numbers, or name all the classes.")
        if np.ndim(label) or np.asarray(label).dtype.kind not in "biu":
            raise ValueError(f"item {i} has the label {label!r:.60}: it must be one whole number, a name, or None.")
        if int(label) < -1:
            raise ValueError(f"item {i} has the label {label}: classes are numbered from 0, and -1 is no label.")
        return int(label)

    def marks(self) -> Iterator[bytes]:
        for i in range(0, len(self), max(1, len(self) // 16)):
            images, labels, index, *_ = _read(self, [i])
            yield images.tobytes() + f" {labels} {index}".encode()


def _fit_tensor(image: UInt8[Tensor, "c h w"], size: int) -> UInt8[np.ndarray, "c s s"]:
    h, w = image.shape[1:]
    s = min(h, w)
    top, left = (h - s) // 2, (w - s) // 2
    image = image[None, :, top : top + s, left : left + s]
    if s != size:
        image = F.interpolate(image, (size, size), mode="bilinear", antialias=True)
    return image[0].numpy()


def _read(source: _Files | _Items, wanted: list[int]) -> Decoded:
    """Read these images; the next readable one replaces each broken one."""
    found, broken, notes = [], dict[int, str](), list[str]()
    for first in wanted:
        for k in range(len(source)):
            i = (first + k) % len(source)
            try:
                found.append((*source.read(i, notes), i))
                break
            except DataError as error:
                broken[i] = str(error)
        else:
            raise DataError(f"none of the {len(source)} images can be read; the last error: {broken[i]}")
    images, labels, index = zip(*found, strict=True)
    labels, index = (np.array(numbers, dtype=np.int64) for numbers in (labels, index))
    return Decoded(np.stack(images), labels, index, broken, tuple(dict.fromkeys(notes)))


# Code that runs in a worker process.

_entered: _Files | _Items


def _enter(source: _Files | _Items) -> None:
    global _entered
    _entered = source
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the process that trains
    torch.set_num_threads(1)  # processes share the cores, and OpenMP threads do not survive a fork
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """Exit when the parent does: a killed parent sends no message, but its end of a pipe closes."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _read_entered(wanted: list[int]) -> Decoded:
    return _read(_entered, wanted)
