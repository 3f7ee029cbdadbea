"""Pages that live without a kernel: they hold all that they need, and no text on them is markup."""

import base64
import csv
import gzip
import io
import json
import re
from html.parser import HTMLParser

import ipywidgets as w
import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from PIL import Image

from ssl_toolkit import ChainPanel, LossPanel, ProbePanel, Recipe, TrainPanel, load_data, pixels
from ssl_toolkit.data import rng
from ssl_toolkit.diffusion import exact_denoiser, flow_schedule
from ssl_toolkit.widgets import ChainCanvas, ImageGrid, page, records
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.scatter import thumbnails
from ssl_toolkit.widgets.life import parts_of

HOSTILE = "</script><script>alert('here')</script><!-- <b>"


def content_of(widget):
    return page.content(page.gather([widget]), [widget.model_id])


def raw(made, name):
    return gzip.decompress(base64.b64decode(made["bytes"][name])) if made["bytes"][name] else b""


class Scripts(HTMLParser):
    """The scripts of a page as a browser finds them, and whatever else it would fetch."""

    def __init__(self, text):
        super().__init__()
        self.found, self.fetched, self._open = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self._open = tag == "script"
        if self._open:
            self.found.append([attributes.get("class") or attributes.get("type") or "", ""])
        if tag in ("script", "img", "iframe", "link") and (address := attributes.get("src") or attributes.get("href")):
            self.fetched.append(address)

    def handle_endtag(self, tag):
        self._open = False

    def handle_data(self, data):
        if self._open:
            self.found[-1][1] += data


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", size=8, limit=60)


@pytest.fixture(scope="module")
def panels(digits):
    flow = flow_schedule()
    chain = ChainPanel(exact_denoiser(digits.images / 127.5 - 1, flow), (1, 8, 8), schedule=flow, steps=4, n=3)
    probe = ProbePanel({"pixels": pixels, "mean": lambda x: x.mean(dim=(2, 3))}, digits)
    train = TrainPanel(load_data("digits", size=28, limit=80), Recipe(steps=4, batch_size=16, width=16), every=2)
    for panel in (chain, probe, train):
        panel.wait()
    return {"chain": chain, "probe": probe, "train": train}


@pytest.mark.parametrize("name", ["chain", "probe", "train"])
def test_a_page_holds_every_widget_that_it_refers_to_and_the_code_of_each(panels, name):
    part = content_of(panels[name])
    referred = set(re.findall(r"IPY_MODEL_(\w+)", json.dumps(part.models)))
    assert referred <= set(part.models)
    assert set(part.models) == referred | {panels[name].model_id}
    for widget in panels[name].children:
        assert widget.model_id in part.models
    coded = [made for made in part.models.values() if made["kind"] == "Any"]
    assert len(coded) >= 2
    assert {made["esm"] for made in coded} == set(part.modules)
    assert {made["css"] for made in coded if "css" in made} == set(part.styles)


def test_bytes_come_back_as_they_were(panels):
    canvas = panels["chain"].canvas
    made = content_of(panels["chain"]).models[canvas.model_id]
    assert raw(made, "pixels") == canvas.pixels
    assert made["state"]["shape"] == canvas.shape
    assert "pixels" not in made["state"]


def test_a_map_has_the_thumbnails_that_a_browser_would_have_asked_for(digits):
    panel = ProbePanel(pixels, digits)
    panel.wait()
    assert panel.scatter.sheet == b""
    made = content_of(panel).models[panel.scatter.model_id]
    sheet, tile, pitch = thumbnails(digits.images)
    assert raw(made, "sheet") == sheet
    assert (made["state"]["tile"], made["state"]["pitch"]) == (list(tile), list(pitch))


def test_a_chart_is_the_one_that_is_shown_now():
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3.0, 1 / 3]))
    chart = Chart(figure)
    figure.data[0].y = [3.0, 1 / 3, float("nan")]
    chart.draw()
    part = content_of(chart)
    assert part.charts
    assert part.models[chart.model_id]["state"]["shown"]["data"][0]["y"] == [3.0, 0.33333, None]


def test_the_line_in_the_chart_of_a_chain_knows_where_to_go(panels):
    panel = panels["chain"]
    made = content_of(panel).models[panel.chart.model_id]
    assert made["state"]["ssl_cursor"] == {"of": panel.canvas.model_id, "places": [0, 1, 2, 3, 4]}


def test_only_what_is_shown_is_on_the_page(panels):
    state = page.gather(list(panels.values()))
    few = page.content(state, [panels["chain"].model_id])
    assert len(few.models) < len(state) / 2
    assert panels["train"].model_id not in few.models


def test_no_text_ends_a_script_or_begins_one():
    grid = ImageGrid(torch.zeros(2, 1, 8, 8), captions=[HOSTILE, "two"], label=HOSTILE)
    text = page.page_of(w.VBox([grid, w.Text(HOSTILE, description=HOSTILE)]), HOSTILE)
    scripts = Scripts(text)
    assert [kind for kind, _ in scripts.found] == [page.VIEW, "ssl-state", ""]
    models = json.loads(scripts.found[1][1])
    (made,) = [made for made in models.values() if "captions" in made["state"]]
    assert made["state"]["captions"] == [HOSTILE, "two"]
    assert scripts.fetched == []


def test_a_number_that_json_does_not_have_is_none():
    grid = ImageGrid(torch.zeros(1, 1, 8, 8))
    state = page.gather([grid])
    state[grid.model_id]["state"]["odd"] = {"a": [float("inf"), 1.5], "b": float("nan")}
    part = page.content(state, [grid.model_id])
    assert part.models[grid.model_id]["state"]["odd"] == {"a": [None, 1.5], "b": None}
    json.loads(page.in_script(part.models), parse_constant=pytest.fail)


def test_thousands_of_thumbnails_take_few_bytes_and_stay_where_they_were(monkeypatch):
    shade = torch.randint(0, 256, (400, 3, 1, 1), generator=rng(0), dtype=torch.uint8)
    sheet, tile, pitch = thumbnails(shade.expand(-1, -1, 28, 28))
    monkeypatch.setattr(page, "SHEET", len(sheet) // 8)
    state, held = {"tile": list(tile), "pitch": list(pitch)}, {"sheet": sheet}
    page._thin(state, held)
    assert len(held["sheet"]) <= page.SHEET
    (width, _, columns), (across, down) = state["tile"], state["pitch"]
    assert width < 28
    picture = np.asarray(Image.open(io.BytesIO(held["sheet"])).convert("RGB"), dtype=int)
    for i in (0, 21, 399):
        seen = picture[i // columns * down + 2, i % columns * across + 2]
        assert np.abs(seen - shade[i].flatten().numpy()).max() < 40


@pytest.mark.parametrize("captions", [[], [f"at {i}" for i in range(40)]])
def test_a_long_chain_of_large_images_has_fewer_frames_on_the_page(monkeypatch, captions):
    monkeypatch.setattr(page, "CHAIN", 30_000)
    noise = torch.randint(0, 256, (40, 2, 3, 16, 16), generator=rng(0), dtype=torch.uint8)
    marks = noise[:, :, 0] > 200
    canvas, chart = ChainCanvas(), Chart(go.Figure(go.Scatter(y=[0.0])))
    canvas.show({"a": noise, "b": noise.flip(0)}, captions=captions, marks={"b": marks}, value=38)
    state = page.gather([w.VBox([canvas, chart])])
    state[chart.model_id]["state"]["ssl_cursor"] = {"of": canvas.model_id, "places": [10 * i for i in range(40)]}
    part = page.content(state, [canvas.model_id, chart.model_id])
    made = part.models[canvas.model_id]
    _, frames, *_ = made["state"]["shape"]
    places = part.models[chart.model_id]["state"]["ssl_cursor"]["places"]
    left = [place // 10 for place in places]
    assert (len(places), left[0], left[-1]) == (frames, 0, 39)
    assert len(gzip.compress(raw(made, "pixels"))) < 33_000
    chains = np.frombuffer(raw(made, "pixels"), np.uint8).reshape(2, frames, 2, 3, 16, 16)
    assert np.array_equal(chains[0], noise[left].numpy())
    tinted = np.frombuffer(raw(made, "marks"), np.uint8).reshape(2, frames, 2, 16, 16)
    assert np.array_equal(tinted[1], marks[left].numpy())
    assert made["state"]["captions"] == [f"at {i}" if captions else f"step {i} of 39" for i in left]
    assert made["state"]["value"] in (frames - 1, frames - 2)


def test_a_page_is_small_and_fetches_nothing(panels, tmp_path):
    for name, panel in panels.items():
        assert panel.save(tmp_path / f"{name}.html") == f"saved {name}.html"
        text = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert len(text) < 3_000_000
        assert Scripts(text).fetched == []


def test_what_a_panel_saves_leaves_it_alive(panels):
    before = {part.model_id: part.comm for part in parts_of(panels["probe"])}
    page.page_of(panels["probe"], "a page")
    assert all(part.comm is before[part.model_id] for part in parts_of(panels["probe"]) if part.model_id in before)


def rows_of(panel, path):
    panel.save(path)
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_the_records_of_a_training_are_a_table_with_one_line_a_step(panels, tmp_path):
    rows = rows_of(panels["train"], tmp_path / "run.csv")
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert float(rows[-1]["loss"]) == panels["train"].steps[-1].loss
    assert float(rows[-1]["knn"]) == panels["train"].snapshots[-1].knn
    assert rows[1]["knn"] == ""


def test_the_records_of_other_panels(panels, digits, tmp_path):
    rows = rows_of(panels["chain"], tmp_path / "chain.csv")
    assert [row["calls A"] for row in rows] == ["0", "1", "2", "3", "4"]
    rows = rows_of(panels["probe"], tmp_path / "probe.csv")
    assert len(rows) == len(digits)
    assert [row["class"] for row in rows] == [digits.classes[y] for y in digits.labels.tolist()]
    assert {"pixels x", "pixels y", "mean x"} <= set(rows[0])
    loss = LossPanel("VICReg")
    loss.step()
    assert [row["step"] for row in rows_of(loss, tmp_path / "loss.csv")] == ["1"]


def test_parquet_keeps_the_types(panels, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"\.parquet needs the package pyarrow: pip install pyarrow, or write \.csv"):
        panels["train"].save(tmp_path / "run.parquet")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    parquet = pytest.importorskip("pyarrow.parquet")
    panels["train"].save(tmp_path / "run.parquet")
    table = parquet.read_table(tmp_path / "run.parquet").to_pydict()
    assert table["step"] == [0, 1, 2, 3, 4]
    assert table["loss"][0] is None


def test_an_unknown_ending_is_told_what_there_is(panels, tmp_path):
    words = {
        "chain": r"the ending is '\.pdf': this ChainPanel can be \.html, \.png, \.gif, \.csv, \.parquet now",
        "train": r"this TrainPanel can be \.safetensors, \.html, \.png, \.csv, \.parquet now",
    }
    for name, said in words.items():
        with pytest.raises(ValueError, match=said):
            panels[name].save(tmp_path / "a.pdf")
    idle = TrainPanel(load_data("digits", size=28, limit=80), Recipe(steps=2, batch_size=16, width=16))
    with pytest.raises(ValueError, match=r"this TrainPanel can be \.safetensors, \.html, \.png now"):
        idle.save(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
