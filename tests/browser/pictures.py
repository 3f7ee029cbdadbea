"""Every notebook whole, at its full settings, in a real browser, and pictures of its panels for where nothing runs.

`python tests/browser/pictures.py` makes all of `notebooks/pictures` anew, `... 08 09` those of two notebooks, and says
of each how long it took; a notebook that reports an error ends it. SSL_TOOLKIT_FAST=1 makes a rehearsal of it.
"""

import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import labdriver
from PIL import Image
from playwright.sync_api import Page

from ssl_toolkit.__main__ import copy_notebooks

FOLDER = Path(__file__).parent.parent.parent / "notebooks" / "pictures"
COLORS = 250  # of a picture: what plots and small images need, at a third of the bytes


def click(page: Page, selector: str, *, across: float = 0.5, down: float = 0.5) -> None:
    """Click where a person would: at these shares of the element's width and height."""
    target = page.locator(selector).first
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])


def drag_a_view(page: Page) -> None:
    """Move the second view of the first image away from the first, by keys."""
    page.locator(".ssl-loss .ssl-plane canvas").first.focus()
    for key in ["n"] * 9 + ["Shift+ArrowUp"] * 4 + ["Shift+ArrowRight"] * 3:
        page.keyboard.press(key)


class Shot(NamedTuple):
    """A picture: of what in which notebook, and what one does there before."""

    notebook: str
    selector: str
    first: Callable[[Page], None] | None = None


SHOTS = {
    "start_panel": Shot("00", ".ssl-train"),
    "views_panel": Shot("01", ".ssl-views"),
    "train_panel": Shot("02", ".ssl-train"),
    "loss_panel": Shot("03", ".ssl-loss", drag_a_view),
    "sweep_panel": Shot("04", ".ssl-sweep"),
    "probe_panel": Shot("05", ".ssl-probe", lambda page: click(page, ".ssl-scatter canvas", across=0.4, down=0.4)),
    "width_panel": Shot("06", ".ssl-sweep"),
    "chain_panel": Shot("07", ".ssl-chains"),
    "learned_panel": Shot("07", ".ssl-chains >> nth=1"),
    "rcdm_panel": Shot("08", ".ssl-rcdm"),
    "edit_panel": Shot("09", ".ssl-edit"),
    "attack_panel": Shot("09", ".ssl-attack"),
    "infusion_panel": Shot("10", ".ssl-infusion"),
    "claims_board": Shot("11", ".ssl-claims", lambda page: click(page, ".ssl-choice tr:has-text('DJ-6')")),
    "painted": Shot("12", ".ssl-grid >> nth=1"),
}


def take(page: Page, shot: Shot, path: Path) -> None:
    """Write the picture, with few colors."""
    page.locator(shot.selector).first.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    if shot.first is not None:
        shot.first(page)
    page.wait_for_timeout(1500)
    page.mouse.move(5, 5)
    seen = Image.open(io.BytesIO(page.locator(shot.selector).first.screenshot())).convert("RGB")
    seen.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def main(wanted: tuple[str, ...]) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as `ssl-toolkit lab` has it on two cores
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "lab").mkdir()
        copy_notebooks(root / "lab")
        with labdriver.jupyterlab(root / "lab", root / "jupyter") as lab, labdriver.browser() as page:
            page.set_viewport_size({"width": 1280, "height": 1100})
            for notebook in sorted((root / "lab").glob("*.ipynb")):
                shots = {name: shot for name, shot in SHOTS.items() if notebook.name.startswith(shot.notebook)}
                if wanted and not notebook.name.startswith(wanted):
                    continue
                began = time.perf_counter()
                labdriver.open_notebook(page, lab, notebook.name)
                labdriver.run_all(page, timeout=900_000)
                if said := labdriver.errors(page):
                    raise RuntimeError(f"{notebook.name}: {said[0][:500]}")
                for name, shot in shots.items():
                    take(page, shot, FOLDER / f"{name}.png")
                labdriver.shut_kernels(lab)
                print(f"{notebook.name}: {time.perf_counter() - began:.0f} s, {', '.join(shots)}", flush=True)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
