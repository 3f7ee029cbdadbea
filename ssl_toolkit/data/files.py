"""Files that are written whole or not at all."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where no file that is open can be deleted
    fcntl = None  # type: ignore[assignment]


def real_file(path: str | os.PathLike[str]) -> Path:
    """Where links lead to: the file that `path` names, or will name once it is written.

    Raises FileNotFoundError if its folder does not exist, IsADirectoryError if it is a folder, and OSError for what is
    neither file nor folder, such as a device, a FIFO, or a circle of links.
    """
    with suppress(FileNotFoundError):  # then it is new
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"path is {str(path)!r}: that is a folder; add a file name.")
        if not stat.S_ISREG(mode):
            raise OSError(f"path is {str(path)!r}: that is a device, a FIFO or a socket; give the name of a file.")
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}: its folder does not exist; make it first.")
    return real


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file beside `path` to write to; it replaces `path` at the end, or vanishes on an error.

    Every write has its own temporary file, so threads and processes never share one; what a killed process left is
    removed by the next write. Links are followed. A new file gets the mode of the umask, an old one keeps its own.
    Raises the errors of `real_file`; an OSError of the disk, such as a full one, names `path`.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "table.json"
    >>> with atomic_write(path) as partial:
    ...     _ = partial.write_text("[]")
    >>> path.read_text()
    '[]'
    """
    real = real_file(path)
    with disk_errors_name(path):
        _remove_leftovers(real)
        partial, lock = _create(real)
        try:
            yield partial
            os.fsync(lock.fileno())
            if real.exists():
                partial.chmod(stat.S_IMODE(real.stat().st_mode))
            if fcntl is None:  # Windows replaces no file that is open
                lock.close()
            os.replace(partial, real)
        finally:
            lock.close()
            with suppress(OSError):  # a folder that is gone must not hide the first error
                partial.unlink(missing_ok=True)


@contextmanager
def disk_errors_name(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name `path` in the system's errors, which name a temporary file or, as for a full disk, none at all."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename not in (None, str(path)) and ".partial" not in str(error.filename)):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _create(real: Path) -> tuple[Path, BinaryIO]:
    """A new temporary file, opened and locked for as long as somebody writes to it."""
    while True:
        partial = real.with_name(f"{_prefix(real)}{secrets.token_hex(6)}.partial")
        lock = partial.open("xb")
        with suppress(OSError):  # some file systems have no locks
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock.fileno()).st_nlink:  # otherwise another write took it for a leftover before it was locked
            return partial, lock
        lock.close()


def _prefix(real: Path) -> str:
    """The beginning of the names of its temporary files; a long name is shortened, since names have a limit."""
    name = os.fsencode(real.name)
    return f".{real.name}." if len(name) < 200 else f".{blake2b(name, digest_size=8).hexdigest()}."


def _remove_leftovers(real: Path) -> None:
    """Delete temporary files of this very name that nobody has locked: a killed process left them."""
    ours = re.compile(rf"{re.escape(_prefix(real))}[0-9a-f]{{12}}\.partial")
    for name in os.listdir(real.parent):
        if fcntl is None or not ours.fullmatch(name):
            continue
        with suppress(OSError), real.with_name(name).open("rb") as left:  # it is locked, or gone
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            real.with_name(name).unlink()
