"""What a reader says of images, and what samples keep of their causes by its word."""

from dataclasses import replace

import pytest
import torch

from ssl_toolkit import load_data
from ssl_toolkit.data.shapes import PERIODS
from ssl_toolkit.diffusion.factor_reader import (
    FACTORS,
    ReaderRecipe,
    encode_factors,
    factor_accuracy,
    factor_retention,
    predict_factors,
)
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.training import train

DATA = load_data("shapes", limit=400)


class Code(torch.nn.Module):
    """A backbone for images whose first pixels are the code, in [0, 1]: its reader makes no error."""

    def forward(self, x):
        return {"representation": 8 * (x.flatten(1)[:, :7] - 0.5)}


PERFECT = Encoder(Code(), width=7, projector=(7,))
torch.nn.init.eye_(PERFECT.projector[0].weight)


def images(codes):
    return torch.cat([0.5 + codes / 8, torch.zeros(len(codes), 9)], dim=1).view(-1, 1, 4, 4)


def test_what_is_read_is_what_was_coded():
    values = predict_factors(PERFECT, images(encode_factors(DATA)))
    for name in FACTORS:
        v = DATA.factors[name]
        if name in PERIODS:
            apart = (values[name] - v + PERIODS[name] / 2) % PERIODS[name] - PERIODS[name] / 2
            assert apart.abs().max() < 1e-4
        else:
            assert torch.corrcoef(torch.stack([values[name], v]))[0, 1] == pytest.approx(1, abs=1e-5)


def test_samples_that_are_alike_keep_all_and_samples_at_random_keep_nothing():
    codes = encode_factors(DATA)
    order = torch.stack([torch.randperm(400, generator=torch.Generator().manual_seed(i)) for i in range(4)], dim=1)
    alike = images(codes)[:, None].expand(-1, 4, -1, -1, -1)
    at_random = images(codes)[order]
    assert factor_retention(PERFECT, alike, images(codes)) == pytest.approx(dict.fromkeys(FACTORS, 1.0), abs=1e-6)
    assert factor_retention(PERFECT, at_random, images(codes)) == pytest.approx(dict.fromkeys(FACTORS, 0.0), abs=0.06)


def test_samples_that_agree_on_a_wrong_value_keep_it_and_are_not_right():
    codes = encode_factors(DATA)
    alike = images(codes)[:, None].expand(-1, 4, -1, -1, -1)
    of_others = alike.roll(1, dims=0)
    assert factor_accuracy(PERFECT, alike, codes) == pytest.approx(dict.fromkeys(FACTORS, 1.0), abs=1e-5)
    assert factor_retention(PERFECT, of_others, images(codes))["hue"] == pytest.approx(1, abs=1e-6)
    wrong = factor_accuracy(PERFECT, of_others, codes)
    assert wrong == pytest.approx(dict.fromkeys(FACTORS, -1.0), abs=0.3)  # two draws lie twice the variance apart


def test_once_around_the_circle_is_no_change():
    turned = replace(DATA, factors=DATA.factors | {"hue": DATA.factors["hue"] + PERIODS["hue"]})
    assert torch.allclose(encode_factors(turned), encode_factors(DATA), atol=1e-5)


def test_it_learns_to_read():
    recipe = ReaderRecipe(steps=30, warmup=5)
    state = recipe.start(DATA)
    losses = [step.loss for step in train(state, DATA, recipe.objective(DATA), until=30, batch_size=32)]
    assert losses[-1] < 0.7 * losses[0]


def test_data_without_factors_are_refused():
    with pytest.raises(ValueError, match=r"does not know the 'hue' of its images: take load_data\('shapes'\)"):
        ReaderRecipe().objective(load_data("digits", limit=20))
