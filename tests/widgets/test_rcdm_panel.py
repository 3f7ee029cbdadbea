"""RcdmPanel as data, without a browser."""

import asyncio
import base64
import io
from dataclasses import replace
from datetime import datetime

import pytest
import torch
from PIL import Image
from traitlets import Bunch

from ssl_toolkit.data import load_data, rng
from ssl_toolkit.diffusion import factor_reader as reader
from ssl_toolkit.diffusion.monitor import paint
from ssl_toolkit.diffusion.rcdm import RCDMRecipe, conditions
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.widgets.controls import OLD
from ssl_toolkit.widgets.panels.rcdm import RcdmPanel, file_word

DATA, TEST = load_data("shapes", limit=60, size=16), load_data("shapes", split="test", limit=30, size=16)
ENCODER = small_conv(3, width=16, projector=(8, 4))
TINY = RCDMRecipe(steps=4, batch_size=8, width=8, multipliers=(1, 2), blocks=1)


def button(box, text):
    found = [box] if getattr(box, "description", "") == text else []
    return next(iter(found + [b for child in getattr(box, "children", ()) if (b := button(child, text))]), None)


def panel_of(**settings):
    settings = {"encoder": ENCODER, "recipe": TINY, "every": 2, "k": 3, "steps": 3, **settings}
    return RcdmPanel(settings.pop("encoder"), DATA, TEST, **settings)


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
    h = conditions(ENCODER, TEST.images[2:3], depth="embedding")[0]
    *_, expected = paint(subject, h, k=3, steps=3)
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


@pytest.mark.filterwarnings("ignore:until is")  # on purpose
def test_what_was_saved_is_gone_on_with(done, tmp_path):
    said = done.save(tmp_path / "shapes.safetensors")
    assert said == "saved shapes.representation.safetensors, shapes.embedding.safetensors"
    longer = panel_of(recipe=replace(TINY, steps=6))
    longer.load(tmp_path / "shapes.safetensors")
    assert longer.subjects == {}  # images are embedded by and by
    longer.painter.wait()
    assert longer.subjects["embedding"].state.step == 4
    assert torch.equal(longer.painted["embedding"].images, panel_painted(done, 0))
    longer.wait()
    assert [p.step for p in longer.history] == [5, 6]


def panel_painted(panel, index):
    panel.seed.value, panel.guidance.value, panel.steps.value = 0, 1.0, 3
    panel.pick(index)
    panel.painter.wait()
    return panel.painted["embedding"].images


@pytest.mark.filterwarnings("ignore:until is")  # on purpose
def test_what_was_loaded_takes_the_place_of_what_was_trained(done, tmp_path):
    done.save(tmp_path / "x.safetensors")
    panel = panel_of(recipe=replace(TINY, steps=6))
    while not panel.history:
        panel.player.step()
    panel.load(tmp_path / "x.safetensors")
    assert panel.subjects["embedding"].state.step == 4
    panel.wait()
    assert [p.step for p in panel.history] == [5, 6]


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
    button(panel, "Load").click()
    assert "CheckpointError" in panel.message.value
    assert set(panel.wait()) == {"embedding"}


def test_samples_that_are_asked_for_come_before_the_next_step():
    panel = panel_of(every=9)
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


def test_what_is_not_there_is_named():
    with pytest.raises(ValueError, match="depth is 'middle': there are stem"):
        panel_of(depths=("middle",))
    with pytest.raises(ValueError, match="depth is 'middle'"):
        panel_of(models={"middle": TINY.start(DATA[:2], torch.rand(2, 4)).ema})
    with pytest.raises(ValueError, match="index is 30"):
        panel_of().pick(30)


def test_a_menu_chooses_another_depth_and_what_was_learned_is_kept():
    panel = panel_of()
    panel.wait()
    first, second = panel.menus
    before = panel.subjects["representation"]
    second.value = "stage1"
    assert panel.depths == ("representation", "stage1")
    assert panel.player.state == "idle"
    panel.painter.wait()
    assert set(panel.painted) == {"representation"}
    assert "stage1</b>: press Play" in panel.rows.value
    panel.wait()
    assert panel.subjects["representation"] is before
    assert panel.subjects["stage1"].state.step == 4
    assert [(p.step, set(p.loss)) for p in panel.history[4:]] == [(i, {"stage1"}) for i in (1, 2, 3, 4)]
    assert list(panel.figure.data[0].x) == list(panel.figure.data[1].x) == [1, 2, 3, 4]
    first.value = "stage1"  # twice the same is one
    assert panel.depths == ("stage1",)
    assert second.value == "nothing"


def test_what_was_learned_is_forgotten_at_a_reset_only():
    panel = panel_of(depths=("embedding",))
    panel.wait()
    panel.choose("stage1")
    panel.choose("embedding")
    panel.wait()
    assert len(panel.history) == 4
    panel.player.reset_button.click()
    assert panel.subjects == {}
    assert panel.history == []
    assert not any(trace.x for trace in panel.figure.data)
    assert "Press Play" in panel.rows.value
    panel.wait()
    assert [p.step for p in panel.history] == [1, 2, 3, 4]


def test_a_choice_while_it_trains_goes_on_training():
    async def session():
        panel = panel_of(recipe=replace(TINY, steps=8))
        panel.play()
        while not panel.history:
            await asyncio.sleep(0.005)
        panel.choose("stem")
        while panel.player.state == "running" or panel.painter.state == "running":
            await asyncio.sleep(0.005)
        return panel

    panel = asyncio.run(session())
    assert panel.player.state == "done"
    assert set(panel.painted) == {"stem"}
    assert panel.subjects["stem"].state.step == 8


def test_encoders_are_chosen_from_by_name():
    other = small_conv(3, width=8, projector=(4,), seed=1)
    panel = panel_of(encoder={"a": ENCODER, "b": other})
    assert panel.depths == ("a representation", "b representation")
    panel.wait()
    *_, painted = paint(panel.subjects["b representation"], conditions(other, TEST.images[:1])[0], k=3, steps=3)
    assert torch.equal(painted.images, panel.painted["b representation"].images)


def test_trained_models_paint_at_once_and_are_not_trained(done):
    model = done.subjects["embedding"].model
    panel = panel_of(depths=("embedding",), models={"embedding": model})
    assert panel.painter.state == "running"
    panel.painter.wait()
    assert "4 numbers, trained" in panel.rows.value
    panel.wait()
    assert [(p.step, p.loss, set(p.faithful)) for p in panel.history] == [(0, {}, {"embedding"})]
    assert panel.subjects["embedding"].model is model
    with pytest.raises(ValueError, match="nothing to save"):
        panel.save("x.safetensors")


def test_a_reader_says_what_samples_keep_of_each_factor():
    recipe = reader.ReaderRecipe(steps=1, batch_size=8)
    panel = panel_of(reader=recipe.start(DATA).model)
    panel.wait()
    *_, one, two, chance = panel.figure.data
    assert list(one.y) == list(two.y) == list(reader.FACTORS)
    assert list(one.x) == list(panel.history[-1].kept["representation"].values())
    assert list(two.x) == list(panel.history[-1].kept["embedding"].values())
    assert (one.name, two.name, chance.name) == ("representation", "embedding", "chance")


def png_of(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_an_image_of_ones_own_is_painted_from(done):
    done.upload(png_of(Image.new("RGB", (90, 50), "red")))
    done.painter.wait()
    red = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None].expand(3, 16, 16)
    assert torch.equal(done.given, red)
    subject = done.subjects["embedding"]
    h = conditions(ENCODER, red[None], depth="embedding")[0]
    *_, expected = paint(subject, h, k=3, steps=done.steps.value, guidance=done.guidance.value, seed=done.seed.value)
    assert torch.equal(done.painted["embedding"].images, expected.images)
    done.pick(1)
    assert torch.equal(done.given, TEST.images[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"hello", "no image"), (png_of(Image.new("1", (8000, 5000))), "more than 25 megapixels"), (b"", "no image")],
)
def test_an_upload_that_will_not_do_is_said_and_changes_nothing(done, content, message):
    before = done.given
    about = {"name": "x", "type": "", "size": len(content), "last_modified": datetime.now()}
    if OLD:  # as the browser of ipywidgets 7 does it
        done.file.metadata, done.file.data, done.file._counter = [about], [content], 1
    else:
        done.file.value = (Bunch(about, content=memoryview(content)),)
    assert message in done.message.value
    assert done.given is before
    assert not done.file.value


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


def test_before_a_run_the_legend_has_no_names_of_plotlys_own():
    figure = panel_of().figure
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert named == ["representation", "embedding"]


def test_names_of_depths_make_files_of_their_own():
    names = ["a b", "a-b", "A b", "facebook/dino", "..", "con|?*", "é" * 200]
    words = [file_word(name, names) for name in names]
    assert len({word.casefold() for word in words}) == len(names)
    assert not [word for word in words if set(word) & set('/\\:*?"<>| ') or word.strip(".") != word or len(word) > 84]
