"""Runs every notebook at its full settings in a real browser, and takes pictures of its panels.

`python tests/browser/pictures.py` makes all of `notebooks/pictures` anew. `... 08 09` takes the pictures of two
notebooks, `... gif` records the moving picture of the README. It prints how long each took, and stops at the first
notebook that reports an error. SSL_TOOLKIT_FAST=1 makes it a rehearsal.
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
import nbformat
import numpy as np
from PIL import Image, ImageOps
from playwright.sync_api import Page

from ssl_toolkit.__main__ import START, copy_notebooks

FOLDER = Path(__file__).parent.parent.parent / "notebooks" / "pictures"
LARGEST = 145_000  # bytes of a picture in full color; tests/test_notebooks.py allows 150,000
COLORS = 250  # of a larger one: what plots and small images need, at a third of the bytes
GIF_WIDTH = 800  # pixels
GIF_FRAMES = 48
GIF_COLORS = 128  # and one that stands for what did not change
GIF_PACE = 120  # milliseconds a frame


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
    "attack_panel": Shot("10", ".ssl-attack"),
    "infusion_panel": Shot("11", ".ssl-infusion"),
    "claims_board": Shot("12", ".ssl-claims", lambda page: click(page, ".ssl-choice tr:has-text('DJ-6')")),
    "own_panel": Shot("13", ".ssl-probe", lambda page: click(page, ".ssl-scatter canvas", across=0.4, down=0.4)),
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
    seen.save(path, optimize=True)
    if path.stat().st_size > LARGEST:  # with a palette of its colors, in which a gray may get a tint
        seen.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def film(page: Page, lab: labdriver.Lab, path: Path) -> None:
    """Write a GIF of the start notebook's panel, from its first picture to the end of its training."""
    labdriver.open_notebook(page, lab, START)
    cells = [cell.source for cell in nbformat.read(lab.root / START, as_version=4).cells]
    for i in range(1 + next(i for i, source in enumerate(cells) if "TrainPanel(" in source)):
        labdriver.run_cell(page, i)
    panel = page.locator(".ssl-train").first
    page.wait_for_function(labdriver.in_state(".ssl-train"), arg="running", timeout=120_000)
    labdriver.show(page, ".ssl-train")
    frames: list[Image.Image] = []
    while not page.evaluate(labdriver.in_state(".ssl-train"), "done"):
        frames.append(Image.open(io.BytesIO(panel.screenshot())).convert("RGB"))
        page.wait_for_timeout(250)
    page.wait_for_timeout(1500)
    frames.append(Image.open(io.BytesIO(panel.screenshot())).convert("RGB"))
    chosen = [frames[i * (len(frames) - 1) // GIF_FRAMES] for i in range(GIF_FRAMES)] + frames[-1:]
    write_gif(chosen, path)
    print(f"{path.name}: {len(frames)} frames seen, {path.stat().st_size / 1000:.0f} kB", flush=True)


def write_gif(frames: list[Image.Image], path: Path) -> None:
    """Write frames of one width as a GIF that repeats, each as high as the highest and the last one shown longest."""
    width, height = frames[-1].width, max(frame.height for frame in frames)
    size = (GIF_WIDTH, round(height * GIF_WIDTH / width))
    small = [
        ImageOps.pad(frame, (width, height), color="white", centering=(0, 0)).resize(size, Image.Resampling.LANCZOS)
        for frame in frames
    ]
    palette = small[-1].quantize(GIF_COLORS, Image.Quantize.MEDIANCUT)
    indices = [np.array(frame.quantize(palette=palette, dither=Image.Dither.NONE)) for frame in small]
    written = []
    for before, index in zip([None, *indices], indices, strict=False):
        # what stays as it was is transparent, which packs to half the bytes
        changed = index if before is None else np.where(index == before, GIF_COLORS, index).astype(np.uint8)
        written.append(Image.fromarray(changed))
        written[-1].putpalette([*palette.getpalette()[: 3 * GIF_COLORS], 255, 255, 255])
    times = [GIF_PACE] * (len(written) - 1) + [4000]
    options = {"duration": times, "loop": 0, "optimize": False, "disposal": 1, "transparency": GIF_COLORS}
    written[0].save(path, save_all=True, append_images=written[1:], **options)


def main(wanted: tuple[str, ...]) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as `ssl-toolkit lab` has it on two cores
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "lab").mkdir()
        copy_notebooks(root / "lab")
        with labdriver.jupyterlab(root / "lab", root / "jupyter") as lab, labdriver.browser() as page:
            page.set_viewport_size({"width": 1280, "height": 2100})  # the tallest panel, whole
            if not wanted or "gif" in wanted:
                film(page, lab, FOLDER / "training.gif")
                labdriver.shut_kernels(lab)
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
