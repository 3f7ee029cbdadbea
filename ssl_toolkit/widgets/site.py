"""Executed notebooks as a static site: what their pictures can do without a kernel, they do on these pages."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import plotly.graph_objects as go

from ssl_toolkit.data.files import atomic_write
from ssl_toolkit.widgets import page
from ssl_toolkit.widgets.canvases.chart import Chart

STATE = "application/vnd.jupyter.widget-state+json"
FIGURE = "application/vnd.plotly.v1+json"
NEEDED = ("nbformat", "nbclient", "nbconvert")
CELL = 1800  # seconds that one cell may take
STILL = re.compile(r"<details>\s*<summary>\s*<i>No kernel here.*?</details>", re.S)  # the panel itself is there
LINK = re.compile(r'<a href="([\w./-]+)\.(?:ipynb|md)(#[^"]*)?">(.*?)</a>', re.S)
TEMPLATE = f"""{{%- extends 'classic/base.html.j2' -%}}
{{% block in_prompt %}}{{% endblock %}}{{% block empty_in_prompt %}}{{% endblock %}}
{{% block output_area_prompt %}}{{% endblock %}}{{% block footer %}}{{% endblock %}}
{{% block data_widget_view %}}<script type="{page.VIEW}">
{{{{- output.data["{page.VIEW}"] | json_dumps | escape_html_script }}}}</script>{{% endblock %}}
"""


class Made(NamedTuple):
    """A page that was written: its name, its bytes, and how many canvases live on it."""

    name: str
    size: int
    alive: int


class Entry(NamedTuple):
    """A notebook as the site lists it."""

    name: str
    question: str
    intro: str
    picture: str  # its address in the site; "" for none


def build(folder: Path, notebooks: Sequence[Path], *, run: bool = False) -> Iterator[Made]:
    """Write a page for each of these notebooks, or folders of them, and an index; yield what was written.

    A notebook is shown with the outputs that it has, or else with those of its copy in `folder`/executed. `run`
    executes each, on one thread, and keeps such a copy. Texts in Markdown beside the notebooks become pages as well.
    Raises ValueError where there is no notebook or no output, and ImportError where a package of Jupyter is missing.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ImportError(f'a site needs {", ".join(missing)}: pip install "ssl-toolkit[lab]".')
    sources = [p for given in notebooks for p in (sorted(given.glob("*.ipynb")) if given.is_dir() else [given])]
    if not sources:
        raise ValueError(f"notebooks is {', '.join(map(str, notebooks))}: no .ipynb file is there.")
    texts = sorted({text for p in sources for text in p.parent.glob("*.md")})
    known = {p.stem for p in (*sources, *texts)}
    copies = [folder / "executed" / p.name for p in sources]
    shown = copies if run else [p if _has_outputs(p) else copy for p, copy in zip(sources, copies, strict=True)]
    if not run and (bare := [p.name for p in shown if not _has_outputs(p)]):
        raise ValueError(f"{', '.join(bare)}: there are no outputs to show. With --run (run=True) they are executed.")
    for place in ("assets", "pictures", *(["executed"] if run else [])):
        (folder / place).mkdir(parents=True, exist_ok=True)
    entries = [_entry(p, folder) for p in sources]
    code = []
    for i, (source, path) in enumerate(zip(sources, shown, strict=True)):
        if run:
            execute(source, path)
        body, part = body_of(path)
        code.append(part._replace(models={}))
        beside = [entries[j] if 0 <= j < len(entries) else None for j in (i - 1, i + 1)]
        html = _framed(entries[i].question, _linked(body, known), beside, part)
        alive = sum(bool(made["bytes"]) or "shown" in made["state"] for made in part.models.values())
        yield _written(folder / f"{path.stem}.html", html, alive)
    for path in texts:
        body = _from_markdown(path.read_text(encoding="utf-8"))
        yield _written(folder / f"{path.stem}.html", _framed(path.stem, _linked(body, known)))
    yield _written(folder / "assets" / "widgets.js", page.host(*code))
    yield _written(folder / "assets" / "plotly.js", page.plotly())
    yield _written(folder / "assets" / "site.css", _style())
    yield _written(folder / "index.html", _index(entries, [p.stem for p in texts]))


def execute(source: Path, path: Path) -> None:
    """Run every cell of a notebook in a folder of its own, and write it with its outputs and its widgets to `path`.

    Raises ValueError where a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(source, as_version=4)
    with TemporaryDirectory() as place:
        client = NotebookClient(
            notebook, timeout=CELL, store_widget_state=False, coalesce_streams=True,
            resources={"metadata": {"path": place}},
        )  # fmt: skip
        # a kernel knows what messages to a browser do not tell, such as the figure that a chart shows now
        ask = nbformat.v4.new_code_cell("from ssl_toolkit.widgets.page import write_state\nwrite_state({!r}, {!r})")
        notebook.cells.append(ask)
        state = Path(place) / "widgets.json"
        with client.setup_kernel(env={"OMP_NUM_THREADS": "1", **os.environ}):
            for i, cell in enumerate(notebook.cells):
                if cell is ask:
                    cell.source = cell.source.format(_views(notebook), str(state))
                try:
                    client.execute_cell(cell, i)
                except CellExecutionError as error:
                    raise ValueError(f"{source.name} fails in cell {i}: {error.ename}: {error.evalue}") from error
        models = json.loads(state.read_text(encoding="utf-8"))
    del notebook.cells[-1]
    notebook.metadata.widgets = {STATE: {"version_major": 2, "version_minor": 0, "state": models}}
    with atomic_write(path) as partial:
        nbformat.write(notebook, partial)


def body_of(path: Path) -> tuple[str, page.Content]:
    """An executed notebook as HTML, and what its widgets need."""
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    state: page.State = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = STILL.sub("", cell.source)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if FIGURE in data:
                figure = json.loads(json.dumps(data[FIGURE]))  # plain dicts, as Plotly wants them
                chart = Chart(go.Figure(figure["data"], figure.get("layout")))
                state |= page.gather([chart])
                output.data = {page.VIEW: {"model_id": chart.model_id}}
                chart.close()
            elif page.VIEW in data and data[page.VIEW]["model_id"] not in state:
                del data[page.VIEW]  # its picture stays
    part = page.content(state, _views(notebook))
    notebook.metadata.widgets = {STATE: {"state": {i: {} for i in state}}}  # the exporter asks which models there are
    exporter = HTMLExporter(template_name="classic", raw_template=TEMPLATE, exclude_anchor_links=True)
    return exporter.from_notebook_node(notebook)[0], part


def _views(notebook: Any) -> list[str]:
    """The model ids of the widgets that its cells show."""
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ())]
    return [data[page.VIEW]["model_id"] for data in shown if page.VIEW in data]


def _has_outputs(path: Path) -> bool:
    return path.is_file() and any(cell.get("outputs") for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])


def _entry(path: Path, folder: Path) -> Entry:
    """What the index says of a notebook; its first picture is copied."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    title, _, intro = (texts[0] if texts else path.stem).removeprefix("# ").partition("\n")
    intro = re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", intro.strip().split("\n")[0])
    picture = next((name for text in texts for name in re.findall(r"\]\((pictures/[\w.-]+)\)", text)), "")
    if picture and (path.parent / picture).is_file():
        shutil.copyfile(path.parent / picture, folder / picture)
    else:
        picture = ""
    return Entry(path.stem, title, intro, picture)


# the pages ---------------------------------------------------------------------------------------------------------
def _framed(
    title: str, body: str, beside: Sequence[Entry | None] = (None, None), part: page.Content | None = None
) -> str:
    """A page of the site: a line with the way back and on, the text, the notebooks before and after it."""
    scripts = ""
    if part is not None and part.models:
        names = ["widgets.js", "plotly.js"] if part.charts else ["widgets.js"]
        scripts = page.stored(part) + "".join(f'<script src="assets/{name}"></script>' for name in names)
    ways = "".join(
        f'<a class="site-{word}" rel="{word}" href="{e.name}.html"><small>{sign}</small>{escape(e.question)}</a>'
        for e, word, sign in zip(beside, ("prev", "next"), ("Before", "Next"), strict=True)
        if e is not None
    )
    short = "".join(
        f'<a rel="{word}" href="{e.name}.html" title="{escape(e.question)}">{sign}</a>'
        for e, word, sign in zip(beside, ("prev", "next"), ("‹ Before", "Next ›"), strict=True)
        if e is not None
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)} · ssl_toolkit</title><link rel="stylesheet" href="assets/site.css"></head>
<body><header class="site-bar"><a href="index.html">ssl_toolkit</a><nav>{short}</nav></header>
<main class="site-page">{body}</main>
<footer class="site-ways">{ways}</footer>{scripts}</body></html>
"""


def _index(entries: Sequence[Entry], texts: Sequence[str]) -> str:
    cards = "".join(
        f'<a class="site-card" href="{e.name}.html">'
        + (f'<img src="{e.picture}" alt="" loading="lazy">' if e.picture else "")
        + f"<b>{escape(e.question)}</b><span>{escape(e.intro)}</span></a>"
        for e in entries
    )
    more = " · ".join(f'<a href="{name}.html">{name.capitalize()}</a>' for name in texts)
    return _framed("Notebooks", f"{HEAD}<div class='site-cards'>{cards}</div><p class='site-more'>{more}</p>")


HEAD = """<h1>What do networks learn without labels?</h1>
<p>Notebooks that were run once, to be read without a kernel: chains play, maps can be hovered and searched, trainings
run back and forth, and charts answer. To train, paint and probe yourself, open them in JupyterLab:
<code>ssl-toolkit lab</code>.</p>"""


def _from_markdown(text: str) -> str:
    from nbconvert.filters import markdown2html

    html = re.sub(r'<a class="anchor-link".*?</a>', "", markdown2html(text))
    return re.sub(r'(<h\d id=")([^"]*)"', lambda m: f'{m[1]}{m[2].lower()}"', html)  # as GitHub's links have it


def _linked(html: str, known: set[str]) -> str:
    """Links to notebooks and texts lead to their pages; those to what is not in the site are words."""
    return LINK.sub(lambda m: f'<a href="{m[1]}.html{m[2] or ""}">{m[3]}</a>' if m[1] in known else m[3], html)


def _style() -> str:
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("default", "github-dark"))
    own = "".join((page.STATIC / name).read_text(encoding="utf-8") for name in ("host.css", "site.css"))
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def _written(path: Path, text: str, alive: int = 0) -> Made:
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return Made(path.name, path.stat().st_size, alive)
