"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file beside `path` to write to; it replaces `path` at the end, or vanishes on an error.

    Each process has its own temporary file. Raises FileNotFoundError if the folder of `path` does not exist, and
    IsADirectoryError if `path` is a folder.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "table.json"
    >>> with atomic_write(path) as partial:
    ...     _ = partial.write_text("[]")
    >>> path.read_text()
    '[]'
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}: its folder does not exist; make it first.")
    if path.is_dir():
        raise IsADirectoryError(f"path is {str(path)!r}: that is a folder; add a file name.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
