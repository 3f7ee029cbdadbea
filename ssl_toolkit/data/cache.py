"""Cache the decoded images of a `Stream` in one memory-mapped file: a `Dataset` that may be larger than memory.

    photos = Stream("photos", size=128)
    for written in write_cache(photos, "photos.safetensors"):
        print(f"{written.done:,} of {written.total:,}")
    data = open_cache("photos.safetensors", photos)

The file is in safetensors format: `labels` and `images`, and plain JSON in its header. The images are memory-mapped:
the system reads the pages that a batch touches, and drops them when memory runs short.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssl_toolkit.data.dataset import Dataset
from ssl_toolkit.data.files import atomic_write
from ssl_toolkit.data.folders import DataError
from ssl_toolkit.data.stream import Stream

FORMAT = 1
PORTION = 256  # images decoded between two yields
_PAGE = 4096


class Written(NamedTuple):
    """How many images are done."""

    done: int
    total: int


def write_cache(stream: Stream, path: str | os.PathLike[str]) -> Iterator[Written]:
    """Decode every image once and write them all, or nothing; a warning names broken images, which are skipped.

    A file that already has the images of this stream is kept; any other is replaced at the very end.
    Raises FileNotFoundError for a folder that does not exist, OSError for a path that is no file and for a full disk,
    DataError if no image can be read.
    """
    path, n = Path(path), len(stream)
    if _is_whole(path, stream):
        yield Written(n, n)
        return
    about = {"cache": FORMAT, "name": stream.name, "classes": stream.classes, "fingerprint": stream.fingerprint()}
    with atomic_write(path) as partial, partial.open("wb") as file:
        labels: list[np.ndarray] = []
        room = 0
        for i, part in enumerate(stream.in_order(PORTION)):
            if i:
                yield Written(i * PORTION, n)
            else:  # leave room before the images for the header and n labels
                shape = part.images.shape[1:]
                room = len(_header(about, n, shape)) // _PAGE * _PAGE + _PAGE + 8 * n
                file.seek(room)
            file.write(part.images.tobytes())
            labels.append(part.labels)
        kept = np.concatenate(labels).astype("<i8")
        header = _header(about, len(kept), shape).ljust(room - kept.nbytes - 8)
        file.seek(0)
        file.write(len(header).to_bytes(8, "little") + header + kept.tobytes())
    yield Written(n, n)


def open_cache(path: str | os.PathLike[str], stream: Stream | None = None) -> Dataset:
    """Open a file that `write_cache` wrote; labels are loaded into memory, images are not.

    Editing the images never changes the file. Raises DataError for a truncated or foreign file, and for one that does
    not match `stream` if that is given; FileNotFoundError if there is no file.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path is {str(path)!r}: there is no such file; write_cache makes it.")
    again = "run write_cache again."
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("ssl_toolkit", "null"))
            if not isinstance(about, dict) or "cache" not in about:
                raise DataError(f"{str(path)!r} was not written by write_cache.")
            if about["cache"] != FORMAT:
                raise DataError(
                    f"{str(path)!r} has format {about['cache']}, this version reads format {FORMAT}: {again}"
                )
            images, labels = file.get_tensor("images"), file.get_tensor("labels").clone()
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{str(path)!r} is truncated or not a cache ({error}): {again}") from None
    if stream is not None and about["fingerprint"] != stream.fingerprint():
        raise DataError(
            f"{str(path)!r} is stale: the images of {stream!r} or their size changed after it was written; {again}"
        )
    return Dataset(images, labels, tuple(about["classes"]), name=about["name"])


def _is_whole(path: Path, stream: Stream) -> bool:
    try:
        open_cache(path, stream)
    except (DataError, FileNotFoundError):
        return False
    return True


def _header(about: dict[str, object], n: int, shape: tuple[int, ...]) -> bytes:
    labels, images = 8 * n, n * int(np.prod(shape))
    tensors = {
        "labels": {"dtype": "I64", "shape": [n], "data_offsets": [0, labels]},
        "images": {"dtype": "U8", "shape": [n, *shape], "data_offsets": [labels, labels + images]},
    }
    return json.dumps({"__metadata__": {"ssl_toolkit": json.dumps(about)}, **tensors}).encode()
