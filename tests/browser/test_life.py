"""What happens around a panel: keys alone, two at work, a page reloaded, a kernel that goes, Notebook 7."""

import contextlib

import labdriver
import pytest
from playwright.sync_api import TimeoutError

pytestmark = pytest.mark.browser

SETUP = """
from ssl_toolkit import Recipe, load_data
from ssl_toolkit.widgets import TrainPanel
data, recipe = load_data("shapes", limit=600), Recipe(steps=5000, batch_size=16, width=16, projector=(16, 8))
"""
PANELS = [f"{name} = TrainPanel(data, recipe, every=200, name='{name}')\n{name}" for name in "ab"]
TASKS = """
import asyncio
print("players at work:", sum("Player._run" in repr(task) for task in asyncio.all_tasks()))
"""
STEP = """(i) => { const status = [...document.querySelectorAll('.ssl-train .ssl-status')][i];
  const found = /step ([\\d,]+) of/.exec(status ? status.textContent : '');
  return found ? Number(found[1].replaceAll(',', '')) : 0; }"""
STATE = """([i, s]) => { const all = document.querySelectorAll('.ssl-train .ssl-player');
  return !!all[i] && all[i].classList.contains('ssl-state-' + s); }"""
# of what is focused: where it is, and what a person or a screen reader calls it
FOCUSED = """() => { const e = document.activeElement, panel = e.closest('.ssl-train');
  if (!panel) return null;
  const box = e.getBoundingClientRect(), row = e.closest('.widget-inline-hbox');
  return {x: box.x, y: box.y, width: box.width, height: box.height,
    name: (e.getAttribute('aria-label') || (e.labels && e.labels[0] || row && row.querySelector('label') || e).innerText
      || e.title).trim()}; }"""
GRID = "queries and their neighbors: 16 images; arrow keys move, Enter picks"
IN_ORDER = [
    *("Preset", "Play", "Step", "Reset", "Method", "Steps", "Rate", "Crop from", "More"),
    *("Width", "Batch", "Seed", "Probe every depth", "Temp.", "Jitter", "Hue", "Gray", "File", "Save", "Load", GRID),
]


@pytest.fixture(scope="module")
def notebook(lab, page):
    return labdriver.open_panel(page, lab, "life.ipynb", (SETUP, *PANELS, TASKS), ".ssl-train .js-plotly-plot", run=2)


def make(page, cells) -> None:
    """Run the cells and wait until a panel, the second for the last of them, is drawn."""
    for i in cells:
        labdriver.run_cell(page, i)
    page.wait_for_function(
        "(n) => document.querySelectorAll('.ssl-train .js-plotly-plot').length === n", arg=max(cells), timeout=90_000
    )


def press(page, index: int) -> None:
    page.locator(".ssl-train .ssl-play").nth(index).click()


def is_at_work(page, index: int) -> int:
    """Wait until this panel has gone on from where it is now, and say where that is."""
    before = page.evaluate(STEP, index)
    page.wait_for_function(f"([i, b]) => ({STEP})(i) > b", arg=[index, before], timeout=60_000)
    return before


def has_players_at_work(page, count: int, cell: int = 3) -> bool:
    """Ask the kernel for its tasks; one that was stopped just now may take a rest of its last turn."""
    for _ in range(5):
        page.evaluate(
            "(i) => window.jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.setOutputs([])", cell
        )
        labdriver.run_cell(page, cell)
        page.wait_for_function("() => /players at work: \\d/.test(document.body.innerText)", timeout=60_000)
        if page.evaluate("() => Number(/players at work: (\\d)/.exec(document.body.innerText)[1])") == count:
            return True
        page.wait_for_timeout(300)
    return False


def test_keys_alone_reach_and_use_every_control_and_where_they_are_is_seen(notebook):
    page, names, unseen = notebook, [], []
    labdriver.show(page, ".ssl-train")
    page.locator(".ssl-train .ssl-more-button").first.click()
    page.locator(".ssl-train select").first.focus()
    for _ in range(80):
        focused = page.evaluate(FOCUSED)
        if focused is None or (focused["name"] == "Preset" and names):
            break
        names.append(focused["name"])
        around = {"x": max(0, focused["x"] - 6), "y": max(0, focused["y"] - 6)}
        around |= {"width": focused["width"] + 12, "height": focused["height"] + 12}
        seen = page.screenshot(clip=around)
        page.keyboard.press("Tab")
        if page.screenshot(clip=around) == seen:
            unseen.append(focused["name"])
    assert unseen == []
    assert [name for name in dict.fromkeys(names) if name in IN_ORDER] == IN_ORDER

    grid = page.locator(".ssl-train .ssl-grid canvas").first
    grid.focus()
    before = grid.screenshot()
    page.keyboard.press("ArrowRight")
    assert grid.screenshot() != before
    rate = page.locator(".ssl-train .ssl-train-rate").first
    rate.locator("[role=slider]").focus()
    before = rate.inner_text()
    page.keyboard.press("ArrowRight")
    assert rate.inner_text() != before
    page.locator(".ssl-train .ssl-play").first.focus()
    for key, state in (("Space", "running"), ("Enter", "paused")):
        page.keyboard.press(key)
        page.wait_for_function(STATE, arg=[0, state], timeout=30_000)
    assert labdriver.errors(page) == []


def test_a_page_reloaded_while_a_panel_trains_finds_it_at_work(notebook, lab, shots):
    page = notebook
    press(page, 0)
    before = is_at_work(page, 0)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save').then(() => null)")
    for _ in range(3):  # ipywidgets gives a kernel four seconds to answer, which is little where others use the cores
        labdriver.open_notebook(page, lab, "life.ipynb")
        with contextlib.suppress(TimeoutError):
            page.wait_for_selector(".ssl-train .js-plotly-plot", timeout=20_000)
            break
    page.wait_for_function(STATE, arg=[0, "running"], timeout=30_000)
    is_at_work(page, 0)
    assert page.evaluate(STEP, 0) > before
    assert page.evaluate("() => document.querySelector('.ssl-train .js-plotly-plot').data[0].x.length") > before
    press(page, 0)
    page.wait_for_function(STATE, arg=[0, "paused"], timeout=20_000)
    labdriver.show(page, ".ssl-train")
    page.screenshot(path=str(shots / "life_reloaded.png"))
    assert labdriver.errors(page) == []


def test_two_panels_train_at_once_and_each_stops_by_itself(notebook, shots):
    page = notebook
    make(page, cells=(2,))
    for i in (0, 1):
        press(page, i)
        page.wait_for_function(STATE, arg=[i, "running"], timeout=30_000)
    for i in (0, 1):
        is_at_work(page, i)
    assert has_players_at_work(page, 2)
    press(page, 0)
    page.wait_for_function(STATE, arg=[0, "paused"], timeout=20_000)
    page.wait_for_timeout(300)
    stopped = page.evaluate(STEP, 0)
    is_at_work(page, 1)
    assert page.evaluate(STEP, 0) == stopped
    press(page, 1)
    page.wait_for_function(STATE, arg=[1, "paused"], timeout=20_000)
    assert has_players_at_work(page, 0)
    assert labdriver.errors(page) == []


def test_when_the_kernel_goes_the_panel_says_so_and_its_cell_makes_a_new_one(notebook, shots):
    page = notebook
    press(page, 1)
    is_at_work(page, 1)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function(labdriver.READY, timeout=60_000)
    page.wait_for_selector(".ssl-train.jupyter-widgets-disconnected", state="attached", timeout=20_000)
    labdriver.show(page, ".ssl-train")
    page.screenshot(path=str(shots / "life_restarted.png"))
    make(page, cells=range(3))
    page.wait_for_function(STATE, arg=[1, "idle"], timeout=30_000)
    assert has_players_at_work(page, 0)
    press(page, 1)
    is_at_work(page, 1)
    assert has_players_at_work(page, 1)
    press(page, 1)
    assert labdriver.errors(page) == []


def test_a_panel_works_in_notebook_7(lab, page, shots):
    labdriver.shut_kernels(lab)
    page.goto(f"{lab.base}/notebooks/life.ipynb?token={lab.token}", wait_until="domcontentloaded")
    page.wait_for_function(labdriver.READY, timeout=60_000)
    make(page, cells=(0, 1))
    press(page, 0)
    is_at_work(page, 0)
    press(page, 0)
    page.wait_for_function(STATE, arg=[0, "paused"], timeout=20_000)
    page.screenshot(path=str(shots / "life_notebook_7.png"))
    assert labdriver.errors(page) == []
