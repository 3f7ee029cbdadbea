"""WidthPanel: scores at home and away, gradient, zeros and parameters over the width of a representation."""

import os
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import ipywidgets as w

from ssl_toolkit.training.sweep import Cell, Point, Run, Setting, group_cells, read_cells, sweep
from ssl_toolkit.widgets.canvases.canvas import Pictured, Pixels
from ssl_toolkit.widgets.controls import checkbox, figure_widget, style, table
from ssl_toolkit.widgets.figures.plots import SKY
from ssl_toolkit.widgets.figures.width import (
    METHOD_COLORS,
    METHOD_TITLES,
    WIDTH_VALUES,
    means_of,
    show_widths,
    width_figure,
)
from ssl_toolkit.widgets.figures.width_picture import Line, curves_picture
from ssl_toolkit.widgets.player import Player

REDRAW = 0.5  # seconds; the browser needs a core that the sweep needs as well
STORED, LIVE = "stored", "live"


class Moment(NamedTuple):
    """Where a sweep stood: how many cells were finished, what ran, and at which step it was."""

    done: int
    running: Setting | None = None
    step: int = 0


class WidthPanel(Pictured, w.VBox):
    """Runs over the width D: those that are `stored` at once, those of `sweep(run, settings, path=path)` as they end.

    A run has a "method" and a "width" in its setting, and "test", "transfer", "gradient rank", "zero fraction" and
    "parameters" in its result, as those of `claims.widths.measured`. The slider picks a width, of which the table
    tells all; the means are over seeds, bars are Student's 95 % intervals of three or more. `panel.width.value = 512`,
    `panel.controls.value`, `panel.play()` and `panel.wait()` do what the controls do; `panel.cells` are the finished
    runs. Raises ValueError where there is nothing to show.
    """

    def __init__(
        self,
        run: Run | None = None,
        settings: Sequence[Setting] = (),
        *,
        path: str | os.PathLike[str] | None = None,
        stored: Sequence[Cell] = (),
        version: str = "1",
    ):
        if len({run is None, not settings, path is None}) > 1:
            raise ValueError("run, settings and path belong together: give all three, or only stored runs.")
        known = [*(cell.setting for cell in stored), *settings]
        if not known or not all({"method", "width"} <= set(setting) for setting in known):
            raise ValueError("there is nothing to show: stored runs or settings need a 'method' and a 'width'.")
        self.run, self.settings, self.version = run, list(settings), version
        self.path = None if path is None else Path(path)
        self.stored, self.cells = list(stored), self._finished()
        methods = dict.fromkeys(setting["method"] for setting in known)
        self.methods = sorted(methods, key="untrained".__eq__)  # which comes last
        self.widths = sorted({setting["width"] for setting in known})
        self._moment = Moment(len(self.cells))
        self._shown: tuple[int, int, bool] | None = None  # what the curves were drawn for

        widths = [(f"{width:,}", width) for width in self.widths]
        self.width = w.SelectionSlider(options=widths, value=self.widths[-1], description="Width D")
        style(self.width, "The width of which the table tells", "ssl-width-slider", width="420px")
        tip = "Show nets that were not trained, random ReLU features, and PCA"
        self.controls = checkbox("Controls", True, tip, "ssl-width-controls")
        self.player: Player[Moment | None] = Player(
            self._records, self._draw, progress=lambda m: m and (m.done, len(self.settings)), unit="run",
            redraw=REDRAW, name=f"widths of {self.path}",
        )  # fmt: skip
        self.player.reset_button.tooltip = "Stop; what is finished stays in the file, and Play goes on from there"
        self.figure = figure_widget(width_figure(self.methods, self.widths))
        self.table, self.words = w.HTML(), w.HTML()
        row = w.HBox([self.width, self.controls, self.words], layout=w.Layout(align_items="center", grid_gap="16px"))
        plots = w.HBox([w.VBox([self.figure], layout=w.Layout(flex="1 1 0", min_width="0"))])
        super().__init__([*([self.player] if run else []), row, plots, self.table])
        self.add_class("ssl-panel")
        self.add_class("ssl-width")
        self._draw(self._moment)
        for control in (self.width, self.controls):
            control.observe(lambda _: self.player.soon(lambda: self._draw(self._moment)), "value")

    # what a person may call --------------------------------------------------------------------------------------
    def play(self) -> None:
        self.player.play()

    def pause(self) -> None:
        self.player.pause()

    def wait(self) -> list[Cell]:
        """Run to the end, raise what went wrong, and return the runs that were made here."""
        if self.run is not None:
            self.player.wait()
        return self.cells

    # the run -----------------------------------------------------------------------------------------------------
    def _finished(self) -> list[Cell]:
        there = self.path is not None and self.path.is_file()
        return read_cells(self.path, self.settings, version=self.version) if there else []  # type: ignore[arg-type]

    def _records(self) -> Iterator[Moment | None]:
        assert self.run is not None
        assert self.path is not None
        self.cells = self._finished()
        before = [cell.setting for cell in self.cells]
        yield Moment(len(self.cells))
        for record in sweep(self.run, self.settings, path=self.path, version=self.version):
            if isinstance(record, Point) and "step" in record.record:
                yield Moment(len(self.cells), record.setting, record.record["step"])
            elif isinstance(record, Cell) and record.setting not in before:
                self.cells.append(record)
                yield Moment(len(self.cells))
            else:
                yield None

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, moment: Moment | None) -> None:
        """The runs as they stood at this moment."""
        if moment is None:
            return
        self._moment = moment
        live, at = self.cells[: moment.done], self.width.value
        if (shown := (moment.done, at, self.controls.value)) != self._shown:  # a step of a run changes no curve
            show_widths(self.figure, self.methods, self.stored, live, at=at, controls=self.controls.value)
            self._shown = shown
        running = ""
        if moment.running is not None:
            method, width = moment.running["method"], moment.running["width"]
            running = f"training {METHOD_TITLES.get(method, method)} at D = {width:,}, step {moment.step}"
        failed = [cell for cell in live if cell.error]
        if failed:
            running += f" · {len(failed)} failed: {failed[-1].error}"
        self.words.value = f"<span style='line-height:1.4'>{escape(running)}</span>"
        rows = [[escape(word) for word in row] for row in self._rows(live, at)]
        self.table.value = table(rows, "ssl-width-table")

    def _rows(self, live: Sequence[Cell], width: int) -> list[list[str]]:
        """Of each method and source, what was measured at this width."""
        rows = [[f"D = {width:,}", *WIDTH_VALUES.values(), "parameters"]]
        for source, cells in ((STORED, self.stored), (LIVE, live)):
            at = group_cells(cells, "width").get((width,), [])
            for method in self.methods:
                if not (runs := group_cells(at, "method").get((method,), [])) or not any(run.result for run in runs):
                    continue
                if method == "untrained" and not self.controls.value:
                    continue
                found = {value: means_of(runs, method, value) for value in (*WIDTH_VALUES, "parameters")}
                numbers = [_percent(found[value].means, found[value].halves) for value in ("test", "transfer")]
                rank, zeros, size = (found[value].means for value in ("gradient rank", "zero fraction", "parameters"))
                numbers += [f"{rank[0]:,.0f} of {width:,}" if rank else "", _percent(zeros, [0.0])]
                numbers += [f"{size[0] / 1e6:.2f} M" if size else ""]
                rows.append([f"{METHOD_TITLES.get(method, method)}, {source}", *numbers])
        return rows

    def picture(self) -> Pixels:
        return curves_picture(self._lines(), self.widths)

    def _lines(self) -> dict[str, list[Line]]:
        """What the picture of a saved notebook shows: the live runs, and the stored ones of methods without."""
        lines: dict[str, list[Line]] = {}
        for value in ("test", "transfer"):
            for method in self.methods:
                live = means_of(self.cells, method, value)
                means = live if live.widths else means_of(self.stored, method, value)
                color = METHOD_COLORS.get(method, SKY)
                line = Line(METHOD_TITLES.get(method, method), color, means.widths, [max(0.0, y) for y in means.means])
                lines.setdefault(WIDTH_VALUES[value], []).append(line)
        return lines


def _percent(means: Sequence[float], halves: Sequence[float]) -> str:
    if not means:
        return ""
    return f"{means[0]:.1%}" + (f" ± {100 * halves[0]:.1f}" if halves[0] else "")
