"""One line from whatever people have to a panel."""

import numpy as np
import pytest
import torch
from torch import nn

import ssl_toolkit as stk

IMAGES = torch.randint(0, 256, (40, 3, 16, 16), generator=stk.rng(0), dtype=torch.uint8)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.body(x))


def test_any_network_is_wrapped_and_a_function_is_called():
    panel = stk.explore(Network(), IMAGES, labels=["cat", "dog"] * 20)
    panel.wait()
    assert panel.probed[0].features["representation"].shape == (40, 8)  # what the head is fed
    assert panel.data.classes == ("cat", "dog")
    function = stk.explore(lambda x: x.flatten(1)[:, :7], IMAGES.permute(0, 2, 3, 1).numpy())
    function.wait()
    assert function.probed[0].z.shape == (40, 7)
    assert torch.equal(function.data.images, IMAGES)


def test_embeddings_come_from_numpy_torch_and_tables():
    z = torch.randn(40, 6, generator=stk.rng(1))
    labels = ["a", "b"] * 20
    for given in (z, z.numpy(), z.tolist()):
        panel = stk.explore(z=given, labels=labels, images=IMAGES)
        panel.wait()
        assert torch.allclose(panel.probed[0].z, z)
        panel.find("label b")
        assert panel.selected() == {"label": ["b"] * 20}


def test_a_data_frame_gives_embeddings_and_a_table_and_takes_the_tags():
    pandas = pytest.importorskip("pandas")
    z = torch.randn(40, 6, generator=stk.rng(1))
    frame = pandas.DataFrame({"kind": ["a", "b"] * 20, "size": np.arange(40.0)})
    panel = stk.explore(z=pandas.DataFrame(z.numpy()), table=frame)
    panel.wait()
    panel.select([1, 3])
    assert panel.selected()["size"].tolist() == [1.0, 3.0]
    frame["tag"] = panel.tags
    assert len(frame) == 40


def test_more_rows_than_images_are_shown_where_nothing_is_said():
    z = torch.randn(10_500, 3, generator=stk.rng(2))
    assert len(stk.explore(z=z).data) == 10_500
    panel = stk.explore(stk.pixels, torch.zeros(10_500, 1, 2, 2, dtype=torch.uint8))
    assert len(panel.data) == 10_000
    assert len(stk.explore(z=z, limit=50).data) == 50


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "give a model and images, or z"),
        ({"model": stk.pixels}, "give a model and images, or z"),
        ({"model": stk.pixels, "images": IMAGES, "table": {}}, "table and text go with z"),
        ({"z": torch.zeros(4, 2), "labels": [0] * 4, "table": {}}, "labels is a column of table here"),
        ({"model": stk.pixels, "images": stk.load_data("digits", limit=9), "labels": [0] * 9}, "labels is given twice"),
    ],
)
def test_what_is_missing_or_twice_is_said(given, message):
    with pytest.raises(ValueError, match=message):
        stk.explore(**given)
