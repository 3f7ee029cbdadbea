"""Files of pictures, figures, chains and panels: what each may be, whole or not at all."""

import io

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from PIL import Image

from ssl_toolkit.data import load_data, rng
from ssl_toolkit.diffusion import exact_denoiser, flow_schedule
from ssl_toolkit.widgets import ChainCanvas, ChainPanel, ImageGrid, ViewsPanel, export, pictures as module, tile
from ssl_toolkit.widgets.canvases.chart import Chart

IMAGES = torch.randint(0, 256, (3, 4, 1, 6, 6), generator=rng(0), dtype=torch.uint8)


@pytest.fixture
def chain():
    canvas = ChainCanvas(columns=2, scale=2)
    canvas.show({"a": IMAGES, "b": IMAGES.flip(0)}, value=1)
    return canvas


@pytest.fixture
def figure():
    return go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="a curve"))


def test_a_png_is_the_picture_of_a_panel_a_canvas_or_a_sheet(tmp_path, chain):
    sheet = tile(IMAGES[0], 2)
    for i, thing in enumerate((ViewsPanel(load_data("digits", size=8)), ImageGrid(IMAGES[0]), chain, sheet)):
        export(thing, tmp_path / f"{i}.png")
        with Image.open(tmp_path / f"{i}.png") as image:
            expected = thing if thing is sheet else thing.picture()
            assert np.array_equal(np.asarray(image), expected)


def test_a_gif_plays_all_frames_of_a_chain(tmp_path, chain):
    assert chain.save(tmp_path / "chain.gif") == "saved chain.gif"
    with Image.open(tmp_path / "chain.gif") as image:
        assert (image.n_frames, image.info["loop"]) == (3, 0)
        image.seek(1)
        assert np.array_equal(np.asarray(image.convert("RGB")), chain.picture())


def test_a_panel_saves_the_chain_that_it_shows(tmp_path):
    digits, flow = load_data("digits", size=8).images[:20], flow_schedule()
    panel = ChainPanel(exact_denoiser(digits / 127.5 - 1, flow), (1, 8, 8), schedule=flow, steps=4, n=3)
    panel.wait()
    panel.save(tmp_path / "chain.gif")
    with Image.open(tmp_path / "chain.gif") as image:
        assert image.n_frames == len(panel.frames)


def test_a_page_of_a_figure_can_be_hovered(tmp_path, figure):
    export(figure, tmp_path / "a.html")
    export(Chart(figure).figure, tmp_path / "b.html")
    assert all("a curve" in (tmp_path / name).read_text() for name in ("a.html", "b.html"))


@pytest.mark.parametrize("ending", [".svg", ".png"])
def test_an_image_of_a_figure_needs_kaleido_and_says_so(tmp_path, figure, ending, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=f"{ending} of a figure needs the package kaleido"):
        export(figure, tmp_path / f"a{ending}")
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    monkeypatch.setattr(go.Figure, "to_image", lambda self, kind: kind.encode())
    export(figure, tmp_path / f"a{ending}")
    assert (tmp_path / f"a{ending}").read_text() == ending[1:]


def test_endings_that_do_not_suit_are_named_and_leave_no_file(tmp_path, chain, figure):
    for thing, name, words in (
        (figure, "a.gif", "the ending is '.gif': a figure can be .html, .svg or .png"),
        (chain, "a.svg", "the ending is '.svg': this ChainCanvas can be .html, .png, .gif now"),
        (ImageGrid(IMAGES[0]), "a.gif", "the ending is '.gif': this ImageGrid can be .html, .png now"),
        (chain, "a.csv", "this ChainCanvas can be .html, .png, .gif now"),
        (tile(IMAGES[0], 2), "a.html", "a sheet of pixels can be .png"),
        (chain, "a", "the ending is ''"),
    ):
        with pytest.raises(ValueError, match=words):
            export(thing, tmp_path / name)
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        export(chain, tmp_path / "none" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_chain_of_one_frame_is_a_picture(tmp_path):
    canvas = ChainCanvas()
    canvas.show({"a": IMAGES[:1]})
    with pytest.raises(ValueError, match=r"can be \.html, \.png now"):
        canvas.save(tmp_path / "a.gif")
    assert Image.open(io.BytesIO(module.png(canvas.picture()))).size[0] > 0
