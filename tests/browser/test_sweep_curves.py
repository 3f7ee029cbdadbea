"""A sweep seen as curves: stored ones at once, a slider through the widths, live runs that join, and the map."""

import labdriver
import pytest

pytestmark = pytest.mark.browser

SETUP = """
from ssl_toolkit.claims import CLAIMS, stored
from ssl_toolkit.claims.expand_or_narrow_training import CLASSIFIER, basis, measured
from ssl_toolkit.training.sweep import grid
from ssl_toolkit.widgets import SweepPanel
runs = [cell for claim in ("EN-2", "EN-3") for cell in stored(claim, version="1")[1]]
small = basis("smoke") | {"limit": 300, "steps": 6, "widest": 128}
told = {"simclr": small["projector"], "supervised": CLASSIFIER}
settings = [small | s | {"projector": told[s["method"]]} for s in grid(width=[8, 128], method=list(told), seed=[0])]
"""
PANEL = """
numbers = ("test", "transfer", "gradient rank", "zero fraction", "parameters")
panel = SweepPanel(
    measured, settings, path="widths.jsonl", value=numbers, axes=("method", "width"), view="curves", stored=runs
)
panel
"""
STATE = labdriver.in_state(".ssl-sweep")
HEAD = "(t) => (document.querySelector('.ssl-sweep .ssl-sweep-table td') || {}).innerText === t"
LIVE = "() => [...document.querySelectorAll('.ssl-sweep .ssl-line-name')].some(e => e.textContent === 'simclr')"
CURVES = "() => document.querySelectorAll('.ssl-sweep .js-plotly-plot .scatterlayer .trace .points path').length"


@pytest.fixture(scope="module")
def notebook(lab, page):
    seen = (".ssl-sweep .js-plotly-plot .scatterlayer", ".ssl-sweep .ssl-sweep-table")
    return labdriver.open_panel(page, lab, "widths.ipynb", (SETUP, PANEL), *seen)


def test_stored_curves_are_there_and_the_slider_goes_through_the_widths(notebook, shots):
    page = notebook
    labdriver.show(page, ".ssl-sweep")
    page.wait_for_timeout(1000)
    assert page.evaluate(CURVES) > 20
    labdriver.picture(page, ".ssl-sweep", shots / "curves_stored.png")
    assert page.evaluate(HEAD, "width 2048")
    handle = page.locator(".ssl-sweep .ssl-sweep-at .noUi-handle, .ssl-sweep .ssl-sweep-at [role=slider]").first
    handle.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(HEAD, arg="width 512", timeout=20_000)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(HEAD, arg="width 128", timeout=20_000)
    assert labdriver.errors(page) == []


def test_live_runs_join_as_they_end(notebook, shots):
    page = notebook
    page.locator(".ssl-sweep .ssl-play").click()
    page.wait_for_function(LIVE, timeout=240_000)
    labdriver.picture(page, ".ssl-sweep", shots / "curves_running.png")
    page.wait_for_function(STATE, arg="done", timeout=240_000)
    page.wait_for_function("() => /\\nsimclr\\t/.test(document.querySelector('.ssl-sweep-table').innerText)")
    labdriver.picture(page, ".ssl-sweep", shots / "curves_done.png")
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-sweep")
        labdriver.picture(page, ".ssl-sweep", shots / "curves_dark.png")
    assert labdriver.errors(page) == []


def test_the_map_shows_the_same_runs(notebook, shots):
    page = notebook
    page.locator(".ssl-sweep .ssl-sweep-view button", has_text="map").click()
    page.wait_for_selector(".ssl-sweep .ssl-heat td.ssl-tile-done", timeout=20_000)
    labdriver.picture(page, ".ssl-sweep", shots / "curves_map.png")
    page.locator(".ssl-sweep .ssl-sweep-view button", has_text="curves").click()
    page.wait_for_selector(".ssl-sweep .ssl-sweep-table", timeout=20_000)
    page.wait_for_function(f"() => ({CURVES})() > 20", timeout=20_000)
    assert labdriver.errors(page) == []


def test_every_control_has_a_name_and_is_reached_by_keys(notebook):
    assert notebook.evaluate(labdriver.NAMELESS) == []
