"""The width panel as a person meets it: stored curves at once, a slider through the widths, live runs that join."""

import labdriver
import pytest

pytestmark = pytest.mark.browser

SETUP = """
from ssl_toolkit.claims import CLAIMS, stored
from ssl_toolkit.claims.expand_or_narrow_training import CLASSIFIER, basis, measured
from ssl_toolkit.training.sweep import grid
from ssl_toolkit.widgets import WidthPanel
runs = [cell for claim in ("EN-2", "EN-3") for cell in stored(claim)[1]]
small = basis("smoke") | {"limit": 300, "steps": 6, "widest": 128}
told = {"simclr": small["projector"], "supervised": CLASSIFIER}
settings = [small | s | {"projector": told[s["method"]]} for s in grid(width=[8, 128], method=list(told), seed=[0])]
"""
PANEL = """
panel = WidthPanel(measured, settings, path="widths.jsonl", stored=runs)
panel
"""
STATE = labdriver.in_state(".ssl-width")
HEAD = "(t) => (document.querySelector('.ssl-width .ssl-width-table td') || {}).innerText === t"
LIVE = "() => [...document.querySelectorAll('.ssl-width .legendtext')].some(e => e.textContent.includes('live'))"
CURVES = "() => document.querySelectorAll('.ssl-width .js-plotly-plot .scatterlayer .trace .points path').length"


@pytest.fixture(scope="module")
def notebook(lab, page):
    seen = (".ssl-width .js-plotly-plot .scatterlayer", ".ssl-width .ssl-width-table")
    return labdriver.open_panel(page, lab, "widths.ipynb", (SETUP, PANEL), *seen)


def test_stored_curves_are_there_and_the_slider_goes_through_the_widths(notebook, shots):
    page = notebook
    labdriver.show(page, ".ssl-width")
    page.wait_for_timeout(1000)
    assert page.evaluate(CURVES) > 20
    labdriver.picture(page, ".ssl-width", shots / "width_stored.png")
    assert page.evaluate(HEAD, "D = 2,048")
    handle = page.locator(".ssl-width .ssl-width-slider .noUi-handle, .ssl-width .ssl-width-slider [role=slider]").first
    handle.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(HEAD, arg="D = 512", timeout=20_000)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(HEAD, arg="D = 128", timeout=20_000)
    before = page.evaluate(CURVES)
    page.locator(".ssl-width input[type=checkbox]").uncheck()
    page.wait_for_function(f"(n) => ({CURVES})() < n", arg=before, timeout=20_000)
    page.locator(".ssl-width input[type=checkbox]").check()
    assert labdriver.errors(page) == []


def test_live_runs_join_as_they_end(notebook, shots):
    page = notebook
    page.locator(".ssl-width .ssl-play").click()
    page.wait_for_function(LIVE, timeout=240_000)
    labdriver.picture(page, ".ssl-width", shots / "width_running.png")
    page.wait_for_function(STATE, arg="done", timeout=240_000)
    page.wait_for_function("() => document.querySelector('.ssl-width-table').innerText.includes('live')")
    labdriver.picture(page, ".ssl-width", shots / "width_done.png")
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-width")
        labdriver.picture(page, ".ssl-width", shots / "width_dark.png")
    assert labdriver.errors(page) == []


def test_every_control_has_a_name_and_is_reached_by_keys(notebook):
    assert notebook.evaluate(labdriver.NAMELESS) == []
