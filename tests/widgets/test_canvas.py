"""The image grid as data: what travels to the browser, and what comes back."""

import base64
import io

import numpy as np
import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.widgets import ChainCanvas, MaskCanvas
from ssl_toolkit.widgets.canvases.canvas import ImageGrid
from ssl_toolkit.widgets.canvases.scatter import thumbnails
from ssl_toolkit.widgets.pictures import png, tile

IMAGES = torch.randint(0, 256, (5, 3, 4, 6), generator=rng(0), dtype=torch.uint8)


def test_the_pixels_travel_as_they_are():
    grid = ImageGrid(IMAGES, columns=2)
    assert grid.shape == [5, 3, 4, 6]
    assert bytes(grid.pixels) == IMAGES.numpy().tobytes()
    grid.show(IMAGES[:2, :1], frames=["red", ""])
    assert grid.shape == [2, 1, 4, 6]
    assert len(grid.pixels) == 2 * 4 * 6


def test_a_pick_reaches_every_callback():
    grid, picked = ImageGrid(IMAGES), []
    grid.on_pick(picked.append)
    grid._handle_custom_msg({"type": "pick", "index": 3}, [])
    grid._handle_custom_msg({"type": "something else"}, [])
    assert picked == [3]


def test_a_sheet_holds_every_image_enlarged_without_smoothing():
    sheet = tile(IMAGES, columns=2, scale=3, gap=1)
    assert sheet.shape == (3 * 13, 2 * 19, 3)
    for i in range(5):
        y, x = (i // 2) * 13, (i % 2) * 19
        part = sheet[y : y + 12 : 3, x : x + 18 : 3]
        assert np.array_equal(part, IMAGES[i].permute(1, 2, 0).numpy())
    assert (sheet[-1] == 255).all()


def test_a_saved_notebook_shows_the_sheet():
    from PIL import Image

    bundle, _ = ImageGrid(IMAGES, columns=5, scale=2)._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
        assert picture.size == (5 * 14, 10)
    assert png(tile(IMAGES[:, :1], 5)).startswith(b"\x89PNG")


def test_an_empty_grid_is_refused():
    with pytest.raises(ValueError, match=r"shape \(0, 3, 4, 6\)"):
        ImageGrid(IMAGES[:0])


def test_words_stand_beside_each_row():
    assert ImageGrid(IMAGES, columns=5, rows=["before", "after"]).rows == ["before", "after"]


def test_floats_are_shown_as_they_are_and_others_are_refused():
    floats = IMAGES / 255
    assert bytes(ImageGrid(floats).pixels) == IMAGES.numpy().tobytes()
    assert bytes(MaskCanvas(floats[0]).pixels) == IMAGES[0].numpy().tobytes()
    assert (tile(floats, 2) == tile(IMAGES, 2)).all()
    assert thumbnails(floats)[0] == thumbnails(IMAGES)[0]
    chain = ChainCanvas()
    chain.show({"a": floats[None]})
    assert bytes(chain.pixels) == IMAGES.numpy().tobytes()
    for wrong in (floats * 255, floats - 0.5, floats * float("nan")):
        with pytest.raises(ValueError, match="they must be uint8, or floats in"):
            ImageGrid(wrong)
