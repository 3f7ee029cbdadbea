"""Every panel once, small enough to be made and run in seconds: for a look at all, and checks that hold for all.

`python tests/browser/gallery.py FOLDER [panel ...]` takes pictures of the panels, before and after their run, at three
widths of the cell and in both themes.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import labdriver
from playwright.sync_api import Page

SETUP = """
import torch
import ssl_toolkit as stk
from ssl_toolkit.claims import stored
from ssl_toolkit.diffusion import exact_denoiser, flow_schedule
from ssl_toolkit.probes import linear_probe
from ssl_toolkit.widgets import *
data, test = stk.load_data("shapes", limit=1000), stk.load_data("shapes", split="test", limit=100)
encoders = {name: stk.zoo.load(f"shapes-{name}") for name in ("simclr", "supervised")}
painters = {name: stk.zoo.load(f"shapes-{name}-rcdm-representation") for name in encoders}
probes = {
    name: linear_probe(stk.embed(f, data.images), data.labels, stk.embed(f, test.images), test.labels,
                       weight_decays=(1e-2,))
    for name, f in encoders.items()
}
digits, flow = stk.load_data("digits", size=16), flow_schedule()
exact = exact_denoiser(digits.images / 127.5 - 1, flow)
operator = stk.zoo.load("fashion-mnist-infusion")
prior = stk.infusion.prior_of(operator)
targets = stk.data.as_bytes(prior.sample(8).clamp(0, 1))
runs = [cell for claim in ("EN-2", "EN-3") for cell in stored(claim)[1]]
RCDM = {"representation": "shapes-simclr-rcdm-representation", "embedding": "shapes-simclr-rcdm-embedding"}
"""


class Case(NamedTuple):
    """A panel: its CSS class, the code that makes it, what there is to see of it, and the code of its run."""

    name: str
    code: str
    seen: str
    run: str = ""


CASES = (
    Case(
        "train",
        "train = TrainPanel(data, stk.Recipe(steps=24, batch_size=32, width=32), every=4)",
        ".js-plotly-plot",
        "train.wait()",
    ),
    Case("views", "views = ViewsPanel(data)", ".ssl-grid canvas"),
    Case("loss", 'loss = LossPanel("VICReg")', ".ssl-plane canvas", "loss.wait()"),
    Case("probe", 'probe = ProbePanel(encoders["simclr"], data); probe.wait()', ".ssl-scatter canvas", "probe.pick(7)"),
    Case(
        "probe",
        'two = ProbePanel(encoders, data, name="two"); two.wait()',
        ".ssl-scatter canvas",
        "two.select(data.labels == 1)",
    ),
    Case(
        "chains",
        "chains = ChainPanel(exact, (1, 16, 16), schedule=flow, bank=digits.images)",
        ".ssl-chain canvas",
        "chains.wait()",
    ),
    Case(
        "rcdm",
        'rcdm = RcdmPanel(encoders["simclr"], data, test, depths=tuple(RCDM), reader=stk.zoo.load("shapes-reader"),'
        " models={d: stk.zoo.load(m) for d, m in RCDM.items()}, recipe=stk.diffusion.RCDMRecipe(steps=2))",
        ".ssl-strip img",
        "rcdm.wait()",
    ),
    Case(
        "edit",
        'edit = EditPanel(encoders["simclr"], painters["simclr"], test)',
        ".ssl-grid canvas",
        "edit.wait()",
    ),
    Case(
        "attack",
        "attack = AttackPanel(encoders, probes, test, painters=painters, many=16, steps=4)",
        ".ssl-grid canvas",
        "attack.wait()",
    ),
    Case("infusion", "infusion = InfusionPanel(operator, prior, targets)", ".ssl-mask canvas"),
    Case("claims", "claims = ClaimsBoard()", ".ssl-choice tr"),
    Case(
        "sweep",
        'sweep = SweepPanel(value=("test", "transfer"), axes=("method", "width"), view="curves", stored=runs)',
        ".js-plotly-plot",
    ),
    Case("sweep", 'map_ = SweepPanel(axes=("method", "width"), stored=runs)', ".ssl-heat td"),
)


def named(case: Case) -> str:
    """The name that its code gives the panel."""
    return case.code.split(" = ")[0]


def open_gallery(page: Page, lab: labdriver.Lab, cases: tuple[Case, ...], name: str = "gallery.ipynb") -> None:
    """A notebook that makes these panels and shows each in the output of its own cell; `run_case` runs one."""
    cells = [SETUP]
    for case in cases:
        cells += [f'{case.code}; {named(case)}.add_class("t-{named(case)}"); {named(case)}', case.run or "pass"]
    labdriver.open_cells(page, lab, name, cells)
    page.evaluate("() => { const s = window.jupyterapp.shell; s.collapseLeft(); return null }")
    labdriver.run_cell(page, 0)
    for i, case in enumerate(cases):
        labdriver.run_cell(page, 2 * i + 1)
        page.wait_for_selector(f".t-{named(case)} {case.seen}, {labdriver.FAILED}", state="attached", timeout=240_000)
        if said := labdriver.errors(page):
            raise RuntimeError(said[0][-1500:])
    page.wait_for_function(labdriver.READY, timeout=120_000)


def run_case(page: Page, cases: tuple[Case, ...], i: int) -> None:
    """Let the panel do what it is for, to the end."""
    labdriver.run_cell(page, 2 * i + 2)
    page.wait_for_function(
        "(i) => window.jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount !== null",
        arg=2 * i + 2,
        timeout=240_000,
    )
    page.wait_for_function(labdriver.READY, timeout=240_000)


def set_width(page: Page, width: int, selector: str, height: int = 1400) -> None:
    """Make the browser so wide that a panel is `width` pixels wide."""
    for _ in range(3):
        box = page.locator(selector).first.bounding_box()
        assert box is not None
        assert page.viewport_size is not None
        page.set_viewport_size({"width": round(page.viewport_size["width"] + width - box["width"]), "height": height})
        page.wait_for_timeout(700)


def take(page: Page, case: Case, folder: Path, state: str, each: Callable[[str], None] = lambda name: None) -> None:
    """Pictures of one panel at all widths in both themes."""
    selector = f".t-{named(case)}"
    for width in (480, 900, 1600):
        set_width(page, width, selector)
        labdriver.show(page, selector)
        page.wait_for_timeout(400)
        page.mouse.move(2, 2)
        labdriver.picture(page, selector, folder / f"{named(case)}_{state}_{width}.png")
        if width == 900:
            with labdriver.dark(page):
                labdriver.show(page, selector)
                labdriver.picture(page, selector, folder / f"{named(case)}_{state}_{width}_dark.png")
        each(f"{named(case)} {state} {width}")


def main(folder: str, *wanted: str) -> None:
    cases = tuple(case for case in CASES if not wanted or named(case) in wanted)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place:
        root = Path(place)
        (root / "lab").mkdir()
        with labdriver.jupyterlab(root / "lab", root / "jupyter") as lab, labdriver.browser() as page:
            open_gallery(page, lab, cases)
            for i, case in enumerate(cases):
                began = time.perf_counter()
                take(page, case, Path(folder), "idle")
                if case.run:
                    run_case(page, cases, i)
                    take(page, case, Path(folder), "done")
                print(f"{named(case)}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
