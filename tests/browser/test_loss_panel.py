"""The points of LossPanel under a real mouse and real keys."""

import statistics
import time

import labdriver
import pytest

from ssl_toolkit.widgets import LossPanel

pytestmark = pytest.mark.browser

CELLS = ("from ssl_toolkit.widgets import LossPanel", 'panel = LossPanel("VICReg")\npanel.shared.value = False\npanel')
PICTURE = """() => { const c = document.querySelector('.ssl-plane canvas'); let t = 0;
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  for (let i = 0; i < d.length; i += 4) t = (t * 31 + d[i] + 7 * d[i + 1] + 13 * d[i + 2] + d[i + 3]) % 1e9;
  return t; }"""
NUMBERS = "() => document.querySelector('.ssl-loss-terms').innerText"
SAYS = "(words) => document.querySelector('.ssl-loss .ssl-metrics').innerText.includes(words)"
STATE = labdriver.in_state(".ssl-loss")


@pytest.fixture(scope="module")
def panel(lab, page):
    labdriver.open_cells(page, lab, "plane.ipynb", CELLS)
    labdriver.run_all(page)
    page.wait_for_selector(".ssl-plane canvas", timeout=60_000)
    labdriver.show(page, ".ssl-loss")
    return page


def choose(page, control: str, option: str) -> None:
    page.locator(f".ssl-loss-{control} select").select_option(label=option)


def place(page, index: int) -> tuple[float, float]:
    """Where on the screen a point is before anything has moved."""
    twin = LossPanel("VICReg")
    x, y = twin.points.z.flatten(0, 1)[index].tolist()
    box = page.locator(".ssl-plane canvas").bounding_box()
    unit = box["width"] / 2 / twin.canvas.reach
    return box["x"] + box["width"] / 2 + unit * x, box["y"] + box["height"] / 2 - unit * y


def test_a_point_is_dragged_and_the_numbers_answer(panel, note, shots):
    page = panel
    labdriver.picture(page, ".ssl-loss", shots / "loss_idle.png")
    x, y = place(page, 8 + 2)
    picture = page.evaluate(PICTURE)
    page.mouse.move(x, y)
    assert "image 3, second view" in page.locator(".ssl-plane output").inner_text()
    page.mouse.down()
    latencies = []
    for i in range(1, 16):
        old = page.evaluate(NUMBERS)
        began = time.perf_counter()
        page.mouse.move(x - 6 * i, y - 3 * i)
        page.wait_for_function(f"(old) => ({NUMBERS})() !== old", arg=old, timeout=5_000, polling=2)
        latencies.append(1000 * (time.perf_counter() - began))
    labdriver.picture(page, ".ssl-loss", shots / "loss_dragged.png")
    page.mouse.up()
    note(
        drag_to_numbers_ms=[round(v) for v in latencies], drag_to_numbers_ms_median=round(statistics.median(latencies))
    )
    assert page.evaluate(PICTURE) != picture
    page.mouse.move(5, 5)
    page.mouse.move(x - 90, y - 45)  # there it stays, and the free points have not moved
    assert "image 3, second view" in page.locator(".ssl-plane output").inner_text()
    page.mouse.move(*place(page, 0))
    assert "image 1, first view" in page.locator(".ssl-plane output").inner_text()
    assert statistics.median(latencies) < 1000  # 100 on a machine that does nothing else
    assert labdriver.errors(page) == []


def test_keys_choose_a_point_and_move_it_and_jupyterlab_does_not_hear_them(panel):
    page = panel
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    count = page.evaluate(cells)
    canvas, says = page.locator(".ssl-plane canvas"), page.locator(".ssl-plane output")
    page.mouse.move(5, 5)
    canvas.focus()
    page.keyboard.press("n")
    first = says.inner_text()
    page.keyboard.press("n")
    chosen, numbers = says.inner_text(), page.evaluate(NUMBERS)
    assert chosen.split(" at ")[0] != first.split(" at ")[0]
    for _ in range(5):
        page.keyboard.press("Shift+ArrowUp")
    page.wait_for_function(f"(old) => ({NUMBERS})() !== old", arg=numbers, timeout=5_000)
    page.wait_for_timeout(600)
    (x0, y0), (x1, y1) = (
        [float(v) for v in t.split("(")[1].rstrip(")").split(", ")] for t in (chosen, says.inner_text())
    )
    assert (x1, y1) == (x0, pytest.approx(y0 + 5 * 0.25, abs=0.02))
    for key in "abddxp":  # commands of JupyterLab for a cell
        page.keyboard.press(key)
    assert page.evaluate(cells) == count
    assert labdriver.errors(page) == []


def test_a_bad_preset_is_played_to_its_collapse(panel, note, shots):
    page = panel
    labdriver.show(page, ".ssl-loss")
    choose(page, "preset", "VICReg without variance")
    page.wait_for_function(SAYS, arg="spread", timeout=10_000)
    page.locator(".ssl-loss .ssl-play").click()
    page.wait_for_timeout(1200)
    labdriver.picture(page, ".ssl-loss", shots / "loss_running.png")
    page.wait_for_function(STATE, arg="done", timeout=60_000)
    page.wait_for_function(SAYS, arg="collapsed to a point", timeout=5_000)
    labdriver.picture(page, ".ssl-loss", shots / "loss_collapsed.png")
    page.locator(".ssl-loss .ssl-reset").click()
    page.wait_for_function(SAYS, arg="spread", timeout=5_000)
    assert labdriver.errors(page) == []


def test_every_loss_can_be_looked_at_in_both_themes(panel, shots):
    page = panel
    for preset in ("SimCLR", "BYOL"):
        choose(page, "preset", preset)
        page.wait_for_function(STATE, arg="idle", timeout=10_000)
        page.locator(".ssl-loss .ssl-play").click()
        page.wait_for_timeout(3000)
        page.locator(".ssl-loss .ssl-play").click()
        page.wait_for_function(STATE, arg="paused", timeout=10_000)
        labdriver.picture(page, ".ssl-loss", shots / f"loss_{preset.lower()}.png")
    light = page.evaluate(PICTURE)
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-loss")
        labdriver.picture(page, ".ssl-loss", shots / "loss_dark.png")
        assert page.evaluate(PICTURE) != light  # drawn again in the theme's ink
    assert page.evaluate(labdriver.NAMELESS) == []
    assert labdriver.errors(page) == []
