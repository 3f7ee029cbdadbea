"""A host other than Jupyter: marimo, which shows canvases."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import labdriver
import pytest

pytestmark = pytest.mark.browser

APP = """
import marimo
app = marimo.App()

@app.cell
def _():
    import marimo, torch
    from ssl_toolkit import load_data
    from ssl_toolkit.widgets import ChainCanvas, ImageGrid
    images = load_data("shapes", limit=8).images
    grid = ImageGrid(images, columns=4, label="shapes")
    grid.on_pick(lambda i: setattr(grid, "selected", i))
    chain = ChainCanvas(columns=8)
    chain.show({"darker": torch.stack([(images * share).byte() for share in (0.2, 0.6, 1.0)])}, value=0)
    marimo.vstack([grid, chain])
    return

if __name__ == "__main__":
    app.run()
"""


@contextmanager
def served(log: Path, *command: str) -> Iterator[str]:
    """The address of a server that this command starts; a {port} in it is a free one."""
    port = labdriver.free_port()
    with log.open("wb") as out:
        command = (sys.executable, "-m", *(part.format(port=port) for part in command))
        server = subprocess.Popen(command, cwd=log.parent, stdout=out, stderr=subprocess.STDOUT)
        try:
            for _ in range(240):
                assert server.poll() is None, log.read_text()[-3000:]
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).close()
                    break
                except OSError:
                    time.sleep(0.25)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture
def said(page) -> list[str]:
    """What the page says went wrong."""
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return wrong


@pytest.mark.skipif(find_spec("marimo") is None, reason="marimo is not installed: pip install ssl-toolkit[hosts]")
def test_canvases_are_picked_and_scrubbed_in_marimo(page, tmp_path, shots, said):
    (tmp_path / "app.py").write_text(APP)
    command = ("marimo", "--yes", "run", "app.py", "--headless", "--no-token", "--port={port}")
    with served(tmp_path / "marimo.log", *command) as address:
        page.goto(address, wait_until="domcontentloaded", timeout=120_000)
        page.wait_for_selector(".ssl-grid canvas", timeout=120_000)
        chain = page.locator(".ssl-chain")
        chain.wait_for(timeout=30_000)
        assert chain.get_attribute("data-frame") == "0"
        page.locator(".ssl-chain .ssl-chain-slider").focus()
        page.keyboard.press("End")
        assert chain.get_attribute("data-frame") == "2"  # at once: no round trip
        grid = page.locator(".ssl-grid canvas")
        before = grid.screenshot()
        grid.click(position={"x": 20, "y": 20})
        page.mouse.move(0, 0)
        page.wait_for_timeout(2000)
        assert grid.screenshot() != before  # the kernel was told, and framed it
        page.screenshot(path=str(shots / "hosts_marimo.png"), full_page=True)
        assert [text for text in said if "ssl" in text.lower()] == []
