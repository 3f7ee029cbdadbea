"""A claim of a paper as an experiment: what is said, a rule fixed beforehand, measurements, and a verdict.

    *_, verdict = run("DJ-2", budget="smoke")
    verdict.result                                   # "confirmed", "not confirmed" or "inconclusive"

A claim is a list of settings, a function that measures one of them, and a function that judges the measurements. The
settings say all there is to say (data, steps, seed), so a stored measurement can be made again.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, get_args

import torch

from ssl_toolkit.data.files import atomic_write
from ssl_toolkit.training.sweep import Cell, Setting, sweep

Budget = Literal["smoke", "standard", "full"]  # under a minute, minutes, as large as the paper's idea asks for
Result = Literal["confirmed", "not confirmed", "inconclusive"]
Values = dict[str, float]

BUDGETS: tuple[Budget, ...] = get_args(Budget)


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
        return f"{self.claim} {self.result}: {self.effect:.3g} [{low:.3g}, {high:.3g}] {self.what}; {self.seeds} seeds"


class Claim(NamedTuple):
    """What a paper says, and how it is put to the test.

    `measure` yields None or a point of a curve between two portions of its work, then the values; `judge` applies
    `rule`, which was written down before anything was measured. `cells_of` names another claim with the same settings
    and measure, from whose cells this one is judged: what they share is measured and stored once. `version` is that of
    `measure`: cells of an older one are not taken for this one's. `changed` says how the rule was before, where it was
    changed after a verdict.
    """

    id: str
    paper: str
    statement: str
    rule: str
    settings: Callable[[Budget], list[Setting]]
    measure: Callable[[Setting], Iterator[Values | None]]
    judge: Callable[[Sequence[Cell]], Finding]
    cells_of: str = ""
    version: str = "1"
    changed: str = ""

    def cells(self, budget: Budget) -> str:
        """The name of the file of its measurements."""
        return f"{self.cells_of or self.id}.{budget}.jsonl"


def run_claim(
    claim: Claim, *, budget: Budget = "standard", folder: str | os.PathLike[str] | None = None
) -> Iterator[Cell | Verdict | None]:
    """Measure every setting, then judge: None while one is at work, each measured `Cell`, the `Verdict` at the end.

    With a `folder`, the cells are kept there in the file `claim.cells(budget)` as a sweep's, so that a run that was
    stopped goes on and several processes may share the work; the verdict is written beside it as "<id>.<budget>.json".
    Raises ValueError for an unknown budget, RuntimeError for a setting that cannot be measured.
    """
    if budget not in BUDGETS:
        raise ValueError(f"budget is {budget!r}: it must be one of {', '.join(BUDGETS)}.")
    with nullcontext(folder) if folder is not None else TemporaryDirectory() as place:
        path = Path(place) / claim.cells(budget)
        cells: list[Cell] = []
        for record in sweep(claim.measure, claim.settings(budget), path=path, version=claim.version):
            if not isinstance(record, Cell):
                yield None
                continue
            if record.error:
                raise RuntimeError(f"{claim.id} could not measure {record.setting}: {record.error}")
            cells.append(record)
            yield record
        verdict = apply_rule(claim, cells, budget)
        if folder is not None:
            _write(path.with_name(f"{claim.id}.{budget}.json"), claim, verdict)
        yield verdict


def apply_rule(claim: Claim, cells: Sequence[Cell], budget: Budget) -> Verdict:
    """The claim's rule applied to what was measured."""
    finding = claim.judge(cells)
    seeds, seconds = len({cell.setting["seed"] for cell in cells}), round(sum(cell.seconds for cell in cells), 1)
    return Verdict(claim.id, finding.result, finding.effect, finding.ci95, seeds, seconds, budget, finding.what)


def _write(path: Path, claim: Claim, verdict: Verdict) -> None:
    record = {
        "statement": claim.statement,
        "rule": f"{claim.rule} {claim.changed}".strip(),
        "paper": claim.paper,
        **verdict._asdict(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
    }
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# What judges need.


def decide(*, confirmed: bool, refuted: bool) -> Result:
    """The verdict of a rule of two conditions; what refutes outweighs what confirms."""
    return "not confirmed" if refuted else "confirmed" if confirmed else "inconclusive"


def values_of(cells: Sequence[Cell], value: str, **setting: Any) -> list[float]:
    """That value of the cells whose settings agree with these, in the order of their seeds."""
    chosen = [cell for cell in cells if all(cell.setting.get(name) == v for name, v in setting.items())]
    if not chosen:
        raise ValueError(f"no cell has {setting}.")
    return [cell.result[value] for cell in sorted(chosen, key=lambda cell: cell.setting["seed"])]


def rank_correlation(a: Sequence[float | int], b: Sequence[float | int]) -> float:
    """Spearman's; 0 where all of either are equal."""
    from scipy.stats import spearmanr

    return 0.0 if min(len(set(a)), len(set(b))) < 2 else float(spearmanr(a, b).statistic)


def grouped(cells: Sequence[Cell], value: str, *, among: Sequence[Setting] | None = None) -> dict[str, list[float]]:
    """That value of every cell that has it, by the settings in which those `among` differ (None: those of the cells).

    Seeds are what a group holds. A setting that follows from those before it, as the steps from the batch, is left out.
    """
    cells = [cell for cell in cells if value in cell.result]
    among = [cell.setting for cell in cells] if among is None else among
    names: list[str] = []
    for name in dict.fromkeys(name for setting in among for name in setting):
        if name != "seed" and _places(among, [*names, name]) > _places(among, names):
            names.append(name)
    groups: dict[str, list[float]] = {}
    for cell in cells:
        label = ", ".join(f"{name} {_word(cell.setting[name])}" for name in names if name in cell.setting)
        groups.setdefault(label or "all runs", []).append(cell.result[value])
    return groups


def _places(settings: Sequence[Setting], names: Sequence[str]) -> int:
    return len({json.dumps([setting.get(name) for name in names]) for setting in settings})


def _word(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "all" if value is None else str(value)
