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
from ssl_toolkit.widgets.figures.plots import BARE, GRAY, GRID, LEGEND, RUN_COLORS, RUNS

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


def axis_figure(plots: int) -> go.Figure:
    """So many plots in a row, each of up to `RUNS` curves of a sweep and as many dashed ones, for `show_axis`."""
    figure = make_subplots(1, plots, subplot_titles=[" "] * plots, horizontal_spacing=0.055)
    for column in range(1, plots + 1):
        for dash in ("solid", "dash"):
            for color in RUN_COLORS:
                line = {"color": color, "width": 3 if dash == "solid" else 1.5, "dash": dash}
                figure.add_scatter(
                    x=[], y=[], mode="lines+markers", line=line, marker={"size": 8 if dash == "solid" else 6},
                    error_y={"color": color, "thickness": 1.2, "width": 3}, row=1, col=column,
                )  # fmt: skip
    figure.update_layout(
        BARE, height=330, margin={"l": 44, "r": 8, "t": 28, "b": 84}, legend=LEGEND | {"x": 0, "y": -0.22}
    )
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(GRID)
    figure.update_xaxes(tickangle=0)
    figure.update_annotations(font_size=13)
    return figure


def show_axis(
    figure: BaseFigure,
    plots: Mapping[str, Sequence[Mapping[str, Means]]],
    *,
    axis: str,
    values: Sequence[Any],
    at: Any,
) -> None:
    """Fill an `axis_figure` with the curves by name, those of the sweep and the dashed ones, and mark one value.

    Numbers that are more than thirty times as large as others have a logarithmic scale.
    """
    doubling = is_doubling(values)
    numeric = all(is_number(value) for value in values)
    traces = iter(figure.data)
    with figure.batch_update():
        for i, (number, pair) in enumerate(plots.items(), start=1):
            means = []
            for curves in pair:
                filled = [*curves.items(), *[("", Means([], [], []))] * RUNS][:RUNS]
                for name, line in filled:
                    trace = next(traces)
                    trace.x = line.x if numeric else [str(x) for x in line.x]
                    trace.y, trace.error_y.array, trace.name = line.means, line.halves, name
                    trace.showlegend = i == 1 and bool(line.x)
                    means += line.means
            figure.layout.annotations[i - 1].text = number
            x, y = (figure.layout[f"{side}axis{i if i > 1 else ''}"] for side in "xy")
            x.title = {"text": axis, "standoff": 4}
            x.type = "log" if doubling else "linear" if numeric else "category"
            shown = list(values)[::-1][:: -(-len(values) // 5)]  # as many as there is room for
            x.tickvals = shown if numeric else [str(value) for value in shown]
            x.ticktext = [f"{value:,}" if isinstance(value, int) else str(value) for value in shown]
            y.type = "log" if means and min(means) > 0 and max(means) > 30 * min(means) else "linear"
        mark = {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": {"color": GRAY, "width": 1.5}}
        sides = ["", *range(2, len(plots) + 1)]
        figure.layout.shapes = [mark | {"xref": f"x{i}", "yref": f"y{i} domain"} for i in sides] if numeric else []
