"""A figure of attacks over their strength, from plain records, as those of `plots`."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure
from plotly.subplots import make_subplots

from ssl_toolkit.probes.adversarial import Point
from ssl_toolkit.widgets.figures.plots import BLUE, GRAY, GREEN, GRID, LAYOUT, LEGEND, ORANGE, PURPLE, VERMILION, plain

LOOKS = ((BLUE, "solid"), (ORANGE, "dash"), (GREEN, "dashdot"), (PURPLE, "longdash"))  # of encoders, in order


def attack_figure() -> go.Figure:
    """Two plots in a row, to be filled by `show_attacks`: what the probes still get right, and how far h went."""
    titles = ("images that the probe still gets right", "how far h moved")
    figure = make_subplots(1, 2, subplot_titles=titles)
    for column in (1, 2):
        for color, dash in LOOKS:
            line = {"color": color, "width": 2, "dash": dash}
            figure.add_scatter(row=1, col=column, x=[], y=[], mode="lines+markers", line=line, showlegend=False)
        dots = {"color": GRAY, "width": 1.5, "dash": "dot"}
        figure.add_scatter(row=1, col=column, x=[], y=[], mode="lines", line=dots, showlegend=False)
        # beside the end of the plot where no curve is
        place = {"x": 2 - column, "xref": "x domain", "xanchor": "right" if column == 1 else "left", "y": 0}
        figure.add_annotation(place, yanchor="bottom", showarrow=False, text="", row=1, col=column)
    legend = LEGEND | {"x": 0, "y": -0.26}
    figure.update_layout(LAYOUT, height=250, margin={"l": 46, "r": 8, "t": 26, "b": 62}, legend=legend)
    figure.update_annotations(font_size=12)
    figure.update_xaxes(GRID, title={"text": "strength: gray levels of 255", "standoff": 4}, rangemode="tozero")
    figure.update_yaxes(GRID, rangemode="tozero")
    figure.update_yaxes(row=1, col=1, tickformat=".0%", range=[0, 1])
    return figure


def show_attacks(figure: BaseFigure, curves: Mapping[str, Sequence[Point]], *, chance: float, strength: float) -> None:
    """Fill the figure with the points of up to four encoders, the two levels to compare with, and a line at a strength.

    The levels are `chance`, that of the probes, and 1, the distance of two images at random in units of which h moves.
    """
    far = max([1.0, strength, *(points[-1].strength for points in curves.values() if points)])
    n = len(LOOKS)
    with figure.batch_update():
        for i, (name, points) in enumerate(list(curves.items())[:n]):
            x = [point.strength for point in points]
            for trace, y in (
                (figure.data[i], [point.accuracy for point in points]),
                (figure.data[n + 1 + i], [point.moved for point in points]),
            ):
                trace.x, trace.y, trace.name = x, y, plain(name)
            figure.data[i].showlegend = bool(points)
        for place, level, text in ((n, chance, f"chance {chance:.0%}"), (2 * n + 1, 1.0, "another image")):
            figure.data[place].x, figure.data[place].y, figure.data[place].name = [0, far], [level, level], text
            figure.layout.annotations[2 + place // n - 1].update(y=level, text=text)
        line = {"type": "line", "x0": strength, "x1": strength, "y0": 0, "y1": 1, "line": {"color": VERMILION}}
        figure.layout.shapes = [line | {"xref": f"x{i}", "yref": f"y{i} domain"} for i in ("", 2)]
