"""Every notebook is stripped, short, asks one question, and runs from the top; so does the README's example."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def is_stripped(notebook) -> bool:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return "widgets" not in notebook.metadata and not any(cell.outputs or cell.execution_count for cell in code)


def test_the_series_is_there():
    series = ["00_start_here", "01_two_views", "02_train_one_live", "03_four_losses", "04_myths"]
    series += ["05_what_is_a_good_representation"]
    assert [p.stem for p in NOTEBOOKS] == series


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stripped_short_and_asks_one_question(path):
    notebook = nbformat.read(path, as_version=4)
    assert is_stripped(notebook)
    assert len(notebook.cells) <= 25
    titles = [t for c in notebook.cells if c.cell_type == "markdown" for t in re.findall(r"^# .*", c.source, re.M)]
    assert len(titles) == 1
    assert titles[0].endswith("?")
    assert re.search(r"minute.*\bmemory", notebook.cells[0].source)


def test_an_output_would_be_noticed():
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    next(c for c in notebook.cells if c.cell_type == "code").outputs = [nbformat.v4.new_output("stream", text="1")]
    assert not is_stripped(notebook)


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_from_the_top(path, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_TOOLKIT_FAST", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=180, store_widget_state=False, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert any("image/png" in o.get("data", {}) for o in outputs)  # what a saved notebook shows of a panel


def test_the_example_of_the_readme_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    (example,) = (block for block in blocks if "linear_probe" in block)
    exec(compile(example.replace("30", "3"), "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 {'alignment'")
    assert 0 < float(lines[-1]) <= 1
