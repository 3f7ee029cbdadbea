"""The scatter as data: what travels to the browser, and what comes back."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_toolkit.data import load_data, rng
from ssl_toolkit.widgets.canvases.colors import COLORS
from ssl_toolkit.widgets.canvases.scatter import Scatter, color_by, thumbnails


@pytest.fixture(scope="module")
def data():
    return load_data("shapes", limit=50)


@pytest.fixture
def scatter(data):
    scatter = Scatter(data.images)
    scatter.show(torch.randn(50, 2, generator=rng(0)))
    scatter.paint(color_by("class", data.labels, data.classes))
    return scatter


def test_points_travel_as_floats_that_fill_the_frame(scatter):
    points = np.frombuffer(scatter.points, np.float32).reshape(50, 2)
    assert np.abs(points).max() == pytest.approx(1)
    sent = torch.randn(50, 2, generator=rng(0))
    across = sent.amax(0) - sent.amin(0)
    assert np.allclose(np.ptp(points, axis=0), 2 * (across / across.max()).numpy(), atol=1e-5)  # the aspect stays
    assert len(scatter.color) == 50
    assert scatter.legend["words"] == list(data_classes())


def data_classes():
    return load_data("shapes", limit=8).classes


def test_two_planes_hold_the_same_images(scatter):
    scatter.show(torch.randn(2, 50, 2, generator=rng(0)), ["one", "two"])
    assert scatter.titles == ["one", "two"]
    assert len(scatter.points) == 2 * 50 * 2 * 4
    assert scatter.picture().shape == (440, 888, 3)


def test_the_sheet_holds_every_image_once(data):
    raw, (w, h, columns), (across, down) = thumbnails(data.images)
    sheet = np.asarray(Image.open(io.BytesIO(raw))).astype(int)
    assert (w, h, columns) == (32, 32, 8)
    for i in (0, 9, 49):
        y, x = i // columns * down, i % columns * across
        picture = data.images[i].permute(1, 2, 0).numpy().astype(int)
        assert np.abs(sheet[y : y + h, x : x + w] - picture).mean() < 6


@pytest.mark.parametrize("shape, tile, pitch", [((1, 28, 28), (28, 28), (32, 32)), ((3, 96, 48), (16, 32), (16, 32))])
def test_other_sizes_and_gray_images_have_thumbnails(shape, tile, pitch):
    images = (255 * torch.rand(5, *shape, generator=rng(0))).byte()
    raw, (w, h, columns), got = thumbnails(images)
    assert (w, h) == tile
    assert got == pitch
    assert Image.open(io.BytesIO(raw)).size == (columns * pitch[0], 2 * pitch[1])


def test_ten_thousand_points_are_little_to_send():
    scatter = Scatter()
    scatter.show(torch.randn(10_000, 2, generator=rng(0)))
    scatter.paint(color_by("x", torch.rand(10_000, generator=rng(1))))
    assert sum(len(raw) for raw in (scatter.points, scatter.color, scatter.values)) == 130_000


def test_classes_have_colors_then_shapes_and_many_values_a_scale():
    few = color_by("digit", torch.arange(10), [str(i) for i in range(10)])
    assert few.palette == [*COLORS, *COLORS[:2]]
    many = color_by("count", torch.arange(200))
    assert many.words == []
    assert len(set(many.index.tolist())) == 64


def test_a_scale_is_not_spoilt_by_outliers_or_by_what_is_no_number():
    values = torch.cat([torch.linspace(0, 1, 300), torch.tensor([1e6, torch.nan, -torch.inf])])
    scale = color_by("size", values)
    assert float(scale.ends[1]) < 1.01
    assert scale.index[300] == 63
    assert scale.index[301] == 255
    assert list(scale.index[:300]) == sorted(scale.index[:300])
    assert color_by("nothing", torch.full((3,), torch.nan)).index.tolist() == [255] * 3


def test_a_hue_has_its_own_color():
    red, green = (color_by("hue", torch.tensor([h])) for h in (0.0, 1 / 3))
    assert red.palette[red.index[0]].startswith("#d9")
    color = green.palette[green.index[0]]
    assert int(color[3:5], 16) > 2 * int(color[1:3], 16)


def test_picks_and_selections_arrive(scatter):
    assert scatter.sheet == b""  # sent when the browser has drawn the points
    scatter._handle_custom_msg({"type": "sheet"}, [])
    assert (scatter.sheet, tuple(scatter.tile), tuple(scatter.pitch)) == thumbnails(scatter.images)
    picked, selected = [], []
    scatter.on_pick(picked.append)
    scatter.on_select(selected.append)
    scatter._handle_custom_msg({"type": "pick", "index": 7}, [])
    scatter._handle_custom_msg({"type": "select", "indices": [3, 1]}, [])
    assert (picked, selected) == ([7], [[3, 1]])
    scatter.select(torch.tensor([3, 1]))
    assert np.frombuffer(scatter.selected, np.uint32).tolist() == [3, 1]


def test_a_saved_notebook_shows_the_points(scatter):
    bundle, _ = scatter._repr_mimebundle_()
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5


def test_points_at_one_place_are_drawn_and_those_at_none_are_an_error(scatter):
    scatter.show(torch.ones(50, 2))
    assert np.isfinite(np.frombuffer(scatter.points, np.float32)).all()
    with pytest.raises(ValueError, match="no place to draw"):
        scatter.show(torch.full((50, 2), torch.nan))
    with pytest.raises(ValueError, match="1 or 3 channels"):
        Scatter(torch.zeros(4, 2, 8, 8, dtype=torch.uint8))


def test_of_very_many_only_what_is_looked_at_travels(monkeypatch, data):
    monkeypatch.setattr("ssl_toolkit.widgets.canvases.scatter.SHEET", 1000)
    monkeypatch.setattr("ssl_toolkit.widgets.canvases.scatter.TOLD", 10)
    scatter = Scatter(data.images)
    scatter.show(torch.randn(50, 2, generator=rng(0)))
    scatter.tell([f"row {i}" for i in range(50)])
    sent = []
    monkeypatch.setattr(scatter, "send", lambda content, buffers=None: sent.append((content, buffers)))
    scatter._handle_custom_msg({"type": "sheet"}, [])
    assert (scatter.sheet, scatter.told, scatter.asks, list(scatter.tile)) == (b"", [], True, [32, 32, 8])
    scatter._handle_custom_msg({"type": "look", "indices": [7, 49, 50, -1]}, [])
    [(content, [raw])] = sent
    assert (content["indices"], content["told"], content["columns"]) == ([7, 49], ["row 7", "row 49"], 2)
    assert raw == thumbnails(data.images[[7, 49]])[0]
    scatter._handle_custom_msg({"type": "look", "indices": list(range(50)) * 4}, [])
    assert len(sent[1][0]["indices"]) == 64


def test_a_search_reaches_python(scatter):
    assert not scatter.findable
    sought = []
    scatter.on_find(sought.append)
    scatter._handle_custom_msg({"type": "find", "text": "coat"}, [])
    assert (scatter.findable, sought) == (True, ["coat"])


def test_a_hundred_thousand_points_are_little_to_send():
    scatter = Scatter(torch.zeros(1, 3, 32, 32, dtype=torch.uint8).expand(100_000, -1, -1, -1))
    scatter.show(torch.randn(100_000, 2, generator=rng(0)))
    scatter.paint(color_by("class", torch.arange(100_000) % 10))
    scatter.tell(["a row"] * 100_000)
    state = scatter.get_state()
    assert sum(len(v) for v in state.values() if isinstance(v, bytes | str | list | memoryview)) < 1_400_000
