"""Notebooks as a static site: executed by a real kernel, linked with each other, and alive without one."""

import json
import re
from html.parser import HTMLParser

import nbformat
import pytest
from PIL import Image

from ssl_toolkit.__main__ import main
from ssl_toolkit.widgets import site
from ssl_toolkit.widgets.page import VIEW

FIRST = """# What moves?

A chain, and <script>nothing</script> else.
*One second.*

<details><summary><i>No kernel here? A picture of the panel.</i></summary>

![A chain](pictures/chain.png)
</details>

Next: [two](b_two.ipynb), [the board](BOARD.md#dj-1), [far away](nowhere.ipynb)."""
CHAIN = """import torch
import ssl_toolkit as stk
for i in range(3):
    print("line", i)
import time
player = stk.widgets.Player(lambda: (time.sleep(0.01) or i for i in range(500)), unit="step")
player.play()
canvas = stk.widgets.ChainCanvas()
canvas.show({"</script>": torch.zeros(4, 2, 1, 8, 8, dtype=torch.uint8)})
canvas"""
CHART = """import plotly.graph_objects as go
figure = go.Figure(go.Scatter(y=[1, 2]))
chart = stk.widgets.Chart(figure)
figure.data[0].y = [1, 2, 7]
chart.draw()
chart"""


class Addresses(HTMLParser):
    """What a page loads, and where it leads."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.scripts = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.scripts += tag == "script"
        if tag == "a":
            self.links.append(attributes["href"])
        elif (address := attributes.get("src") or attributes.get("href")) is not None:
            self.loads.append(address)


def notebook(path, text, *code):
    cells = [nbformat.v4.new_markdown_cell(text), *map(nbformat.v4.new_code_cell, code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "pictures" / "chain.png")
    notebook(folder / "a_one.ipynb", FIRST, CHAIN, CHART, "player")
    notebook(folder / "b_two.ipynb", "# What stays?\n\nNothing & all.", "go = 1 + 1\ngo")
    (folder / "BOARD.md").write_text("# Board\n\n### DJ-1\n\nSee [one](a_one.ipynb) & [this](#dj-1).")
    return folder


@pytest.fixture(scope="module")
def made(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    return folder, {page.name: page for page in site.build(folder, [sources], run=True)}


def read(folder, name):
    return (folder / name).read_text(encoding="utf-8")


def test_every_page_is_written_and_counted(made):
    folder, pages = made
    assert {"a_one.html", "b_two.html", "BOARD.html", "index.html", "widgets.js", "plotly.js", "site.css"} == set(pages)
    assert pages["a_one.html"].alive == 2
    assert pages["b_two.html"].alive == 0
    assert pages["a_one.html"].size == (folder / "a_one.html").stat().st_size


def test_all_that_pages_load_and_link_to_is_in_the_site(made):
    folder, pages = made
    for name in pages:
        if not name.endswith(".html"):
            continue
        found = Addresses(read(folder, name))
        for address in found.loads + found.links:
            place, _, part = address.partition("#")
            assert not place or (folder / place).is_file(), (name, address)
            assert not part or f'id="{part}"' in read(folder, place or name), (name, address)


def test_pages_lead_to_each_other_by_their_questions(made):
    folder, _ = made
    one, two = read(folder, "a_one.html"), read(folder, "b_two.html")
    assert Addresses(one).links.count("b_two.html") == 3  # in the text, above and below it
    assert "nowhere" not in "".join(Addresses(one).links)
    assert "far away" in one
    assert "What stays?" in one
    assert "What moves?" in two
    assert [a for a in Addresses(two).loads if a.endswith(".js")] == []  # nothing on it lives


def test_the_index_has_a_picture_and_a_question_for_each(made):
    folder, _ = made
    index = read(folder, "index.html")
    assert Addresses(index).links == ["index.html", "a_one.html", "b_two.html", "BOARD.html"]
    assert Addresses(index).loads == ["assets/site.css", "pictures/chain.png"]
    assert "<b>What moves?</b><span>A chain, and &lt;script&gt;nothing&lt;/script&gt; else.</span>" in index
    assert "Nothing &amp; all." in index


def test_where_the_panel_lives_its_picture_is_left_out(made):
    folder, _ = made
    assert "No kernel here" not in read(folder, "a_one.html")
    assert "data:image/png" not in read(folder, "a_one.html")


def test_the_state_is_that_of_the_end_and_no_text_of_it_is_markup(made):
    folder, _ = made
    text = read(folder, "a_one.html")
    (stored,) = re.findall(r'<script class="ssl-state" type="application/json">(.*?)</script>', text)
    models = json.loads(stored)
    shown = re.findall(rf'<script type="{re.escape(VIEW)}">(.*?)</script>', text, re.S)
    assert len(shown) == 3
    assert all(json.loads(view)["model_id"] in models for view in shown)
    kinds = [made["state"] for made in models.values()]
    assert ["</script>"] in [state.get("names") for state in kinds]
    (figure,) = [state["shown"] for state in kinds if "shown" in state]
    assert figure["data"][0]["y"] == [1, 2, 7]
    assert any("done" in state.get("value", "") for state in kinds if isinstance(state.get("value"), str))


def test_lines_that_were_printed_are_one_text(made):
    folder, _ = made
    assert "line 0\nline 1\nline 2" in read(folder, "a_one.html")


def test_a_site_is_made_again_from_what_was_executed(made, sources, capsys):
    folder, _ = made
    before = read(folder, "a_one.html")
    assert main(["site", str(folder), "--notebooks", str(sources)]) == 0
    said = capsys.readouterr().out
    assert "a_one.html: " in said
    assert "2 canvases alive" in said
    assert read(folder, "a_one.html") == before
    assert {page.name for page in site.build(folder, [sources / "b_two.ipynb"])} >= {"b_two.html"}


def test_a_figure_of_plotly_is_a_chart(tmp_path):
    import plotly.graph_objects as go

    cell = nbformat.v4.new_code_cell("figure")
    data = json.loads(go.Figure(go.Scatter(y=[1, 5])).to_json())
    cell.outputs = [nbformat.v4.new_output("display_data", {site.FIGURE: data, "text/html": "<b>from afar</b>"})]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "figure.ipynb")
    body, part = site.body_of(tmp_path / "figure.ipynb")
    assert part.charts
    assert "from afar" not in body
    assert VIEW in body


def test_what_cannot_be_shown_is_said_before_anything_is_written(sources, tmp_path, capsys):
    assert main(["site", str(tmp_path / "s"), "--notebooks", str(sources)]) == 1
    assert "a_one.ipynb, b_two.ipynb: there are no outputs to show. With --run" in capsys.readouterr().err
    assert main(["site", str(tmp_path / "s"), "--notebooks", str(tmp_path)]) == 1
    assert "no .ipynb file is there" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_without_jupyter_a_line_says_what_to_install(sources, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(site, "find_spec", lambda name: None)
    assert main(["site", str(tmp_path), "--notebooks", str(sources)]) == 1
    assert 'a site needs nbformat, nbclient, nbconvert: pip install "ssl-toolkit[lab]"' in capsys.readouterr().err


def test_a_notebook_that_fails_is_named(tmp_path, capsys):
    notebook(tmp_path / "bad.ipynb", "# What fails?", "1 + 1", "raise OSError('no room')")
    assert main(["site", str(tmp_path / "s"), "--notebooks", str(tmp_path), "--run"]) == 1
    assert "bad.ipynb fails in cell 2: OSError: no room" in capsys.readouterr().err
