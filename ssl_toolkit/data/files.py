"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` at the end, and leaves no trace where that fails.

    Every process writes to one of its own. Raises FileNotFoundError where the folder of `path` does not exist, and
    IsADirectoryError where `path` is a folder.

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
        raise IsADirectoryError(f"path is {str(path)!r}: that is a folder; give it a name for the file as well.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
