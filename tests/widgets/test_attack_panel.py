"""AttackPanel as data, without a browser."""

import base64

import pytest
import torch

from ssl_toolkit.data import as_float, load_data
from ssl_toolkit.diffusion.rcdm import RCDMRecipe, conditions
from ssl_toolkit.encoders import embed, small_conv
from ssl_toolkit.encoders.statistics import typical_distance
from ssl_toolkit.probes import attack, linear_probe
from ssl_toolkit.widgets.panels.attack import AttackPanel

DATA, TEST = load_data("shapes", limit=200, size=16), load_data("shapes", split="test", limit=60, size=16)
ENCODERS = {name: small_conv(3, width=16, projector=(8, 4), seed=seed) for seed, name in enumerate(("one", "two"))}
PROBES = {
    name: linear_probe(
        embed(encoder, DATA.images), DATA.labels, embed(encoder, TEST.images), TEST.labels, weight_decays=(1e-3,)
    )
    for name, encoder in ENCODERS.items()
}

PAINTER = (
    RCDMRecipe(steps=4, width=8, multipliers=(1, 2), blocks=1).start(TEST, conditions(ENCODERS["two"], TEST.images)).ema
)


def panel_of(**settings):
    return AttackPanel(
        ENCODERS, PROBES, TEST, **{"steps": 3, "strength": 8.0, "strengths": (0.0, 4.0), "many": 20, **settings}
    )


@pytest.fixture(scope="module")
def done():
    panel = panel_of()
    panel.wait()
    return panel


def test_each_encoder_says_what_it_sees_before_and_after(done):
    for name, outcome in done.outcomes.items():
        *_, expected = attack(ENCODERS[name], PROBES[name], TEST.images[:1], TEST.labels[:1],
                            target="head", strength=8.0, steps=3)  # fmt: skip
        assert torch.equal(outcome.seen.images, expected.images)
        for p in (expected.before[0], expected.after[0]):
            assert f"{TEST.classes[int(p.argmax())]} {p.max():.0%}" in done.html.value
        unit = typical_distance(embed(ENCODERS[name], TEST.images))
        assert f"h moved by {expected.moved.item() / unit:.2f}" in done.html.value
    assert done.html.value.count("<img") == 2 * 3
    assert "done" in done.player.status.value


def test_the_difference_fills_the_range_of_gray_levels(done):
    image, attacked, difference = done._pictures(done.outcomes["one"])
    change = as_float(attacked[None]) - as_float(image[None])
    assert (difference.float() - 127.5 - 127.5 / 8 * 255 * change[0]).abs().max() < 10  # 8 bits of the attacked one
    assert torch.equal(image, TEST.images[0])


def test_the_curves_start_at_the_probes_own_accuracy_and_name_chance(done):
    lines = [trace for trace in done.figure.data if trace.showlegend]
    assert [trace.name for trace in lines] == ["one", "two"]
    for trace, (name, probe) in zip(lines, PROBES.items(), strict=True):
        predicted = probe.predict(embed(ENCODERS[name], TEST.images[:20]))
        assert list(trace.x) == [0, 4]
        assert trace.y[0] == pytest.approx((predicted == TEST.labels[:20]).float().mean().item())
        assert trace.y[1] <= trace.y[0]
    chance = TEST.labels.bincount().max() / 60
    assert any(a.text == f"chance {chance:.0%}" for a in done.figure.layout.annotations)


def test_another_image_or_strength_keeps_the_curves_and_another_target_makes_them_anew():
    panel = panel_of()
    panel.wait()
    of_head, first = panel.curves, panel.outcomes["one"].seen
    panel.pick(2)
    panel.strength.value = 2.0
    panel.wait()
    assert panel.curves is of_head
    assert (panel.outcomes["one"].seen.images - as_float(TEST.images[2:3])).abs().max() <= 2 / 255 + 1e-6
    assert not torch.equal(panel.outcomes["one"].seen.h, first.h)
    panel.target.value = "its representation"
    panel.wait()
    assert panel.curves is not of_head
    assert panel.curves["one"][1].moved > of_head["one"][1].moved


def test_fgsm_has_one_step():
    panel = panel_of(strengths=())
    panel.method.value = "FGSM: one step"
    assert panel.steps.disabled
    change = panel.wait()["one"].seen.images - as_float(TEST.images[:1])
    assert set((255 * change).abs().round().unique().tolist()) <= {0.0, *map(float, range(9))}
    assert (255 * change).abs().max() == pytest.approx(8, abs=1e-3)


def test_painters_paint_the_image_and_the_attacked_one_from_the_same_noise():
    painter = RCDMRecipe(steps=4, width=8, multipliers=(1, 2), blocks=1).start(
        TEST, conditions(ENCODERS["two"], TEST.images)
    )
    panel = panel_of(strengths=(), painters={"two": painter.ema}, k=2)
    outcomes = panel.wait()
    assert outcomes["one"].rows is None
    assert outcomes["two"].rows.images.shape == (2, 2, 3, 16, 16)
    assert panel.html.value.count("<img") == 3 + (1 + 2) + (1 + 2 + 1)
    assert "Under each sample" in panel.html.value


def test_before_it_is_played_it_says_so_and_wrong_arguments_are_named():
    panel = panel_of()
    assert "Press Play" in panel.html.value
    assert TEST.classes[int(TEST.labels[0])] in panel.html.value
    with pytest.raises(ValueError, match="index is 60"):
        panel.pick(60)
    with pytest.raises(ValueError, match="a probe of the same name"):
        AttackPanel(ENCODERS, {"one": PROBES["one"]}, TEST)
    with pytest.raises(ValueError, match="painters has 'three'"):
        panel_of(painters={"three": PAINTER})


def test_a_saved_notebook_shows_the_attacks(done):
    picture = base64.b64decode(done._repr_mimebundle_()[0]["image/png"])
    assert picture.startswith(b"\x89PNG")
    assert picture != base64.b64decode(panel_of()._repr_mimebundle_()[0]["image/png"])
