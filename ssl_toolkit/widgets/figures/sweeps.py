"""Figures of sweeps, as those of `plots`: numbers over an axis of the settings, a curve for each of their values."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure
from plotly.subplots import make_subplots

from ssl_toolkit.training.intervals import mean_interval
from ssl_toolkit.training.sweep import Cell, group_cells
from ssl_toolkit.widgets.figures.plots import GRAY, GRID, LAYOUT, LEGEND, RUN_COLORS, plain

PLOTS = 4  # side by side


class Means(NamedTuple):
    """A number of several runs at each value of a setting: its mean, and half of Student's 95 % interval."""

    x: list[Any]
    means: list[float]
    halves: list[float]  # 0 where there are fewer than three: of two, the interval would be wider than the plot


def means_over(cells: Sequence[Cell], number: str, axis: str) -> Means:
    """That number of the results of all finished runs that have it, by the setting `axis`."""
    groups = group_cells([cell for cell in cells if is_number(cell.result.get(number))], axis)
    out = Means([], [], [])
    for (x,), runs in sorted(groups.items(), key=lambda group: (str(type(group[0][0])), group[0][0])):
        values = [run.result[number] for run in runs]
        out.x.append(x)
        out.means.append(mean := statistics.fmean(values))
        out.halves.append(mean - mean_interval(values)[1][0] if len(values) > 2 else 0.0)
    return out


def is_number(value: Any) -> bool:
    """Whether it can be drawn: a whole number or another one, not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_doubling(values: Sequence[Any]) -> bool:
    """Whether these belong on a logarithmic axis: each is at least twice the one before."""
    if len(values) < 2 or not all(is_number(value) and value > 0 for value in values):
        return False
    return all(b >= 2 * a for a, b in pairwise(values))


def axis_figure(plots: int, curves: int, *, dashed: bool) -> go.Figure:
    """So many plots in a row, each of so many curves of a sweep, and as many `dashed` ones, for `show_axis`."""
    figure = make_subplots(1, plots, subplot_titles=[" "] * plots, horizontal_spacing=0.055)
    for column in range(1, plots + 1):
        for dash, width, size in (("solid", 3, 8), ("dash", 1.5, 6))[: 1 + dashed]:
            for color in RUN_COLORS[:curves]:
                figure.add_scatter(
                    x=[], y=[], mode="lines+markers", line={"color": color, "width": width, "dash": dash},
                    marker={"size": size}, error_y={"color": color, "thickness": 1.2, "width": 3}, row=1, col=column,
                )  # fmt: skip
    legend = LEGEND | {"x": 0, "y": -0.22}
    figure.update_layout(LAYOUT, height=330, margin={"l": 44, "r": 8, "t": 28, "b": 84}, legend=legend)
    figure.update_xaxes(GRID, tickangle=0)
    figure.update_yaxes(GRID)
    figure.update_annotations(font_size=13)
    return figure


def show_axis(
    figure: BaseFigure, plots: Mapping[str, Sequence[tuple[str, Means]]], *, axis: str, values: Sequence[Any], at: Any
) -> None:
    """Fill an `axis_figure` with the named curves of each plot, and mark one of the axis' values.

    Numbers that are more than thirty times as large as others have a logarithmic scale.
    """
    numeric = all(is_number(value) for value in values)
    shown = list(values)[::-1][:: -(-len(values) // (2 + 8 // len(plots)))]  # as many as there is room for
    traces = iter(figure.data)
    with figure.batch_update():
        for i, (number, curves) in enumerate(plots.items(), start=1):
            for name, line in curves:
                trace = next(traces)
                trace.x = line.x if numeric else [plain(x) for x in line.x]
                trace.y, trace.error_y.array, trace.name = line.means, line.halves, plain(name)
                trace.showlegend = i == 1 and bool(line.x)
            figure.layout.annotations[i - 1].text = plain(number)
            x, y = (figure.layout[f"{side}axis{i if i > 1 else ''}"] for side in "xy")
            x.title = {"text": plain(axis), "standoff": 4}
            x.type = "log" if is_doubling(values) else "linear" if numeric else "category"
            x.tickvals = shown if numeric else [plain(value) for value in shown]
            x.ticktext = [f"{value:,}" if isinstance(value, int) else plain(value) for value in shown]
            means = [mean for _, line in curves for mean in line.means]
            far = bool(means) and min(means) > 0 and max(means) > 30 * min(means)
            y.type, y.dtick = ("log", 1) if far else ("linear", None)
        mark = {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": {"color": GRAY, "width": 1.5}}
        sides = ["", *range(2, len(plots) + 1)] if numeric else []
        figure.layout.shapes = [mark | {"xref": f"x{i}", "yref": f"y{i} domain"} for i in sides]
