"""Live charts in a real browser: drawn by one plotly.js for the page, grown by what was added, whole after a reload."""

import labdriver
import pytest

pytestmark = pytest.mark.browser

TWO = """
import plotly.graph_objects as go
from IPython.display import display
from ssl_toolkit.widgets.canvases.chart import Chart
a = Chart(go.Figure(go.Scatter(x=[0, 1], y=[0.0, 1.0], name="rising")))
b = Chart(go.Figure(go.Bar(x=[3, 2], y=["left", "right"], orientation="h")))
display(a, b)
"""
GROW = """
a.figure.data[0].x, a.figure.data[0].y = [0, 1, 2, 3], [0.0, 1.0, 4.0, 9.0]
a.figure.layout.title.text = "grown"
a.draw()
"""
CURVE = "() => document.querySelector('.ssl-chart').data?.[0].y"
BARS = ".ssl-chart .bars .point path"


def received(page) -> list[int]:
    """Bytes of each message that the kernel sends from now on."""
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda payload: sizes.append(len(payload))))
    return sizes


@pytest.fixture(scope="module")
def notebook(lab, page):
    sizes = received(page)
    labdriver.open_panel(page, lab, "chart.ipynb", [TWO, GROW], ".ssl-chart .scatterlayer path", BARS, run=1)
    return page, sizes


def test_two_charts_of_a_page_share_one_plotly(notebook, note):
    _, sizes = notebook
    note(chart_bytes=sum(sizes))
    assert [size > 300_000 for size in sizes].count(True) == 1
    assert sum(sizes) < 1_000_000


def test_points_that_are_added_travel_alone(notebook, shots):
    page, sizes = notebook
    before = len(sizes)
    labdriver.run_cell(page, 1)
    page.wait_for_function(f"() => ({CURVE})()?.length === 4")
    page.wait_for_selector(".ssl-chart .gtitle:has-text('grown')")
    assert sum(sizes[before:]) < 20_000
    labdriver.picture(page, ".ssl-chart", shots / "chart.png")
    assert labdriver.errors(page) == []


def test_a_page_that_is_loaded_anew_shows_the_figure_as_it_is(notebook):
    page, _ = notebook
    page.wait_for_timeout(500)
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1000)
    page.reload()
    page.wait_for_selector(BARS, state="attached", timeout=60_000)
    page.wait_for_function(f"() => ({CURVE})()?.length === 4", timeout=60_000)
