"""A real JupyterLab server and a real Chromium, for tests that click."""

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

import nbformat
from playwright.sync_api import Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

# the toolbar says "idle" before there is a session; this does not
READY = """() => { const w = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const s = w && w.sessionContext, k = s && s.session && s.session.kernel;
  return !!(s && s.isReady && k && k.connectionStatus === 'connected' && k.status === 'idle'); }"""
FAILED = '[data-mime-type="application/vnd.jupyter.error"]'
DONE = f"""() => {{ if (document.querySelector('{FAILED}')) return true;
  const w = window.jupyterapp.shell.currentWidget;
  const code = w.content.widgets.filter(c => c.model.type === 'code' && c.model.sharedModel.getSource().trim());
  return code.every(c => c.model.executionCount !== null) && w.sessionContext.session.kernel.status === 'idle'; }}"""


def in_state(panel: str) -> str:
    """Whether the player in this panel is in the state that the function is given."""
    return f"(s) => !!document.querySelector('{panel} .ssl-player.ssl-state-' + s)"


# controls that are seen and can be used, but that keys do not reach or that a screen reader has no name for
NAMELESS = """() => [...document.querySelectorAll('.ssl-panel')].flatMap(p =>
  [...p.querySelectorAll('button, input, select, [role=slider], canvas:not([role=img])')]
    .filter(e => e.offsetParent && !e.disabled && e.ariaDisabled !== 'true')
    .filter(e => getComputedStyle(e).visibility === 'visible')
    .filter(e => e.tabIndex < 0 || !(e.getAttribute('aria-label') || e.title || e.innerText.trim()
      || (e.labels || []).length || e.closest('.widget-inline-hbox')?.querySelector('label')?.innerText))
    .map(e => e.outerHTML.slice(0, 160)))"""


class Lab(NamedTuple):
    """A running server: its address, its token, the folder that it shows, and a way to ask its API."""

    base: str
    token: str
    root: Path
    api: Callable[[str, str], bytes]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def jupyterlab(root: Path, tmp: Path) -> Iterator[Lab]:
    port, token = free_port(), secrets.token_hex(8)
    places = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython",
    }  # fmt: skip
    for name in places.values():
        (tmp / name).mkdir(parents=True, exist_ok=True)
    news = tmp / "settings/@jupyterlab/apputils-extension"
    news.mkdir(parents=True, exist_ok=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews":"false","checkForUpdates":false}')
    environment = os.environ | {variable: str(tmp / name) for variable, name in places.items()}
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"),
        *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"),
        *(f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")),
        "--LabApp.news_url=",
    ]
    base = f"http://127.0.0.1:{port}"

    def api(method: str, path: str) -> bytes:
        request = urllib.request.Request(base + path, method=method, headers={"Authorization": f"token {token}"})
        return urllib.request.urlopen(request, timeout=20).read()

    with (tmp / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(240):
                if server.poll() is not None:
                    raise RuntimeError((tmp / "server.log").read_text()[-3000:])
                try:
                    api("GET", "/api/status")
                    break
                except OSError:
                    time.sleep(0.25)
            yield Lab(base, token, root, api)
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


@contextmanager
def with_latency(base: str, round_trip: float) -> Iterator[str]:
    """The address of a proxy to `base` that holds every byte back for half of `round_trip` seconds, each way."""
    target = urlparse(base)
    loop = asyncio.new_event_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, chunk = await chunks.get()
                await asyncio.sleep(due - loop.time())
                if not chunk:
                    writer.close()
                    return
                writer.write(chunk)

        delivery = loop.create_task(deliver())
        chunk = b" "
        while chunk:
            try:
                chunk = await reader.read(65536)
            except OSError:
                chunk = b""
            chunks.put_nowait((loop.time() + round_trip / 2, chunk))
        await delivery

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(accept, "127.0.0.1", 0)

    async def cut(server: asyncio.Server) -> None:
        """End every connection, so that none is left to a loop that no longer runs."""
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(cut(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def browser() -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield chromium.new_context(viewport={"width": 1280, "height": 1200}).new_page()
        finally:
            chromium.close()


def open_notebook(page: Page, lab: Lab, name: str, *, base: str | None = None) -> None:
    page.goto(f"{base or lab.base}/lab/tree/{name}?token={lab.token}&reset", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(READY, timeout=60_000)


def open_cells(page: Page, lab: Lab, name: str, cells: Sequence[str], *, base: str | None = None) -> None:
    """A new notebook of these code cells, opened but not run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, lab.root / name)
    open_notebook(page, lab, name, base=base)


def open_panel(page: Page, lab: Lab, name: str, cells: Sequence[str], *seen: str, run: int | None = None) -> Page:
    """A new notebook with its first `run` cells run (None: all), once all that is to be seen of a panel is there."""
    open_cells(page, lab, name, cells)
    for i in range(len(cells) if run is None else run):
        run_cell(page, i)
    for selector in seen:
        page.wait_for_selector(selector, state="attached", timeout=120_000)
    assert errors(page) == []
    show(page, seen[0].split()[0])
    return page


def run_cell(page: Page, index: int) -> None:
    page.evaluate(
        """(i) => { const w = window.jupyterapp.shell.currentWidget; w.content.activeCellIndex = i;
        window.jupyterapp.commands.execute('notebook:run-cell'); return null; }""",
        index,
    )


def run_all(page: Page, timeout: float = 120_000) -> None:
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); return null }")
    page.wait_for_timeout(300)
    page.wait_for_function(DONE, timeout=timeout)


def errors(page: Page) -> list[str]:
    outputs = FAILED + ', [data-mime-type="application/vnd.jupyter.stderr"]'
    return page.evaluate("(s) => [...document.querySelectorAll(s)].map(e => e.innerText)", outputs)


def use_theme(page: Page, name: str) -> None:
    page.evaluate(
        "(t) => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t}).then(() => null)", name
    )
    page.wait_for_timeout(800)


@contextmanager
def dark(page: Page) -> Iterator[None]:
    """The dark theme, and the light one again whatever happens."""
    use_theme(page, "JupyterLab Dark")
    try:
        yield
    finally:
        use_theme(page, "JupyterLab Light")


def picture(page: Page, selector: str, path: Path) -> None:
    """A picture of the first that the selector finds, when all is drawn."""
    page.wait_for_timeout(600)
    page.locator(selector).first.screenshot(path=path)


def show(page: Page, selector: str) -> None:
    page.evaluate("(s) => document.querySelector(s).scrollIntoView({block: 'start'})", selector)
    page.wait_for_timeout(300)


def shut_kernels(lab: Lab) -> None:
    for session in json.loads(lab.api("GET", "/api/sessions")):
        lab.api("DELETE", "/api/sessions/" + session["id"])


WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")


def barriers(page: Page, selector: str) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA in the first that the selector finds: rule, how often, an example."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(
        """async ([selector, tags]) => (await axe.run(document.querySelector(selector),
          {runOnly: tags, resultTypes: ['violations']})).violations""",
        [selector, list(WCAG)],
    )
    return [f"{v['id']} x {len(v['nodes'])}: {v['nodes'][0]['html'][:200]}" for v in found]
