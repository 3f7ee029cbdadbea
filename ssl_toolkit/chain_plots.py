"""Figures of generative chains from plain records, as those of `plots`."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure
from plotly.subplots import make_subplots

from ssl_toolkit.plots import BARE, BLUE, GREY, GRID, ORANGE, VERMILION, Curve

_LEGEND = {"yanchor": "top", "bgcolor": "rgba(0,0,0,0)", "font": {"size": 11}}


def chain_figure() -> go.Figure:
    """Two plots below one another, to be filled by `show_chains`: signal to noise, and when the guesses settle."""
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.14)
    figure.add_scatter(row=1, col=1, x=[], y=[], line={"color": GREY, "width": 2}, showlegend=False)
    for name, colour, dash in (("A", BLUE, "solid"), ("B", ORANGE, "dash")):
        figure.add_scatter(row=2, col=1, x=[], y=[], name=name, line={"color": colour, "width": 2, "dash": dash})
    legend = _LEGEND | {"x": 1, "y": 0.42, "xanchor": "right"}
    figure.update_layout(BARE, height=330, margin={"l": 62, "r": 8, "t": 8, "b": 36}, legend=legend)
    figure.update_traces(mode="lines")
    figure.update_xaxes(GRID)
    figure.update_xaxes(row=2, col=1, title={"text": "step", "standoff": 4})
    small = {"size": 11}
    figure.update_yaxes(GRID, row=1, col=1, type="log", title={"text": "signal / noise", "font": small}, nticks=6)
    figure.update_yaxes(GRID, row=2, col=1, title={"text": "guess: levels to go", "font": small}, rangemode="tozero")
    return figure


def show_chains(figure: BaseFigure, snr: Sequence[float], distances: Mapping[str, Sequence[float]]) -> None:
    """Fill the figure with the ratio at each step, and how far the guesses of up to two chains are from their last.

    The distances are in grey levels.
    """
    with figure.batch_update():
        # a logarithm has no place for pure noise, nor for the image
        figure.data[0].x = list(range(len(snr)))
        figure.data[0].y = [ratio if 0 < ratio < float("inf") else None for ratio in snr]
        for trace, (name, values) in zip(figure.data[1:], [*distances.items(), ("", ()), ("", ())], strict=False):
            trace.x, trace.y, trace.name, trace.showlegend = list(range(len(values))), list(values), name, bool(name)
        figure.layout.xaxis.range = figure.layout.xaxis2.range = [0, max(1, len(snr) - 1)]


def show_cursor(figure: BaseFigure, step: int) -> None:
    """A line through all plots of the figure, at this step."""
    place = {"type": "line", "xref": "x", "yref": "paper", "x0": step, "x1": step, "y0": 0, "y1": 1}
    figure.layout.shapes = [place | {"line": {"color": VERMILION, "width": 2}}]


def learning_figure() -> go.Figure:
    """Two plots in a row, to be filled by `show_learning`: the loss, and the mean reciprocal rank beside chance."""
    figure = make_subplots(1, 2, subplot_titles=("loss", "mean reciprocal rank of the image in its samples"))
    for column, mode in ((1, "lines"), (2, "lines+markers")):
        for colour, dash in ((BLUE, "solid"), (ORANGE, "dash")):
            line = {"color": colour, "width": 2, "dash": dash}
            figure.add_scatter(row=1, col=column, x=[], y=[], mode=mode, line=line, showlegend=column == 1)
    figure.add_scatter(
        row=1, col=2, x=[], y=[], mode="lines", line={"color": GREY, "width": 1.5, "dash": "dot"}, name="chance"
    )
    legend = _LEGEND | {"x": 0, "y": -0.26, "orientation": "h"}
    figure.update_layout(BARE, height=230, margin={"l": 46, "r": 8, "t": 26, "b": 60}, legend=legend)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(GRID, title={"text": "step", "standoff": 4})
    figure.update_yaxes(GRID)
    figure.update_yaxes(row=1, col=2, range=[0, 1])
    return figure


def show_learning(figure: BaseFigure, loss: Mapping[str, Curve], ranks: Mapping[str, Curve], chance: float) -> None:
    """Fill the figure with the curves of up to two models, by name."""
    none = Curve("", [], [])
    curves = [*loss.values(), none, none][:2] + [*ranks.values(), none, none][:2]
    far = max([1.0, *(float(x) for curve in curves for x in curve.x[-1:])])
    with figure.batch_update():
        for trace, curve in zip(figure.data, [*curves, Curve("chance", [0, far], [chance, chance])], strict=True):
            trace.x, trace.y, trace.name = list(curve.x), list(curve.y), curve.name
        for trace, curve in zip(figure.data[:2], curves[:2], strict=True):
            trace.showlegend = bool(curve.name)


def retention_figure(known: Mapping[str, Mapping[str, tuple[float, float]]]) -> go.Figure:
    """For each depth and factor (R2 of its probe, what samples keep of it): on the diagonal they say the same."""
    figure = go.Figure()
    low = min([0.0, *(v for factors in known.values() for pair in factors.values() for v in pair)])
    figure.add_scatter(
        x=[low, 1], y=[low, 1], mode="lines", line={"color": GREY, "dash": "dot", "width": 1.5}, showlegend=False
    )
    for (depth, factors), colour, place in zip(known.items(), (BLUE, ORANGE), ("top", "bottom"), strict=False):
        figure.add_scatter(
            x=[r2 for r2, _ in factors.values()], y=[kept for _, kept in factors.values()], text=list(factors),
            name=depth, mode="markers+text", textposition=f"{place} center", marker={"color": colour, "size": 9},
        )  # fmt: skip
    figure.update_layout(BARE, height=380, width=560, margin={"l": 56, "r": 8, "t": 8, "b": 44}, hovermode="closest")
    figure.update_layout(legend={"x": 0, "y": 1, "bgcolor": "rgba(0,0,0,0)"})
    figure.update_xaxes(GRID, title="read from the features: R² of a linear probe")
    figure.update_yaxes(GRID, title="kept in the samples: retention")
    return figure
