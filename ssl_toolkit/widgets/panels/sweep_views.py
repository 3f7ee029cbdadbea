"""What `SweepPanel` shows, from plain cells: a place of its map, the curves and tables of runs, means over an axis."""

import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ssl_toolkit.training.sweep import Cell, Setting, group_cells
from ssl_toolkit.widgets.canvases.heat_map import Tile
from ssl_toolkit.widgets.controls import table
from ssl_toolkit.widgets.figures.plots import RUNS, Curve
from ssl_toolkit.widgets.figures.sweeps import Means, is_number, means_over

RUNNING = "running"  # the error of a cell that has no result yet
STEP = "step"  # the number of a record that is the x of its curves


def varying(settings: Sequence[Setting]) -> list[str]:
    """The names whose values differ, without lists that follow from another one; the first name where none does."""
    cells = [Cell(setting, {}, 0.0) for setting in settings]
    names = [name for name in settings[0] if len(group_cells(cells, name)) > 1]
    plain = [name for name in names if not any(isinstance(s.get(name), list | tuple) for s in settings)]

    def follows(name: str, other: str) -> bool:
        return all(len(group_cells(group, name)) == 1 for group in group_cells(cells, other).values())

    free = [name for name in names if name in plain or not any(follows(name, other) for other in plain)]
    return free or list(settings[0])[:1]


def values_of(settings: Sequence[Setting], name: str) -> list[Any]:
    """All values of a setting: numbers by size, others in order of appearance."""
    values = [v for (v,) in group_cells([Cell(s, {}, 0.0) for s in settings if name in s], name)]
    return sorted(values) if all(is_number(value) for value in values) else values


def where(run: Cell, names: Sequence[str]) -> str:
    """These settings of a run, in words."""
    return ", ".join(f"{name} {word(run.setting[name])}" for name in names if name in run.setting)


def tile_of(runs: Sequence[Cell], number: str, place: str) -> Tile:
    """The mean over the finished runs of one place; before there is one, what the running one says."""
    if not runs:
        return Tile(None, "empty", "not yet run")
    values = [run.result[number] for run in runs if is_number(run.result.get(number))]
    failed = [run for run in runs if run.error not in ("", RUNNING)]
    running = [run for run in runs if run.error == RUNNING]
    if not values and running:
        last = running[0].curve[-1].get(number) if running[0].curve else None
        return Tile(last if is_number(last) else None, "running", f"{place}: running")
    if not values:
        return Tile(None, "failed", f"{place}: {failed[0].error if failed else f'no {number}'}")
    spread = f" ± {statistics.stdev(values):.2g} over {len(values)} runs" if len(values) > 1 else ""
    more = f"; {len(failed)} failed" * bool(failed) + "; another is running" * bool(running)
    return Tile(statistics.fmean(values), "done", f"{place}: {number} {statistics.fmean(values):.3g}{spread}{more}")


def run_curves(runs: Sequence[Cell], number: str, names: Sequence[str]) -> list[Curve]:
    """That number of each run's records over its steps; the curves are named by these settings."""
    curves = []
    for run in runs[:RUNS]:
        points = [(r.get(STEP, i), r[number]) for i, r in enumerate(run.curve, 1) if is_number(r.get(number))]
        if len(points) > 1:
            curves.append(Curve(where(run, names), [x for x, _ in points], [y for _, y in points]))
    return curves


def runs_table(runs: Sequence[Cell], names: Sequence[str]) -> str:
    """A row for each run: these settings, its results or why it has none, and its time."""
    results = list(dict.fromkeys(name for run in runs for name in run.result)) or ["result"]
    rows = [[*names, *results, "seconds"]]
    for run in runs:
        found = [run.error, *[""] * (len(results) - 1)] if run.error else [word(run.result.get(r, "")) for r in results]
        seconds = "" if run.error == RUNNING else f"{run.seconds:.1f}"
        rows.append([*(word(run.setting[name]) for name in names), *found, seconds])
    return table([[escape(text) for text in row] for row in rows], align="left")


def curves_of(
    cells: Sequence[Cell], number: str, axis: str, *, rows: str, values: Sequence[Any]
) -> list[tuple[Any, Means]]:
    """The means of that number over the setting `axis`, for each of these values of the setting `rows`."""
    groups = group_cells(cells, rows)
    return [(value, means_over(groups.get((value,), []), number, axis)) for value in values]


def means_table(means: Mapping[str, Sequence[tuple[str, Means]]], axis: str, at: Any) -> str:
    """The means of each number, by curve, at one value of the axis."""
    rows = [[f"{axis} {word(at)}", *means]]
    for curves in zip(*means.values(), strict=True):
        found = [_mean_at(line, at) for _, line in curves]
        if any(found):
            rows.append([curves[0][0], *found])
    return table([[escape(text) for text in row] for row in rows], "ssl-sweep-table")


def _mean_at(means: Means, x: Any) -> str:
    if x not in means.x:
        return ""
    i = means.x.index(x)
    return word(means.means[i]) + (f" ± {means.halves[i]:.2g}" if means.halves[i] else "")


def word(value: Any) -> str:
    """How a setting or a result is written."""
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    return str(value)
