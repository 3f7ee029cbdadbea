"""Sweeps: run every setting of a grid once, one line of a file per result; stop, kill or share a sweep at any time.

    def run(setting):                                        # a function of the setting that returns its result, or
        state = start(small_conv(1), lr=setting["lr"])       # a generator: its records are the curve of this cell,
        for step in train(state, data, objective, until=300, seed=setting["seed"]):
            yield {"step": step.step, "loss": step.loss}
        yield {"accuracy": accuracy(state)}                  # and the last record is the result

    for record in sweep(run, grid(lr=[1e-3, 1e-2], seed=[0, 1, 2]), path="lr.jsonl"):
        if isinstance(record, Cell): ...

The file is in JSON lines format: a header, then one finished cell per line. Several processes may work on it at once:
each locks the cell that it runs, and the operating system frees the lock when a process dies.
"""

import copy
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

from ssl_toolkit.data.files import disk_errors_name, real_file

FORMAT = 1
POLL = 0.05  # seconds between two checks of the other processes' work

Setting = dict[str, Any]  # by name: what JSON can hold, and numbers and arrays of NumPy and PyTorch
Record = dict[str, Any]
Run = Callable[[Setting], Mapping[str, Any] | Iterator[Mapping[str, Any] | None]]


class SweepError(ValueError):
    """The file is not a sweep, or belongs to another grid or version. It was not changed."""


class Cell(NamedTuple):
    """A finished setting. If its run raised, `error` is the reason in one line and `result` is empty."""

    setting: Setting
    result: Record
    seconds: float
    curve: tuple[Record, ...] = ()  # all records that the run yielded, the result last
    error: str = ""
    when: str = ""  # the time (UTC) at which its run began, if it is known


class Point(NamedTuple):
    """The latest record of the running cell."""

    setting: Setting
    record: Record


def grid(**axes: Sequence[Any]) -> list[Setting]:
    """List all combinations of these values; the last axis changes fastest.

    >>> stk.training.grid(batch_size=[16, 64], seed=[0, 1])[1]
    {'batch_size': 16, 'seed': 1}
    """
    for name, values in axes.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ValueError(f"{name} is {values!r}: an axis is a list with at least one value.")
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def group_cells(cells: Iterable[Cell], *names: str) -> dict[tuple[Any, ...], list[Cell]]:
    """Group cells by the values of these settings, in order of appearance; take means over each list."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(_hashable(cell.setting.get(name)) for name in names), []).append(cell)
    return groups


def read_cells(
    path: str | os.PathLike[str], settings: Sequence[Setting] | None = None, *, version: str | None = None
) -> list[Cell]:
    """Read the finished cells of a file, the latest of each setting; checked against `settings` and `version` if given.

    Raises FileNotFoundError, or SweepError for a file that is not a sweep or belongs to another one.
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
    among: Sequence[Setting] | None = None,
) -> Iterator[Cell | Point | None]:
    """Yield a `Cell` for each setting: first the cells in the file, then each new one, whichever process ran it.

    In between it yields a `Point` for each record of the running cell, and None while it waits for other processes. A
    run that raises gives a cell with an `error`, and the sweep goes on; `retry` reruns failed cells in the file.
    Settings are compared by value, and you may add more later. A file with settings outside `settings`, or from another
    `version` of `run`, raises SweepError. If several sweeps share the file, `among` lists the settings of all of them.
    A last line cut short by a kill is dropped with a warning.

    Any number of processes may sweep one file; if one is killed, another reruns its unfinished cell.
    """
    path = real_file(path)  # so that all the names of a file have the same locks, and a run may change its folder
    results, locks = _Results(path, among or settings, version), path.with_name(f"{path.name}.lock")
    asked = [_key(setting) for setting in settings]
    if unlisted := [setting for key, setting in zip(asked, settings, strict=True) if key not in results.known]:
        raise ValueError(f"among lacks {unlisted[0]}: it must hold all settings.")
    todo = {key: results.known[key] for key in asked}
    of_file = FileLock(locks / "file", thread_local=False)
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
            _remove(locks, asked)
            return
        if (locked := _lock_one(locks, todo)) is None:
            time.sleep(POLL)
            yield None
            fresh = results.new()
            continue
        mine, lock = locked
        with lock:
            fresh = results.new()
            if mine not in fresh:  # otherwise another process has just finished it
                cell = yield from _run(run, todo[mine])
                with of_file:
                    results.append(cell)
                fresh |= results.new()


def _lock_one(folder: Path, keys: Iterable[str]) -> tuple[str, AbstractContextManager] | None:
    """Take the first lock that no other process holds; returns its key and the lock, held until its `with` ends."""
    for key in keys:
        with suppress(Timeout):
            return key, FileLock(folder / key, thread_local=False).acquire(blocking=False)
    return None


def _remove(locks: Path, names: Iterable[str]) -> None:
    """Delete lock files that are no longer needed, and their folder if no other sweep of the file runs a cell."""
    with suppress(OSError):  # on Windows, if another process holds a lock
        for name in names:
            (locks / name).unlink(missing_ok=True)
        if [lock.name for lock in locks.iterdir()] == ["file"]:
            (locks / "file").unlink(missing_ok=True)
        locks.rmdir()


def _run(run: Run, setting: Setting) -> Generator[Point | None, None, Cell]:
    """Run one cell: yield its points, return the cell. Only the run's own time counts, not the caller's."""
    curve: list[Record] = []
    seconds, error, when = 0.0, "", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    records = _records(run, copy.deepcopy(setting))  # a run may do to its setting what it likes
    while True:
        began = time.perf_counter()
        try:
            record = next(records)
            if record is not None:
                curve.append(_plain(record))
        except StopIteration:
            error = "" if curve else "the run yielded nothing: it must return or yield at least one dict."
            break
        except Exception as exception:
            error = f"{type(exception).__name__}: {' '.join(str(exception).split())}"
            break
        finally:
            seconds += time.perf_counter() - began
        yield None if record is None else Point(copy.deepcopy(setting), dict(curve[-1]))
    result = curve[-1] if curve and not error else {}
    return Cell(setting, result, round(seconds, 3), tuple(curve), error, when)


def _records(run: Run, setting: Setting) -> Iterator[Mapping[str, Any] | None]:
    out = run(setting)
    if isinstance(out, Mapping):
        yield out
    elif isinstance(out, Iterator):
        yield from out
    else:
        raise TypeError(f"the run returned {out!r:.80}: it must return one dict, or yield dicts.")


def _plain(record: Mapping[str, Any]) -> Record:
    """The record as the file will return it."""
    return json.loads(_as_json(dict(record)))


def _as_json(value: Any) -> str:
    def plain(number: Any) -> Any:
        if callable(tolist := getattr(number, "tolist", None)):  # of NumPy and of PyTorch
            return tolist()
        raise TypeError(f"a {type(number).__name__} is not JSON: {number!r:.80}")

    return json.dumps(value, default=plain)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _key(setting: Setting) -> str:
    """A key that is equal for equal values: 1 and 1.0, (2, 3) and [2, 3], in any order of names."""

    def number(digits: str) -> float | int:
        return int(float(digits)) if float(digits).is_integer() else float(digits)

    try:
        values = json.loads(_as_json(setting), parse_float=number)
    except TypeError as error:
        raise TypeError(
            f"the setting {setting} cannot be written as JSON: {error}; use plain numbers and text."
        ) from None
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()


class _Results:
    """The results file. `known` are the settings it may hold, by key; `settings=None` accepts all."""

    def __init__(self, path: Path, settings: Sequence[Setting] | None, version: str | None):
        self.path, self.version, self.any = path, version, settings is None
        self.known: dict[str, Setting] = {}
        for setting in settings or ():
            if (key := _key(setting)) in self.known:
                raise ValueError(f"settings holds {setting} twice: each runs once; add a seed to repeat it.")
            self.known[key] = copy.deepcopy(setting)
        self._at = 0  # bytes read so far

    def new(self) -> dict[str, Cell]:
        """Cells added since the last call, by key; an incomplete line is ignored for now."""
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
                    f"{str(self.path)!r} holds {cell.setting}, which is not among these settings: the file belongs to "
                    "another grid. Use a new path for this one."
                )
            cells[key] = cell._replace(setting=copy.deepcopy(self.known.get(key, cell.setting)))
        self._at += sum(map(len, lines))
        return cells

    def append(self, cell: Cell) -> None:
        self.mend()
        self._write("ab", cell._asdict())

    def mend(self) -> None:
        """Create a missing file; cut off an incomplete last line that a killed process left."""
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
                f"{str(self.path)!r} was made by version {version!r} of the run, this is {self.version!r}: their "
                "results do not mix. Use a new path for this one."
            )

    def _write(self, mode: str, values: dict[str, Any]) -> None:
        with disk_errors_name(self.path), self.path.open(mode) as file:
            file.write(_as_json(values).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
