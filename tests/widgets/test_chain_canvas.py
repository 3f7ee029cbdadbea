"""ChainCanvas as data, without a browser."""

import base64

import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.widgets.canvases.chain import ChainCanvas

CHAIN = torch.randint(0, 256, (5, 3, 1, 8, 6), generator=rng(0), dtype=torch.uint8)


def test_chains_travel_as_one_array_of_bytes():
    canvas = ChainCanvas(columns=2)
    canvas.show({"x": CHAIN, "guess": 255 - CHAIN}, captions=[f"t {t}" for t in range(5)], value=4)
    assert canvas.shape == [2, 5, 3, 1, 8, 6]
    assert canvas.names == ["x", "guess"]
    sent = torch.frombuffer(bytearray(canvas.pixels), dtype=torch.uint8).view(canvas.shape)
    assert torch.equal(sent, torch.stack([CHAIN, 255 - CHAIN]))
    assert canvas.marks == b""
    assert canvas.value == 4


def test_marks_are_for_every_chain_and_empty_where_none_were_given():
    canvas, marks = ChainCanvas(), CHAIN[:, :, 0] > 128
    canvas.show({"model": CHAIN, "infusion": CHAIN}, marks={"infusion": marks})
    sent = torch.frombuffer(bytearray(canvas.marks), dtype=torch.uint8).view(2, 5, 3, 8, 6)
    assert not sent[0].any()
    assert torch.equal(sent[1].bool(), marks)


@pytest.mark.parametrize(
    "chains, value, words",
    [
        ({}, 0, "one shape"),
        ({"a": CHAIN, "b": CHAIN[:2]}, 0, "one shape"),
        ({"a": CHAIN.expand(-1, -1, 2, -1, -1)}, 0, "c of 1 or 3"),
        ({"a": CHAIN}, 5, r"frames 0 \.\.\. 4"),
    ],
)
def test_what_cannot_be_shown_is_said(chains, value, words):
    with pytest.raises(ValueError, match=words):
        ChainCanvas().show(chains, value=value)


def test_other_chains_are_shown_at_the_frame_that_was_seen():
    canvas = ChainCanvas()
    canvas.show({"x": CHAIN}, value=3)
    canvas.show({"x": 255 - CHAIN})
    assert canvas.value == 3
    canvas.show({"x": CHAIN[:2]})
    assert canvas.value == 1


def test_a_pick_tells_the_chain_and_the_image():
    canvas, picked = ChainCanvas(), []
    canvas.show({"x": CHAIN, "guess": CHAIN})
    assert not canvas.pickable
    canvas.on_pick(lambda name, index: picked.append((name, index)))
    assert canvas.pickable
    canvas._handle_custom_msg({"type": "pick", "row": 1, "index": 2}, [])
    assert picked == [("guess", 2)]


def test_a_saved_notebook_shows_the_frame():
    canvas = ChainCanvas()
    bundle, _ = canvas._repr_mimebundle_()
    canvas.show({"x": CHAIN}, value=2)
    later, _ = canvas._repr_mimebundle_()
    assert base64.b64decode(later["image/png"]).startswith(b"\x89PNG")
    assert later["image/png"] != bundle["image/png"]
