"""Attacks on linear models, where all is known, and on encoders, which they must leave as they were."""

import inspect

import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.data import rng
from ssl_toolkit.encoders import embed, feature_function, small_conv
from ssl_toolkit.probes import fgsm, linear_probe, pgd
from ssl_toolkit.probes.adversarial import label_loss, representation_loss


def images(n: int = 4, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return low + (high - low) * torch.rand(n, 1, 12, 12, generator=rng(1), dtype=dtype)


W = torch.randn(144, 5, generator=rng(2), dtype=torch.float64)


def linear(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1) @ W


def one_output(x: torch.Tensor) -> torch.Tensor:
    return linear(x)[:, 0]


def test_fgsm_changes_a_linear_loss_by_eps_times_the_sum_of_the_slopes():
    x = images(low=0.2, high=0.8)
    attacked = fgsm(one_output, x, strength=8.0)
    expected = 8 / 255 * W[:, 0].abs().sum()  # no change of that size does more: Hoelder's inequality
    torch.testing.assert_close(attacked.loss - one_output(x), expected.expand(4))
    torch.testing.assert_close(attacked.loss, one_output(attacked.images))


def test_pgd_reaches_on_a_linear_loss_what_fgsm_reaches():
    x = images(low=0.2, high=0.8)
    *_, last = pgd(one_output, x, strength=8.0, steps=10, generator=rng(0))
    torch.testing.assert_close(last.images, fgsm(one_output, x, strength=8.0).images)


@given(strength=st.floats(0, 255), steps=st.integers(1, 4), rate=st.floats(0, 600), seed=st.none() | st.integers(0, 9))
def test_every_step_stays_in_the_ball_and_in_the_range_of_images(strength, steps, rate, seed):
    x = images()
    labels = torch.tensor([0, 1, 2, 3])
    generator = None if seed is None else rng(seed)
    attack = pgd(label_loss(linear, labels), x, strength=strength, steps=steps, rate=rate, generator=generator)
    for step in attack:
        assert (step.images - x).abs().max() <= strength / 255 + 1e-12
        assert step.images.min() >= 0
        assert step.images.max() <= 1


@pytest.mark.parametrize("generator", [None, rng(0)], ids=["at the images", "at random"])
def test_a_strength_of_zero_is_the_identity(generator):
    x = images()
    *_, last = pgd(one_output, x, strength=0.0, steps=3, generator=generator)
    assert torch.equal(last.images, x)


def test_uint8_images_are_attacked_in_unit_range():
    x = torch.randint(0, 256, (3, 1, 12, 12), generator=rng(0), dtype=torch.uint8)
    attacked = fgsm(lambda x: x.sum(dim=(1, 2, 3)), x, strength=1.0)
    assert torch.equal((attacked.images * 255).round(), (x.float() + 1).clamp(max=255))


def test_an_image_is_attacked_as_if_it_were_alone():
    encoder = small_conv(1, width=8, projector=()).double()
    f, x, labels = feature_function(encoder), images(), torch.tensor([0, 1, 2, 3])

    def f64(x):
        return f(x).double()

    *_, together = pgd(label_loss(f64, labels), x, strength=4.0, steps=3)
    *_, alone = pgd(label_loss(f64, labels[2:3]), x[2:3], strength=4.0, steps=3)
    torch.testing.assert_close(together.images[2:3], alone.images)


def test_the_representation_is_pushed_away():
    f = feature_function(small_conv(1, width=16, projector=(8,)))
    x = images(dtype=torch.float32)
    steps = list(pgd(representation_loss(f, x), x, strength=8.0, steps=8, generator=rng(0)))
    assert steps[-1].loss.gt(2 * steps[0].loss).all()
    torch.testing.assert_close(steps[-1].loss, (f(steps[-1].images) - f(x)).square().sum(dim=1).detach())


def test_pushing_away_without_a_random_start_goes_nowhere():
    x = images()
    *_, last = pgd(representation_loss(linear, x), x, strength=8.0)
    assert torch.equal(last.images, x)


def test_a_probe_is_misled_more_with_more_strength():
    encoder = small_conv(1, width=16, projector=(8,))
    x, labels = images(60, dtype=torch.float32), torch.arange(60) % 2
    x[labels == 1, :, :6] *= 0.6
    z, f = embed(encoder, x), feature_function(encoder)
    probe = linear_probe(z, labels, z, labels, weight_decays=(1e-2,))

    def right(strength):
        attacked = fgsm(label_loss(lambda x: probe.logits(f(x)), labels), x, strength=strength).images
        return (probe.predict(embed(encoder, attacked)) == labels).float().mean()

    scores = [right(strength) for strength in (0.0, 4.0, 32.0)]
    assert scores[0] == probe.accuracy
    assert scores[0] > scores[1] > scores[2]


@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_is_as_it_was_between_steps_and_after(training):
    encoder = small_conv(1, width=16, projector=(8, 4)).train(training)
    encoder.backbone.stem.eval()  # a user's own mixture of modes
    modes = [module.training for module in encoder.modules()]
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    x = images(dtype=torch.float32)
    with torch.no_grad():
        for _ in pgd(representation_loss(feature_function(encoder), x), x, strength=4.0, steps=2, generator=rng(0)):
            assert [module.training for module in encoder.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in encoder.parameters())


def test_the_differentiable_features_are_those_that_are_embedded():
    encoder, x = small_conv(1, width=16, projector=(8, 4)), images(dtype=torch.float32)
    for depth in ("stage2", "representation", "embedding"):
        torch.testing.assert_close(feature_function(encoder, depth=depth)(x).detach(), embed(encoder, x, depth=depth))
    with pytest.raises(ValueError, match="depth is 'nothing': this encoder has stem"):
        feature_function(encoder, depth="nothing")(x)


def test_an_attack_is_a_generator_of_steps():
    attack = pgd(one_output, images(), strength=4.0, steps=3)
    assert inspect.isgenerator(attack)
    assert [step.step for step in attack] == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": -1.0}, r"strength is -1.0: it counts gray levels and must lie in \[0, 255\]"),
        ({"strength": 256.0}, "strength is 256.0"),
        ({"strength": 4.0, "steps": 0}, "steps is 0: it must be at least 1"),
        ({"strength": 4.0, "images": images() * 255}, r"they must lie in \[0, 1\]"),
        ({"strength": 4.0, "loss": linear}, r"the loss has shape \(4, 5\): it must have one value per image, \(4,\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        next(pgd(**{"loss": one_output, "images": images(), **arguments}))
