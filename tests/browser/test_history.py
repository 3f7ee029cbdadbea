"""How a map forms, run through in the browser: by hand, by keys and by itself."""

import time
from itertools import pairwise

import labdriver
import pytest

pytestmark = pytest.mark.browser

CELL = """
import ssl_toolkit as stk
panel = stk.TrainPanel(stk.load_data("digits", size=28), stk.Recipe(steps=120, batch_size=64, width=128), every=8)
panel
"""
MAP = ".ssl-train .ssl-history"
MOMENT = f"() => Number(document.querySelector('{MAP}').dataset.moment)"
DRAWN = f"() => Number(document.querySelector('{MAP}').dataset.drawn)"
STATUS = "() => document.querySelector('.ssl-train .ssl-status').textContent"
CAPTION = f"() => document.querySelector('{MAP} .ssl-history-bar output').textContent"
INK = f"""() => {{ const c = document.querySelector('{MAP} .ssl-stack canvas');
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let t = 0;
  for (let i = 3; i < d.length; i += 4) t = (t * 31 + d[i]) % 1e9; return t; }}"""


@pytest.fixture(scope="module")
def trained(lab, page, shots):
    labdriver.open_panel(page, lab, "history.ipynb", (CELL,), ".ssl-train .js-plotly-plot", f"{MAP} .ssl-history-empty")
    assert "first snapshot" in page.locator(MAP).inner_text()
    labdriver.picture(page, ".ssl-train", shots / "history_empty.png")
    page.locator(".ssl-train .ssl-play").click()
    page.wait_for_function(f"({CAPTION[6:]}) !== ''", timeout=120_000)
    labdriver.picture(page, ".ssl-train", shots / "history_running.png")
    assert page.locator(f"{MAP} input[type=range]").is_disabled()
    page.wait_for_function(labdriver.in_state(".ssl-train"), arg="done", timeout=240_000)
    page.wait_for_function(f"({CAPTION[6:]}).startsWith('step 120 ')", timeout=20_000)
    labdriver.show(page, ".ssl-train")
    labdriver.picture(page, ".ssl-train", shots / "history_done.png")
    return page


def test_keys_go_from_moment_to_moment_and_the_panel_follows(trained, note, shots):
    page = trained
    slider = page.locator(f"{MAP} input[type=range]")
    slider.focus()
    before = page.evaluate(INK)
    began = time.perf_counter()
    page.keyboard.press("Home")
    page.wait_for_function(f"(b) => ({INK})() !== b", arg=before, timeout=5000, polling=5)
    note(history_first_motion_ms=round(1000 * (time.perf_counter() - began)))
    page.wait_for_function(f"({STATUS[6:]}).startsWith('looking back · step 0 ')", timeout=10_000, polling=5)
    note(history_panel_follows_ms=round(1000 * (time.perf_counter() - began)))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"({STATUS[6:]}).startsWith('looking back · step 16 ')", timeout=10_000)
    assert page.evaluate(CAPTION).startswith("step 16 · kNN")
    page.keyboard.press("End")
    page.wait_for_function(f"({CAPTION[6:]}).startsWith('step 120 ')", timeout=5000)
    assert labdriver.errors(page) == []


def test_a_hand_on_the_slider_moves_the_points_and_comes_to_rest_at_a_moment(trained, note, shots):
    page = trained
    slider = page.locator(f"{MAP} input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 8, y)
    page.mouse.down()
    drawn, before = page.evaluate(DRAWN), page.evaluate(INK)
    began = time.perf_counter()
    for i in range(60):
        page.mouse.move(box["x"] + box["width"] * (1 - 0.6 * i / 59) - 8, y)
        page.wait_for_timeout(10)
    note(history_drag_frames_a_second=round((page.evaluate(DRAWN) - drawn) / (time.perf_counter() - began)))
    assert slider.input_value() != str(page.evaluate(MOMENT))  # between two moments
    assert page.evaluate(INK) != before
    page.mouse.up()
    page.wait_for_timeout(400)
    value = float(slider.input_value())
    assert value == page.evaluate(MOMENT)
    step = 8 * int(value)
    page.wait_for_function(f"({STATUS[6:]}).startsWith('looking back · step {step} ')", timeout=10_000)
    stack = page.locator(f"{MAP} .ssl-stack canvas").first
    stack.focus()
    page.keyboard.press("ArrowRight")
    labdriver.picture(page, ".ssl-train", shots / "history_back.png")
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-train")
        stack.focus()
        page.keyboard.press("ArrowRight")
        labdriver.picture(page, ".ssl-train", shots / "history_dark.png")
    assert labdriver.errors(page) == []


def test_play_runs_through_all_and_begins_anew(trained, note):
    page = trained
    play = page.locator(f"{MAP} .ssl-history-bar button")
    play.click()
    seen, began = [], time.perf_counter()
    drawn = page.evaluate(DRAWN)
    while time.perf_counter() - began < 7:
        seen.append(page.evaluate(MOMENT))
        page.wait_for_timeout(50)
    note(history_play_frames_a_second=round((page.evaluate(DRAWN) - drawn) / (time.perf_counter() - began)))
    assert max(seen) == 15
    assert any(a > b for a, b in pairwise(seen))  # anew
    play.focus()
    page.keyboard.press("Space")
    assert play.get_attribute("aria-label").startswith("Play")
    page.wait_for_timeout(600)
    assert f"step {8 * page.evaluate(MOMENT)} of" in page.evaluate(STATUS)
    assert page.evaluate(labdriver.NAMELESS) == []
    assert labdriver.errors(page) == []
