"""The sweep panel as a person meets it: a map that fills, places that are picked by mouse and by keys."""

import labdriver
import pytest

pytestmark = pytest.mark.browser

SETUP = """
from ssl_toolkit import load_data
from ssl_toolkit.augment import simclr_views
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import joint_embedding
from ssl_toolkit.losses import nt_xent
from ssl_toolkit.encoders import embed
from ssl_toolkit.probes import knn_accuracy, rankme
from ssl_toolkit.training.sweep import grid
from ssl_toolkit.training import start, train
from ssl_toolkit.widgets import SweepPanel
data, test = load_data("shapes", limit=200), load_data("shapes", split="test", limit=200)
objective = joint_embedding(nt_xent, simclr_views(32))

def run(setting):
    state = start(small_conv(3, seed=setting["seed"]), lr=setting["lr"], total=12)
    steps = train(state, data, objective, until=12, batch_size=setting["batch"], seed=setting["seed"])
    for step in steps:
        yield {"step": step.step, "loss": step.loss}
    z, q = embed(state.model, data.images), embed(state.model, test.images)
    yield {"kNN accuracy": knn_accuracy(z, data.labels, q, test.labels), "RankMe": rankme(q)}
"""
PANEL = """
settings = grid(batch=[16, 64], lr=[1e-4, 1e-3, 1e30], seed=[0, 1])
panel = SweepPanel(run, settings, path="lr.jsonl", chance=1 / len(data.classes))
panel
"""
FILE = 'SweepPanel(path="lr.jsonl", value="RankMe")'
STATE = labdriver.in_state(".ssl-sweep")
COUNT = "(s) => document.querySelectorAll('.ssl-sweep .ssl-heat td.ssl-tile-' + s).length"
TITLE = "(t) => (document.querySelector('.ssl-sweep .gtitle') || {}).textContent === t"


@pytest.fixture(scope="module")
def notebook(lab, page):
    seen = (".ssl-sweep .ssl-heat td.ssl-tile-empty", ".ssl-sweep .js-plotly-plot")
    return labdriver.open_panel(page, lab, "sweep.ipynb", (SETUP, PANEL, FILE), *seen, run=2)


def test_the_map_fills_live_and_its_places_are_picked(notebook, shots):
    page = notebook
    labdriver.show(page, ".ssl-sweep")
    labdriver.picture(page, ".ssl-sweep", shots / "sweep_idle.png")
    page.locator(".ssl-sweep .ssl-play").click()
    page.wait_for_function(f"() => ({COUNT})('done') >= 2 && ({COUNT})('running') === 1", timeout=120_000)
    labdriver.picture(page, ".ssl-sweep", shots / "sweep_running.png")
    page.locator(".ssl-sweep td.ssl-tile-done").first.click()
    page.wait_for_function(TITLE, arg="batch 16, lr 0.0001", timeout=20_000)
    page.wait_for_function(STATE, arg="done", timeout=240_000)
    assert page.evaluate(COUNT, "failed") == 2
    assert page.locator(".ssl-sweep td.ssl-best").count() == 1
    page.locator(".ssl-sweep td.ssl-tile-done").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(TITLE, arg="batch 16, lr 0.001", timeout=20_000)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_function(TITLE, arg="batch 64, lr 0.0001", timeout=20_000)
    labdriver.picture(page, ".ssl-sweep", shots / "sweep_done.png")
    with labdriver.dark(page):
        labdriver.show(page, ".ssl-sweep")
        page.locator(".ssl-sweep td.ssl-tile-failed").first.click()
        page.wait_for_function(TITLE, arg="batch 16, lr 1e+30: no curve", timeout=20_000)
        labdriver.picture(page, ".ssl-sweep", shots / "sweep_dark.png")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.querySelector('.ssl-sweep td[aria-selected=true]')", timeout=10_000)
    assert labdriver.errors(page) == []


def test_every_control_has_a_name_and_is_reached_by_keys(notebook):
    assert notebook.evaluate(labdriver.NAMELESS) == []
    reached = "() => document.querySelectorAll('.ssl-sweep .ssl-heat td[tabindex=\"0\"][aria-label]').length"
    assert notebook.evaluate(reached) == 1


def test_the_file_is_shown_without_running_anything(notebook, shots):
    page = notebook
    page.evaluate("() => document.querySelector('.ssl-sweep').classList.add('t-old')")
    labdriver.run_cell(page, 2)
    page.wait_for_selector(".ssl-sweep:not(.t-old) td.ssl-best", timeout=60_000)
    assert page.locator(".ssl-sweep:not(.t-old) .ssl-player").count() == 0
    labdriver.show(page, ".ssl-sweep:not(.t-old)")
    labdriver.picture(page, ".ssl-sweep:not(.t-old)", shots / "sweep_file.png")
    assert labdriver.errors(page) == []
