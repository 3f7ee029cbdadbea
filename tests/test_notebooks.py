"""Every notebook is stripped, short, asks one question, and runs from the top; what README and pages say holds."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from ssl_toolkit import load_data, small_conv

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
from notebooks import NOTEBOOKS, execute, measured, row  # noqa: E402


def is_stripped(notebook) -> bool:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return "widgets" not in notebook.metadata and not any(cell.outputs or cell.execution_count for cell in code)


README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "notebooks").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def sources(path, kind):
    return [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def test_the_readme_lists_every_notebook_with_its_question():
    rows = re.findall(r"^\| \[(\d\d_\w+)\]\(notebooks/\1\.ipynb\) \| (.*?\?) \|", README, re.M)
    assert rows == [(p.stem, sources(p, "markdown")[0].split("\n")[0].removeprefix("# ")) for p in NOTEBOOKS]


def test_the_readme_is_short_and_shows_a_moving_picture_at_once():
    lines = README.splitlines()
    assert len(lines) <= 180
    (moving,) = re.findall(r'<img src="(\S+\.gif)"', "\n".join(lines[:10]))
    assert (ROOT / moving).stat().st_size < 1_500_000  # bytes
    image = Image.open(ROOT / moving)
    assert image.n_frames > 20
    assert image.width == 800


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda p: p.name)
def test_every_link_leads_somewhere(path):
    texts = sources(path, "markdown") if path.suffix == ".ipynb" else [path.read_text(encoding="utf-8")]
    assert [link for text in texts for link in LINK.findall(text) if not (path.parent / link).exists()] == []


def test_the_commands_of_the_benchmarks_exist():
    page = (ROOT / "notebooks" / "BENCHMARKS.md").read_text(encoding="utf-8")
    named = {name for line in re.findall(r"ssl-toolkit bench ([a-z ]+?) *[#`]", page) for name in line.split()}
    named |= set(re.findall(r"python -m tests\.benchmarks\.(\w+)", page))
    assert {"views", "methods", "notebooks"} <= named
    assert [name for name in named if not (ROOT / "tests" / "benchmarks" / f"{name}.py").is_file()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stripped_short_and_asks_one_question(path):
    notebook = nbformat.read(path, as_version=4)
    assert is_stripped(notebook)
    assert len(notebook.cells) <= 25
    titles = [t for c in notebook.cells if c.cell_type == "markdown" for t in re.findall(r"^# .*", c.source, re.M)]
    assert len(titles) == 1
    assert titles[0].endswith("?")
    assert re.search(r"minute.*\bmemory", notebook.cells[0].source)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_starts_with_one_import_and_ends_with_a_link(path):
    imports = re.findall(r"^(?:import|from) .*", sources(path, "code")[0], re.M)
    assert "import ssl_toolkit as stk" in imports
    assert len(imports) <= 2
    assert re.search(r"^## Where next\?\n\n- .*\[(\d\d_\w+)\]\(\1\.ipynb\)", sources(path, "markdown")[-1], re.M)


def test_where_nothing_runs_a_notebook_still_shows_its_panels():
    named = {
        p.stem: re.findall(r"!\[.{30,}\]\((pictures/\w+\.png)\)", p.read_text(encoding="utf-8")) for p in NOTEBOOKS
    }
    assert [name for name, pictures in named.items() if not pictures] == []
    there = {f"pictures/{p.name}": p.stat().st_size for p in (ROOT / "notebooks" / "pictures").glob("*.png")}
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


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_readme_has_four_examples_with_one_import():
    assert len(EXAMPLES) == 4
    assert all(re.findall(r"^(?:import|from) .*", e, re.M) == ["import ssl_toolkit as stk"] for e in EXAMPLES)


def test_the_first_example_of_the_readme_trains_and_probes(capsys):
    exec(compile(EXAMPLES[0].replace("30", "3"), "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 {'alignment'")
    assert 0 < float(lines[-1]) <= 1


def test_the_second_example_of_the_readme_paints(capsys):
    exec(compile(EXAMPLES[1].replace("dim=0)", "dim=0), steps=2"), "README.md", "exec"), {})
    assert capsys.readouterr().out == "torch.Size([32, 3, 32, 32])\n"


def test_the_third_example_of_the_readme_walks_from_noise_to_clothes(capsys):
    exec(compile(EXAMPLES[2], "README.md", "exec"), {})
    assert [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()] == list(range(1, 16))


def test_the_fourth_example_of_the_readme_finds_what_a_network_confuses(tmp_path):
    data = load_data("digits", limit=200)
    for i, (image, label) in enumerate(zip(data.images, data.labels.tolist(), strict=True)):
        place = tmp_path / ("train" if i % 4 else "test") / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(place / f"{i}.png")
    names = {"network": small_conv(3)}
    exec(compile(EXAMPLES[3].replace("photos", str(tmp_path)), "README.md", "exec"), names)
    assert len(names["said"]) == len(names["test"]) == 50
