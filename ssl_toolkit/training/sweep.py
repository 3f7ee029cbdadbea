"""Sweeps: every setting of a grid is run once, and its result is a line of one file; stop, kill or share it at will.

    def run(setting):                                        # a function of the setting that returns its result, or
        state = start(small_conv(1), lr=setting["lr"])       # a generator: what it yields is the curve of this cell,
        for step in train(state, data, objective, until=300, seed=setting["seed"]):
            yield {"step": step.step, "loss": step.loss}
        yield {"accuracy": accuracy(state)}                  # and the last of that its result

    for record in sweep(run, grid(lr=[1e-3, 1e-2], seed=[0, 1, 2]), path="lr.jsonl"):
        if isinstance(record, Cell): ...

The file is JSON lines: a header, then a finished cell a line. Several processes may work on it at once: each locks the
cell that it runs, and the operating system frees the lock of a process that is gone.
"""

import json
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

FORMAT = 1
POLL = 0.05  # seconds between two looks at what other processes work on

Setting = dict[str, Any]  # plain JSON values by name
Record = dict[str, Any]
Run = Callable[[Setting], Mapping[str, Any] | Iterator[Mapping[str, Any] | None]]


class SweepError(ValueError):
    """A file that is no sweep, or that of another grid or version. It was not changed."""


class Cell(NamedTuple):
    """A setting that was run. Where that raised, `error` is the reason in one line and `result` is empty."""

    setting: Setting
    result: Record
    seconds: float
    curve: tuple[Record, ...] = ()  # all that the run yielded, the result last
    error: str = ""


class Point(NamedTuple):
    """What the cell that is running has just yielded."""

    setting: Setting
    record: Record


def grid(**axes: Sequence[Any]) -> list[Setting]:
    """All combinations of these values; the last axis changes fastest.

    >>> stk.training.grid(batch_size=[16, 64], seed=[0, 1])[1]
    {'batch_size': 16, 'seed': 1}
    """
    for name, values in axes.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ValueError(f"{name} is {values!r}: an axis is a list of at least one value.")
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def group_cells(cells: Iterable[Cell], *names: str) -> dict[tuple[Any, ...], list[Cell]]:
    """Cells by their values of these settings, in order of appearance: each list holds what a mean is taken over."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(_hashable(cell.setting.get(name)) for name in names), []).append(cell)
    return groups


def read_cells(
    path: str | os.PathLike[str], settings: Sequence[Setting] | None = None, *, version: str | None = None
) -> list[Cell]:
    """The finished cells of a file, the last of each setting; checked against `settings` and `version` where given.

    Raises FileNotFoundError, or SweepError for a file that is no sweep or another one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"path is {str(path)!r}: there is no such file.")
    return list(_Results(Path(path), settings, version).new().values())


def sweep(
    run: Run,
    settings: Sequence[Setting],
    *,
    path: str | os.PathLike[str],
    version: str = "1",
    retry: bool = False,
) -> Iterator[Cell | Point | None]:
    """Yield a `Cell` for each setting: first those that the file has, then each that is finished, whoever ran it.

    In between come a `Point` for each record that the running cell yields, and None where there is only work to
    wait for. A run that raises is a cell with an `error`, and the sweep goes on; `retry` runs again those that the
    file has. Settings are compared by value and may become more; a file with other settings than these, or made by
    another `version` of `run`, is a SweepError. A last line that a kill cut short is dropped with a warning.

    Any number of processes may sweep one file; what a killed one had not finished is run by another.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}: its folder does not exist; make it first.")
    results, locks = _Results(path, settings, version), path.with_name(f"{path.name}.lock")
    todo, of_file = dict(results.known), FileLock(locks / "file", thread_local=False)
    with of_file:
        results.mend()
    fresh = results.new()
    if retry:
        fresh = {key: cell for key, cell in fresh.items() if not cell.error}
    while True:
        for key, cell in fresh.items():
            if todo.pop(key, None) is not None:
                yield cell
        if not todo:
            _remove(locks, [*results.known, "file"])
            return
        if (locked := _lock_one(locks, todo)) is None:
            time.sleep(POLL)
            yield None
            fresh = results.new()
            continue
        mine, lock = locked
        with lock:
            fresh = results.new()
            if mine not in fresh:  # else another process finished it just before
                cell = yield from _run(run, todo[mine])
                with of_file:
                    results.append(cell)
                fresh |= results.new()


def _lock_one(folder: Path, keys: Iterable[str]) -> tuple[str, AbstractContextManager] | None:
    """The first of the keys whose lock no other process holds, and that lock, held until the end of its `with`."""
    for key in keys:
        with suppress(Timeout):
            return key, FileLock(folder / key, thread_local=False).acquire(blocking=False)
    return None


def _remove(locks: Path, names: Iterable[str]) -> None:
    """The files of locks that nobody will take any more, and their folder if it is empty."""
    with suppress(OSError):  # on Windows, where another process holds one
        for name in names:
            (locks / name).unlink(missing_ok=True)
        locks.rmdir()


def _run(run: Run, setting: Setting) -> Generator[Point | None, None, Cell]:
    """The points of one cell, then the cell; only the run's own time counts, not what the caller does in between."""
    curve: list[Record] = []
    seconds, error = 0.0, ""
    records = _records(run, dict(setting))
    while True:
        began = time.perf_counter()
        try:
            record = next(records)
            if record is not None:
                curve.append(_plain(record))
        except StopIteration:
            error = "" if curve else "the run yielded nothing: it returns or yields at least one dict."
            break
        except Exception as exception:
            error = f"{type(exception).__name__}: {' '.join(str(exception).split())}"
            break
        finally:
            seconds += time.perf_counter() - began
        yield None if record is None else Point(setting, curve[-1])
    result = curve[-1] if curve and not error else {}
    return Cell(setting, result, round(seconds, 3), tuple(curve), error)


def _records(run: Run, setting: Setting) -> Iterator[Mapping[str, Any] | None]:
    out = run(setting)
    if isinstance(out, Mapping):
        yield out
    else:
        yield from out


def _plain(record: Mapping[str, Any]) -> Record:
    """As it will come back from the file."""
    return json.loads(json.dumps(dict(record)))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _key(setting: Setting) -> str:
    """Equal for equal values: 1 and 1.0, (2, 3) and [2, 3], whatever the order of the names."""

    def number(digits: str) -> float | int:
        return int(float(digits)) if float(digits).is_integer() else float(digits)

    try:
        values = json.loads(json.dumps(setting), parse_float=number)
    except TypeError as error:
        raise TypeError(
            f"the setting {setting} cannot be written as JSON: {error}; take plain numbers and text."
        ) from None
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()


class _Results:
    """The file. `known` are the settings it may hold, by key; None takes all that it has."""

    def __init__(self, path: Path, settings: Sequence[Setting] | None, version: str | None):
        self.path, self.version, self.any = path, version, settings is None
        self.known: dict[str, Setting] = {}
        for setting in settings or ():
            if (key := _key(setting)) in self.known:
                raise ValueError(f"settings holds {setting} twice: each is run once; tell repetitions apart by a seed.")
            self.known[key] = setting
        self._at = 0  # how far it has been read

    def new(self) -> dict[str, Cell]:
        """Cells that were added since the last look, by key; half a line is not there yet."""
        with self.path.open("rb") as file:
            file.seek(self._at)
            lines = file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        if self._at == 0:
            self._check(lines[0] if lines else b"")
        cells = {}
        for line in lines[self._at == 0 :]:
            try:
                values = json.loads(line)
                cell = Cell(**values)._replace(curve=tuple(values["curve"]))
            except (ValueError, TypeError, KeyError):
                raise SweepError(f"{str(self.path)!r} has a line that is no cell: {line[:60]!r}.") from None
            key = _key(cell.setting)
            if not self.any and key not in self.known:
                raise SweepError(
                    f"{str(self.path)!r} holds {cell.setting}, which is not among these settings: it is the file of "
                    "another grid. Give this one a path of its own."
                )
            cells[key] = cell._replace(setting=self.known.get(key, cell.setting))
        self._at += sum(map(len, lines))
        return cells

    def append(self, cell: Cell) -> None:
        self.mend()
        self._write("ab", cell._asdict())

    def mend(self) -> None:
        """Begin a file that is not there; cut off half a last line, of which a killed process wrote no more."""
        raw = self.path.read_bytes() if self.path.is_file() else b""
        whole = raw.rfind(b"\n") + 1
        if not whole and self._header().startswith(raw):
            self._write("wb", json.loads(self._header()))
            return
        self._check(raw[: raw.find(b"\n") + 1])
        if whole < len(raw):
            warnings.warn(
                f"{str(self.path)!r} ended in half a line, which was dropped: {raw[whole:][:60]!r}", stacklevel=3
            )
            with self.path.open("r+b") as file:
                file.truncate(whole)

    def _header(self) -> bytes:
        return json.dumps({"sweep": FORMAT, "version": self.version}).encode()

    def _check(self, line: bytes) -> None:
        try:
            header = json.loads(line)
            form, version = header["sweep"], header["version"]
        except (ValueError, TypeError, KeyError):
            raise SweepError(f"{str(self.path)!r} is no sweep: its first line is {line[:60]!r}.") from None
        if form > FORMAT:
            raise SweepError(
                f"{str(self.path)!r} has format {form}, this version reads up to {FORMAT}: update ssl_toolkit."
            )
        if self.version is not None and version != self.version:
            raise SweepError(
                f"{str(self.path)!r} was made by version {version!r} of the run, this is {self.version!r}: its results "
                "do not belong together. Give this one a path of its own."
            )

    def _write(self, mode: str, values: dict[str, Any]) -> None:
        with self.path.open(mode) as file:
            file.write(json.dumps(values).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
