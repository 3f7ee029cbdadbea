"""Figures of sweeps over the width D, as those of `plots`: scores at home and away, the gradient's rank, zeros."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure
from plotly.subplots import make_subplots

from ssl_toolkit.joint import METHODS
from ssl_toolkit.training.intervals import mean_interval
from ssl_toolkit.training.sweep import Cell, group_cells
from ssl_toolkit.widgets.figures.plots import BARE, BLUE, GRAY, GREEN, GRID, LEGEND, ORANGE, PURPLE, SKY, VERMILION

WIDTH_VALUES = {"test": "at home", "transfer": "away", "gradient rank": "gradient rank", "zero fraction": "zeros"}
WIDTH_CONTROLS = {"random": "random ReLU of the default", "narrowed": "the widest, narrowed by PCA"}
METHOD_TITLES = {name: method.title for name, method in METHODS.items()}
METHOD_COLORS = {"simclr": BLUE, "supervised": ORANGE, "untrained": GRAY, "vicreg": GREEN, "byol": PURPLE}


class Means(NamedTuple):
    """A number of several runs at each width: its mean over seeds, and half of Student's 95 % interval."""

    widths: list[int]
    means: list[float]
    halves: list[float]  # 0 where there are fewer than three: of two, the interval would be wider than the plot


def means_of(cells: Sequence[Cell], method: str, value: str) -> Means:
    """That value of all finished runs of a method, by the "width" of their settings."""
    mine = [cell for cell in cells if cell.setting.get("method") == method and value in cell.result]
    groups = {width: [c.result[value] for c in runs] for (width,), runs in group_cells(mine, "width").items()}
    out = Means([], [], [])
    for width in sorted(groups):
        values = groups[width]
        out.widths.append(width)
        out.means.append(mean := statistics.fmean(values))
        out.halves.append(mean - mean_interval(values)[1][0] if len(values) > 2 else 0.0)
    return out


def width_figure(methods: Sequence[str], widths: Sequence[int]) -> go.Figure:
    """Four plots over D, to be filled by `show_widths`: scores at home and away, the gradient's rank, zeros."""
    figure = make_subplots(
        1, 4, subplot_titles=list(WIDTH_VALUES.values()), column_widths=[3, 3, 2, 2], horizontal_spacing=0.055
    )
    for live in (False, True):
        for method in methods:
            color = METHOD_COLORS.get(method, SKY)
            dash = "dot" if method == "untrained" else "solid" if live else "dash"
            for column in range(1, 5):
                figure.add_scatter(
                    x=[], y=[], mode="lines+markers", line={"color": color, "width": 3 if live else 1.5, "dash": dash},
                    marker={"size": 9 if live else 6}, error_y={"color": color, "thickness": 1.2, "width": 3},
                    name=f"{METHOD_TITLES.get(method, method)}, {'live' if live else 'stored'}",
                    legendgroup=f"{method} {live}", row=1, col=column,
                )  # fmt: skip
    for symbol, name in zip(("x-thin", "diamond-open"), WIDTH_CONTROLS.values(), strict=True):
        for column in (1, 2):
            marker = {"symbol": symbol, "size": 10, "color": VERMILION, "line": {"color": VERMILION, "width": 2}}
            figure.add_scatter(x=[], y=[], mode="markers", name=name, marker=marker, row=1, col=column)
    legend = LEGEND | {"x": 0, "y": -0.22}
    figure.update_layout(BARE, height=330, margin={"l": 44, "r": 8, "t": 28, "b": 84}, legend=legend)
    ends = [math.log10(min(widths)) - 0.15, math.log10(max(widths)) + 0.15]
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(GRID)
    figure.update_xaxes(type="log", range=ends, tickangle=0, title={"text": "D", "standoff": 4})
    for column, most in enumerate((5, 5, 3, 3), start=1):  # as many numbers as there is room for
        shown = list(widths)[-1 :: -math.ceil(len(widths) / most)]
        figure.update_xaxes(tickvals=shown, ticktext=[str(width) for width in shown], row=1, col=column)
    figure.update_yaxes(tickformat=".0%")
    figure.update_yaxes(type="log", tickformat="", dtick=1, row=1, col=3)
    return figure


def show_widths(
    figure: BaseFigure, methods: Sequence[str], stored: Sequence[Cell], live: Sequence[Cell], *, at: int, controls: bool
) -> None:
    """Fill a `width_figure` of these methods with runs, and mark one width; untrained nets are among the controls."""
    traces = iter(figure.data)
    with figure.batch_update():
        for cells in (stored, live):
            for method in methods:
                for value in WIDTH_VALUES:
                    trace, line = next(traces), means_of(cells, method, value)
                    if method == "untrained" and not controls:
                        line = Means([], [], [])
                    trace.x, trace.y = line.widths, line.means
                    trace.error_y.array = line.halves if value in ("test", "transfer") else []
                    trace.showlegend = value == "test" and bool(line.widths)
        for control in WIDTH_CONTROLS:
            for value in ("test", "transfer"):
                trace, points = next(traces), control_points(stored or live, value, control) if controls else []
                trace.x, trace.y = [x for x, _ in points], [y for _, y in points]
                trace.showlegend = value == "test" and bool(points)
        mark = {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": {"color": GRAY, "width": 1.5}}
        figure.layout.shapes = [mark | {"xref": f"x{i}", "yref": f"y{i} domain"} for i in ("", 2, 3, 4)]


def control_points(cells: Sequence[Cell], value: str, control: str) -> list[tuple[int, float]]:
    """What a control of SimCLR scores, at the width to which it has expanded or narrowed the representation."""
    random = means_of(cells, "simclr", f"{value}, random")
    narrowed = means_of(cells, "simclr", f"{value}, narrowed")
    widest = max((cell.setting["width"] for cell in cells), default=0)
    if control == "random":
        return [(widest, mean) for mean in random.means]
    return [(default, narrowed.means[-1]) for default in random.widths if narrowed.widths]
