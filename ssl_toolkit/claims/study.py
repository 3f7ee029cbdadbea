"""A paper's claim as an experiment: a statement, a rule fixed in advance, measurements, and a verdict.

    *_, verdict = run("DJ-2", budget="smoke")
    verdict.result                                   # "confirmed", "not confirmed" or "inconclusive"

A claim is a list of settings, a function that measures one of them, and a function that judges the measurements. A
setting holds everything (data, steps, seed), so you can repeat any stored measurement.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, get_args

import torch

from ssl_toolkit.claims.protocol import Control, Result as Result, minimal_detectable_effect
from ssl_toolkit.data.files import atomic_write
from ssl_toolkit.training.sweep import Cell, Setting, sweep

Budget = Literal["smoke", "standard", "full"]  # under a minute, minutes, as large as the paper's idea needs
Values = dict[str, float]

BUDGETS: tuple[Budget, ...] = get_args(Budget)


class Finding(NamedTuple):
    """A judge's result: the effect, its 95 % interval over paired seeds, and what it is, with the unit.

    Since version 2, `each` holds the effect of each seed, and `control` the positive control.
    """

    result: Result
    effect: float
    ci95: tuple[float, float]
    what: str  # the effect in words, with its unit
    each: tuple[float, ...] = ()
    control: Control | None = None


class Verdict(NamedTuple):
    """The result of a claim's run."""

    claim: str
    result: Result
    effect: float
    ci95: tuple[float, float]
    seeds: int
    seconds: float
    budget: str
    what: str
    version: str = "1"
    each: tuple[float, ...] = ()  # the effect of each seed
    mde: float | None = None  # the minimal detectable effect, as a distance from the SESOI
    control: str = ""  # the positive control's figure
    replicates: str = ""  # "yes", "no" or "open" in a second world; changes no result
    rule_hash: str = ""  # of the registration that this was judged by

    def __str__(self) -> str:
        low, high = self.ci95
        return f"{self.claim} {self.result}: {self.effect:.3g} [{low:.3g}, {high:.3g}] {self.what}; {self.seeds} seeds"


class Claim(NamedTuple):
    """What a paper says, and how it is tested.

    `measure` yields None or a point of a curve between portions of its work, then the values. `judge` applies `rule`,
    which was written before anything was measured. `version` is the version of the whole experiment: results of an
    older one are kept, but not mixed with it.

    `cells_of` names the file with the measurements, if claims share it: each measures what it needs and the file lacks.

    From version 2 on a claim follows `protocol`. `sesoi` is the smallest effect of interest in `unit`, `power` says how
    the number of seeds was chosen, and `why` says why version 1 was replaced. `second` lists the settings of a second
    world, which are judged by the same rule and change no verdict. `minutes` is the estimated time on one CPU core.
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
    section: str = ""  # where the paper says it
    kind: Literal["discovery", "theorem", "table"] = "discovery"
    sesoi: float | None = None
    unit: str = ""
    power: str = ""
    why: str = ""
    second: Callable[[Budget], list[Setting]] = lambda budget: []
    minutes: float = 0.0

    @property
    def registered(self) -> bool:
        """Whether this claim follows `protocol`, by which it is registered before it is measured."""
        return self.sesoi is not None

    def cells(self, budget: Budget) -> str:
        """The name of the file with its measurements."""
        return f"{self.cells_of or self.id}.{budget}.jsonl"


def fingerprint(claim: Claim) -> str:
    """A hash of everything that the registration of a claim fixes."""
    fixed = {
        "id": claim.id, "version": claim.version, "statement": claim.statement, "rule": claim.rule,
        "sesoi": claim.sesoi, "unit": claim.unit, "settings": claim.settings("standard"),
    }  # fmt: skip
    return blake2b(json.dumps(fixed, sort_keys=True).encode(), digest_size=8).hexdigest()


def run_claim(
    claim: Claim,
    *,
    budget: Budget = "standard",
    folder: str | os.PathLike[str] | None = None,
    among: Sequence[Setting] | None = None,
) -> Iterator[Cell | Verdict | None]:
    """Measure every setting, then judge: yield None during work, each measured `Cell`, and the `Verdict` at the end.

    With a `folder`, the cells go to the file `claim.cells(budget)`, as in a sweep, so that a stopped run can resume and
    several processes and machines can share the work. The verdict is written next to it as "<id>.<budget>.json". If
    several claims share the file, `among` lists the settings of all of them. Settings of the second world come last.
    Raises ValueError for an unknown budget, and RuntimeError for a setting that cannot be measured.
    """
    if budget not in BUDGETS:
        raise ValueError(f"budget is {budget!r}: it must be one of {', '.join(BUDGETS)}.")
    with nullcontext(folder) if folder is not None else TemporaryDirectory() as place:
        path = Path(place) / claim.cells(budget)
        settings = [*claim.settings(budget), *claim.second(budget)]
        cells: list[Cell] = []
        for record in sweep(claim.measure, settings, path=path, version=claim.version, among=among):
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


def chosen(claim: Claim, cells: Sequence[Cell], budget: Budget, *, second: bool = False) -> list[Cell]:
    """The cells that this claim is judged by, or those of its second world; others may be in the same file."""
    wanted = {_written(setting) for setting in (claim.second if second else claim.settings)(budget)}
    return [cell for cell in cells if _written(cell.setting) in wanted]


def apply_rule(claim: Claim, cells: Sequence[Cell], budget: Budget) -> Verdict:
    """Apply the claim's rule to the measurements; other cells of the same file are left out."""
    judged, second = chosen(claim, cells, budget), chosen(claim, cells, budget, second=True)
    finding = claim.judge(judged)
    replicates = ""
    if second and len(second) == len(claim.second(budget)):
        again = claim.judge(second).result
        replicates = "open" if "inconclusive" in (again, finding.result) else "yes" if again == finding.result else "no"
    seeds, seconds = len({cell.setting["seed"] for cell in judged}), round(sum(cell.seconds for cell in judged), 1)
    version = claim.version if claim.registered else "1"
    return Verdict(
        claim.id, finding.result, finding.effect, finding.ci95, seeds, seconds, budget, finding.what, version,
        finding.each, minimal_detectable_effect(finding.each) if len(finding.each) > 1 else None,
        str(finding.control or ""), replicates, fingerprint(claim) if claim.registered else "",
    )  # fmt: skip


def _written(setting: Setting) -> str:
    return json.dumps(setting, sort_keys=True)


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


# Tools for judges.


def decide(*, confirmed: bool, refuted: bool) -> Result:
    """The verdict of a rule with two conditions; if both hold, `refuted` wins."""
    return "not confirmed" if refuted else "confirmed" if confirmed else "inconclusive"


def values_of(cells: Sequence[Cell], value: str, **setting: Any) -> list[float]:
    """This value of all cells that match the setting, in the order of their seeds."""
    chosen = [cell for cell in cells if all(cell.setting.get(name) == v for name, v in setting.items())]
    if not chosen:
        raise ValueError(f"no cell has {setting}.")
    return [cell.result[value] for cell in sorted(chosen, key=lambda cell: cell.setting["seed"])]


def rank_correlation(a: Sequence[float | int], b: Sequence[float | int]) -> float:
    """Spearman's rank correlation; 0 if all values of a or of b are equal."""
    from scipy.stats import spearmanr

    return 0.0 if min(len(set(a)), len(set(b))) < 2 else float(spearmanr(a, b).statistic)


def grouped(cells: Sequence[Cell], value: str, *, among: Sequence[Setting] | None = None) -> dict[str, list[float]]:
    """Group this value of every cell by the settings that differ `among` these (None: among the cells).

    A group holds the seeds. A setting that follows from earlier ones, such as steps from the batch size, is left out.
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
