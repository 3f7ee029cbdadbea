"""The map of a training as data: which moments are kept, what travels, what comes back."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.data import load_data, rng
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.widgets import TrainPanel
from ssl_toolkit.widgets.canvases.history import UNIT, History, spread
from ssl_toolkit.widgets.canvases.scatter import color_by
from ssl_toolkit.widgets.panels.train_map import KEPT

DATA = load_data("digits", size=28, limit=300)
TITLES = ("one", "two")


@pytest.fixture
def history():
    history = History(TITLES)
    history.begin(DATA.images[:50], color_by("class", DATA.labels[:50], DATA.classes))
    return history


@pytest.fixture(scope="module")
def panel():
    panel = TrainPanel(DATA, JointRecipe(steps=6, batch_size=16, width=32, projector=(16, 8)), every=2)
    panel.wait()
    return panel


@given(st.integers(1, 300), st.integers(2, 50))
def test_a_spread_keeps_the_first_the_last_and_even_steps_between(n, most):
    kept = spread(range(n), most)
    assert len(kept) == min(n, most)
    assert (kept[0], kept[-1]) == (0, n - 1)
    between = [b - a for a, b in pairwise(kept)]
    assert not between or 1 <= min(between) <= max(between) <= min(between) + 1


def test_forty_moments_of_500_images_are_little_to_send():
    history = History(TITLES)
    history.begin(DATA.images[:1].expand(500, -1, -1, -1), color_by("class", torch.zeros(500).long()))
    history.show_moments(torch.randn(KEPT, 2, 500, 2, generator=rng(0)), [""] * KEPT, value=0)
    assert len(history.history) == 160_000


def test_a_plane_has_one_scale_in_all_moments_and_its_farthest_points_may_leave_the_frame(history):
    moments = torch.randn(3, 2, 50, 2, generator=rng(0))
    moments[0, 1] *= 5
    history.show_moments(moments, ["a", "b", "c"], value=2)
    sent = torch.from_numpy(np.frombuffer(history.history, np.int16).astype(np.float32)).reshape(3, 2, 50, 2) / UNIT
    scale = (sent.square().sum(dim=(0, 2, 3)) / moments.square().sum(dim=(0, 2, 3))).sqrt()[:, None, None]
    assert torch.allclose(sent, moments * scale, atol=1 / UNIT)
    assert 0 < (sent.abs().amax(dim=3) > 1).sum() <= 2
    assert history.picture().shape == (440, 888, 3)
    assert len(history.pictures()) == 3


def test_only_what_a_person_moves_is_told(history):
    history.show_moments(torch.randn(3, 2, 50, 2, generator=rng(0)), ["a", "b", "c"], value=2)
    told = []
    history.on_scrub(told.append)
    history.value = 1
    assert told == []
    history.set_state({"value": 0})
    assert told == [0]
    assert history.value == 0
    history.set_state({"value": 7})  # of a map that was there before
    assert told == [0]


def test_no_number_is_no_place(history):
    with pytest.raises(ValueError, match="no place to draw"):
        history.show_moments(torch.full((1, 2, 50, 2), torch.nan), [""], value=0)


def test_each_map_of_a_run_lies_as_the_one_before(panel):
    for before, now in pairwise(panel.snapshots):
        turn = before.planes.mT @ now.planes  # symmetric and positive where no rotation would bring them closer
        assert torch.allclose(turn, turn.mT, atol=1e-2)
        assert (torch.linalg.eigvalsh(turn) > -1e-2).all()


def test_the_map_of_a_panel_goes_with_its_curves_and_its_neighbors(panel):
    assert panel.map.captions == [f"step {s.step} · kNN {s.knn:.0%}" for s in panel.snapshots]
    assert panel.map.value == 3
    panel.map.set_state({"value": 1})
    assert "looking back · step 2 of 6" in panel.player.status.value
    assert list(panel.figure.data[0].x) == [1, 2, 3, 4, 5, 6]  # the whole run, and a line where it is looked at
    assert [shape.x0 for shape in panel.figure.layout.shapes] == [2, 2]
    panel.player.look_back([record.step for record in panel.player.records].index(5))
    assert panel.map.value == 2  # the last snapshot before step 5
    assert panel.picture().shape[0] > panel.grid.picture().shape[0]


def test_a_map_is_forgotten_with_its_run():
    panel = TrainPanel(DATA, JointRecipe(steps=2, batch_size=16, width=32, projector=(16, 8)), every=1)
    assert panel.picture().shape == panel.grid.picture().shape
    panel.wait()
    assert len(panel.map.captions) == 3
    panel.reset()
    assert (panel.map.captions, panel.map.history, panel.map.snapshots) == ([], b"", [])
    assert not panel.map.live
