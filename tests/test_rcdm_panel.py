"""RcdmPanel as data, without a browser."""

import asyncio
import base64
from dataclasses import replace

import pytest
import torch

from ssl_toolkit.data import load_data
from ssl_toolkit.diffusion.rcdm import Recipe
from ssl_toolkit.diffusion.watching import paint
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.seeds import rng
from ssl_toolkit.widgets.rcdm_panel import RcdmPanel

DATA, TEST = load_data("shapes", limit=60, size=16), load_data("shapes", split="test", limit=30, size=16)
ENCODER = small_conv(3, width=16, projector=(8, 4))
TINY = Recipe(steps=4, batch_size=8, width=8, multipliers=(1, 2), blocks=1)


def panel_of(**settings):
    return RcdmPanel(ENCODER, DATA, TEST, **{"recipe": TINY, "every": 2, "k": 3, "steps": 3, **settings})


@pytest.fixture(scope="module")
def done():
    panel = panel_of()
    panel.wait()
    return panel


def test_two_depths_are_trained_and_their_curves_drawn(done):
    assert set(done.subjects) == {"representation", "embedding"}
    assert all(subject.state.step == 4 for subject in done.subjects.values())
    loss, other, ranks, _, chance = done.figure.data
    assert (list(loss.x), list(ranks.x)) == ([1, 2, 3, 4], [2, 4])
    assert (loss.name, other.name) == ("representation", "embedding")
    assert list(chance.y) == [done.history[-1].faithful["embedding"].chance] * 2
    assert "step 4 of 4" in done.player.status.value


def test_samples_are_those_of_the_function_with_their_distances_under_them(done):
    done.pick(2)
    done.painter.wait()
    subject = done.subjects["embedding"]
    *_, expected = paint(ENCODER, subject, subject.test[2], depth="embedding", k=3, steps=3)
    assert torch.equal(done.painted["embedding"].images, expected.images)
    for distance in expected.distance.tolist():
        assert f"{distance:.2f}</figcaption>" in done.rows.value
    assert done.rows.value.count("<img") == 2 * (1 + 3 + 1)
    assert "4 numbers, after 4 steps" in done.rows.value


def test_controls_paint_anew(done):
    with torch.no_grad():  # so few steps have hardly moved the average from its start, which paints nothing
        for parameter in done.subjects["representation"].model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng(0)))
    done.pick(0)
    done.painter.wait()
    before = done.painted["representation"].images
    for control, value in ((done.seed, 7), (done.guidance, 3.0), (done.steps, 2)):
        control.value = value
        done.painter.wait()
        assert not torch.equal(done.painted["representation"].images, before)
        before = done.painted["representation"].images


def test_what_was_saved_is_gone_on_with(done, tmp_path):
    said = done.save(tmp_path / "shapes.safetensors")
    assert said == "saved shapes.representation.safetensors, shapes.embedding.safetensors"
    longer = panel_of(recipe=replace(TINY, steps=6))
    longer.load(tmp_path / "shapes.safetensors")
    assert longer.subjects["embedding"].state.step == 4
    longer.painter.wait()
    assert longer.painted
    longer.wait()
    assert [p.step for p in longer.history] == [5, 6]


def test_a_wrong_file_is_said_and_the_panel_lives_on(tmp_path):
    panel = panel_of(depths=("embedding",))
    with pytest.raises(ValueError, match="press Play"):
        panel.save(tmp_path / "x.safetensors")
    with pytest.raises(FileNotFoundError, match="no such file"):
        panel.load(tmp_path / "x.safetensors")
    wide = panel_of(depths=("embedding",), recipe=replace(TINY, width=16))
    wide.player.step()
    while not wide.subjects:
        wide.player.step()
    wide.save(tmp_path / "x.safetensors")
    panel.path.value = str(tmp_path / "x.safetensors")
    next(b for b in panel.children[-1].children if getattr(b, "description", "") == "Load").click()
    assert "CheckpointError" in panel.message.value
    assert set(panel.wait()) == {"embedding"}


def test_samples_that_are_asked_for_come_before_the_next_step():
    panel = panel_of()
    while not panel.history:
        panel.player.step()
    panel.pick(1)
    assert panel.painter.state == "running"
    panel.player.step()
    panel.player.step()
    assert panel.painter.state == "done"
    assert set(panel.painted) == {"representation", "embedding"}
    assert panel.history[-1].step <= 3


def test_without_a_null_there_is_no_guidance():
    assert panel_of(recipe=replace(TINY, drop=0.0)).guidance.disabled
    assert not panel_of().guidance.disabled


@pytest.mark.parametrize("depths", [(), ("a", "b", "c"), ("embedding", "embedding")])
def test_one_or_two_depths_are_compared(depths):
    with pytest.raises(ValueError, match="one depth of the encoder, or two"):
        panel_of(depths=depths)


def test_an_unknown_depth_fails_with_the_names_there_are():
    panel = panel_of(depths=("middle",))
    with pytest.raises(ValueError, match="depth is 'middle'"):
        panel.wait()
    assert "failed" in panel.player.status.value
    with pytest.raises(ValueError, match="index is 30"):
        panel.pick(30)


def test_samples_appear_while_it_trains():
    async def session():
        panel = panel_of(recipe=replace(TINY, steps=12), every=3)
        panel.play()
        seen = 0
        while panel.player.state == "running":
            seen += bool(panel.painted)
            await asyncio.sleep(0.005)
        while panel.painter.state == "running":
            await asyncio.sleep(0.005)
        return seen, panel

    seen, panel = asyncio.run(session())
    assert panel.player.state == panel.painter.state == "done"
    assert seen > 1
    assert panel.history[-1].step == 12


def test_a_saved_notebook_shows_the_samples(done):
    before = panel_of()._repr_mimebundle_()[0]["image/png"]
    picture = done._repr_mimebundle_()[0]["image/png"]
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert picture != before
