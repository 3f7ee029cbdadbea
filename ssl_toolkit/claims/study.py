"""A claim of a paper as an experiment: what is said, a rule fixed beforehand, measurements, and a verdict.

    *_, verdict = run("DJ-2", budget="smoke")
    verdict.result                                   # "confirmed", "not confirmed" or "inconclusive"

A claim is a list of settings, a function that measures one of them, and a function that judges the measurements. The
settings say all there is to say (data, steps, seed), so a stored measurement can be made again.
"""

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch

Budget = Literal["smoke", "standard", "full"]  # under a minute, minutes, as large as the paper's idea asks for
Result = Literal["confirmed", "not confirmed", "inconclusive"]
Setting = dict[str, Any]  # JSON: what one measurement depends on, its seed among it
Values = dict[str, float]

BUDGETS: tuple[Budget, ...] = get_args(Budget)


class Measurement(NamedTuple):
    """What one setting gave."""

    setting: Setting
    values: Values
    seconds: float


class Finding(NamedTuple):
    """What a judge makes of the measurements: the effect has a name, a unit and a 95 % interval over paired seeds."""

    result: Result
    effect: float
    ci95: tuple[float, float]
    what: str  # the effect in words, its unit included


class Verdict(NamedTuple):
    """The end of a claim's run."""

    claim: str
    result: Result
    effect: float
    ci95: tuple[float, float]
    seeds: int
    seconds: float
    budget: Budget
    what: str

    def __str__(self) -> str:
        low, high = self.ci95
        return f"{self.claim} {self.result}: {self.what} {self.effect:.3g} [{low:.3g}, {high:.3g}], {self.seeds} seeds"


class Claim(NamedTuple):
    """What a paper says, and how it is put to the test. `measure` yields None between two portions of its work, then
    the values; `judge` applies `rule`, which was written down before anything was measured."""

    id: str
    paper: str
    statement: str
    rule: str
    settings: Callable[[Budget], list[Setting]]
    measure: Callable[[Setting], Iterator[Values | None]]
    judge: Callable[[Sequence[Measurement]], Finding]


def examine(
    claim: Claim, *, budget: Budget = "standard", folder: str | os.PathLike[str] | None = None
) -> Iterator[Measurement | Verdict | None]:
    """Measure every setting, then judge: None while one is at work, each `Measurement`, the `Verdict` at the end.

    With a `folder`, each measurement is kept in "<folder>/<id>.<budget>.jsonl" at once and not made again by a run that
    was stopped; the verdict is written beside it as "<id>.<budget>.json". Raises ValueError for an unknown budget.
    """
    if budget not in BUDGETS:
        raise ValueError(f"budget is {budget!r}: it must be one of {', '.join(BUDGETS)}.")
    settings = claim.settings(budget)
    kept = None if folder is None else Path(folder) / f"{claim.id}.{budget}.jsonl"
    known = {_key(m.setting): m for m in ([] if kept is None else _read(kept))}
    measurements = []
    for setting in settings:
        if (measurement := known.get(_key(setting))) is None:
            began, last = time.perf_counter(), None
            for portion in claim.measure(setting):
                last = portion
                yield None
            assert last is not None
            measurement = Measurement(setting, last, round(time.perf_counter() - began, 2))
            if kept is not None:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(measurement._asdict()) + "\n")
        measurements.append(measurement)
        yield measurement
    finding = claim.judge(measurements)
    seeds = len({m.setting["seed"] for m in measurements})
    seconds = round(sum(m.seconds for m in measurements), 1)
    verdict = Verdict(claim.id, finding.result, finding.effect, finding.ci95, seeds, seconds, budget, finding.what)
    if kept is not None:
        _write(kept.with_suffix(".json"), claim, verdict)
    yield verdict


def _key(setting: Setting) -> str:
    return json.dumps(setting, sort_keys=True)


def _read(path: Path) -> list[Measurement]:
    """The measurements of an earlier run; a last line that was torn by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        path.write_text("".join(lines[:-1]), encoding="utf-8")
    return [Measurement(**json.loads(line)) for line in lines if line.endswith("\n")]


def _write(path: Path, claim: Claim, verdict: Verdict) -> None:
    record = {
        "statement": claim.statement,
        "rule": claim.rule,
        "paper": claim.paper,
        **verdict._asdict(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


# What judges need.


def of(measurements: Sequence[Measurement], value: str, **setting: Any) -> list[float]:
    """That value of the measurements whose settings agree with these, in the order of their seeds."""
    chosen = [m for m in measurements if all(m.setting.get(name) == v for name, v in setting.items())]
    if not chosen:
        raise ValueError(f"no measurement has {setting}.")
    return [m.values[value] for m in sorted(chosen, key=lambda m: m.setting["seed"])]


def interval(differences: Sequence[float], *, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Mean and Student's t interval of paired differences, one for each seed.

    With the three to five seeds of a laptop's budget a percentile bootstrap would be far too narrow (three values have
    ten different resamples); t is exact for normal differences. Raises ValueError for fewer than two.
    """
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        raise ValueError(f"there is {n} difference: an interval needs at least two seeds.")
    mean = statistics.fmean(differences)
    half = float(t.ppf(0.5 + level / 2, n - 1)) * statistics.stdev(differences) / math.sqrt(n)
    return mean, (mean - half, mean + half)


def minus(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """a - b, seed by seed."""
    return [x - y for x, y in zip(a, b, strict=True)]
