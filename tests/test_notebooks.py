"""Every notebook is stripped, short, asks one question, and runs from the top; so does the README's example."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
from notebooks import NOTEBOOKS, execute, measured, row  # noqa: E402


def is_stripped(notebook) -> bool:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return "widgets" not in notebook.metadata and not any(cell.outputs or cell.execution_count for cell in code)


def test_the_readme_lists_every_notebook_with_its_question():
    rows = re.findall(r"^\| `(\d\d_\w+)` \| (.*?\?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    titles = [
        (p.stem, nbformat.read(p, as_version=4).cells[0].source.split("\n")[0].removeprefix("# ")) for p in NOTEBOOKS
    ]
    assert rows == titles


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stripped_short_and_asks_one_question(path):
    notebook = nbformat.read(path, as_version=4)
    assert is_stripped(notebook)
    assert len(notebook.cells) <= 25
    titles = [t for c in notebook.cells if c.cell_type == "markdown" for t in re.findall(r"^# .*", c.source, re.M)]
    assert len(titles) == 1
    assert titles[0].endswith("?")
    assert re.search(r"minute.*\bmemory", notebook.cells[0].source)


def test_where_nothing_runs_a_notebook_still_shows_its_panels():
    named = {
        p.stem: re.findall(r"!\[.{30,}\]\((pictures/\w+\.png)\)", p.read_text(encoding="utf-8")) for p in NOTEBOOKS
    }
    assert [name for name, pictures in named.items() if not pictures] == []
    there = {f"pictures/{p.name}": p.stat().st_size for p in (ROOT / "notebooks" / "pictures").iterdir()}
    assert {picture for pictures in named.values() for picture in pictures} == set(there)
    assert max(there.values()) < 150_000  # bytes


def test_an_output_would_be_noticed():
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    next(c for c in notebook.cells if c.cell_type == "code").outputs = [nbformat.v4.new_output("stream", text="1")]
    assert not is_stripped(notebook)


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_from_the_top_within_the_limits_of_binder(path, monkeypatch):
    monkeypatch.setenv("SSL_TOOLKIT_FAST", "1")
    run = execute(path, cell=180)
    outputs = [output for cell in run.notebook.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert any("image/png" in o.get("data", {}) for o in outputs)  # what a saved notebook shows of a panel
    assert run.gigabytes < 1.6
    assert run.computed < 150  # seconds


def test_a_notebook_that_takes_too_much_memory_is_stopped(tmp_path):
    cells = [nbformat.v4.new_code_cell("held = bytearray(3 * 10**9)\nfor i in range(0, len(held), 4096): held[i] = 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "large.ipynb")
    with pytest.raises(MemoryError, match=r"large\.ipynb held"):
        execute(tmp_path / "large.ipynb")


def test_the_table_of_notebooks_has_a_line_for_one_that_fails_too(tmp_path):
    for name, source in (("good", "1 + 1"), ("bad", "raise OSError('no | room')")):
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), tmp_path / f"{name}.ipynb")
    good, bad = (row(name, measured(tmp_path / f"{name}.ipynb")) for name in ("good", "bad"))
    assert re.fullmatch(r"\| `good` \| [\d.]+ \| [\d.]+ \| \d+ \|", good)
    assert bad == "| `bad` | failed | OSError: no / room |  |"


def test_the_example_of_the_readme_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    (example,) = (block for block in blocks if "linear_probe" in block)
    exec(compile(example.replace("30", "3"), "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 {'alignment'")
    assert 0 < float(lines[-1]) <= 1
