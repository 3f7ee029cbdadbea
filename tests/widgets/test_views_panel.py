"""ViewsPanel as data, without a browser."""

import base64

import pytest
import torch

from ssl_toolkit.augment import simclr_views
from ssl_toolkit.data import Dataset, load_data, rng
from ssl_toolkit.widgets.figures.plots import GREEN, VERMILION
from ssl_toolkit.widgets.panels.views import PRESETS, ViewsPanel

DATA = load_data("shapes", limit=20)
GRAY = Dataset(DATA.images[:, :1].contiguous(), DATA.labels, DATA.classes)


def test_the_picture_is_what_the_line_of_code_gives():
    panel = ViewsPanel(DATA, n=4, seed=3)
    panel.pick(7)
    scope = {"simclr_views": simclr_views}
    exec(panel.code(), scope)
    x = (DATA.images[7:8] / 255).expand(4, -1, -1, -1)
    expected = (scope["augment"](x, rng(3, 0, "views")).x * 255).round().byte()
    assert bytes(panel.views.pixels) == expected.numpy().tobytes()


@pytest.mark.parametrize("name", ["crop", "flip", "brightness", "saturation", "hue", "blur", "noise"])
def test_a_slider_changes_the_picture_and_the_seed_repeats_it(name):
    panel = ViewsPanel(DATA)
    panel.preset.value = "None"
    before = panel.views.pixels
    panel.strengths[name].value = 0.4
    changed = panel.views.pixels
    assert changed != before
    panel.draw_again()
    assert panel.views.pixels != changed
    panel.seed.value -= 1
    assert panel.views.pixels == changed


def test_presets_set_all_sliders_draw_once_and_say_why():
    panel = ViewsPanel(DATA)
    for name, (strengths, why) in reversed(PRESETS.items()):
        panel.preset.value = name
        assert {k: pytest.approx(s.value) for k, s in panel.strengths.items()} == strengths
        assert panel.why.value == why
    panel.preset.value = "None"
    x = DATA.images[:1].expand(12, -1, -1, -1)
    assert torch.equal(panel.views.images, x)


def test_the_numbers_of_the_view_that_is_picked_are_shown():
    panel = ViewsPanel(DATA)
    panel.views._handle_custom_msg({"type": "pick", "index": 4}, [])
    assert "view 5" in panel.numbers.value
    assert f"{panel.view.params['jitter.brightness'][4].item():.2g}" in panel.numbers.value


def test_gray_images_lock_what_cannot_change_them():
    panel = ViewsPanel(GRAY)
    assert [n for n, s in panel.strengths.items() if s.disabled] == ["saturation", "hue", "gray"]
    assert not any(s.disabled for s in ViewsPanel(DATA).strengths.values())


def test_a_saved_notebook_shows_the_views():
    bundle, _ = ViewsPanel(DATA)._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_a_game_asks_which_two_views_are_of_one_image():
    panel = ViewsPanel(DATA)
    for played, wrong in enumerate((False, True), start=1):
        panel.deal()
        dealt = panel._dealt.tolist()
        pair = [i for i, image in enumerate(dealt) if dealt.count(image) == 2]
        assert len(pair) == 2
        other = next(i for i in range(len(dealt)) if i not in pair)
        panel.guess(pair[0])
        panel.guess(pair[0])  # the same one again is no guess
        assert panel.score[1] == played - 1
        panel.guess(other if wrong else pair[1])
        assert panel.score == (1, played)
        assert [panel.cards.frames[i] for i in pair] == [GREEN, GREEN]
        assert panel.cards.frames[other] == (VERMILION if wrong else "")
        panel.guess(other)  # the answer is shown already
        assert panel.score == (1, played)
    with pytest.raises(ValueError, match="index is 6"):
        panel.guess(6)


def test_the_crop_of_the_chosen_view_is_drawn_on_the_original():
    panel = ViewsPanel(DATA)
    top, left, *_ = panel._view.params["crop.box"][0].tolist()
    side = DATA.images.shape[-1]
    assert f"top:{100 * top / side:.1f}%;left:{100 * left / side:.1f}%" in panel.original.value
    assert panel.original.value.count("ssl-crop") == panel.n
    assert panel.original.value.count("ssl-chosen") == 1
