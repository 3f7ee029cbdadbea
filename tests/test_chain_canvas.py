"""Chains and masks as data: what travels to the browser, and what comes back."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_toolkit.seeds import rng
from ssl_toolkit.widgets import ChainCanvas, MaskCanvas, chain_canvas

T, N, H, W = 5, 3, 4, 6


def frames(channels=1, seed=0, t=T):
    return torch.randint(0, 256, (t, N, channels, H, W), generator=rng(seed), dtype=torch.uint8)


def pixels(raw) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(bytes(raw))))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_sprite_holds_every_image_of_every_row_and_frame(channels):
    canvas, rows = ChainCanvas(), {"model": frames(channels), "target": frames(channels, 1)}
    canvas.show(rows)
    sheet = pixels(canvas.sprite).reshape(T * 2 * H, N * W, channels)
    for t in range(T):
        for r, images in enumerate(rows.values()):
            for i in range(N):
                y, x = (2 * t + r) * H, i * W
                assert np.array_equal(sheet[y : y + H, x : x + W], images[t, i].permute(1, 2, 0).numpy())
    assert (canvas.names, canvas.shape, canvas.marks) == (["model", "target"], [T, N, H, W], b"")


def test_a_long_chain_continues_in_further_columns(monkeypatch):
    monkeypatch.setattr(chain_canvas, "LARGEST", 2 * H)
    canvas, images = ChainCanvas(), frames()
    monkeypatch.setattr(chain_canvas, "LARGEST", 3 * N * W)  # room for three columns; as tall, so one is enough
    canvas.show({"model": images})
    assert canvas.columns == 1
    sheet = chain_canvas._sheet([images.numpy().transpose(0, 3, 1, 4, 2)], 3)
    assert sheet.shape == (2 * H, 3 * N * W, 1)
    for t in range(T):
        y, x = t % 2 * H, t // 2 * N * W
        assert np.array_equal(sheet[y : y + H, x : x + W, 0], images[t, 0, 0].numpy())
    with pytest.raises(ValueError, match="more than a browser draws"):
        canvas.show({"model": frames(t=200)})


def test_marks_are_transparent_but_where_a_pixel_is_marked():
    canvas, marks = ChainCanvas(), torch.rand(T, N, H, W, generator=rng(3)) < 0.3
    canvas.show({"model": frames(), "infused": frames(1, 1)}, marks={"infused": marks}, captions=["a"] * T)
    alpha = pixels(canvas.marks)[..., 3].reshape(T, 2, H, N, W)
    assert not alpha[:, 0].any()
    assert np.array_equal(alpha[:, 1] > 0, marks.numpy().transpose(0, 2, 1, 3))


def test_the_frame_stays_where_it_was_if_it_still_exists():
    canvas = ChainCanvas()
    canvas.show({"model": frames()})
    canvas.frame = 3
    canvas.show({"model": frames(1, 2)})
    assert canvas.frame == 3
    canvas.show({"model": frames(t=2)})
    assert canvas.frame == 1


def test_a_pick_says_which_row_and_which_image():
    canvas, picked = ChainCanvas(), []
    canvas.on_pick(lambda row, index: picked.append((row, index)))
    canvas._handle_custom_msg({"type": "pick", "row": "target", "index": 2}, [])
    canvas._handle_custom_msg({"type": "other"}, [])
    assert picked == [("target", 2)]


@pytest.mark.parametrize("rows", [{}, {"a": frames(), "b": frames(t=2)}])
def test_rows_of_different_lengths_are_refused(rows):
    with pytest.raises(ValueError, match="all with the same t, n, h and w"):
        ChainCanvas().show(rows)


def test_a_saved_notebook_shows_the_last_frame_of_each_row():
    canvas, rows = ChainCanvas(scale=2), {"model": frames(), "target": frames(3, 1)}
    canvas.show(rows)
    picture = canvas.picture()
    assert picture.shape == (2 * 2 * H, 2 * N * W, 3)
    assert np.array_equal(picture[0 : 2 * H : 2, 0 : 2 * W : 2, 0], rows["model"][-1, 0, 0].numpy())
    assert "image/png" in canvas._repr_mimebundle_()[0]


def test_a_mask_is_set_and_read_and_its_strokes_are_counted():
    image = frames(3)[0, 0]
    canvas, strokes = MaskCanvas(image), []
    canvas.observe(lambda change: strokes.append(change["new"]), "painted")
    assert not canvas.mask.any()
    mask = torch.rand(H, W, generator=rng(4)) < 0.5
    canvas.mask = mask
    assert torch.equal(canvas.mask, mask)
    canvas.set_state({"bits": memoryview(bytes(H * W)), "painted": 2})  # what a stroke in the browser sends
    assert not canvas.mask.any()
    assert strokes == [1, 2]
    assert bytes(canvas.pixels) == image.numpy().tobytes()


def test_the_mask_stays_on_another_image_of_the_same_size():
    canvas = MaskCanvas(frames()[0, 0])
    canvas.mask = torch.ones(H, W, dtype=torch.bool)
    canvas.show(frames(3)[0, 1])
    assert bool(canvas.mask.all())
    canvas.show(torch.zeros(1, 8, 8, dtype=torch.uint8))
    assert not canvas.mask.any()
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2\)"):
        canvas.mask = torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        canvas.show(torch.zeros(2, 8, 8, dtype=torch.uint8))


def test_what_is_painted_is_seen_in_the_picture():
    canvas = MaskCanvas(torch.zeros(1, 8, 8, dtype=torch.uint8), scale=1)
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2, 3] = True
    canvas.mask = mask
    assert np.array_equal(canvas.picture().any(axis=2), mask.numpy())
