"""The infusion panel as a person meets it: chains that are scrubbed and played, a mask that is painted."""

import labdriver
import pytest

pytestmark = pytest.mark.browser

SETUP = """
import torch
from ssl_toolkit import load_data, rng
from ssl_toolkit.infusion import denoising, fit_prior, mlp
from ssl_toolkit.training import start, train
from ssl_toolkit.widgets import InfusionPanel
data = load_data("fashion-mnist", size=14, limit=2000)
prior, state = fit_prior(data.images), start(mlp((1, 14, 14), steps=8, hidden=(200,)), lr=2e-3)
for _ in train(state, data, denoising(prior), until=60, batch_size=64):
    pass
"""
PANEL = """
panel = InfusionPanel(state.model, prior, data.images)
panel
"""
FRAME = "() => document.querySelector('.ssl-infusion .ssl-chain').dataset.frame"
SUM = """(s) => {
  const c = document.querySelector(s), pen = c.getContext('2d'), d = pen.getImageData(0, 0, c.width, c.height).data;
  let sum = 0;
  for (let i = 0; i < d.length; i += 4) sum += (i % 251) * (d[i] + 2 * d[i + 1] + 3 * d[i + 2]);
  return sum;
}"""
INFUSED = ".ssl-infusion .ssl-chain canvas:nth-of-type(2)"
NOTE = "(t) => document.querySelector('.ssl-infusion-note').innerText.includes(t)"


@pytest.fixture(scope="module")
def notebook(lab, page):
    seen = (f".ssl-infusion {part}" for part in (".ssl-chain canvas", ".js-plotly-plot .gtitle", ".ssl-mask canvas"))
    return labdriver.open_panel(page, lab, "infusion.ipynb", (SETUP, PANEL), *seen)


def test_chains_are_scrubbed_and_played_without_the_kernel(notebook, shots):
    page = notebook
    page.wait_for_function(f"() => ({FRAME})() === '8'", timeout=20_000)
    labdriver.show(page, ".ssl-infusion")
    labdriver.picture(page, ".ssl-infusion", shots / "infusion_light.png")
    last = page.evaluate(SUM, INFUSED)
    slider = page.locator(".ssl-infusion .ssl-chain-slider").first
    slider.focus()
    page.keyboard.press("Home")
    assert page.evaluate(FRAME) == "0"  # at once: no round trip
    assert page.evaluate(SUM, INFUSED) != last
    page.keyboard.press("ArrowRight")
    assert page.evaluate(FRAME) == "1"
    page.locator(".ssl-infusion .ssl-chain-play").first.click()
    page.wait_for_selector(".ssl-infusion .ssl-chain.ssl-playing", timeout=5_000)
    page.wait_for_function("() => !document.querySelector('.ssl-infusion .ssl-playing')", timeout=20_000)
    assert page.evaluate(FRAME) == "8"
    assert page.evaluate(SUM, INFUSED) == last
    assert labdriver.errors(page) == []


def test_the_rate_changes_the_infused_chain_alone(notebook, shots):
    page = notebook
    model = ".ssl-infusion .ssl-chain canvas:nth-of-type(1)"
    before = page.evaluate(SUM, model), page.evaluate(SUM, INFUSED)
    page.locator(".ssl-infusion select").first.select_option("nothing but the target")
    page.wait_for_function(f"(old) => ({SUM})('{INFUSED}') !== old", arg=before[1], timeout=30_000)
    assert page.evaluate(SUM, model) == before[0]
    page.locator(".ssl-infusion select").first.select_option("a little more at each step")
    page.wait_for_function(f"(old) => ({SUM})('{INFUSED}') === old", arg=before[1], timeout=30_000)
    assert labdriver.errors(page) == []


def test_a_mask_is_painted_and_completed_in_both_themes(notebook, shots):
    page = notebook
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function(NOTE, arg="Paint", timeout=20_000)
    targets = page.locator(".ssl-infusion .ssl-chain canvas:nth-of-type(3)").first
    targets.click(position={"x": targets.bounding_box()["width"] * 3.5 / 8, "y": 20})
    targets.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    canvas = page.locator(".ssl-infusion .ssl-mask canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"], steps=6)
    page.mouse.up()
    page.wait_for_function(NOTE, arg="8 completions of", timeout=20_000)
    painted = page.evaluate("() => document.querySelector('.ssl-infusion-note').innerText")
    canvas.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowDown", "ArrowDown", "ArrowDown", " "):
        page.keyboard.press(key)
    page.wait_for_function(
        "(t) => document.querySelector('.ssl-infusion-note').innerText !== t", arg=painted, timeout=20_000
    )
    labdriver.picture(page, ".ssl-infusion", shots / "infusion_painted.png")
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-infusion")
        page.locator(".ssl-infusion .ssl-chain-slider").first.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.locator(".ssl-infusion .ssl-more-button").first.click()
        page.get_by_label("Means").uncheck()
        labdriver.picture(page, ".ssl-infusion", shots / "infusion_dark.png")
    assert labdriver.errors(page) == []


def test_every_control_has_a_name(notebook):
    assert notebook.evaluate(labdriver.NAMELESS) == []
