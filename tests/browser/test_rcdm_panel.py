"""The RCDM panel as a person meets it: two models learn to paint, images are picked while they do."""

import time

import labdriver
import pytest
from PIL import Image

pytestmark = pytest.mark.browser

PANEL = """
from ssl_toolkit import load_data
from ssl_toolkit.diffusion import factor_reader as reader
from ssl_toolkit.diffusion.rcdm import RCDMRecipe
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.widgets import RcdmPanel
data, test = load_data("shapes", limit=300), load_data("shapes", split="test", limit=100)
eye = reader.ReaderRecipe().start(data).model
panel = RcdmPanel(small_conv(3), data, test, reader=eye, recipe=RCDMRecipe(steps=400, batch_size=16), every=20)
panel
"""
SHIPPED = """
models = {depth: subject.model for depth, subject in panel.subjects.items()}
trained = RcdmPanel({"ours": small_conv(3)}, data, test, depths=("ours representation",),
                    models={"ours representation": models["representation"]}, name="trained")
trained
"""
STATE = labdriver.in_state(".ssl-rcdm")
SAMPLES = ".ssl-rcdm-samples .ssl-strip img"
GIVEN = "() => document.querySelector('.ssl-rcdm-samples .ssl-strip img').src"


@pytest.fixture(scope="module")
def notebook(lab, page):
    seen = ".ssl-rcdm .js-plotly-plot .y2title, .ssl-rcdm .js-plotly-plot .x2title"
    return labdriver.open_panel(page, lab, "rcdm.ipynb", [PANEL, SHIPPED], seen, run=1)


def test_samples_appear_while_it_trains_and_another_image_is_picked(notebook, shots, note):
    page = notebook
    labdriver.picture(page, ".ssl-rcdm", shots / "rcdm_idle.png")
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
    page.wait_for_selector(".ssl-rcdm .js-plotly-plot .bars .point path", timeout=120_000)
    labdriver.picture(page, ".ssl-rcdm", shots / "rcdm_running.png")
    assert labdriver.errors(page) == []


def test_paused_a_control_paints_anew_and_the_dark_theme_is_legible(notebook, shots):
    page = notebook
    page.click(".ssl-rcdm .ssl-play")
    page.wait_for_function(STATE, arg="paused", timeout=60_000)
    page.wait_for_timeout(2000)
    last = f"() => [...document.querySelectorAll('{SAMPLES}')].at(-1).src"
    before = page.evaluate(last)
    page.click(".ssl-rcdm .ssl-more-button")
    page.locator(".ssl-rcdm-seed input").fill("5")
    page.keyboard.press("Enter")
    page.wait_for_function(f"(old) => ({last})() !== old", arg=before, timeout=60_000)
    assert labdriver.barriers(page, ".ssl-rcdm") == []
    with labdriver.dark(page):
        labdriver.picture(page, ".ssl-rcdm", shots / "rcdm_dark.png")
        assert labdriver.barriers(page, ".ssl-rcdm") == []
    assert page.evaluate(labdriver.NAMELESS) == []


def message(page, text):
    page.wait_for_selector(f".ssl-rcdm .ssl-message:has-text('{text}')", timeout=60_000)


def upload(page, path):
    with page.expect_file_chooser() as chooser:
        page.click(".ssl-rcdm-upload")
    chooser.value.set_files(path)


def test_an_image_of_ones_own_is_painted_and_a_wrong_file_is_said(notebook, tmp_path, shots):
    page = notebook
    given = page.evaluate(GIVEN)
    Image.linear_gradient("L").resize((300, 200)).save(tmp_path / "mine.png")
    upload(page, tmp_path / "mine.png")
    page.wait_for_function(f"(old) => ({GIVEN})() !== old", arg=given, timeout=60_000)
    mine = page.evaluate(GIVEN)
    (tmp_path / "text.png").write_bytes(b"no image")
    upload(page, tmp_path / "text.png")
    message(page, "no image that can be read")
    Image.new("1", (8000, 5000)).save(tmp_path / "large.png")
    upload(page, tmp_path / "large.png")
    message(page, "more than 25 megapixels")
    labdriver.picture(page, ".ssl-rcdm", shots / "rcdm_upload.png")
    assert page.evaluate(GIVEN) == mine
    assert labdriver.errors(page) == []


def test_a_menu_compares_with_another_depth(notebook, shots):
    page = notebook
    page.locator(".ssl-rcdm-compared-with select").select_option("stage1")
    page.wait_for_selector(".ssl-rcdm-samples :text('press Play')", timeout=60_000)
    labdriver.picture(page, ".ssl-rcdm", shots / "rcdm_menu.png")
    page.locator(".ssl-rcdm-compared-with select").select_option("embedding")
    page.wait_for_function(f"() => document.querySelectorAll('{SAMPLES}').length === 16", timeout=60_000)
    assert labdriver.errors(page) == []


def test_models_are_saved_and_a_missing_file_is_said(notebook, lab):
    page = notebook
    page.click(".ssl-rcdm-save")
    page.wait_for_selector(".ssl-message:has-text('saved rcdm.representation.safetensors')", timeout=60_000)
    assert (lab.root / "rcdm.embedding.safetensors").is_file()
    (lab.root / "rcdm.embedding.safetensors").unlink()
    page.click(".ssl-rcdm-load")
    page.wait_for_selector(".ssl-message:has-text('there is no such file')", timeout=60_000)
    assert labdriver.errors(page) == []


def test_trained_models_paint_without_a_click(notebook, shots):
    page = notebook
    labdriver.run_cell(page, 1)
    page.wait_for_selector(".ssl-strip :text('numbers, trained')", timeout=120_000)
    labdriver.picture(page, ".ssl-rcdm >> nth=1", shots / "rcdm_trained.png")
    assert labdriver.errors(page) == []
