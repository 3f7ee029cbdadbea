"""A live figure: a Plotly figure is plain data in Python, and the browser is told what changed in it."""

import json
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets

from ssl_toolkit.widgets.canvases.canvas import STATIC, script, style

PLOTLY = STATIC / "plotly" / "plotly-basic.min.js.gz"
Json = dict[str, Any]


class Chart(anywidget.AnyWidget):
    """Shows `figure` as wide as its place. Change the figure as you like, then `draw()`.

    A curve that grew is sent as its new points alone. The browser asks for plotly.js once for a page, so a second
    chart costs only its own data. Plotly's own `FigureWidget` brings five megabytes with each figure, and does not run
    everywhere. The figure may hold lines, points, bars and pies.

    >>> figure = go.Figure(go.Scatter(x=[1], y=[2.0]))
    >>> chart = Chart(figure)
    >>> figure.data[0].y = [3.0]
    >>> chart.draw()
    """

    _esm = script("chart")
    _css = style("chart")

    # what the browser has; a page that is loaded anew is told what there is now
    shown = traitlets.Any({}).tag(sync=True, to_json=lambda _, chart: chart._shown)
    toolbar = traitlets.Bool(True).tag(sync=True)

    def __init__(self, figure: go.Figure, *, toolbar: bool = True):
        self.figure = figure
        self._shown = _plain(figure) | {"count": 0}
        super().__init__(toolbar=toolbar)

    def draw(self) -> None:
        """Show the figure as it is now."""
        before, now = self._shown, _plain(self.figure)
        count = before["count"] + 1
        self._shown = now | {"count": count}
        if len(now["data"]) != len(before["data"]):
            self.send({"type": "whole", "shown": self._shown})
            return
        pairs = zip(before["data"], now["data"], strict=True)
        traces = {i: change for i, (old, new) in enumerate(pairs) if (change := _change(old, new))}
        layout = {name: now["layout"].get(name) for name in _differ(before["layout"], now["layout"])}
        if traces or layout:
            self.send({"type": "change", "count": count, "traces": traces, "layout": layout})
        else:
            self._shown["count"] = before["count"]

    def _handle_custom_msg(self, content: Json, buffers: Any) -> None:
        super()._handle_custom_msg(content, buffers)
        if content.get("type") == "plotly":
            self.send({"type": "plotly"}, [PLOTLY.read_bytes()])
        elif content.get("type") == "whole":
            self.send({"type": "whole", "shown": self._shown})


def _plain(figure: go.Figure) -> Json:
    """The figure as JSON."""
    whole = json.loads(figure.to_json(validate=False))
    return {"data": whole["data"], "layout": whole["layout"]}


def _differ(old: Json, new: Json) -> list[str]:
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _change(old: Json, new: Json) -> Json:
    """From one state of a trace to another: what was added to its lists, and what else is set."""
    added, put = {}, {}
    for name in _differ(old, new):
        was, now = old.get(name), new.get(name)
        if isinstance(was, list) and isinstance(now, list) and was and now[: len(was)] == was:
            added[name] = now[len(was) :]
        else:
            put[name] = now
    return {kind: part for kind, part in (("added", added), ("set", put)) if part}
