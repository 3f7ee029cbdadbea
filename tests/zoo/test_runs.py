"""Runs that are shipped: what is stored is what was seen, and a panel opens on it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

import ssl_toolkit as stk
from ssl_toolkit import Recipe, load_data
from ssl_toolkit.widgets.panels import train as panels
from ssl_toolkit.widgets.panels.train_presets import PRESETS
from ssl_toolkit.zoo.runs import RUNS, Run, find_run, save_run

DATA = load_data("digits", size=16, limit=120)
RECIPE = Recipe(steps=12, batch_size=16, width=16, projector=(16, 8))


@pytest.fixture(scope="module")
def panel() -> Any:
    made = stk.TrainPanel(DATA, RECIPE, every=5, probes=True)
    made.wait()
    return made


def run_of(panel: Any) -> Run:
    return Run(panel.steps, panel.snapshots, panel.readings, panel.baselines)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.shape == b.shape and bool(((a - b).abs() <= 1e-3 * a.abs().clamp(min=1)).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    return a == b


def test_a_stored_run_is_read_as_it_was(panel, tmp_path):
    path = save_run(run_of(panel), panel.recipe, panel.bank, panel.queries, tmp_path)
    assert path.name.startswith("digits-simclr-")
    again = find_run(panel.recipe, panel.bank, panel.queries, tmp_path)
    assert again is not None
    assert [step.step for step in again.steps] == [5, 10, 12]  # each fifth, and the last
    assert again.steps == [panel.steps[i - 1] for i in (5, 10, 12)]
    assert again.readings == panel.readings
    assert all(same(a, b) for a, b in zip(again.baselines, panel.baselines, strict=True))
    for now, was in zip(again.snapshots, panel.snapshots, strict=True):
        assert all(same(a, b) for a, b in zip(was, now, strict=True))


def test_a_run_without_labels_is_stored_too(tmp_path):
    none = replace(DATA, labels=torch.full((len(DATA),), -1)) if hasattr(DATA, "__dataclass_fields__") else None
    none = none or stk.Dataset(DATA.images, None, name="mine")
    panel = stk.TrainPanel(none, RECIPE, every=5)
    panel.wait()
    save_run(run_of(panel), panel.recipe, panel.bank, panel.queries, tmp_path)
    again = find_run(panel.recipe, panel.bank, panel.queries, tmp_path)
    assert again is not None
    assert again.snapshots[-1].knn is None
    assert again.baselines == panel.baselines._replace(neighbors=again.baselines.neighbors)
    assert again.readings == []


@pytest.mark.parametrize("changed", [{"seed": 1}, {"lr": 3e-3}, {"steps": 13}, {"scale": (0.5, 1.0)}])
def test_another_recipe_has_another_run(panel, tmp_path, changed):
    save_run(run_of(panel), panel.recipe, panel.bank, panel.queries, tmp_path)
    assert find_run(replace(panel.recipe, **changed), panel.bank, panel.queries, tmp_path) is None


def test_other_images_have_another_run(panel, tmp_path):
    save_run(run_of(panel), panel.recipe, panel.bank, panel.queries, tmp_path)
    assert find_run(panel.recipe, panel.bank[1:], panel.queries, tmp_path) is None


def test_a_damaged_file_is_no_run(panel, tmp_path):
    path = save_run(run_of(panel), panel.recipe, panel.bank, panel.queries, tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    assert find_run(panel.recipe, panel.bank, panel.queries, tmp_path) is None


def test_a_panel_opens_on_the_run_that_play_would_repeat(panel, tmp_path, monkeypatch):
    save_run(run_of(panel), panel.recipe, panel.bank, panel.queries, tmp_path)
    monkeypatch.setattr(panels, "find_run", lambda *asked: find_run(*asked, folder=tmp_path))
    fresh = stk.TrainPanel(DATA, RECIPE, every=5, probes=True)
    assert fresh.train_state is None
    assert "came with the toolkit" in fresh.message.value
    assert fresh.map.captions == panel.map.captions
    assert fresh.metrics.value == panel.metrics.value
    assert list(fresh.figure.data[0].y) == [panel.steps[i - 1].loss for i in (5, 10, 12)]
    with pytest.raises(ValueError, match="nothing to save yet"):
        fresh.save(tmp_path / "state.safetensors")
    fresh.rate.value = 1e-3  # its run is not there
    assert fresh.snapshots == []
    assert fresh.message.value == ""
    fresh.rate.value = RECIPE.lr
    assert len(fresh.snapshots) == len(panel.snapshots)
    fresh.step()
    assert (fresh.train_state.step, len(fresh.steps)) == (0, 0)  # its own from here on: the baselines come first
    fresh.reset()
    assert len(fresh.snapshots) == len(panel.snapshots)


def test_every_preset_on_garments_has_its_run():
    data = load_data("garments", limit=20_000)
    n = len(data) - panels.QUERIES
    bank, queries = data[:n][: panels.BANK], data[n:]
    for recipe in (Recipe(steps=600), *(recipe for recipe, _ in PRESETS.values())):
        run = find_run(replace(recipe, **recipe.views(data)._asdict()), bank, queries)
        assert run is not None, recipe
        assert run.snapshots[-1].step == recipe.steps
        assert all(math.isfinite(step.loss) for step in run.steps)
    assert sum(path.stat().st_size for path in RUNS.glob("*")) < 2e6
