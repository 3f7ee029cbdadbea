"""EditPanel as data, without a browser."""

import asyncio
import base64

import pytest
import torch

from ssl_toolkit.data import load_data, rng
from ssl_toolkit.diffusion.edit import interpolate, paint_rows
from ssl_toolkit.diffusion.rcdm import RCDMRecipe, conditions
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.encoders.statistics import typical_distance
from ssl_toolkit.widgets.panels.edit import MODES, EditPanel

TEST = load_data("shapes", split="test", limit=40, size=16)
ENCODER = small_conv(3, width=16, projector=(8, 4))
H = conditions(ENCODER, TEST.images)


@pytest.fixture(scope="module")
def model():
    made = RCDMRecipe(steps=4, width=8, multipliers=(1, 2), blocks=1).start(TEST, H).ema
    with torch.no_grad():  # an untrained network paints nothing
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng(0)))
    return made


@pytest.fixture
def panel(model):
    return EditPanel(ENCODER, model, TEST, k=2, stops=5, directions=3, steps=2)


def test_a_path_is_painted_from_a_to_b_and_travels_to_the_browser(panel, model):
    panel.pick(3)
    panel.pick(7, other=True)
    rows = panel.wait()
    path = interpolate(H[3], H[7], torch.linspace(0, 1, 5))
    *_, expected = paint_rows(ENCODER, model, path, k=2, steps=2)
    assert torch.equal(rows.images, expected.images)
    torch.testing.assert_close(rows.distance, expected.distance / typical_distance(H))
    assert panel.canvas.shape == [1, 5, 2, 3, 16, 16]
    assert torch.equal(panel.canvas.chains["samples"], rows.images)
    assert panel.canvas.captions[1].startswith("λ = 0.25 of the way from A to B; distances")
    assert panel.html.value.count("<img") == 5 + 2
    assert f"{rows.distance[1, 0]:.2f}</figcaption>" in panel.html.value
    assert "λ = 0, 0.25, 0.5, 0.75, 1" in panel.html.value


def test_the_sphere_is_another_way(panel):
    straight = panel.wait().images
    panel.path.value = "along the sphere"
    curved = panel.wait().images
    assert torch.equal(straight[[0, -1]], curved[[0, -1]])
    assert not torch.equal(straight[2], curved[2])


@pytest.mark.parametrize("kind", ["principal", "sparse"])
def test_directions_add_up_and_go_back_to_zero(panel, kind):
    panel.mode.value, panel.kind.value = "Directions", kind
    rows = panel.wait()
    assert torch.equal(rows.images[0], rows.images[1])
    assert "h moved by 0.00" in panel.html.value
    panel.move(0, 2.0)
    panel.move(2, -1.0)
    rows = panel.wait()
    axes, said = panel.axes[kind]
    torch.testing.assert_close(panel.asked.h[1], H[0] + 2 * axes[0] - axes[2])
    assert not torch.equal(rows.images[0], rows.images[1])
    assert len(said) == 3
    assert "1: " + said[0] in panel.html.value
    panel.zero_all()
    assert torch.equal(panel.wait().images[1], rows.images[0])
    assert panel.canvas.layout.display == "none"


def test_common_dimensions_are_removed_or_replaced(panel):
    panel.mode.value = "Common dimensions"
    panel.more_than.value = 12
    panel.pick(5, other=True)
    panel.wait()
    as_it_is, removed, replaced = panel.asked.h
    common = removed != as_it_is
    assert 0 < common.sum() < 16
    assert (removed[common] == 0).all()
    torch.testing.assert_close(replaced, torch.where(common, H[5], H[0]))
    assert f"{common.sum()} of 16 dimensions are common" in panel.html.value
    assert panel.html.value.count("<img") == 3 * (1 + 2) + 20


def test_the_more_is_hidden_the_farther_is_h(panel):
    panel.mode.value = "Masked"
    panel.wait()
    assert torch.equal(panel._task.given[0], TEST.images[0])
    away = (panel.asked.h - H[0]).norm(dim=1)
    assert away[0] == pytest.approx(0, abs=1e-4)
    assert away[-1] > away[0]


def test_every_mode_says_what_it_does_and_has_its_controls(panel):
    for mode, why in MODES.items():
        panel.mode.value = mode
        assert why in panel.note.value.replace("&#x27;", "'")
        assert set(panel.controls.children) == set(panel._settings[mode])


def test_before_it_is_played_it_shows_what_was_picked(panel):
    assert "Press Play" in panel.html.value
    assert panel.grid.frames[:2] == ["#0072B2", "#B87D00"]
    before = panel.html.value
    panel.picking.value = "B"
    panel.grid._handle_custom_msg({"type": "pick", "index": 9}, [])
    assert (panel.a, panel.b) == (0, 9)
    assert panel.html.value != before
    panel.wait()
    panel.player.reset()
    assert "Press Play" in panel.html.value


def test_what_cannot_be_painted_is_said_and_the_panel_lives_on(panel, model):
    with pytest.raises(ValueError, match="index is 40"):
        panel.pick(40)
    with pytest.raises(ValueError, match="mode is 'Paint'"):
        EditPanel(ENCODER, model, TEST, mode="Paint")
    with pytest.raises(ValueError, match="give more than 20"):
        EditPanel(ENCODER, model, TEST[:20])
    with pytest.raises(ValueError, match=r"\(3, 24, 24\) and the model paints \(3, 16, 16\)"):
        EditPanel(ENCODER, model, load_data("shapes", limit=30, size=24))
    wrong = EditPanel(ENCODER, model, TEST, depth="embedding", steps=2)
    with pytest.raises(ValueError, match="h has 4 dimensions and this model was made for 16"):
        wrong.wait()
    assert "failed" in wrong.player.status.value
    panel.pick(1)
    panel.pick(1, other=True)
    assert panel.wait().images.shape[0] == 5


def test_a_change_while_it_paints_begins_anew(model):
    async def session():
        panel = EditPanel(ENCODER, model, TEST, k=2, stops=3, steps=30)
        panel.play()
        while panel.rows is None:
            await asyncio.sleep(0.002)
        panel.pick(4)
        while panel.player.state == "running":
            await asyncio.sleep(0.005)
        return panel

    panel = asyncio.run(session())
    assert panel.player.state == "done"
    torch.testing.assert_close(panel.asked.h[0], H[4])


def test_a_saved_notebook_shows_the_samples(panel):
    before = panel._repr_mimebundle_()[0]["image/png"]
    panel.wait()
    picture = panel._repr_mimebundle_()[0]["image/png"]
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert picture != before
