"""SweepPanel: a heat map that fills while a sweep runs, and the curves and numbers of any of its cells."""

import os
import statistics
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal, NamedTuple

import ipywidgets as w

from ssl_toolkit.training.sweep import Cell, Point, Record, Run, Setting, group_cells, read_cells, sweep
from ssl_toolkit.widgets.canvases.canvas import Pictured, Pixels
from ssl_toolkit.widgets.canvases.heat_map import HeatMap, Tile
from ssl_toolkit.widgets.controls import Muted, dropdown, figure_widget, paragraph, row, table
from ssl_toolkit.widgets.figures.plots import RUNS, Curve, runs_figure, show_runs
from ssl_toolkit.widgets.player import Player

REDRAW = 0.5  # seconds; the browser needs a core that the sweep needs as well
MEAN, ONE_ROW = "mean of all", "one row"  # what a control says where no setting is chosen
RUNNING = "running"  # why a cell has no result yet
STEP = "step"  # the number of a record that is the x of its curves


class Moment(NamedTuple):
    """Where a sweep stood: how many cells were finished, and how far the one that ran had come."""

    done: int
    running: Setting | None = None
    points: int = 0


class SweepPanel(Pictured, w.VBox):
    """A sweep as a heat map: `sweep(run, settings, path=path)`, driven from here; pick a place to see its runs.

    A place is the mean of `value`, a number of the result, over all runs of its row and column, as seeds are; other
    settings may be held at one value. `goal` says which end is best; `chance` is marked on the scale. Without `run` it
    shows the file at `path` and runs nothing. `panel.play()`, `panel.pick(0, 2)`, `panel.rows.value = "lr"` do what
    the controls do; `panel.cells` are the finished cells, and `panel.wait()` runs to the end and returns them.
    """

    def __init__(
        self,
        run: Run | None = None,
        settings: Sequence[Setting] | None = None,
        *,
        path: str | os.PathLike[str],
        value: str | None = None,
        goal: Literal["max", "min"] = "max",
        chance: float | None = None,
        version: str = "1",
    ):
        if (run is None) != (settings is None):
            raise ValueError("run and settings belong together: give both, or neither to show the file at path.")
        self.run, self.path, self.goal, self.chance, self.version = run, Path(path), goal, chance, version
        self.cells = read_cells(path) if settings is None else self._finished(settings)
        self.settings = [cell.setting for cell in self.cells] if settings is None else list(settings)
        if not self.settings:
            raise ValueError(f"{str(path)!r} and settings hold no cell: there is nothing to show.")
        self._live: list[Record] = []  # what the running cell has yielded
        self._moment = Moment(len(self.cells))
        self._place: tuple[int, int] | None = None  # that was picked; None follows the running cell
        self._quiet = Muted()

        self._make_controls(value)
        self.player: Player[Moment | None] = Player(
            self._records, self._draw, progress=lambda moment: moment and (moment.done, len(self.settings)),
            unit="cell", redraw=REDRAW, name=f"{'sweep' if run else 'view'} of {self.path}",
        )  # fmt: skip
        self.player.reset_button.tooltip = "Stop; what is finished stays in the file, and Play goes on from there"
        self.map = HeatMap("results of the sweep")
        self.map.on_pick(self.pick)
        self.summary, self.numbers = w.HTML(), w.HTML()
        self.figure = figure_widget(runs_figure())
        super().__init__(self._placed())
        self.add_class("ssl-panel")
        self.add_class("ssl-sweep")
        self._arrange()
        self._draw(self._moment)
        for control in (self.rows, self.columns):
            control.observe(self._on_axis, "value")
        for control in (self.value, self.curve, *self.where.values()):
            control.observe(lambda _: self._again(), "value")

    def _make_controls(self, value: str | None) -> None:
        blank = [Cell(setting, {}, 0.0) for setting in self.settings]
        self._values = {name: [v for (v,) in group_cells(blank, name)] for name in self.settings[0]} | {ONE_ROW: [None]}
        varying = [name for name, values in self._values.items() if len(values) > 1] or list(self.settings[0])[:1]
        axes = [ONE_ROW, *(name for name in varying if name != "seed")]
        first, second = (axes[1], axes[2]) if len(axes) > 2 else (ONE_ROW, axes[1] if len(axes) > 1 else varying[0])
        tip = "The setting that changes from row to row"
        self.rows = dropdown("Rows", [ONE_ROW, *varying], first, tip, "ssl-sweep-rows")
        tip = "The setting that changes from column to column"
        self.columns = dropdown("Columns", varying, second, tip, "ssl-sweep-columns")
        tip = "The number of a result that is shown"
        self.value = dropdown("Number", [value] if value else [], value, tip, "ssl-sweep-number")
        self.where = {}
        for name in varying:
            options = [(MEAN, MEAN), *((_word(v), v) for v in self._values[name])]
            tip = f"All of {name}, or only one of them"
            self.where[name] = dropdown(name, options, MEAN, tip, "ssl-sweep-where")
        self.curve = dropdown("Curve", [], None, "The number of the records that is drawn", "ssl-sweep-curve")

    def _placed(self) -> list[w.Widget]:
        controls = row(self.rows, self.columns, self.value, *self.where.values(), self.curve)
        self.map.layout = w.Layout(flex="0 0 auto", max_width="60%", min_width="300px")
        right = w.VBox([self.figure, self.numbers], layout=w.Layout(flex="1 1 0", min_width="0"))
        body = w.HBox([self.map, right], layout=w.Layout(grid_gap="24px", margin="4px 0 0 0"))
        return [*([self.player] if self.run else []), controls, self.summary, body]

    # what a person may call --------------------------------------------------------------------------------------
    def play(self) -> None:
        self.player.play()

    def pause(self) -> None:
        self.player.pause()

    def wait(self) -> list[Cell]:
        """Run to the end, raise what went wrong, and return the finished cells."""
        if self.run is not None:
            self.player.wait()
        return self.cells

    def pick(self, row: int, column: int) -> None:
        """Show the runs of this place; (-1, -1) follows the cell that is running."""
        self._place = None if row < 0 else (row, column)
        self.map.selected = -1 if row < 0 else row * len(self._values[self.columns.value]) + column
        self._again()

    # the run -----------------------------------------------------------------------------------------------------
    def _finished(self, settings: Sequence[Setting]) -> list[Cell]:
        return read_cells(self.path, settings, version=self.version) if self.path.is_file() else []

    def _records(self) -> Iterator[Moment | None]:
        assert self.run is not None
        self.cells, self._live = self._finished(self.settings), []
        before = [cell.setting for cell in self.cells]
        yield Moment(len(self.cells))
        for record in sweep(self.run, self.settings, path=self.path, version=self.version):
            if isinstance(record, Point):
                self._live.append(record.record)
                yield Moment(len(self.cells), record.setting, len(self._live))
            elif record is None or record.setting in before:
                yield None
            else:
                self.cells.append(record)
                self._live = []
                yield Moment(len(self.cells))

    def _runs(self) -> list[Cell]:
        """The cells as they stood at this moment, the one that was running among them."""
        done, running, points = self._moment
        runs = self.cells[:done]
        if running is not None:
            curve = next((c.curve for c in self.cells[done:] if c.setting == running), self._live)
            runs.append(Cell(running, {}, 0.0, tuple(curve[:points]), RUNNING))
        for name, control in self.where.items():
            if control.value != MEAN:
                runs = group_cells(runs, name).get((control.value,), [])
        return runs

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, moment: Moment | None) -> None:
        """The sweep as it stood at this moment."""
        if moment is None:
            return
        self._moment = moment
        runs = self._runs()
        self._offer(self.value, [run.result for run in runs])
        self._offer(self.curve, [record for run in runs for record in run.curve[:-1]])
        rows, columns = self._values[self.rows.value], self._values[self.columns.value]
        groups = group_cells(runs, self.rows.value, self.columns.value)
        places = [groups.get((row, column), []) for row in rows for column in columns]
        tiles = [self._tile(place) for place in places]
        self.map.show(
            tiles,
            rows=["" if row is None else _word(row) for row in rows],
            columns=[_word(column) for column in columns],
            names=("" if self.rows.value == ONE_ROW else self.rows.value, self.columns.value),
            goal=self.goal,
            chance=self.chance,
        )
        best = self.map.best
        self.summary.value = paragraph(
            f"Best: {escape(tiles[best].caption)}" if best >= 0 else "Press Play to fill the map."
        )
        at = next((i for i, tile in enumerate(tiles) if tile.state == "running"), best)
        if self._place is not None:
            at = self._place[0] * len(columns) + self._place[1]
        self._show_runs(places[at] if at >= 0 else [])

    def _where(self, run: Cell) -> str:
        axes = (name for name in (self.rows.value, self.columns.value) if name in run.setting)
        return ", ".join(f"{name} {_word(run.setting[name])}" for name in axes)

    def _tile(self, runs: list[Cell]) -> Tile:
        """The mean over the finished runs of one place; before there is one, what the running one says."""
        if not runs:
            return Tile(None, "empty", "not yet run")
        name, where = self.value.value, self._where(runs[0])
        values = [run.result[name] for run in runs if _is_number(run.result.get(name))]
        failed = [run for run in runs if run.error not in ("", RUNNING)]
        running = [run for run in runs if run.error == RUNNING]
        if not values and running:
            last = running[0].curve[-1].get(name) if running[0].curve else None
            return Tile(last if _is_number(last) else None, "running", f"{where}: running")
        if not values:
            return Tile(None, "failed", f"{where}: {failed[0].error if failed else f'no {name}'}")
        spread = f" ± {statistics.stdev(values):.2g} over {len(values)} runs" if len(values) > 1 else ""
        more = f"; {len(failed)} failed" * bool(failed) + "; another is running" * bool(running)
        return Tile(statistics.fmean(values), "done", f"{where}: {name} {statistics.fmean(values):.3g}{spread}{more}")

    def _show_runs(self, runs: list[Cell]) -> None:
        """The curves and the numbers of one place."""
        names = [name for name in self.where if name not in (self.rows.value, self.columns.value)]
        key, curves = self.curve.value, []
        for run in runs[:RUNS]:
            points = [(r.get(STEP, i), r[key]) for i, r in enumerate(run.curve, 1) if _is_number(r.get(key))]
            if len(points) > 1:
                told = ", ".join(f"{name} {_word(run.setting[name])}" for name in names)
                curves.append(Curve(told, [x for x, _ in points], [y for _, y in points]))
        title = f"{self._where(runs[0])}{'' if curves else ': no curve'}" if runs else ""
        level = ("chance", self.chance) if curves and self.chance is not None and key == self.value.value else None
        show_runs(self.figure, curves, title=title, axes=(STEP, key or ""), level=level)

        results = list(dict.fromkeys(name for run in runs for name in run.result)) or ["result"]
        rows = [[*names, *results, "seconds"]]
        for run in runs:
            settings = [_word(run.setting[name]) for name in names]
            found = [_word(run.result.get(name, "")) for name in results]
            if run.error:
                found = [run.error, *[""] * (len(results) - 1)]
            rows.append([*settings, *found, "" if run.error == RUNNING else f"{run.seconds:.1f}"])
        told = table([[escape(word) for word in row] for row in rows], align="left")
        self.numbers.value = paragraph(told if runs else "Pick a place of the map to see its runs.")

    def _offer(self, control: w.Dropdown, records: Sequence[Record]) -> None:
        """Let the control offer every number that the records hold."""
        found = [name for record in records for name, value in record.items() if _is_number(value) and name != STEP]
        options = tuple(dict.fromkeys([*control.options, *found]))
        if options != control.options:
            chosen = control.value or options[0]
            with self._quiet:
                control.options = options
                control.value = chosen

    def _arrange(self) -> None:
        """Only settings that are on no axis can be held at one value."""
        for name, control in self.where.items():
            on_axis = name in (self.rows.value, self.columns.value)
            control.layout.display = "none" if on_axis else ""
            control.value = MEAN if on_axis else control.value

    def _on_axis(self, change: dict[str, Any]) -> None:
        if self._quiet:
            return
        with self._quiet:
            if self.rows.value == self.columns.value:  # the other axis takes what this one had
                other = self.columns if change["owner"] is self.rows else self.rows
                other.value = change["old"] if change["old"] in other.options else other.options[0]
            self._arrange()
        self.pick(-1, -1)

    def _again(self) -> None:
        if not self._quiet:
            self.player.soon(lambda: self._draw(self._moment))

    def picture(self) -> Pixels:
        return self.map.picture()


def _word(value: Any) -> str:
    """How a setting or a result is written."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
