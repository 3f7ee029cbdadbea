"""Figures of generative chains from plain records, as those of `plots`."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure
from plotly.subplots import make_subplots

from ssl_toolkit.diffusion.monitor import Progress
from ssl_toolkit.widgets.figures.plots import BLUE, GRAY, GRID, LAYOUT, LEGEND, ORANGE, POINTS, VERMILION, plain

FAITHFUL = 0.5  # of the reciprocal rank: from here on samples are of their image more often than not


def chain_figure() -> go.Figure:
    """Two plots below one another, to be filled by `show_chains`: signal to noise, and when the guesses settle."""
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.14)
    figure.add_scatter(row=1, col=1, x=[], y=[], line={"color": GRAY, "width": 2}, showlegend=False)
    for name, color, dash in (("A", BLUE, "solid"), ("B", ORANGE, "dash")):
        figure.add_scatter(row=2, col=1, x=[], y=[], name=name, line={"color": color, "width": 2, "dash": dash})
    legend = LEGEND | {"x": 1, "y": 0.42, "xanchor": "right", "orientation": "v"}
    figure.update_layout(LAYOUT, height=330, margin={"l": 62, "r": 8, "t": 8, "b": 36}, legend=legend)
    figure.update_traces(mode="lines")
    figure.update_xaxes(GRID)
    figure.update_xaxes(row=2, col=1, title={"text": "step", "standoff": 4})
    small = {"size": 11}
    figure.update_yaxes(GRID, row=1, col=1, type="log", exponentformat="power", nticks=6)
    figure.update_yaxes(row=1, col=1, title={"text": "signal / noise", "font": small})
    figure.update_yaxes(
        GRID, row=2, col=1, title={"text": "distance to the final image", "font": small}, rangemode="tozero"
    )
    return figure


def show_chains(figure: BaseFigure, snr: Sequence[float], distances: Mapping[str, Sequence[float]]) -> None:
    """Fill the figure with the ratio at each step, and how far the guesses of up to two chains are from their last.

    The distances are in gray levels.
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


def learning_figure(factors: Sequence[str] = ()) -> go.Figure:
    """Plots in a row, to be filled by `show_learning`: the loss, and the mean reciprocal rank beside chance.

    With `factors` there is a third, bars of what samples keep of each.
    """
    titles = ("loss", "reciprocal rank of the image", "kept in the samples")
    figure = make_subplots(1, columns := 3 if factors else 2, subplot_titles=titles[:columns])
    for column, mode in ((1, "lines"), (2, "lines+markers")):
        for color, dash in ((BLUE, "solid"), (ORANGE, "dash")):
            figure.add_scatter(
                row=1, col=column, x=[], y=[], mode=mode, line={"color": color, "width": 2, "dash": dash}
            )
    for color in (BLUE, ORANGE) if factors else ():
        figure.add_bar(row=1, col=3, y=list(factors), x=[None] * len(factors), orientation="h", marker_color=color)
    line = {"color": GRAY, "width": 1.5, "dash": "dot"}
    figure.add_scatter(row=1, col=2, x=[], y=[], mode="lines", line=line, name="chance")
    legend = LEGEND | {"x": 0, "y": -0.26}
    figure.update_layout(LAYOUT, height=230, margin={"l": 46, "r": 8, "t": 26, "b": 60}, legend=legend)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(GRID)
    figure.update_yaxes(GRID)
    for column in (1, 2):
        figure.update_xaxes(row=1, col=column, title={"text": "step", "standoff": 4})
    figure.update_yaxes(row=1, col=2, range=[0, 1])
    if factors:
        figure.update_xaxes(row=1, col=3, range=[0, 1])
        figure.update_yaxes(row=1, col=3, autorange="reversed", showgrid=False)
    return figure


def show_learning(figure: BaseFigure, records: Sequence[Progress], depths: Sequence[str]) -> None:
    """Fill the figure with what these records say of one or two depths."""
    *curves, chance = figure.data
    with figure.batch_update():
        seen = [record for record in records if record.faithful]
        levels = [next(iter(record.faithful.values())).chance for record in seen[-1:]]
        chance.x, chance.y = [0, max(1, records[-1].step)] if seen else [], 2 * levels
        for i, depth in enumerate((*depths, "")[:2]):
            learned = [record for record in records if depth in record.loss]
            learned = learned[:: max(1, len(learned) // POINTS)]
            looks = [record for record in records if depth in record.faithful]
            loss, ranks, *bars = curves[i::2]
            loss.x, loss.y = [r.step for r in learned], [r.loss[depth] for r in learned]
            ranks.x, ranks.y = [r.step for r in looks], [r.faithful[depth].mrr for r in looks]
            for bar in bars:
                # of samples that are not of the image yet, nothing follows
                known = bool(looks) and looks[-1].faithful[depth].mrr >= FAITHFUL
                bar.marker.color = (BLUE, ORANGE)[i] if known else GRAY
                bar.x = [looks[-1].kept[depth].get(factor) if looks else None for factor in bar.y]
            for trace in (loss, ranks, *bars):
                trace.name, trace.showlegend = plain(depth), bool(depth) and trace is loss


def retention_figure(known: Mapping[str, Mapping[str, tuple[float, float]]]) -> go.Figure:
    """For each depth and factor (R2 of its probe, what samples keep of it): on the diagonal they say the same."""
    figure = go.Figure()
    low = min([0.0, *(v for factors in known.values() for pair in factors.values() for v in pair)])
    figure.add_scatter(
        x=[low, 1], y=[low, 1], mode="lines", line={"color": GRAY, "dash": "dot", "width": 1.5}, showlegend=False
    )
    for (depth, factors), color, place in zip(known.items(), (BLUE, ORANGE), ("top", "bottom"), strict=False):
        figure.add_scatter(
            x=[r2 for r2, _ in factors.values()], y=[kept for _, kept in factors.values()],
            text=[plain(factor) for factor in factors],
            name=plain(depth), mode="markers+text", textposition=f"{place} center", marker={"color": color, "size": 9},
        )  # fmt: skip
    figure.update_layout(LAYOUT, height=380, width=560, margin={"l": 56, "r": 8, "t": 8, "b": 44}, hovermode="closest")
    figure.update_layout(legend={"x": 0, "y": 1, "bgcolor": "rgba(0,0,0,0)"})
    figure.update_xaxes(GRID, title="read from the features: R² of a linear probe")
    figure.update_yaxes(GRID, title="kept in the samples: retention")
    return figure
