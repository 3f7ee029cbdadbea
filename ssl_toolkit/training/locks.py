"""Claims of processes that share work: whoever creates the file holds the claim, and a dead process holds none.

Nothing here needs a system's file locks, which differ, or a server: `open(path, "x")` succeeds for one process only.
"""

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


class Claims:
    """Claims of this process in `folder`: the file "name.n" says who holds a name.

    A claim is void when its process is gone or, for one on another machine, after `patience` seconds. A void "name.n"
    stays where it is, and the next process creates "name.n+1", as only one can: of two that had to delete it first,
    the slower one could delete the new claim of the other.
    """

    def __init__(self, folder: Path, patience: float):
        self.folder, self.patience = folder, patience
        self._held: dict[str, Path] = {}
        self._me = {"host": socket.gethostname(), "pid": os.getpid(), "began": psutil.Process().create_time()}

    def take(self, name: str) -> bool:
        """Whether the claim is now ours."""
        n = 0
        while True:
            path = self.folder / f"{name}.{n}"
            try:
                with path.open("x", encoding="utf-8") as file:
                    json.dump(self._me, file)
                self._held[name] = path
                return True
            except FileNotFoundError:
                self.folder.mkdir(exist_ok=True)
            except FileExistsError:
                if not self._void(path):
                    return False
                n += 1

    def release(self, name: str) -> None:
        _remove(self._held.pop(name))

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Wait for a claim that nobody holds for long."""
        while not self.take(name):
            time.sleep(0.002)
        try:
            yield
        finally:
            self.release(name)

    def clear(self, names: Iterable[str]) -> None:
        """Remove what killed processes left of names that nobody will claim any more, and the folder if it is empty."""
        for name in names:
            for path in self.folder.glob(f"{name}.*"):
                _remove(path)
        with suppress(OSError):
            self.folder.rmdir()

    def _void(self, path: Path) -> bool:
        try:
            age = time.time() - path.stat().st_mtime
            owner = json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            return False  # it is being released
        except ValueError:
            owner = {"host": None}  # it is not yet written
        if owner["host"] != self._me["host"]:
            return age > self.patience
        try:
            process = psutil.Process(owner["pid"])
            another = abs(process.create_time() - owner["began"]) > 1  # that was given the same number
            return another or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def _remove(path: Path) -> None:
    for _ in range(100):
        try:
            path.unlink(missing_ok=True)
            return
        except PermissionError:  # on Windows, while another process reads it
            time.sleep(0.01)
