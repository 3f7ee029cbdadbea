"""LossPanel as data, without a browser."""

import base64
from functools import partial

import numpy as np
import pytest
import torch

from ssl_toolkit.losses import barlow_twins, nt_xent, vicreg
from ssl_toolkit.losses.toy2d import descend, predict_both_ways, scatter, spread, weighted
from ssl_toolkit.widgets import LossPanel
from ssl_toolkit.widgets.controls import OWN
from ssl_toolkit.widgets.panels.loss_presets import LOSSES, PRESETS

SCOPE = {f.__name__: f for f in (barlow_twins, nt_xent, vicreg, descend, predict_both_ways, scatter, spread, weighted)}


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setenv("SSL_TOOLKIT_FAST", "1")


def shown(panel, trait="points"):
    return torch.from_numpy(np.frombuffer(getattr(panel.canvas, trait), np.float32).reshape(2, -1, 2).copy())


@pytest.mark.parametrize("preset", PRESETS)
def test_the_code_of_a_preset_does_what_the_panel_does(preset, capsys):
    panel = LossPanel(preset)
    last = panel.wait()
    assert panel.player.state == "done"
    scope = {**SCOPE, "partial": partial}
    exec(panel.code(), scope)
    assert torch.equal(scope["points"].z, panel.points.z)
    assert torch.equal(shown(panel), panel.points.z)
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{last.step} {last.terms}")


@pytest.mark.parametrize("name", LOSSES)
def test_the_terms_offered_are_those_of_the_loss(name):
    panel = LossPanel("VICReg without variance")
    panel.shared.value = False
    panel.choice.value = name
    assert panel.preset.value == ("Free points, VICReg without variance" if name == "VICReg" else OWN)
    assert not panel.shared.value
    panel.shared.value = True
    assert panel.preset.value == (name if name != "VICReg" else "VICReg without variance")
    assert tuple(panel.weights) == tuple(panel.loss(*panel.points.z)) == LOSSES[name].terms
    assert panel.canvas.circle == (name in ("SimCLR", "BYOL"))
    assert all(term in panel.numbers.value for term in panel.weights)


def test_every_preset_says_why_and_sets_all_controls():
    panel = LossPanel()
    for name, preset in reversed(PRESETS.items()):
        panel.preset.value = name
        assert preset.why in panel.why.value
        assert panel.choice.value == preset.loss
        assert [term for term, slider in panel.weights.items() if slider.value == 0] == [preset.without] * bool(
            preset.without
        )
        assert panel.shared.value == preset.shared
        assert panel.player.state == "idle"
        assert panel.points.step == 0


def test_a_point_dragged_in_the_browser_moves_and_the_numbers_answer():
    panel = LossPanel("Free points, VICReg without variance")
    numbers = panel.numbers.value
    panel.canvas._handle_custom_msg({"type": "drag", "index": 9, "x": 1.5, "y": -0.5}, [])
    assert shown(panel)[1, 1].tolist() == [1.5, -0.5]
    assert panel.numbers.value != numbers
    panel.canvas._handle_custom_msg({"type": "something else"}, [])
    assert panel.player.state == "idle"


def test_arrows_point_down_the_loss_or_one_of_its_terms():
    panel = LossPanel("VICReg")
    whole = shown(panel, "arrows")
    parts = torch.zeros_like(whole)
    for term in panel.weights:
        panel.arrows.value = term
        parts += shown(panel, "arrows")
    assert torch.allclose(whole, parts, atol=1e-5)
    assert whole.norm(dim=2).max() == pytest.approx(0.7, abs=1e-4)


def test_a_weight_of_zero_takes_the_pull_away_at_once():
    panel = LossPanel("VICReg")
    panel.arrows.value = "variance"
    assert shown(panel, "arrows").abs().max() > 0
    panel.weights["variance"].value = 0
    assert shown(panel, "arrows").abs().max() == 0


def test_weights_and_draggings_count_from_the_next_step_on():
    panel = LossPanel("VICReg")
    panel.player.step()
    panel.weights["invariance"].value = 0
    panel.drag(0, 2.0, 2.0)
    z = panel.points.z.clone()
    panel.player.step()
    points = scatter(seed=8)
    points.z, points.step = z, 1
    next(descend(points, panel.loss, lr=panel.rate.value, until=2))
    assert torch.equal(points.z, panel.points.z)


def test_after_the_end_a_drag_makes_it_ready_to_go_on_from_there():
    panel = LossPanel("VICReg")
    panel.wait()
    panel.drag(0, 2.0, 2.0)
    assert panel.player.state == "idle"
    assert panel.points.step == 30
    assert panel.wait().step == 60
    panel.reset()
    assert torch.equal(shown(panel), scatter(seed=8).z)


def test_looking_back_shows_the_points_of_that_moment_and_the_way_to_it():
    panel = LossPanel("VICReg")
    panel.wait()
    panel.player.look_back(4)
    assert torch.equal(shown(panel), torch.stack([panel.moments[4].za, panel.moments[4].zb]))
    assert len(panel.canvas.trail) == 4 * 4 * panel.points.z.numel()


def test_the_gauge_says_what_has_happened(monkeypatch):
    monkeypatch.setenv("SSL_TOOLKIT_FAST", "0")
    panel = LossPanel("VICReg without variance")
    assert "spread" in panel.metrics.value
    panel.wait()
    assert "collapsed to a point" in panel.metrics.value


def test_points_that_are_far_away_are_in_view_and_strong_pulls_stay_short():
    panel = LossPanel("VICReg")
    panel.drag(0, 7.0, 0.0)
    assert panel.canvas.reach >= 7
    assert shown(panel, "arrows").norm(dim=2).max() <= 1.2 + 1e-5


def test_other_points_and_a_reset_take_effect_at_once_also_before_the_first_step():
    panel = LossPanel("VICReg")
    panel.shared.value = False
    assert torch.equal(panel.points.kernel, torch.eye(16))
    panel.seed.value = 3
    assert torch.equal(shown(panel), scatter(seed=3).z)
    panel.drag(0, 2.0, 2.0)
    panel.player.reset_button.click()
    assert torch.equal(shown(panel), scatter(seed=3).z)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="preset is 'nothing': it must be one of SimCLR, "):
        LossPanel("nothing")


def test_a_saved_notebook_shows_the_points():
    bundle, _ = LossPanel()._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert (LossPanel("SimCLR").canvas.picture() < 128).any()
