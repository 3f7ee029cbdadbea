"""What encoders see of attacked images."""

import inspect

import pytest
import torch

from ssl_toolkit.data import as_float, load_data
from ssl_toolkit.encoders import embed, feature_function, small_conv
from ssl_toolkit.probes import attack, attack_curve, fgsm, linear_probe
from ssl_toolkit.probes.adversarial import label_loss

DATA = load_data("shapes", limit=200, size=16)
ENCODER = small_conv(3, width=16, projector=())
H = embed(ENCODER, DATA.images)
PROBE = linear_probe(H, DATA.labels, H, DATA.labels, weight_decays=(1e-3,))
IMAGES, LABELS = DATA.images[:24], DATA.labels[:24]


def seen(**settings):
    *_, last = attack(ENCODER, PROBE, IMAGES, LABELS, **{"target": "head", "strength": 8.0, **settings})
    return last


@pytest.mark.parametrize("target", ["head", "representation"])
def test_an_attack_stays_in_its_ball_and_goes_where_it_is_to_go(target):
    last = seen(target=target)
    assert (last.images - as_float(IMAGES)).abs().max() <= 8 / 255 + 1e-6
    torch.testing.assert_close(last.attacked, embed(ENCODER, last.images))
    torch.testing.assert_close(last.moved, (last.attacked - H[:24]).norm(dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(last.before, PROBE.logits(H[:24]).softmax(dim=1), rtol=1e-4, atol=1e-5)
    other = seen(target="representation" if target == "head" else "head")
    true = [s.after.gather(1, LABELS[:, None]).mean() for s in (last, other)]
    if target == "head":
        assert true[0] < true[1]
    else:
        assert last.moved.mean() > other.moved.mean()


def test_one_step_is_fgsm():
    loss = label_loss(lambda x: PROBE.logits(feature_function(ENCODER)(x)), LABELS)
    assert torch.equal(seen(steps=1).images, fgsm(loss, IMAGES, strength=8.0).images)


def test_strengths_begin_where_the_probe_stands_and_more_of_it_moves_h_farther():
    points = list(filter(None, attack_curve(
        ENCODER, PROBE, IMAGES, LABELS, strengths=(0.0, 2.0, 8.0), target="representation", steps=5
    )))  # fmt: skip
    assert [p.strength for p in points] == [0, 2, 8]
    assert points[0].accuracy == (PROBE.predict(H[:24]) == LABELS).float().mean().item()
    assert points[0].moved == pytest.approx(0, abs=1e-4)
    assert points[0].moved < points[1].moved < points[2].moved


def test_a_target_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="target is 'pixels'"):
        next(inspect.unwrap(attack)(ENCODER, PROBE, IMAGES, LABELS, target="pixels", strength=8.0))
