"""The RCDM panel as a person meets it: two models learn to paint, images are picked while they do."""

import time

import labdriver
import pytest

pytestmark = pytest.mark.browser

PANEL = """
from ssl_toolkit import load_data
from ssl_toolkit.diffusion.rcdm import Recipe
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.widgets import RcdmPanel
data, test = load_data("shapes", limit=300), load_data("shapes", split="test", limit=100)
panel = RcdmPanel(small_conv(3), data, test, recipe=Recipe(steps=400, batch_size=16), every=20)
panel
"""
STATE = "(s) => !!document.querySelector('.ssl-rcdm .ssl-player.ssl-state-' + s)"
SAMPLES = ".ssl-rcdm-samples .ssl-strip img"
GIVEN = "() => document.querySelector('.ssl-rcdm-samples .ssl-strip img').src"


@pytest.fixture(scope="module")
def notebook(lab, page):
    labdriver.open_cells(page, lab, "rcdm.ipynb", [PANEL])
    labdriver.run_cell(page, 0)
    page.wait_for_selector(".ssl-rcdm .js-plotly-plot .y2title, .ssl-rcdm .js-plotly-plot .x2title", timeout=120_000)
    assert labdriver.errors(page) == []
    labdriver.show(page, ".ssl-rcdm")
    return page


def picture(page, path):
    page.wait_for_timeout(600)
    page.query_selector(".ssl-rcdm").screenshot(path=path)


def test_samples_appear_while_it_trains_and_another_image_is_picked(notebook, shots, note):
    page = notebook
    picture(page, shots / "rcdm_idle.png")
    began = time.perf_counter()
    page.click(".ssl-rcdm .ssl-play")
    page.wait_for_function(f"() => document.querySelectorAll('{SAMPLES}').length === 16", timeout=120_000)
    note(rcdm_panel_first_samples_s=round(time.perf_counter() - began, 1))
    given = page.evaluate(GIVEN)
    box = page.locator(".ssl-rcdm .ssl-grid canvas").bounding_box()
    began = time.perf_counter()
    page.mouse.click(box["x"] + box["width"] * 0.44, box["y"] + box["height"] * 0.5)
    page.wait_for_function(f"(old) => ({GIVEN})() !== old", arg=given, timeout=60_000)
    note(rcdm_panel_pick_while_training_ms=round(1000 * (time.perf_counter() - began)))
    assert page.evaluate(STATE, "running")
    picture(page, shots / "rcdm_running.png")
    assert labdriver.errors(page) == []


def test_paused_a_control_paints_anew_and_the_dark_theme_is_legible(notebook, shots):
    page = notebook
    page.click(".ssl-rcdm .ssl-play")
    page.wait_for_function(STATE, arg="paused", timeout=60_000)
    page.wait_for_timeout(2000)
    last = f"() => [...document.querySelectorAll('{SAMPLES}')].at(-1).src"
    before = page.evaluate(last)
    page.locator(".ssl-rcdm-seed input").fill("5")
    page.keyboard.press("Enter")
    page.wait_for_function(f"(old) => ({last})() !== old", arg=before, timeout=60_000)
    labdriver.use_theme(page, "JupyterLab Dark")
    picture(page, shots / "rcdm_dark.png")
    labdriver.use_theme(page, "JupyterLab Light")
    assert page.evaluate(labdriver.NAMELESS) == []


def test_models_are_saved_and_a_missing_file_is_said(notebook, lab):
    page = notebook
    page.click(".ssl-rcdm-save")
    page.wait_for_selector(".ssl-message:has-text('saved rcdm.representation.safetensors')", timeout=60_000)
    assert (lab.root / "rcdm.embedding.safetensors").is_file()
    (lab.root / "rcdm.embedding.safetensors").unlink()
    page.click(".ssl-rcdm-load")
    page.wait_for_selector(".ssl-message:has-text('there is no such file')", timeout=60_000)
    assert labdriver.errors(page) == []
