"""Figures from plain records: plotly, transparent, in colors that the color-blind tell apart, for both themes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
import torch
from plotly.basedatatypes import BaseFigure
from plotly.subplots import make_subplots

from ssl_toolkit.probes.monitor import Baselines, Snapshot
from ssl_toolkit.probes.online import Reading
from ssl_toolkit.training import Step
from ssl_toolkit.training.intervals import mean_interval

# The hues of Okabe and Ito (2008), so dark that each has a contrast of 3 or more on white and on JupyterLab's dark
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#B87D00", "#009E73", "#BD4F00", "#C26C9B", "#2F96D2"
GRAY = "#767676"  # of lines; the browser gives words the color of the theme
POINTS = 400  # of a curve; more would only cost time on the way to the browser
LAYOUT: dict[str, Any] = {  # what all figures have in common
    "autosize": True,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": GRAY, "size": 12},
    "uirevision": "keep",
    "hovermode": "x",
    "modebar": {"remove": ["sendChartToCloud", "lasso2d", "select2d", "autoScale2d"]},
}
LEGEND: dict[str, Any] = {"yanchor": "top", "orientation": "h", "bgcolor": "rgba(0,0,0,0)", "font": {"size": 11}}
GRID = {"gridcolor": "rgba(128,128,128,0.25)", "zeroline": False, "linecolor": GRAY}


def plain(text: object) -> str:
    """Words of others as Plotly shows them letter by letter: it would take tags for bold, for links and the like."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Curve(NamedTuple):
    """One line: where its figure puts it and what it holds."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float]


TERM_SLOTS = 4  # no loss here has more terms
PROBE_SLOTS = 4  # the representation, two layers of the projector, one of a predictor


def training_curves(
    steps: Sequence[Step],
    snapshots: Sequence[Snapshot],
    base: Baselines | None,
    readings: Sequence[Reading] = (),
    *,
    shown: Snapshot | None = None,
) -> list[Curve]:
    """The curves of `training_figure`, in the order of its traces: the loss and its terms, accuracies by neighbors and
    by the linear probes of `readings`, the spectrum at the snapshot `shown` (None: the last)."""
    thin = steps[:: max(1, len(steps) // POINTS)]
    if steps and thin[-1] is not steps[-1]:
        thin = [*thin, steps[-1]]
    x = [float(s.step) for s in thin]
    names = list(steps[-1].terms) if steps else []
    terms = [Curve(name, x, [s.terms[name] for s in thin]) for name in names[:TERM_SLOTS]]
    terms += [Curve("", [], [])] * (TERM_SLOTS - len(terms))
    scored = [snapshot for snapshot in snapshots if snapshot.knn is not None]
    seen = [float(snapshot.step) for snapshot in snapshots]
    ends = [0.0, max(1.0, *seen, *x)] if seen or x else [0.0, 1.0]
    found = {name: getattr(base, name, None) for name in _BASELINE_NAMES}  # None without labels
    levels = {name: [] if level is None else [level] * 2 for name, level in found.items()}
    read = [float(reading.step) for reading in readings]
    depths = list(readings[-1].accuracy)[:PROBE_SLOTS] if readings else []
    probes = [Curve(depth, read, [r.accuracy[depth] for r in readings]) for depth in depths]
    probes += [Curve("", [], [])] * (PROBE_SLOTS - len(probes))
    shown = shown or (snapshots[-1] if snapshots else None)
    spectrum = torch.empty(0) if shown is None else shown.spectrum
    spectrum = spectrum / spectrum[:1].clamp_min(1e-12)
    return [
        Curve("loss", x, [s.loss for s in thin]),
        *terms,
        Curve("kNN", [s.step for s in scored], [s.knn for s in scored if s.knn is not None]),
        *(Curve(_BASELINE_NAMES[name], ends if level else [], level) for name, level in levels.items()),
        *probes,
        Curve("singular values", list(range(1, len(spectrum) + 1)), spectrum.clamp_min(1e-6).tolist()),
    ]


_BASELINE_NAMES = {"chance": "chance", "pixels": "raw pixels", "untrained": "untrained"}


def filled_axes(steps: Sequence[Step], snapshots: Sequence[Snapshot]) -> dict[int, bool]:
    """The columns of `training_figure` that have something to show; the others have no numbers on their axes."""
    return {1: bool(steps), 2: bool(snapshots), 3: bool(snapshots)}


def training_figure(
    steps: Sequence[Step],
    snapshots: Sequence[Snapshot],
    base: Baselines | None = None,
    readings: Sequence[Reading] = (),
) -> go.Figure:
    """Three plots in a row: the terms of the loss, accuracies over their baselines, the spectrum of the features."""
    figure = make_subplots(1, 3, subplot_titles=("loss", "accuracy", "singular values, relative"))
    places = [1] * (1 + TERM_SLOTS) + [2] * (4 + PROBE_SLOTS) + [3]
    styles = [
        *({"color": c, "width": 2 if i else 3} for i, c in enumerate((GRAY, BLUE, ORANGE, GREEN, PURPLE))),
        {"color": BLUE, "width": 3},
        {"color": GRAY, "width": 1.5, "dash": "dot"},
        {"color": ORANGE, "width": 1.5, "dash": "dash"},
        {"color": PURPLE, "width": 1.5, "dash": "dashdot"},
        *({"color": c, "width": 2} for c in (GREEN, VERMILION, SKY, PURPLE)),
        {"color": BLUE, "width": 2},
    ]
    legends = ["legend"] * (1 + TERM_SLOTS) + ["legend2"] * 4 + ["legend3"] * PROBE_SLOTS + ["legend"]
    curves = training_curves(steps, snapshots, base, readings)
    for curve, column, line, legend in zip(curves, places, styles, legends, strict=True):
        trace = go.Scatter(
            x=list(curve.x), y=list(curve.y), name=plain(curve.name), line=line, mode="lines",
            legend=legend, showlegend=bool(curve.name) and column < 3,
        )  # fmt: skip
        figure.add_trace(trace, row=1, col=column)
    figure.update_layout(LAYOUT, height=290, margin={"l": 40, "r": 8, "t": 26, "b": 84})
    for column, filled in filled_axes(steps, snapshots).items():
        for axes in (figure.update_xaxes, figure.update_yaxes):
            axes(showticklabels=filled, row=1, col=column)
    figure.update_layout(
        legend=LEGEND | {"x": 0.0, "y": -0.25},
        legend2=LEGEND | {"x": 0.37, "y": -0.25},
        legend3={"x": 0.37, "y": -0.36, "title": {"text": "linear:", "side": "left"}, **LEGEND},
    )
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(GRID)
    figure.update_xaxes(title={"text": "step", "standoff": 4}, row=1, col=1)
    figure.update_xaxes(title={"text": "step", "standoff": 4}, row=1, col=2)
    figure.update_xaxes(title={"text": "dimension", "standoff": 4}, type="log", row=1, col=3)
    figure.update_yaxes(tickformat=".0%", row=1, col=2)
    figure.update_yaxes(type="log", exponentformat="power", row=1, col=3)
    return figure


def show_moment(figure: BaseFigure, step: int | None) -> None:
    """A line through the curves of a `training_figure` at the step that is looked back at; none for None."""
    line = {"type": "line", "x0": step, "x1": step, "y0": 0, "y1": 1, "line": {"color": VERMILION, "width": 2}}
    figure.layout.shapes = [line | {"xref": f"x{i}", "yref": f"y{i} domain"} for i in ("", 2) if step is not None]


RUN_COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
RUNS = len(RUN_COLORS)  # as many runs as there are colors that can be told apart


def runs_figure(height: int = 300) -> go.Figure:
    """One plot of up to `RUNS` curves, to be filled by `show_runs`."""
    figure = go.Figure()
    for color in RUN_COLORS:
        figure.add_scatter(x=[], y=[], mode="lines+markers", line={"color": color, "width": 2}, marker={"size": 4})
    legend = LEGEND | {"x": 0, "y": -0.2}
    figure.update_layout(LAYOUT, height=height, margin={"l": 56, "r": 8, "t": 30, "b": 66}, legend=legend)
    figure.update_layout(title={"font": {"size": 13}, "x": 0.5, "y": 0.97, "yanchor": "top"})
    figure.update_xaxes(GRID, title={"standoff": 4})
    figure.update_yaxes(GRID, title={"standoff": 4})
    return figure


def show_runs(
    figure: BaseFigure,
    curves: Sequence[Curve],
    *,
    title: str,
    axes: tuple[str, str],
    level: tuple[str, float] | None = None,
) -> None:
    """Fill the figure with these curves, at most `RUNS`, and a dotted line at a named level, as that of chance."""
    filled = [*curves, *[Curve("", [], [])] * (RUNS - len(curves))]
    dotted = {"color": GRAY, "width": 1.5, "dash": "dot"}
    with figure.batch_update():
        for trace, curve in zip(figure.data, filled, strict=True):
            trace.x = [plain(x) if isinstance(x, str) else x for x in curve.x]
            trace.y, trace.name, trace.showlegend = list(curve.y), plain(curve.name), bool(curve.name)
        figure.layout.title.text = plain(title)
        figure.layout.xaxis.title.text, figure.layout.yaxis.title.text = map(plain, axes if curves else ("", ""))
        figure.layout.xaxis.showticklabels = figure.layout.yaxis.showticklabels = bool(curves)
        name, y = level or ("", 0.0)
        line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": dotted}
        figure.layout.shapes = [line | {"label": {"text": plain(name), "textposition": "end"}}] if level else []


def means_figure(
    groups: Mapping[str, Sequence[float]], *, title: str, levels: dict[str, float] | None = None, percent: bool = True
) -> go.Figure:
    """The mean of each group with Student's 95 % interval, beside dotted lines at named levels such as baselines."""
    figure = go.Figure()
    means, halves = [], []
    for values in groups.values():
        mean, (low, _) = mean_interval(values)
        means.append(mean)
        halves.append(mean - low)
    figure.add_scatter(
        x=[plain(name) for name in groups], y=means, mode="markers", marker={"size": 9, "color": BLUE},
        showlegend=False,
        error_y={"array": halves, "color": BLUE, "thickness": 2, "width": 6},
    )  # fmt: skip
    for name, y in (levels or {}).items():
        line = {"color": GRAY, "dash": "dot", "width": 1.5}
        figure.add_hline(y=y, line=line, annotation={"text": plain(name), "font": {"size": 11}})
    figure.update_layout(
        LAYOUT, height=280, margin={"l": 56, "r": 8, "t": 34, "b": 40}, title={"text": plain(title), "x": 0.5}
    )
    figure.update_xaxes(GRID, type="category")
    figure.update_yaxes(GRID, tickformat=".0%" if percent else "")
    return figure


def measured_figure() -> go.Figure:
    """One dot with its interval for each group of measurements, below one another, to be filled by `show_measured`."""
    figure = go.Figure()
    figure.add_scatter(
        x=[], y=[], mode="markers", marker={"size": 8, "color": BLUE},
        error_x={"array": [], "color": BLUE, "thickness": 2, "width": 5},
    )  # fmt: skip
    figure.update_layout(LAYOUT, margin={"l": 8, "r": 16, "t": 34, "b": 40}, hovermode="closest", showlegend=False)
    figure.update_layout(title={"font": {"size": 13}, "x": 0.5, "y": 0.98, "yanchor": "top"})
    figure.update_xaxes(GRID)
    figure.update_yaxes(GRID, type="category", automargin=True, autorange="reversed")
    return figure


def show_measured(figure: BaseFigure, groups: Mapping[str, Sequence[float]], *, title: str) -> None:
    """Fill the figure with the groups' means and, where there are two values or more, Student's 95 % intervals."""
    intervals = [mean_interval(v) if len(v) > 1 else (v[0], (v[0], v[0])) for v in groups.values()]
    with figure.batch_update():
        figure.data[0].x, figure.data[0].y = [mean for mean, _ in intervals], [plain(name) for name in groups]
        figure.data[0].error_x.array = [mean - low for mean, (low, _) in intervals]
        figure.layout.title.text, figure.layout.height = plain(title), 90 + 20 * max(3, len(groups))
