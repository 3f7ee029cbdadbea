"""The panels of edits and of attacks as a person meets them: images are picked, sliders moved, and it answers."""

import time

import labdriver
import pytest

pytestmark = pytest.mark.browser

SETUP = """
from ssl_toolkit import load_data, zoo
from ssl_toolkit.encoders import embed
from ssl_toolkit.probes import linear_probe
from ssl_toolkit.widgets import AttackPanel, EditPanel
data, test = load_data("shapes", limit=1000), load_data("shapes", split="test", limit=100)
encoders = {name: zoo.load(f"shapes-{name}") for name in ("simclr", "supervised")}
painters = {name: zoo.load(f"shapes-{name}-rcdm-representation") for name in encoders}
probes = {
    name: linear_probe(embed(f, data.images), data.labels, embed(f, test.images), test.labels, weight_decays=(1e-2,))
    for name, f in encoders.items()
}
"""
EDIT = 'EditPanel(encoders["simclr"], painters["simclr"], test)'
ATTACK = "AttackPanel(encoders, probes, test, painters=painters)"
FRAME = "() => Number(document.querySelector('.ssl-edit .ssl-chain').dataset.frame)"
ROWS = "() => document.querySelector('.ssl-edit-rows').innerHTML"


@pytest.fixture(scope="module")
def notebook(lab, page):
    seen = (".ssl-attack .js-plotly-plot .x2title", ".ssl-edit .ssl-grid canvas")
    return labdriver.open_panel(page, lab, "edit.ipynb", [SETUP, EDIT, ATTACK], *seen)


def wait_for(page, panel, state):
    page.wait_for_function(labdriver.in_state(panel), arg=state, timeout=120_000)


def click_image(page, panel, column, row):
    box = page.locator(f"{panel} .ssl-grid canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] * (column + 0.5) / 4, box["y"] + box["height"] * (row + 0.5) / 6)


def test_two_images_are_picked_and_the_way_between_them_is_scrubbed(notebook, shots, note):
    page = notebook
    labdriver.show(page, ".ssl-edit")
    labdriver.picture(page, ".ssl-edit", shots / "edit_idle.png")
    page.click(".ssl-edit .ssl-play")
    wait_for(page, ".ssl-edit", "done")
    before = page.evaluate(ROWS)
    click_image(page, ".ssl-edit", 2, 1)
    page.click(".ssl-edit button:has-text('B') >> nth=-1")
    click_image(page, ".ssl-edit", 1, 2)
    page.wait_for_function(f"(old) => ({ROWS})() !== old", arg=before, timeout=60_000)
    wait_for(page, ".ssl-edit", "done")
    labdriver.picture(page, ".ssl-edit", shots / "edit_interpolate.png")
    page.focus(".ssl-edit .ssl-chain-slider")
    start = page.evaluate(FRAME)
    began = time.perf_counter()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"(old) => ({FRAME})() === old + 1", arg=start, timeout=5_000)
    note(edit_panel_scrub_ms=round(1000 * (time.perf_counter() - began)))
    assert labdriver.errors(page) == []


@pytest.mark.parametrize("mode", ["Directions", "Common dimensions", "Masked"])
def test_each_mode_paints_and_the_dark_theme_is_legible(notebook, shots, mode):
    page = notebook
    labdriver.show(page, ".ssl-edit")
    before = page.evaluate(ROWS)
    page.click(f".ssl-edit-mode button:has-text('{mode}')")
    page.wait_for_function(f"(old) => ({ROWS})() !== old", arg=before, timeout=60_000)
    wait_for(page, ".ssl-edit", "done")
    if mode == "Directions":
        before = page.evaluate(ROWS)
        page.locator(".ssl-edit-1 .noUi-handle").focus()
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.wait_for_function(f"(old) => ({ROWS})() !== old", arg=before, timeout=60_000)
        page.wait_for_timeout(500)
        wait_for(page, ".ssl-edit", "done")
    name = mode.split()[0].lower()
    labdriver.picture(page, ".ssl-edit", shots / f"edit_{name}.png")
    with labdriver.dark(page):
        labdriver.picture(page, ".ssl-edit", shots / f"edit_{name}_dark.png")
    assert page.evaluate(labdriver.NAMELESS) == []
    assert labdriver.errors(page) == []


def test_an_attack_is_seen_and_another_strength_begins_anew(notebook, shots):
    page = notebook
    labdriver.show(page, ".ssl-attack")
    labdriver.picture(page, ".ssl-attack", shots / "attack_idle.png")
    page.click(".ssl-attack .ssl-play")
    wait_for(page, ".ssl-attack", "done")
    labdriver.picture(page, ".ssl-attack", shots / "attack.png")
    text = "() => document.querySelector('.ssl-attack-rows').innerText"
    before = page.evaluate(text)
    assert "→" in before
    click_image(page, ".ssl-attack", 3, 2)
    page.wait_for_function(f"(old) => ({text})() !== old", arg=before, timeout=60_000)
    wait_for(page, ".ssl-attack", "done")
    assert labdriver.barriers(page, ".ssl-attack") == []
    with labdriver.dark(page):
        labdriver.picture(page, ".ssl-attack", shots / "attack_dark.png")
        assert labdriver.barriers(page, ".ssl-attack") == []
    assert page.evaluate(labdriver.NAMELESS) == []
    assert labdriver.errors(page) == []
