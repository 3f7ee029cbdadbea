"""A live chart as data: what travels to the browser when a figure changes."""

import gzip

import plotly.graph_objects as go
import pytest

from ssl_toolkit.widgets.canvases.chart import PLOTLY, Chart
from ssl_toolkit.widgets.figures.plots import Curve, runs_figure, show_runs


@pytest.fixture
def chart(monkeypatch):
    made = Chart(go.Figure(go.Scatter(x=[0, 1], y=[0.0, 1.0], name="a")).add_bar(x=[1], y=[2]))
    made.sent = []
    monkeypatch.setattr(made, "send", lambda content, buffers=None: made.sent.append((content, buffers)))
    return made


def test_points_that_are_added_travel_alone(chart):
    chart.figure.data[0].x, chart.figure.data[0].y = [0, 1, 2], [0.0, 1.0, 4.0]
    chart.draw()
    [(message, _)] = chart.sent
    assert message == {"type": "change", "count": 1, "traces": {0: {"added": {"x": [2], "y": [4.0]}}}, "layout": {}}


def test_other_points_and_names_are_set_and_what_is_gone_is_nothing(chart):
    chart.figure.data[0].update(x=[5, 1], name="b")
    chart.figure.layout.title = "one"
    chart.draw()
    assert chart.sent[-1][0]["traces"] == {0: {"set": {"x": [5, 1], "name": "b"}}}
    assert chart.sent[-1][0]["layout"] == {"title": {"text": "one"}}
    chart.figure.layout.title = None
    chart.draw()
    assert (chart.sent[-1][0]["traces"], chart.sent[-1][0]["layout"]) == ({}, {"title": None})


def test_nothing_travels_when_nothing_changed(chart):
    chart.draw()
    chart.draw()
    assert chart.sent == []


def test_a_figure_with_another_number_of_traces_travels_whole(chart):
    chart.figure.add_scatter(x=[1], y=[1])
    chart.draw()
    [(message, _)] = chart.sent
    assert (message["type"], len(message["shown"]["data"])) == ("whole", 3)


def test_a_page_that_is_loaded_anew_is_told_the_figure_as_it_is():
    chart = Chart(runs_figure())
    show_runs(chart.figure, [Curve("a", [1, 2], [3.0, 4.0])], title="later", axes=("x", "y"))
    chart.draw()
    shown = chart.get_state("shown")["shown"]
    assert (shown["data"][0]["name"], shown["data"][0]["y"], shown["count"]) == ("a", [3.0, 4.0], 1)
    assert shown["layout"]["title"]["text"] == "later"


def test_a_browser_that_asks_gets_plotly_or_the_whole_figure(chart):
    chart._handle_custom_msg({"type": "plotly"}, [])
    chart._handle_custom_msg({"type": "whole"}, [])
    (asked, [content]), (whole, _) = chart.sent
    assert asked == {"type": "plotly"}
    assert gzip.decompress(content).startswith(b"/**\n* plotly.js (basic - minified)")
    assert whole == {"type": "whole", "shown": chart.get_state("shown")["shown"]}
    assert PLOTLY.stat().st_size < 400_000
