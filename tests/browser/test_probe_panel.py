"""The probing workbench as a person meets it: 10,000 points, hovered, picked, selected, by mouse and by keys."""

import statistics

import labdriver
import pytest

pytestmark = pytest.mark.browser

SETUP = """
import time
import torch
from ssl_toolkit import load_data
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.probes import pca
from ssl_toolkit.widgets import ProbePanel, Scatter
from ssl_toolkit.widgets.canvases.scatter import color_by
data = load_data("shapes")
model = small_conv(3)
"""
SCATTER = """
z = data.images.float().mean(dim=(2, 3))
scatter = Scatter(data.images)
scatter.show(pca(z))
scatter.paint(color_by("background", data.factors["background"]))
scatter
"""
PANEL = "panel = ProbePanel(model, data, name='one')\npanel"
USE = "print(len(data[panel.selection]), 'images selected')"
TWO = """
broken = ProbePanel(lambda x: x, data[:300], name="broken")
two = ProbePanel({"seed 0": model, "seed 1": small_conv(3, seed=1)}, data[:800], color="hue", name="two")
two
"""
BROKEN = "broken"
DRAWN = "(s) => Number((document.querySelector(s + ' .ssl-scatter') || {dataset: {}}).dataset.drawn || 0)"
# what the toolbar says; the player itself is not on the page, its toolbar is
STATUS = "(t) => [...document.querySelectorAll('.ssl-probe .ssl-status')].at(-1)?.innerText.includes(t)"
WORDS = "(t) => [...document.querySelectorAll('.ssl-probe .ssl-probe-words')].at(-1)?.innerText.includes(t)"
READ = "(t) => [...document.querySelectorAll('.ssl-scatter output')].at(-1)?.innerText.includes(t)"
HOVER = """(selector) => new Promise((done) => {
  const canvas = document.querySelector(selector), box = canvas.getBoundingClientRect(), seen = new Set();
  const out = canvas.closest('.ssl-scatter').querySelector('output');
  let frames = 0, began = performance.now();
  const step = () => {
    const t = (performance.now() - began) / 2000, a = 14 * t, r = 20 + 130 * t;
    const clientX = box.left + box.width / 2 + r * Math.cos(a), clientY = box.top + box.height / 2 + r * Math.sin(a);
    canvas.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX, clientY}));
    frames += 1;
    seen.add(out.textContent);
    if (t < 1) requestAnimationFrame(step); else done({fps: frames / 2, images: seen.size});
  };
  requestAnimationFrame(step);
})"""
# the page's own clock from a click to the ring around the neighbors
CLICK = """([selector, dx, dy]) => new Promise((done) => {
  const canvas = [...document.querySelectorAll(selector)].at(-1), box = canvas.getBoundingClientRect();
  const words = [...document.querySelectorAll('.ssl-probe .ssl-probe-words')].at(-1), old = words.innerText;
  const [clientX, clientY] = [box.left + box.width / 2 + dx, box.top + box.height / 2 + dy];
  const at = {bubbles: true, clientX, clientY, pointerId: 1};
  const began = performance.now();
  const watch = () => words.innerText !== old && words.innerText.includes('nearest')
    ? done(performance.now() - began) : performance.now() - began > 5000 ? done(-1) : setTimeout(watch, 2);
  canvas.setPointerCapture = () => 0;
  canvas.dispatchEvent(new PointerEvent('pointermove', at));
  canvas.dispatchEvent(new PointerEvent('pointerdown', at));
  canvas.dispatchEvent(new PointerEvent('pointerup', at));
  watch();
})"""


@pytest.fixture(scope="module")
def notebook(lab, page):
    labdriver.open_cells(page, lab, "probe.ipynb", (SETUP, SCATTER, PANEL, USE, TWO, BROKEN))
    labdriver.run_cell(page, 0)
    page.wait_for_timeout(300)
    page.wait_for_function(labdriver.READY, timeout=60_000)
    return page


def test_ten_thousand_points_are_there_at_once_and_hovering_is_smooth(notebook, shots, note):
    page = notebook
    began = page.evaluate("() => performance.now()")
    labdriver.run_cell(page, 1)
    page.wait_for_function(f"() => ({DRAWN})('.jp-OutputArea') === 10000", timeout=60_000)
    first = page.evaluate("() => performance.now()") - began
    page.wait_for_selector(".ssl-scatter[data-sheet=here]", timeout=60_000)
    sheet = page.evaluate("() => performance.now()") - began
    labdriver.show(page, ".ssl-scatter")
    hover = page.evaluate(HOVER, ".ssl-scatter canvas")
    labdriver.picture(page, ".ssl-scatter", shots / "scatter.png")
    note(
        scatter_first_picture_ms=round(first),
        scatter_with_thumbnails_ms=round(sheet),
        scatter_hover_fps=round(hover["fps"], 1),
        scatter_hover_images=hover["images"],
    )
    assert first < 15_000  # where other work shares the cores; the figure is noted
    assert hover["fps"] > 0  # the figure is noted; what else runs here decides it
    assert hover["images"] > 20
    assert labdriver.errors(page) == []


def test_a_click_brings_the_neighbors_and_the_next_cell_has_them(notebook, shots, note):
    page = notebook
    labdriver.run_cell(page, 2)
    page.wait_for_selector(".ssl-probe", timeout=60_000)
    page.wait_for_function(STATUS, arg="done", timeout=120_000)
    page.wait_for_selector(".ssl-probe .ssl-scatter[data-sheet=here]", timeout=60_000)
    labdriver.show(page, ".ssl-probe")
    times = [page.evaluate(CLICK, [".ssl-probe .ssl-scatter canvas", 17 * k - 80, 8 * k - 40]) for k in range(10)]
    assert min(times) > 0
    note(click_to_neighbors_ms=round(statistics.median(times)), click_to_neighbors_worst_ms=round(max(times)))
    labdriver.picture(page, ".ssl-probe", shots / "probe_neighbors.png")
    labdriver.run_cell(page, 3)
    page.wait_for_function("() => document.body.innerText.includes('8 images selected')", timeout=20_000)
    assert labdriver.errors(page) == []


def test_a_lasso_selects_a_group_and_says_what_it_shares(notebook, shots):
    page = notebook
    labdriver.show(page, ".ssl-probe")
    page.locator(".ssl-probe .ssl-scatter button", has_text="Lasso").click()
    box = page.locator(".ssl-probe .ssl-scatter canvas").bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    for dx, dy in ((160, 10), (190, -150), (40, -190), (0, 0)):
        page.mouse.move(x + dx, y + dy, steps=6)
    page.mouse.up()
    page.wait_for_function(WORDS, arg="images share", timeout=20_000)
    labdriver.picture(page, ".ssl-probe", shots / "probe_lasso.png")
    page.locator(".ssl-probe .ssl-scatter canvas").focus()
    page.keyboard.press("Escape")
    page.wait_for_function(WORDS, arg="Lasso a group", timeout=20_000)
    assert labdriver.errors(page) == []


def test_keys_go_from_point_to_point(notebook):
    page = notebook
    page.locator(".ssl-probe .ssl-scatter canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(200)  # it is read out with the next frame
    before = page.locator(".ssl-probe .ssl-scatter output").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_function(WORDS, arg=f"Image {before.split()[1].strip(',')},", timeout=20_000)
    for key in ("+", "+", "v"):
        page.keyboard.press(key)
    page.wait_for_function(WORDS, arg=" images", timeout=20_000)
    for key in ("0", "Escape"):
        page.keyboard.press(key)
    assert page.evaluate(labdriver.NAMELESS) == []


def test_depths_factors_and_tsne_are_a_click_away(notebook, shots):
    page = notebook
    views = page.locator(".ssl-probe .ssl-probe-view button")
    views.nth(1).click()
    page.wait_for_selector(".ssl-probe .js-plotly-plot", timeout=60_000)
    page.wait_for_function(STATUS, arg="done", timeout=180_000)
    page.wait_for_timeout(800)
    labdriver.show(page, ".ssl-probe")
    labdriver.picture(page, ".ssl-probe", shots / "probe_depths.png")
    views.nth(2).click()
    page.wait_for_selector(".ssl-probe .ssl-heat td.ssl-tile-done", timeout=60_000)
    labdriver.picture(page, ".ssl-probe", shots / "probe_factors.png")
    views.nth(3).click()
    page.wait_for_function(STATUS, arg="score 36 of 36", timeout=60_000)
    labdriver.picture(page, ".ssl-probe", shots / "probe_cka.png")
    assert page.evaluate(labdriver.NAMELESS) == []
    views.nth(0).click()
    page.locator(".ssl-probe .ssl-probe-projection select").select_option("t-SNE")
    page.wait_for_function(STATUS, arg="of 500 ·", timeout=120_000)
    during = page.evaluate(CLICK, [".ssl-probe .ssl-scatter canvas", 10, 5])
    assert during > 0
    labdriver.picture(page, ".ssl-probe", shots / "probe_tsne_running.png")
    page.locator(".ssl-probe .ssl-probe-projection select").select_option("PCA")
    page.wait_for_function(STATUS, arg="done", timeout=30_000)
    assert labdriver.errors(page) == []


def test_two_encoders_are_linked_and_a_broken_one_says_what_is_wrong(notebook, shots):
    page = notebook
    page.evaluate("() => document.querySelector('.ssl-probe').classList.add('t-old')")
    labdriver.run_cell(page, 4)
    page.wait_for_selector(".ssl-probe:not(.t-old) .ssl-scatter canvas", timeout=60_000)
    page.wait_for_function(STATUS, arg="done", timeout=120_000)
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-probe:not(.t-old)")
        page.evaluate(CLICK, [".ssl-probe:not(.t-old) .ssl-scatter canvas", 10, 20])
        page.mouse.move(5, 5)
        box = page.locator(".ssl-probe:not(.t-old) .ssl-scatter canvas").first.bounding_box()
        page.mouse.move(box["x"] + 170, box["y"] + 160)
        labdriver.picture(page, ".ssl-probe:not(.t-old)", shots / "probe_two_dark.png")
        page.locator(".ssl-probe:not(.t-old) .ssl-probe-view button").nth(2).click()
        page.wait_for_selector(".ssl-probe:not(.t-old) .ssl-heat td.ssl-tile-done", timeout=120_000)
        page.wait_for_function(STATUS, arg="done", timeout=120_000)
        page.wait_for_timeout(500)
        labdriver.show(page, ".ssl-probe:not(.t-old)")
        labdriver.picture(page, ".ssl-probe:not(.t-old)", shots / "probe_two_factors_dark.png")
        labdriver.run_cell(page, 5)
        page.wait_for_function(
            STATUS, arg="failed · TypeError: encoder: the encoder returned a tensor of shape", timeout=60_000
        )
    assert labdriver.errors(page) == []
