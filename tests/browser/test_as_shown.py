"""What a page shows is what the kernel computes, and nothing that it shows runs."""

import json

import labdriver
import pytest

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror='window.ran=1'><b>"
SETUP = f"""
import tempfile, warnings, zlib; from pathlib import Path; from dataclasses import replace
import numpy as np, torch, ipywidgets as w; from PIL import Image
import ssl_toolkit as stk
from ssl_toolkit.joint import JointRecipe; from ssl_toolkit.training import train; from ssl_toolkit.widgets import *
warnings.simplefilter("ignore")
evil, folder, r = {HOSTILE!r}, Path(tempfile.mkdtemp()), np.random.RandomState(0)
for name in (evil.replace("/", ""), "cat"):
    (folder / name).mkdir()
    for i in range(12):
        Image.fromarray(r.randint(0, 255, (28, 28, 3), dtype=np.uint8)).save(folder / name / f"{{evil}}{{i}}.png")
data = stk.load_data(folder, size=28)
data.factors[evil] = torch.arange(24.0)
recipe = JointRecipe(steps=3, batch_size=8, width=100, projector=(16, 8), lr=0.0019, temperature=0.123, hue=0.33,
                     scale=(0.123, 0.9), jitter=1.5, seed=-7)
"""
TRAIN = "panel = TrainPanel(data, recipe, every=1)\npanel"
LOSS = "loss = LossPanel('SimCLR, alignment only')\nloss"
VIEWS = "views = ViewsPanel(data)\nviews"
SWEEP = """
def measure(setting):
    yield {"step": 1, evil: 1.0}
    yield {"step": 2, evil: 2.0}
    yield {evil: 1.0}
sweep = SweepPanel(measure, [{evil: evil, "seed": i} for i in (0, 1)], path=folder / "s.jsonl"); sweep.wait(); sweep
"""
PROBE = (
    "probe = ProbePanel({evil: lambda x: x.flatten(1)[:, :9]}, data, color=evil); probe.wait(); probe.pick(3)\nprobe"
)
ROWS = """
rows = ProbePanel(z={evil: torch.randn(40, 5), "B": torch.randn(40, 2)}, text=[evil] * 40,
                  table={evil: [evil + str(i % 30) for i in range(40)], "n": np.linspace(0, 1, 40)})
rows.wait(); rows.pick(3)
rows
"""
ASK = """
def numbers(thing, found=None):
    found = {} if found is None else found
    for one in getattr(thing, "children", ()):
        if hasattr(one, "value") and isinstance(one.value, (int, float)) and hasattr(one, "disabled"):
            found[one.model_id] = repr(one.value)
        numbers(one, found)
    return found
if "before" not in globals():
    before = {}
now = {name: numbers(p) for name, p in {"train": panel, "loss": loss, "views": views}.items()}
asked = replace(recipe, **recipe.views(data)._asdict())
print("KEPT", before in ({}, now), panel.recipe == asked, panel.message.value == "")
before = now
"""
RUN = """
digest = lambda state: zlib.crc32(b"".join(p.detach().numpy().tobytes() for p in state.model.parameters()))
state = panel.wait()
script = recipe.start(data)
list(train(script, data[:-4], recipe.objective(data), until=3, batch_size=8, seed=-7))
print("EQUAL", digest(state) == digest(script))
"""
CELLS = (SETUP, TRAIN, LOSS, VIEWS, SWEEP, PROBE, ROWS, ASK, RUN)


def printed(page, index: int, word: str) -> str:
    """Run a cell and wait for the line that it prints."""
    page.evaluate(
        "(i) => window.jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.setOutputs([])", index
    )
    labdriver.run_cell(page, index)
    page.wait_for_function(f"() => /^{word} .*$/m.test(document.body.innerText)", timeout=120_000)
    return page.evaluate(f"() => /^{word} (.*)$/m.exec(document.body.innerText)[1]")


@pytest.fixture(scope="module")
def notebook(lab, page):
    return labdriver.open_panel(
        page, lab, "shown.ipynb", CELLS, ".ssl-train .js-plotly-plot", ".ssl-loss canvas", ".ssl-views canvas",
        ".ssl-sweep table", ".ssl-probe .ssl-scatter canvas", run=7,
    )  # fmt: skip


def test_an_untouched_page_changes_no_number_and_trains_as_the_script_does(notebook):
    page = notebook
    assert printed(page, 7, "KEPT") == "True True True"
    for panel in (".ssl-train", ".ssl-loss", ".ssl-views"):  # seen, so that all is drawn
        labdriver.show(page, panel)
        page.wait_for_timeout(400)
    assert printed(page, 7, "KEPT") == "True True True"
    shown = page.evaluate("() => [...document.querySelectorAll('.ssl-train .ssl-number')].map(e => e.dataset.value)")
    assert shown == ["0.0019", "0.123", "0.123", "1.5", "0.33", "0.2"]
    assert printed(page, 8, "EQUAL") == "True"


def test_a_number_is_dragged_to_a_mark_typed_as_it_is_and_moved_by_keys(notebook):
    page = notebook
    labdriver.show(page, ".ssl-train")
    rate, value = ".ssl-train-rate", "() => document.querySelector('.ssl-train-rate .ssl-number').dataset.value"
    page.locator(f"{rate} .noUi-handle").focus()
    for key, mark in (("ArrowRight", "0.002"), ("ArrowRight", "0.0025"), ("ArrowLeft", "0.002"), ("Home", "0.00001")):
        page.keyboard.press(key)
        assert page.evaluate(value) == mark
    page.locator(f"{rate} .widget-readout").fill("3e-4")
    page.keyboard.press("Enter")
    assert page.evaluate(value) == "0.0003"
    box = page.locator(f"{rate} .ssl-number-track").bounding_box()
    handle = page.locator(f"{rate} .noUi-handle").bounding_box()
    page.mouse.move(handle["x"] + 8, handle["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], handle["y"] + 8, steps=5)
    page.mouse.up()
    assert page.evaluate(value) == "100"


def test_letters_on_a_button_are_not_commands_of_jupyterlab(notebook):
    page = notebook
    labdriver.show(page, ".ssl-loss")
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = page.evaluate(cells)
    for where in (".ssl-loss .ssl-play", ".ssl-loss select", ".ssl-loss .noUi-handle"):
        page.locator(where).first.focus()
        for key in ("b", "a", "x"):
            page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.evaluate(cells) == before


def test_no_name_runs_or_becomes_a_tag(notebook, shots):
    page = notebook
    for panel in (".ssl-probe", ".ssl-sweep"):
        labdriver.show(page, panel)
        page.wait_for_timeout(500)
    for box in page.locator(".ssl-scatter .ssl-stack canvas").all():
        box.hover(position={"x": 100, "y": 100})
    page.screenshot(path=str(shots / "hostile.png"))
    assert page.evaluate("() => window.ran") is None
    tags = "() => document.querySelectorAll('.ssl-panel img[src=x], .ssl-panel [onerror]').length"
    assert page.evaluate(tags) == 0
    assert json.dumps(HOSTILE)[1:12] in json.dumps(page.locator(".ssl-probe").last.inner_text())
    assert page.locator(".ssl-probe .ssl-legend input[type=search]").count() == 1
    page.locator(".ssl-legend input[type=search]").fill("29")
    assert page.locator(".ssl-probe").last.locator(".ssl-legend button").count() == 1
    assert labdriver.errors(page) == []
