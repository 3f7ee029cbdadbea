"""The main job as a new user does it: the start notebook, copied by the command line, run in a browser.

SSL_TOOLKIT_FAST=0 runs it at its full length.
"""

import os
import re
import time

import labdriver
import nbformat
import pytest

from ssl_toolkit.__main__ import START, main

pytestmark = pytest.mark.browser


def test_the_start_notebook_trains_an_encoder_and_says_what_it_knows(lab, page, note, shots):
    main(["lab", str(lab.root / "mine"), "--copy-only"])
    path = lab.root / "mine" / START
    notebook = nbformat.read(path, as_version=4)
    fast = os.environ.get("SSL_TOOLKIT_FAST", "1")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"%env SSL_TOOLKIT_FAST={fast}"))
    nbformat.write(notebook, path)
    labdriver.open_notebook(page, lab, f"mine/{START}")
    began = time.perf_counter()
    labdriver.run_all(page, timeout=280_000)
    note(start_notebook_s=round(time.perf_counter() - began), start_notebook_fast=fast)
    assert labdriver.errors(page) == []
    page.wait_for_selector(".ssl-train .ssl-player.ssl-state-done", timeout=30_000)
    labdriver.show(page, ".ssl-train")
    labdriver.picture(page, ".ssl-train", shots / "train_panel.png")
    text = page.evaluate("() => document.querySelector('.jp-Notebook').innerText")
    (margin,) = re.findall(r"trained for 13 minutes over raw pixels: ([+-][\d.]+)", text)
    note(start_notebook_margin_points=float(margin))
