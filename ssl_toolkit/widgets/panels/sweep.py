"""SweepPanel: a heat map that fills while a sweep runs, or curves over an axis, and the numbers of any place."""

import os
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal, NamedTuple

import ipywidgets as w

from ssl_toolkit.training.sweep import Cell, Point, Record, Run, Setting, group_cells, read_cells, sweep
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.heat_map import HeatMap
from ssl_toolkit.widgets.figures.plots import RUNS, runs_figure, show_runs
from ssl_toolkit.widgets.figures.sweeps import PLOTS, axis_figure, is_number, show_axis
from ssl_toolkit.widgets.life import close_all
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.panels.sweep_views import (
    RUNNING,
    STEP,
    curves_of,
    means_table,
    run_curves,
    runs_table,
    tile_of,
    values_of,
    varying,
    where,
    word,
)
from ssl_toolkit.widgets.player import Player
from ssl_toolkit.widgets.records import Row, flat

REDRAW = 0.5  # seconds; the browser needs a core that the sweep needs as well
LEAD = "Where are the results best, and how much do they depend on each setting?"
MEAN, ONE_ROW = "mean of all", "one row"  # what a control says where no setting is chosen
VIEWS = _, CURVES = ("map", "curves")
TIPS = ("A place for each row and column", "A curve for each row, over the columns")


class Moment(NamedTuple):
    """Where a sweep stood: how many cells were finished, and how far the one that ran had come."""

    done: int
    running: Setting | None = None
    points: int = 0


class SweepPanel(Panel):
    """A sweep as a heat map or as curves: `sweep(run, settings, path=path)`, driven from here.

    A place of the map is the mean of a number of the results over all runs of its row and column, as seeds are; other
    settings may be held at one value. In the view "curves" each row is a curve over the columns, with Student's 95 %
    interval of three runs or more, and a slider goes through the columns. `axes` are the settings of rows and columns,
    `value` is the number that is shown, or up to four of them for plots side by side and more for the table below.
    `goal` says which end is best; `chance` is marked on the scale. `stored` are finished cells from elsewhere, shown
    where the sweep has none, and as dashed curves. Without `run` it shows these, or the file at `path`, and runs
    nothing. `panel.play()`, `panel.pick(0, 2)`, `panel.rows.value = "lr"`, `panel.view.value = "curves"` and
    `panel.at.value = 512` do what the controls do; `panel.cells` are the finished cells, and `panel.wait()` runs to
    the end and returns them.

    >>> def run(setting):
    ...     return {"accuracy": setting["lr"]}
    >>> panel = stk.SweepPanel(run, stk.training.grid(lr=[0.1, 0.2], seed=[0, 1]), path="sweep.jsonl")
    >>> len(panel.wait())
    4
    """

    def __init__(
        self,
        run: Run | None = None,
        settings: Sequence[Setting] | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        value: str | Sequence[str] | None = None,
        axes: tuple[str, str] | None = None,
        view: Literal["map", "curves"] = "map",
        goal: Literal["max", "min"] = "max",
        chance: float | None = None,
        stored: Sequence[Cell] = (),
        version: str = "1",
    ):
        if (run is None) != (settings is None):
            raise ValueError("run and settings belong together: give both, or neither to show the file at path.")
        if path is None and (run is not None or not stored):
            raise ValueError("path is missing: say where the results are kept.")
        super().__init__("sweep", "A sweep over settings", LEAD)
        self.run, self.goal, self.chance, self.version = run, goal, chance, version
        self.path = None if path is None else Path(path)
        self.stored = list(stored)
        self.cells = [] if path is None else read_cells(path) if settings is None else self._finished(settings)
        self.settings = [cell.setting for cell in self.cells] if settings is None else list(settings)
        known = [*self.settings, *(cell.setting for cell in stored)]
        if not known:
            raise ValueError(f"{str(path)!r} and settings hold no cell: there is nothing to show.")
        self._live: list[Record] = []  # what the running cell has yielded
        self._moment = Moment(len(self.cells))
        self._picked: tuple[int, int] | None = None  # None follows the running cell

        values = [value] if isinstance(value, str) else list(value or [])
        self._numbers = values  # the numbers of the curves and their table; of one, the menu chooses another
        self._side_by_side = len(values) > 1
        self._make_controls(known, values, axes, view)
        if run is not None:
            self.player = Player(
                self._records, self._draw, progress=lambda moment: moment and (moment.done, len(self.settings)),
                unit="cell", redraw=REDRAW, name=f"sweep of {self.path}",
            )  # fmt: skip
            self.player.reset_button.tooltip = "Stop; what is finished stays in the file, and Play goes on from there"
        self.map = HeatMap("results of the sweep")
        self.map.on_pick(lambda row, column: self._soon(lambda: self.pick(row, column)))
        self.summary, self.numbers = w.HTML(), w.HTML()
        self.figure = runs_figure()
        self.chart = Chart(self.figure, toolbar=False)
        self.curves: Chart | None = None  # made when it is looked at
        self._rows_drawn: str | None = None  # what its curves are of
        # a map makes the page measure its plots again
        self._hidden = w.Box([self.map], layout=w.Layout(display="none"))
        self._wide = w.VBox()  # in which the curves are as wide as the page
        self._by_map = ui.two_columns(
            [self.map], [self.chart, self.numbers], width="400px", least="380px", share=1, most="480px"
        )
        self._body = w.VBox()
        controls = ui.row(self.rows, self.columns, self.value, ui.more(*self.where.values(), self.curve))
        self._place(
            *([self.player] if self.player else []),
            controls,
            ui.beside(self.view, self.summary),
            self._body,
            pictured=self.map,
        )
        self._arrange()
        self._draw(self._moment)
        for control in (self.rows, self.columns):
            control.observe(self._on_axis, "value")
        ui.on_change((self.value, self.curve, self.view, self.at, *self.where.values()), self._again)

    def _make_controls(
        self, known: Sequence[Setting], values: Sequence[str], axes: tuple[str, str] | None, view: str
    ) -> None:
        names = varying(self.settings or known)
        names += [name for name in axes or () if name in known[0] and name not in names]
        self._values = {name: values_of(known, name) for name in names} | {ONE_ROW: [None]}
        usual = [ONE_ROW, *(name for name in names if name != "seed")]
        usual = usual[1:3] if len(usual) > 2 else [ONE_ROW, *(usual[1:] or names)]
        first, second = axes or usual[:2]
        if unknown := {first, second} - self._values.keys():
            raise ValueError(f"axes has {min(unknown)!r}: the settings that vary are {', '.join(names)}.")
        make = ui.Controls("sweep")
        self.view = make.toggle(VIEWS, view, "How the results are shown", "view", tooltips=TIPS)
        self.rows = make.dropdown("Rows", [ONE_ROW, *names], first, "The setting that changes from row to row")
        self.columns = make.dropdown("Columns", names, second, "The setting that changes from column to column")
        tip = "The number of a result that is shown"
        self.value = make.dropdown("Number", values, values[0] if values else None, tip)
        self.where = {}
        for name in names:
            options = [(MEAN, MEAN), *((word(v), v) for v in self._values[name])]
            self.where[name] = make.dropdown(name, options, MEAN, f"All of {name}, or only one of them")
        self.curve = make.dropdown("Curve", [], None, "The number of the records that is drawn")
        self.at = w.SelectionSlider(options=self._values[second], value=self._values[second][-1])
        make.add(self.at, "The column of which the table tells", name="at", width="auto")

    # what a person may call --------------------------------------------------------------------------------------
    def wait(self) -> list[Cell]:
        """Run to the end, raise what went wrong, and return the finished cells."""
        if self.player is not None:
            super().wait()
        return self.cells

    def pick(self, row: int, column: int) -> None:
        """Show the runs of this place; (-1, -1) follows the cell that is running."""
        rows, columns = self._values[self.rows.value], self._values[self.columns.value]
        if (row, column) != (-1, -1) and not (0 <= row < len(rows) and 0 <= column < len(columns)):
            raise ValueError(
                f"the place is ({row}, {column}): the map has {len(rows)} rows and {len(columns)} columns."
            )
        self._picked = None if row < 0 else (row, column)
        self.map.selected = -1 if row < 0 else row * len(columns) + column
        self._again()

    def records(self) -> list[Row]:
        """Of each finished run its setting, its result and its seconds."""
        return [
            flat({**cell.result, **cell.setting, "seconds": cell.seconds, "error": cell.error}) for cell in self.cells
        ]

    # the run -----------------------------------------------------------------------------------------------------
    def _finished(self, settings: Sequence[Setting]) -> list[Cell]:
        there = self.path is not None and self.path.is_file()
        return read_cells(self.path, settings, version=self.version) if there else []  # type: ignore[arg-type]

    def _records(self) -> Iterator[Moment | None]:
        assert self.run is not None
        assert self.path is not None
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
        return self._held(runs)

    def _held(self, cells: list[Cell]) -> list[Cell]:
        """Those of the cells that have the settings which are held at one value."""
        for name, control in self.where.items():
            if control.value != MEAN:
                cells = group_cells(cells, name).get((control.value,), [])
        return cells

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, moment: Moment | None) -> None:
        """The sweep as it stood at this moment."""
        if moment is None:
            return
        self._moment = moment
        runs, stored = self._runs(), self._held(self.stored)
        self._offer(self.value, [run.result for run in [*runs, *stored]])
        self._offer(self.curve, [record for run in runs for record in run.curve[:-1]])
        at = self._draw_map(runs, stored)
        if self.view.value == CURVES:
            self._show_curves(runs, stored)
        else:
            self._show_runs(at)

    def _draw_map(self, runs: list[Cell], stored: list[Cell]) -> list[Cell]:
        """Fill the map; the runs of the place that was picked, runs now or is best."""
        rows, columns = self._values[self.rows.value], self._values[self.columns.value]
        groups, old = (group_cells(cells, self.rows.value, self.columns.value) for cells in (runs, stored))
        places = [groups.get(key) or old.get(key, []) for key in ((r, c) for r in rows for c in columns)]
        axes = (self.rows.value, self.columns.value)
        tiles = [tile_of(place, self.value.value or "", where(place[0], axes) if place else "") for place in places]
        self.map.show(
            tiles,
            rows=["" if row is None else word(row) for row in rows],
            columns=[word(column) for column in columns],
            names=("" if self.rows.value == ONE_ROW else self.rows.value, self.columns.value),
            goal=self.goal,
            chance=self.chance,
        )
        best = self.map.best
        told = f"Best: {escape(tiles[best].caption)}" if best >= 0 else "Press Play to fill the map."
        running = next((i for i, tile in enumerate(tiles) if tile.state == RUNNING), None)
        failed = [run for run in runs if run.error not in ("", RUNNING)]
        if self.view.value == CURVES:  # the map shows it
            told += f" · running: {escape(where(places[running][0], axes))}" if running is not None else ""
            told += f" · {len(failed)} failed: {escape(failed[-1].error)}" if failed else ""
        self.summary.value = ui.paragraph(told)
        at = best if running is None else running
        if self._picked is not None:
            at = self._picked[0] * len(columns) + self._picked[1]
        return places[at] if at >= 0 else []

    def _show_runs(self, runs: list[Cell]) -> None:
        """The curves and the numbers of one place."""
        axes, key = (self.rows.value, self.columns.value), self.curve.value
        names = [name for name in self.where if name not in axes]
        curves = run_curves(runs, key or "", names)
        title = f"{where(runs[0], axes)}{'' if curves else ': no curve'}" if runs else ""
        level = ("chance", self.chance) if curves and self.chance is not None and key == self.value.value else None
        show_runs(self.figure, curves, title=title, axes=(STEP, key or ""), level=level)
        self.chart.layout.display = "" if curves else "none"
        self.chart.draw()
        told = runs_table(runs, names) if runs else "Click a cell to see its runs."
        self.numbers.value = ui.paragraph(told)

    def _show_curves(self, runs: list[Cell], stored: list[Cell]) -> None:
        """A curve for each row over the columns, and the numbers of all rows at one column."""
        rows, axis, at = self.rows.value, self.columns.value, self.at.value
        sources = {"": runs} | ({", stored": stored} if self.stored else {})
        numbers = self._numbers if self._side_by_side else list(self.value.options)
        means = {
            number: [
                (f"{'all' if value is None else word(value)}{source}", curve)
                for source, cells in sources.items()
                for value, curve in curves_of(cells, number, axis, rows=rows, values=self._values[rows][:RUNS])
            ]
            for number in numbers
        }
        shown = numbers[:PLOTS] if self._side_by_side else numbers and [self.value.value]
        plots = {number: means[number] for number in shown}
        if plots and self.curves is not None:
            show_axis(self.curves.figure, plots, axis=axis, values=self._values[axis], at=at)
            self.curves.draw()
        self.numbers.value = means_table(means, axis, at)

    def _offer(self, control: w.Dropdown, records: Sequence[Record]) -> None:
        """Let the control offer every number that the records hold."""
        found = [name for record in records for name, value in record.items() if is_number(value) and name != STEP]
        options = tuple(dict.fromkeys([*control.options, *found]))
        if options != control.options:
            chosen = control.value or options[0]
            with self._muted:
                control.options = options
                control.value = chosen

    def _arrange(self) -> None:
        """Show what the view needs; only settings that are on no axis can be held at one value."""
        for name, control in self.where.items():
            on_axis = name in (self.rows.value, self.columns.value)
            control.layout.display = "none" if on_axis else ""
            control.value = MEAN if on_axis else control.value
        columns = self._values[self.columns.value]
        if list(self.at.options) != [(word(c), c) for c in columns]:
            self.at.options = [(word(c), c) for c in columns]
            self.at.value = columns[-1]
        self.at.description = self.columns.value
        curves = self.view.value == CURVES
        self.value.layout.display = "none" if curves and self._side_by_side else ""
        self.curve.layout.display = "none" if curves else ""
        if curves and self._rows_drawn != self.rows.value:
            self._rows_drawn, of_row = self.rows.value, min(RUNS, len(self._values[self.rows.value]))
            plots = max(1, min(PLOTS, len(self._numbers)))
            if self.curves is not None:
                close_all(self.curves)
            self.curves = Chart(axis_figure(plots, of_row, dashed=bool(self.stored)), toolbar=False)
        if curves:
            self._wide.children = [self.curves]
        self._body.children = [self._wide, self.at, self.numbers, self._hidden] if curves else [self._by_map]
        self._by_map.children[1].children = [self.chart, self.numbers]

    def _on_axis(self, change: dict[str, Any]) -> None:
        if self._muted:
            return
        with self._muted:
            if self.rows.value == self.columns.value:  # the other axis takes what this one had
                other = self.columns if change["owner"] is self.rows else self.rows
                other.value = change["old"] if change["old"] in other.options else other.options[0]
            self._arrange()
        self.pick(-1, -1)

    def _again(self) -> None:
        def draw() -> None:
            with self._muted:
                self._arrange()
            self._draw(self._moment)

        if not self._muted:
            self._soon(draw)
