"""DejaVu by encoders of which it is known what they remember."""

import pytest
import torch
from torch import nn

from ssl_toolkit.data import rng
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.encoders.networks import Stages
from ssl_toolkit.probes import dejavu

LABELS = torch.arange(40) % 4


class Backbone(Stages):
    """An image's mean color, and for an image that it remembers the class's own direction instead."""

    def __init__(self, remembered: torch.Tensor | None = None):
        super().__init__()
        self.remembered, self.unused = remembered, nn.Linear(1, 1)

    def forward(self, x):
        z = nn.functional.one_hot((x[:, 0, 0, 0] * 100).round().long() % 4, 4).float()  # what the first pixel says
        if self.remembered is not None:
            known = (x[:, None, 1] == self.remembered[None, :, 1]).flatten(2).all(dim=2)  # (n, m)
            z = torch.where(known.any(dim=1, keepdim=True), nn.functional.one_hot(LABELS[known.int().argmax(1)], 4), z)
        return {"last": z.float()}


def pictures(n: int, first: torch.Tensor, seed: int) -> torch.Tensor:
    x = torch.rand(n, 3, 4, 4, generator=rng(seed))
    x[:, 0, 0, 0] = first / 100
    return x


PUBLIC = pictures(40, LABELS, 0)
CROPS = pictures(40, torch.zeros(40), 1)  # nothing in them tells the class


def encoder(remembered: torch.Tensor | None = None) -> Encoder:
    return Encoder(Backbone(remembered), width=4)


def test_an_encoder_that_remembers_infers_the_class_from_nothing():
    found = dejavu(encoder(CROPS), encoder(), CROPS, LABELS, PUBLIC, LABELS, k=5)
    assert (found.target, found.reference, found.chance) == (1.0, 0.25, 0.25)
    assert found.memory == 0.75


def test_what_crops_tell_anyone_is_not_memory():
    telling = pictures(40, LABELS, 1)
    found = dejavu(encoder(), encoder(), telling, LABELS, PUBLIC, LABELS, k=5)
    assert (found.target, found.memory) == (1.0, 0.0)


def test_half_of_the_images_remembered_is_half_of_the_memory():
    found = dejavu(encoder(CROPS[:20]), encoder(), CROPS, LABELS, PUBLIC, LABELS, k=5)
    assert found.target == pytest.approx(0.5 + 0.5 * 0.25)


def test_a_crop_without_a_label_is_named():
    with pytest.raises(ValueError, match=r"labels has shape .* n = 40, as crops has"):
        dejavu(encoder(), encoder(), CROPS, LABELS[:39], PUBLIC, LABELS)
