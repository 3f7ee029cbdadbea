"""The panels as a person meets them: a real kernel, a real page, real clicks."""

import statistics
import time

import labdriver
import pytest

pytestmark = pytest.mark.browser

SETUP = """
import torch
from ssl_toolkit import Recipe, load_data
from ssl_toolkit.encoders import embed
from ssl_toolkit.probes import rankme
from ssl_toolkit.widgets import ImageGrid, TrainPanel, ViewsPanel
data = load_data("shapes", limit=4000)
"""
TRAIN = "panel = TrainPanel(data, Recipe(steps=2000, batch_size=64), every=20)\npanel"
PROBE = """
before = panel.train_state.step
print("rank", round(rankme(embed(panel.train_state.model, data.images[:200])), 1))
print("still training" if panel.train_state.model.training and panel.player.state == "running" else panel.player.state)
"""
VIEWS = "views = ViewsPanel(data)\nviews"
GRID = """
import ipywidgets as w
seen = w.Label("0"); seen.add_class("t-seen"); picked = []
grid = ImageGrid(data.images[:40], columns=10)
grid.add_class("t-grid")
grid.on_pick(lambda i: (picked.append(i), setattr(seen, "value", str(len(picked)))))
w.VBox([grid, seen])
"""
TASKS = """
import asyncio
print("players at work:", sum("Player._run" in repr(task) for task in asyncio.all_tasks()))
"""
STATE = labdriver.in_state(".ssl-train")


@pytest.fixture(scope="module")
def notebook(lab, page):
    labdriver.open_cells(page, lab, "panels.ipynb", (SETUP, TRAIN, PROBE, VIEWS, GRID, TASKS))
    for i in (0, 1, 3, 4):
        labdriver.run_cell(page, i)
        page.wait_for_function(
            f"() => window.jupyterapp.shell.currentWidget.content.widgets[{i}].model.executionCount !== null",
            timeout=60_000,
        )
    page.wait_for_selector(".ssl-train .ssl-grid canvas", timeout=60_000)
    page.wait_for_selector(".t-grid canvas", timeout=60_000)
    assert labdriver.errors(page) == []
    return page


def test_a_run_is_played_paused_and_probed_while_it_trains(notebook, note, shots):
    page = notebook
    labdriver.show(page, ".ssl-train")
    labdriver.picture(page, ".ssl-train", shots / "train_idle.png")
    page.locator(".ssl-train .ssl-play").click()
    page.wait_for_function(STATE, arg="running", timeout=20_000)
    page.wait_for_function(
        "() => /step [1-9][0-9]+ of/.test(document.querySelector('.ssl-train .ssl-status').textContent)",
        timeout=120_000,
    )
    latencies = []
    for _ in range(7):
        page.wait_for_timeout(400)
        began = time.perf_counter()
        page.locator(".ssl-train .ssl-play").click()
        page.wait_for_function(STATE, arg="paused", timeout=10_000, polling=5)
        latencies.append(1000 * (time.perf_counter() - began))
        page.locator(".ssl-train .ssl-play").click()
        page.wait_for_function(STATE, arg="running", timeout=10_000, polling=5)
    note(pause_shown_ms=[round(v) for v in latencies], pause_shown_ms_median=round(statistics.median(latencies)))
    assert statistics.median(latencies) < 2000

    began = time.perf_counter()
    labdriver.run_cell(page, 2)
    page.wait_for_function("() => document.body.innerText.includes('still training')", timeout=30_000)
    note(other_cell_ms=round(1000 * (time.perf_counter() - began)))
    labdriver.show(page, ".ssl-train")
    page.wait_for_timeout(6000)
    labdriver.picture(page, ".ssl-train", shots / "train_running.png")
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-train")
        labdriver.picture(page, ".ssl-train", shots / "train_dark.png")
    page.locator(".ssl-train .ssl-play").click()
    page.wait_for_function(STATE, arg="paused", timeout=10_000)
    assert labdriver.errors(page) == []


def test_after_a_run_one_can_look_back_at_it(notebook, shots):
    page = notebook
    back = page.locator(".ssl-train .ssl-history input[type=range]")
    status = "() => document.querySelector('.ssl-train .ssl-status').textContent"
    before = page.evaluate(status)
    back.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"(b) => ({status})() !== b", arg=before, timeout=10_000)
    labdriver.picture(page, ".ssl-train", shots / "train_back.png")
    assert labdriver.errors(page) == []


def test_running_the_cell_again_leaves_one_task(notebook):
    page = notebook
    page.locator(".ssl-train .ssl-play").click()
    page.wait_for_function(STATE, arg="running", timeout=20_000)
    page.evaluate("() => document.querySelector('.ssl-train').classList.add('t-old')")
    labdriver.run_cell(page, 1)
    page.wait_for_function("() => document.querySelector('.ssl-train:not(.t-old) .js-plotly-plot')", timeout=60_000)
    page.locator(".ssl-train .ssl-play").focus()
    page.keyboard.press("Space")
    page.wait_for_function(STATE, arg="running", timeout=20_000)
    labdriver.run_cell(page, 5)
    page.wait_for_function("() => document.body.innerText.includes('players at work: 1')", timeout=30_000)
    page.locator(".ssl-train .ssl-play").click()
    page.wait_for_function(STATE, arg="paused", timeout=10_000)


def test_every_control_has_a_name_and_is_reached_by_keys(notebook):
    assert notebook.evaluate(labdriver.NAMELESS) == []


def test_a_slider_changes_the_views(notebook, note, shots):
    page = notebook
    labdriver.show(page, ".ssl-views")
    labdriver.picture(page, ".ssl-views", shots / "views.png")
    handle = page.locator(".ssl-views-noise .noUi-handle")
    grid = ".ssl-views .ssl-grid >> nth=1"
    latencies = []
    handle.focus()
    picture = "() => { const c = document.querySelectorAll('.ssl-views canvas')[1]; const d = " \
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let t = 0; " \
        "for (let i = 0; i < d.length; i += 4) t = (t * 31 + d[i] + 7 * d[i + 1]) % 1e9; return t; }"  # fmt: skip
    assert page.locator(grid).count() == 1
    for _ in range(10):
        before = page.evaluate(picture)
        began = time.perf_counter()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"(b) => ({picture})() !== b", arg=before, timeout=10_000, polling=5)
        latencies.append(1000 * (time.perf_counter() - began))
        page.wait_for_timeout(100)
    note(views_slider_ms_median=round(statistics.median(latencies)))
    labdriver.picture(page, ".ssl-views", shots / "views_noise.png")
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-views")
        labdriver.picture(page, ".ssl-views", shots / "views_dark.png")


def click_twenty(page) -> None:
    labdriver.show(page, ".t-grid")
    box = page.locator(".t-grid canvas").bounding_box()
    for i in range(20):
        page.mouse.click(box["x"] + (i % 10 + 0.5) * box["width"] / 10, box["y"] + (i // 10 + 0.5) * box["height"] / 4)
    page.wait_for_function("() => document.querySelector('.t-seen').textContent.trim() === '20'", timeout=10_000)


def test_every_click_on_a_grid_arrives_and_keys_do_as_well(notebook, note):
    page = notebook
    click_twenty(page)
    page.locator(".t-grid canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.t-seen').textContent.trim() === '21'", timeout=10_000)
    note(clicks_arrived="20 of 20")
    assert labdriver.errors(page) == []


def test_every_click_arrives_over_a_slow_connection(lab, notebook, note):
    page = notebook
    with labdriver.with_latency(lab.base, round_trip=0.15) as slow:
        labdriver.open_cells(page, lab, "clicks.ipynb", (SETUP, GRID), base=slow)
        labdriver.run_all(page)
        page.wait_for_selector(".t-grid canvas", timeout=60_000)
        click_twenty(page)
        note(clicks_arrived_with_150_ms="20 of 20")
        assert labdriver.errors(page) == []
