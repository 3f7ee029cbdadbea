"""Runs every notebook from a fresh kernel with what Binder gives, one core and 2 GB: time and peak memory.

`python -m tests.benchmarks.notebooks` prints a table in Markdown, line by line; `... 00 05` only runs these two. With
`SSL_TOOLKIT_FAST=1` they run in fast mode, as in the tests.
"""

import os
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

MEMORY = 2.0  # GB of resident memory; above it the kernel is killed
CELL = 900  # seconds that one cell may take at the full settings
NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))


class Run(NamedTuple):
    """A notebook as it was executed: its outputs, and what that took."""

    notebook: Any
    seconds: float
    computed: float  # seconds of the core that the kernel had: what a busy machine does not change
    gigabytes: float  # the most that the kernel and its children held


def execute(path: Path, *, cell: int = CELL) -> Run:
    """Run every cell on one core. Raises MemoryError where the kernel had to be killed, and what a cell raises."""
    import nbformat
    import psutil
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    notebook, peak, over = nbformat.read(path, as_version=4), [0.0], threading.Event()

    def watch(kernel: psutil.Process) -> None:
        while not over.wait(0.05):
            try:
                held = sum(p.memory_info().rss for p in (kernel, *kernel.children(recursive=True))) / 1e9
                peak[0] = max(peak[0], held)
                if held > MEMORY:
                    kernel.kill()
            except psutil.NoSuchProcess:  # of a child that ended just now, or of the kernel
                pass

    with TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=cell, store_widget_state=False, resources={"metadata": {"path": folder}}
        )
        began = time.perf_counter()
        with client.setup_kernel(env={**os.environ, "OMP_NUM_THREADS": "1"}):
            assert client.km is not None
            kernel = psutil.Process(client.km.provisioner.pid)
            if hasattr(kernel, "cpu_affinity"):  # everywhere but on macOS
                kernel.cpu_affinity(kernel.cpu_affinity()[-1:])
            watcher = threading.Thread(target=watch, args=(kernel,), daemon=True)
            watcher.start()
            try:
                for i, source in enumerate(notebook.cells):
                    client.execute_cell(source, i)
            except DeadKernelError as error:
                if peak[0] > MEMORY:
                    raise MemoryError(
                        f"{path.name} held {peak[0]:.1f} GB in cell {i}: Binder gives {MEMORY}."
                    ) from error
                raise
            finally:
                over.set()
                watcher.join()
            computed = sum(kernel.cpu_times()[:2])
        return Run(notebook, time.perf_counter() - began, computed, peak[0])


def measured(path: Path) -> dict[str, object]:
    """What a notebook took, or why it did not end."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    try:
        result = execute(path)
    except CellExecutionError as error:
        return {"failed": f"{error.ename}: {error.evalue}".splitlines()[0]}
    except (CellTimeoutError, DeadKernelError, MemoryError) as error:
        return {"failed": str(error).splitlines()[0]}
    return {
        "seconds": round(result.seconds, 1),
        "CPU seconds": round(result.computed, 1),
        "MB": round(1000 * result.gigabytes),
    }


def row(name: str, figures: dict[str, object]) -> str:
    """A line of the table in Markdown."""
    cells = figures.values() if "failed" not in figures else ("failed", str(figures["failed"]).replace("|", "/"), "")
    return f"| `{name}` | {' | '.join(str(cell) for cell in cells)} |"


def run() -> dict[str, dict[str, object]]:
    return {path.stem: measured(path) for path in NOTEBOOKS}


if __name__ == "__main__":
    fast = os.environ.get("SSL_TOOLKIT_FAST", "") not in ("", "0")
    print(f"| notebook, {'fast' if fast else 'full'} | seconds | CPU seconds | MB |\n|---|---|---|---|", flush=True)
    for path in NOTEBOOKS:
        if not sys.argv[1:] or path.stem.startswith(tuple(sys.argv[1:])):
            print(row(path.stem, measured(path)), flush=True)
