"""The map as a person works with it: 100,000 points, images on zoom, lassos, undo, search, reviews, tags."""

import json
import re

import labdriver
import pytest

pytestmark = pytest.mark.browser

SETUP = """
import json, time
import numpy as np, torch
import ssl_toolkit as stk
"""
# ten clouds; the picture of a row has its class in its color
BIG = """
n = 100_000
y = torch.arange(n) % 10
g = stk.rng(0)
z = torch.randn(10, 64, generator=g)[y] * 2 + torch.randn(n, 64, generator=g)
pictures = (25 * y[:, None, None, None]).expand(n, 3, 16, 16).to(torch.uint8).clone()
pictures[:, 0, 4:12, 4:12] = 255
began = time.perf_counter()
table = {"class": [f"kind {int(i)}" for i in y], "name": [f"row-{i}" for i in range(n)]}
big = stk.explore(z=z, images=pictures, table=table)
print("MADE", round(time.perf_counter() - began, 2))
big
"""
SENT = """
c = big.scatter
print("BYTES", json.dumps({k: len(getattr(c, k)) for k in ("points", "color", "values", "sheet", "selected")}))
print("SELECTED", len(big.selection), big.scatter.asks)
"""
REVIEW = """
data = stk.load_data("garments", limit=1500)
wrong = torch.arange(0, 1500, 20)
data.labels[wrong] = (data.labels[wrong] + 1 + torch.arange(75) % 9) % 10
twice = list(range(1500)) + list(range(10))
panel = stk.explore(stk.zoo.load("garments-simclr"), data[twice])
panel
"""
ASK = """
print("ROWS", len(panel.selected()), len(panel.selection), panel.scatter.picked, sum(t == "odd" for t in panel.tags))
"""
ROOT = ".ssl-probe:last-of-type .ssl-scatter"
CANVAS = ".ssl-scatter .ssl-stack canvas"
DATA = "(k) => [...document.querySelectorAll('.ssl-scatter')].at(-1)?.dataset[k]"
PAN = """() => new Promise((done) => {
  const root = [...document.querySelectorAll('.ssl-scatter')].at(-1), c = root.querySelector('.ssl-stack canvas');
  const b = c.getBoundingClientRect();
  c.setPointerCapture = () => 0;
  const at = (type, x, y) => c.dispatchEvent(
    new PointerEvent(type, {bubbles: true, clientX: b.left + x, clientY: b.top + y, pointerId: 1, button: 0}));
  at('pointermove', 200, 200);
  at('pointerdown', 200, 200);
  const before = Number(root.dataset.frames), began = performance.now();
  const step = () => {
    const t = (performance.now() - began) / 2000;
    at('pointermove', 208 + 60 * Math.sin(9 * t), 200 + 60 * Math.cos(7 * t));
    if (t < 1) return requestAnimationFrame(step);
    at('pointermove', 200, 200);
    at('pointerup', 200, 200);
    done((Number(root.dataset.frames) - before) / 2);
  };
  requestAnimationFrame(step);
})"""
READOUT = "() => [...document.querySelectorAll('.ssl-scatter output')].at(-1).textContent"
STATUS = "(t) => [...document.querySelectorAll('.ssl-probe .ssl-status')].at(-1)?.innerText.includes(t)"


def printed(page, index: int, word: str) -> str:
    page.evaluate(
        "(i) => window.jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.setOutputs([])", index
    )
    labdriver.run_cell(page, index)
    page.wait_for_function(f"() => /^{word} .*$/m.test(document.body.innerText)", timeout=60_000)
    return page.evaluate(f"() => /^{word} (.*)$/m.exec(document.body.innerText)[1]")


def selected(page) -> int:
    """How many the canvas says are selected, once it has drawn."""
    page.wait_for_timeout(400)
    found = re.search(r"([\d,]+) of [\d,]+ selected", page.evaluate(READOUT))
    return int(found.group(1).replace(",", "")) if found else 0


def lasso(page, corners, *keys) -> None:
    """Around a rectangle, given in shares of the canvas, with keys held."""
    box = page.locator(CANVAS).last.bounding_box()
    (x0, y0), (x1, y1) = ((box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in corners)
    for key in keys:
        page.keyboard.down(key)
    page.mouse.move(x0, y0)
    page.mouse.down()
    for x, y in ((x1, y0), (x1, y1), (x0, y1), (x0, y0)):
        page.mouse.move(x, y, steps=3)
    page.mouse.up()
    for key in keys:
        page.keyboard.up(key)


@pytest.fixture(scope="module")
def notebook(lab, page):
    labdriver.open_cells(page, lab, "map.ipynb", (SETUP, BIG, SENT, REVIEW, ASK))
    labdriver.run_cell(page, 0)
    page.wait_for_timeout(300)
    page.wait_for_function(labdriver.READY, timeout=60_000)
    return page


def test_a_hundred_thousand_points_are_seen_and_move_with_the_hand(notebook, shots, note):
    page = notebook
    began = page.evaluate("() => performance.now()")
    labdriver.run_cell(page, 1)
    page.wait_for_function(f"() => ({DATA})('drawn') === '100000'", timeout=120_000)
    seen = page.evaluate("() => performance.now()") - began
    page.wait_for_function(STATUS, arg="done", timeout=60_000)
    labdriver.show(page, ".ssl-probe")
    frames = page.evaluate(PAN)
    page.wait_for_function(f"() => ({DATA})('share') === '1'", timeout=10_000)  # at rest, all of them are drawn
    labdriver.picture(page, ".ssl-probe", shots / "map_100000.png")
    sent = json.loads(printed(page, 2, "BYTES"))
    note(map_visible_ms=round(seen), map_pan_fps=round(frames, 1), map_bytes=sum(sent.values()))
    assert sum(sent.values()) < 2_000_000
    assert frames > 0
    assert page.locator(".ssl-scatter button", has_text="Contours").get_attribute("aria-pressed") == "true"
    assert labdriver.errors(page) == []


def test_images_come_for_what_is_in_view(notebook, shots):
    page = notebook
    page.locator(CANVAS).focus()
    box = page.locator(CANVAS).bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.4 * box["height"])
    page.wait_for_function(f"() => ({READOUT})().includes('row-')", timeout=10_000)  # the words came
    for _ in range(4):
        page.keyboard.press("+")
    page.wait_for_function(f"() => Number(({DATA})('images')) > 20", timeout=10_000)
    labdriver.picture(page, ".ssl-probe", shots / "map_images.png")
    assert page.locator(".ssl-scatter button", has_text="Images").get_attribute("aria-pressed") == "true"
    page.keyboard.press("i")
    page.wait_for_timeout(300)
    assert page.locator(".ssl-scatter button", has_text="Images").get_attribute("aria-pressed") == "false"
    page.keyboard.press("0")
    assert labdriver.errors(page) == []


def test_lassos_add_and_take_away_and_each_can_be_undone(notebook, shots):
    page = notebook
    page.locator(".ssl-scatter button", has_text="Lasso").click()
    lasso(page, ((0.1, 0.1), (0.45, 0.45)))
    one = selected(page)
    lasso(page, ((0.55, 0.55), (0.9, 0.9)), "Shift")
    two = selected(page)
    labdriver.picture(page, ".ssl-probe", shots / "map_lassos.png")
    lasso(page, ((0.1, 0.1), (0.45, 0.45)), "Alt")
    three = selected(page)
    assert two > one > 0
    assert three == two - one
    page.locator(CANVAS).focus()
    page.keyboard.press("Control+z")
    assert selected(page) == two
    page.keyboard.press("Control+z")
    assert selected(page) == one
    page.keyboard.press("Control+Shift+z")
    assert selected(page) == two
    page.locator(".ssl-scatter button", has_text="Undo").click()
    assert selected(page) == one
    page.wait_for_timeout(1500)
    assert printed(page, 2, "SELECTED").split()[0] == str(one)
    assert labdriver.errors(page) == []


def test_a_search_selects_by_name_and_class(notebook):
    page = notebook
    field = page.locator(".ssl-scatter .ssl-find")
    field.fill("row-777")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => ({READOUT})().startsWith('111 of 100,000')", timeout=20_000)
    field.fill("Kind 3")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => ({READOUT})().startsWith('10,000 of 100,000')", timeout=20_000)
    assert page.evaluate(labdriver.NAMELESS) == []
    assert labdriver.errors(page) == []


def test_what_was_looked_for_is_ranked_and_a_click_finds_it_on_the_map(notebook, shots):
    page = notebook
    page.evaluate("() => document.querySelector('.ssl-probe').classList.add('t-old')")
    labdriver.run_cell(page, 3)
    new = ".ssl-probe:not(.t-old)"
    page.wait_for_selector(f"{new} .ssl-scatter[data-sheet=here]", timeout=120_000)
    labdriver.show(page, new)
    for review, word in (
        ("duplicates", "pairs among"),
        ("outliers", "loneliest"),
        ("labels that may be wrong", "labels are wrong"),
    ):
        page.locator(f"{new} .ssl-probe-review select").select_option(review)
        page.wait_for_function(f"() => document.querySelector('{new}').innerText.includes('{word}')", timeout=120_000)
        labdriver.picture(page, new, shots / f"review_{review.split()[0]}.png")
    rows, chosen, _, _ = printed(page, 4, "ROWS").split()
    assert rows == chosen
    assert 20 < int(rows) < 150
    labdriver.show(page, new)
    grid = page.locator(f"{new} .ssl-grid canvas").first
    grid.click(position={"x": 20, "y": 20})
    page.wait_for_function(
        f"() => document.querySelector('{new}').innerText.includes('and its nearest')", timeout=20_000
    )
    labdriver.picture(page, new, shots / "review_picked.png")
    with labdriver.dark(page):
        labdriver.show(page, new)
        labdriver.picture(page, new, shots / "review_dark.png")
    assert int(printed(page, 4, "ROWS").split()[2]) >= 0
    assert page.evaluate(labdriver.NAMELESS) == []
    assert labdriver.errors(page) == []


def test_a_tag_is_a_column_and_a_color(notebook, shots):
    page = notebook
    new = ".ssl-probe:not(.t-old)"
    labdriver.show(page, new)
    page.locator(f"{new} .ssl-probe-tag input").first.fill("odd")
    page.locator(f"{new} button.ssl-probe-tag").click()
    page.wait_for_function(
        f"() => document.querySelector('{new}').innerText.includes('panel.tags is the column')", timeout=20_000
    )
    page.locator(f"{new} .ssl-probe-color select").select_option("tag")
    page.wait_for_function(
        f"() => document.querySelector('{new} .ssl-legend').innerText.includes('odd')", timeout=20_000
    )
    labdriver.picture(page, new, shots / "map_tag.png")
    assert printed(page, 4, "ROWS").split()[3] == "1"  # the picked one, without its neighbors
    assert labdriver.errors(page) == []
