"""Rows of samples from one noise, by their laws."""

import pytest
import torch

from ssl_toolkit.data import load_data, rng
from ssl_toolkit.diffusion.edit import along, between, hidden, paint_rows, without_common
from ssl_toolkit.diffusion.rcdm import RCDMRecipe, conditions, sample
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.encoders.statistics import typical_distance

DATA = load_data("shapes", limit=40, size=16)
ENCODER = small_conv(3, width=16, projector=(8, 4))
H = conditions(ENCODER, DATA.images)


@pytest.fixture(scope="module")
def model():
    made = RCDMRecipe(steps=4, width=8, multipliers=(1, 2), blocks=1).start(DATA, H).ema
    with torch.no_grad():  # an untrained network paints nothing
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng(0)))
    return made


def test_rows_of_one_h_are_the_same_and_of_another_h_differ(model):
    *_, rows = paint_rows(ENCODER, model, H[[0, 0, 1]], k=3, steps=3)
    assert rows.images.shape == (3, 3, 3, 16, 16)
    assert torch.equal(rows.images[0], rows.images[1])
    assert not torch.equal(rows.images[0], rows.images[2])


def test_a_row_is_what_sample_paints_and_its_distances_are_those_of_the_features(model):
    *steps, last, rows = paint_rows(ENCODER, model, H[:2], k=3, steps=3, guidance=2.0, seed=5)
    *_, expected = sample(model, H[:1].expand(3, -1), steps=3, guidance=2.0, seed=5)
    assert ((255 * expected.x).round().clamp(0, 255).byte() == rows.images[0]).float().mean() > 0.99  # batches round
    assert [made.step for made in (*steps, last, rows)] == [1, 2, 3, 3]
    assert last.distance is None
    for i in range(2):
        z = conditions(ENCODER, rows.images[i])
        torch.testing.assert_close(rows.distance[i], (z - H[i]).norm(dim=1), rtol=1e-4, atol=1e-5)


def test_at_least_one_sample_is_painted(model):
    with pytest.raises(ValueError, match="k is 0"):
        next(paint_rows(ENCODER, model, H[:1], k=0))


def test_a_way_has_both_ends_and_names_its_stops():
    asked = between(H[0], H[1], 3)
    assert asked.names == ["0", "0.5", "1"]
    torch.testing.assert_close(asked.h, torch.stack([H[0], (H[0] + H[1]) / 2, H[1]]))
    with pytest.raises(ValueError, match="stops is 1"):
        between(H[0], H[1], 1)


def test_amounts_along_directions_add_up():
    asked = along(H[0], torch.eye(16)[:3], [1.0, 0.0, -2.0])
    torch.testing.assert_close(asked.h[1] - asked.h[0], torch.eye(16)[0] - 2 * torch.eye(16)[2])


def test_common_dimensions_are_those_of_the_neighbors_and_become_nothing_or_the_others():
    bank, other = torch.rand(30, 6, generator=rng(2)), torch.full((6,), 9.0)
    bank[:, 0], bank[:, 1] = 0, 1  # nobody has the first, and everybody has the second
    found = without_common(bank[3], other, bank, k=8, more_than=7, relative=False)
    assert found.dims.tolist() == [False, True, True, True, True, True]
    assert found.neighbors[0] == 3
    assert found.asked.h[1].tolist() == [0.0] * 6
    assert found.asked.h[2].tolist() == [0.0] + [9.0] * 5
    relative = without_common(bank[3], other, bank, k=8, more_than=7)
    assert not relative.dims[:2].any()  # nothing is above what all have


def test_a_larger_share_hides_what_a_smaller_one_does():
    image = torch.full((3, 16, 16), 200, dtype=torch.uint8)
    masked = hidden(image, (0.0, 0.5, 1.0), seed=1)
    assert torch.equal(masked[0], image)
    assert (masked[1] == 0).float().mean() == 0.5
    assert masked[2].max() == 0
    assert ((masked[0] >= masked[1]) & (masked[1] >= masked[2])).all()


def test_the_typical_distance_is_that_of_all_pairs():
    z = torch.randn(30, 5, generator=rng(1))
    assert typical_distance(z) == pytest.approx(torch.pdist(z).square().mean().sqrt().item(), rel=1e-5)
    with pytest.raises(ValueError, match="at least 2"):
        typical_distance(z[:1])
