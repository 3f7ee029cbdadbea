"""TrainPanel as data, without a browser."""

import base64
from dataclasses import replace

import pytest
import torch

from ssl_toolkit.data import Dataset, rng
from ssl_toolkit.joint import METHODS, JointRecipe
from ssl_toolkit.probes.monitor import Snapshot, snapshot
from ssl_toolkit.training import train
from ssl_toolkit.widgets.panels.train import TrainPanel
from ssl_toolkit.widgets.panels.train_presets import PRESETS

DATA = Dataset(
    images=torch.randint(0, 256, (160, 1, 28, 28), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(160) % 4,
    classes=("a", "b", "c", "d"),
)
SMALL = JointRecipe(steps=3, batch_size=16, width=32, projector=(16, 8))


def take(panel, steps):
    for _ in range(2 * steps + 2):  # a look is a record too
        if len(panel.steps) >= steps:
            return
        panel.player.step()
    pytest.fail(f"{len(panel.steps)} steps: {panel.player.status.value}")


def test_a_run_of_the_panel_is_the_run_of_the_loop():
    panel = TrainPanel(DATA, SMALL, every=2)
    state = panel.wait()
    by_hand = SMALL.start(DATA)
    steps = list(train(by_hand, DATA[:-32], SMALL.objective(DATA), until=3, batch_size=16))
    assert [s.terms for s in panel.steps] == [s.terms for s in steps]
    assert all(torch.equal(p, q) for p, q in zip(state.model.parameters(), by_hand.model.parameters(), strict=True))
    assert [record.step for record in panel.snapshots] == [0, 2, 3]
    assert "kNN accuracy" in panel.metrics.value
    assert "untrained" in panel.metrics.value
    assert "LiDAR" in panel.metrics.value


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(method):
    panel = TrainPanel(DATA, replace(SMALL, method=method), every=50)
    assert panel.wait().step == 3
    assert [t.name for t in panel.figure.data][1 : 1 + len(panel.steps[-1].terms)] == list(panel.steps[-1].terms)


def test_controls_make_the_recipe_and_presets_say_why():
    panel = TrainPanel(DATA, SMALL)
    assert panel.recipe == replace(SMALL, lr=panel.rate.value, **SMALL.views(DATA)._asdict())
    for name, (recipe, why) in reversed(PRESETS.items()):
        panel.preset.value = name
        assert panel.method.value == recipe.method
        assert panel.why.value == why
    assert all(c.tooltip and c.description for c in [*panel._fixed, *panel._live])


def test_rate_and_crop_change_a_run_in_progress_and_the_rest_is_locked():
    panel = TrainPanel(DATA, replace(SMALL, steps=6), every=50)
    take(panel, 1)
    before = panel._objective
    assert panel.width.disabled
    panel.rate.value = 1e-2
    panel.crop.value = 0.9
    assert panel.train_state.lr == pytest.approx(1e-2)
    assert panel._objective is not before
    panel.player.reset()
    assert not panel.width.disabled


@pytest.mark.parametrize(
    "given",
    [
        {"lr": 1e-6}, {"lr": 200.0}, {"lr": 0.0019}, {"temperature": 0.02}, {"temperature": 2.0},
        {"scale": (0.02, 1.0)}, {"scale": (0.2, 0.5)}, {"scale": (1.0, 1.0)}, {"jitter": 1.5}, {"hue": 0.123},
        {"seed": -1}, {"steps": 2_000_000}, {"width": 4096}, {"batch_size": 7}, {"size": 20},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_recipe_says_is_what_the_controls_say_beyond_their_ends_too(given):
    recipe = replace(SMALL, **given)
    asked = replace(recipe, **recipe.views(DATA)._asdict())
    assert TrainPanel(DATA, recipe).recipe == asked


def test_a_recipe_that_cannot_be_trained_by_is_refused_by_name_and_changes_nothing():
    panel = TrainPanel(DATA, SMALL)
    before = panel.recipe
    for wrong, told in (
        ({"hue": 0.7}, "hue is 0.7"),
        ({"method": "none"}, "method is 'none'"),
        ({"steps": 0}, "steps"),
    ):
        with pytest.raises(ValueError, match=told):
            panel.recipe = replace(SMALL, **wrong)
        assert panel.recipe == before


@pytest.mark.parametrize("n", [10, 20, 26])
def test_a_few_images_of_ones_own_train(n):
    panel = TrainPanel(DATA[:n], replace(SMALL, batch_size=4))
    assert panel.wait().step == 3
    assert TrainPanel(DATA[:n]).recipe.batch_size == n - n // 5


def test_too_few_images_say_how_many_it_takes():
    with pytest.raises(ValueError, match="data has 9 images: give 10 or more"):
        TrainPanel(DATA[:9], SMALL)


def test_images_without_labels_train_and_are_left_out_of_the_scores():
    none = Dataset(DATA.images, torch.full((160,), -1), ("unlabeled",))
    panel = TrainPanel(none, SMALL)
    panel.wait()
    assert "No labels, so no accuracy" in panel.metrics.value
    assert set(panel.map.color) == {255}
    some = Dataset(DATA.images, torch.where(torch.arange(160) % 2 > 0, -1, DATA.labels), DATA.classes)
    panel = TrainPanel(some, SMALL)
    panel.wait()
    assert "16 of 32 queries have no label and are left out" in panel.metrics.value
    assert panel.snapshots[-1].knn is not None


def test_a_preset_loses_its_name_with_its_numbers_and_may_be_chosen_again():
    panel = TrainPanel(DATA)
    first = panel.preset.value
    rate = panel.rate.value
    panel.rate.value = 0.5
    assert (panel.preset.value, panel.why.value) == ("your own settings", "")
    panel.preset.value = first
    assert (panel.rate.value, panel.why.value) == (rate, PRESETS[first][1])
    assert TrainPanel(DATA, SMALL).preset.value == "your own settings"


def test_after_reset_nothing_of_the_old_run_is_shown_or_saved(tmp_path):
    panel = TrainPanel(DATA, SMALL, every=1)
    panel.wait()
    panel.reset()
    assert [list(trace.x) for trace in panel.figure.data if len(trace.x)] == []
    assert panel.train_state is None
    with pytest.raises(ValueError, match="nothing to save yet"):
        panel.save(tmp_path / "run.safetensors")


def test_a_run_saved_in_the_panel_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole = TrainPanel(DATA, SMALL, every=50)
    whole.wait()
    first = TrainPanel(DATA, SMALL, every=50)
    take(first, 2)
    first.save(tmp_path / "run.safetensors")
    second = TrainPanel(DATA, SMALL, every=50)
    second.load(tmp_path / "run.safetensors")
    second.wait()
    assert second.steps[-1].terms == whole.steps[-1].terms


def test_after_a_run_a_change_says_what_it_needs_and_the_words_go_with_it():
    panel = TrainPanel(DATA, SMALL)
    panel.wait()
    panel.crop.value = 0.5
    assert "press Reset, then Play" in panel.message.value
    panel.player.reset()
    assert panel.message.value == ""


def test_looking_back_shows_where_in_the_run_it_is():
    panel = TrainPanel(DATA, SMALL, every=1)
    panel.wait()
    loss, knn = panel.figure.data[0], panel.figure.data[5]
    assert list(loss.x) == [1, 2, 3]
    assert list(knn.x) == [0, 1, 2, 3]
    moment = [record.step for record in panel.player.records].index(2)
    panel.player.look_back(moment)
    assert list(loss.x) == [1, 2, 3]
    assert [shape.x0 for shape in panel.figure.layout.shapes] == [2, 2]
    assert "step 2 of 3" in panel.player.status.value
    panel.player.look_back(len(panel.player.records) - 1)
    assert not panel.figure.layout.shapes


def test_before_a_run_there_are_no_empty_axes():
    panel = TrainPanel(DATA, SMALL, every=1)
    seen = [part.layout.display != "none" for part in (panel.empty, panel.chart, panel.map)]
    assert seen == [True, False, False]
    panel.step()
    panel.wait()
    assert [part.layout.display != "none" for part in (panel.empty, panel.chart, panel.map)] == [False, True, True]


def test_probes_of_every_depth_are_drawn_and_leave_no_trace_in_the_run():
    plain, probed = TrainPanel(DATA, SMALL, every=2), TrainPanel(DATA, replace(SMALL, steps=7), every=2, probes=True)
    plain.recipe = replace(SMALL, steps=7)
    a, b = plain.wait(), probed.wait()
    assert all(torch.equal(p, q) for p, q in zip(a.model.parameters(), b.model.parameters(), strict=True))
    assert [reading.step for reading in probed.readings] == [2, 4, 6, 7]
    drawn = {trace.name: list(trace.y) for trace in probed.figure.data if trace.legend == "legend3" and trace.name}
    assert list(drawn) == ["representation", "projector1", "embedding"]
    assert drawn["embedding"] == [reading.accuracy["embedding"] for reading in probed.readings]


def test_before_a_run_the_neighbors_are_those_of_the_pixels():
    panel = TrainPanel(DATA, SMALL)
    assert [row.split("\n")[0] for row in panel.grid.rows] == 2 * ["raw pixels"]
    assert len(panel.grid.images) == 2 * 8
    panel.wait()
    assert [row.split("\n")[0] for row in panel.grid.rows] == 2 * ["raw pixels", "untrained", "step 3"]
    panel.player.reset()
    assert [row.split("\n")[0] for row in panel.grid.rows] == 2 * ["raw pixels"]


def test_a_bad_file_is_told_and_changes_nothing(tmp_path):
    panel = TrainPanel(DATA, SMALL, every=50)
    panel.wait()
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    panel.path.value = str(tmp_path / "bad.safetensors")
    panel.load_button.click()
    assert "CheckpointError" in panel.message.value
    assert panel.train_state.step == 3
    assert panel.player.state == "done"


def test_what_was_loaded_is_let_go_by_controls_that_it_does_not_fit_and_hides_no_baseline(tmp_path):
    panel = TrainPanel(DATA, SMALL, every=50)
    panel.wait()
    untrained = panel.baselines.untrained
    panel.save(path := tmp_path / "run.safetensors")
    panel.load(path)
    assert panel.wait().step == 3
    assert panel.baselines.untrained == untrained
    panel.load(path)
    panel.width.value = 64
    assert panel.wait().step == 3
    assert panel.steps[0].step == 1  # a new run


def test_a_look_is_made_in_short_portions_and_counts_neighbors():
    state = SMALL.start(DATA)
    *portions, last = snapshot(state, DATA[:100], DATA[100:], portion=16)
    assert len(portions) == 7 + 4 + 1
    assert last.lidar is None
    assert set(portions) == {None}
    assert isinstance(last, Snapshot)
    assert last.neighbors.shape == (2, 7)
    assert 0 <= last.knn <= 1


def test_a_collapse_is_called_one():
    spectrum, nothing = torch.ones(128), torch.zeros(1, 1)
    snapshots = [
        Snapshot(0, 0.1, r, 0.0, 128, spectrum, 1.0, r, 129, 0.0, nothing, nothing.long(), torch.zeros(2, 1, 2))
        for r in (1.1, 3.0, 8.0, 20.0, 90.0)
    ]
    words = ["collapsed", "collapsing", "collapsing", "narrow", "spread"]
    assert [look.verdict.split(":")[0] for look in snapshots] == words


def test_a_saved_notebook_shows_a_picture():
    bundle, _ = TrainPanel(DATA, SMALL)._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
