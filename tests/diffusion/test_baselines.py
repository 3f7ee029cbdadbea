"""Two ways back from a representation to an image without a generator: gradient inversion and a mean decoder."""

import inspect

import pytest
import torch

from ssl_toolkit.data import Dataset, as_float, rng
from ssl_toolkit.diffusion.baselines import Decoder, invert, mean_image
from ssl_toolkit.encoders import feature_function, small_conv
from ssl_toolkit.training import start, train


def images(n: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, 1, 6, 6, generator=rng(seed))


MIXING = torch.linalg.qr(torch.randn(36, 36, generator=rng(0))).Q


def rotated(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1) @ MIXING


def last(records):
    *_, record = records
    return record


def test_features_that_hold_all_give_the_image_back():
    x = images()
    found = last(invert(rotated, rotated(x), images(seed=2), steps=300, lr=0.02, tv=0.0))
    torch.testing.assert_close(found.images, x, atol=0.01, rtol=0)
    assert found.terms["features"].max() < 1e-4


def test_the_terms_are_what_they_are_said_to_be():
    h, x = rotated(images()), images(seed=2)
    for state in invert(rotated, h, x, steps=3, tv=0.3, l2=0.2):
        for i, image in enumerate(state.images[:, 0]):
            down = sum((image[r + 1, c] - image[r, c]).abs() for r in range(5) for c in range(6)) / 30
            right = sum((image[r, c + 1] - image[r, c]).abs() for r in range(6) for c in range(5)) / 30
            torch.testing.assert_close(state.terms["variation"][i], 0.3 * (down + right))
            torch.testing.assert_close(state.terms["norm"][i], 0.2 * image.square().mean())
            torch.testing.assert_close(
                state.terms["features"][i], ((rotated(image[None, None])[0] - h[i]) / h[i].norm()).square().sum()
            )


def test_total_variation_smooths_and_the_range_of_images_is_kept():
    h = rotated(3 * images() - 1)  # of no image
    rough, smooth = (last(invert(rotated, h, images(seed=2), tv=tv)) for tv in (0.0, 1.0))
    assert smooth.images.diff(dim=2).abs().mean() < 0.7 * rough.images.diff(dim=2).abs().mean()
    assert rough.images.min() == 0
    assert rough.images.max() == 1


def test_a_batch_changes_nothing_for_its_members():
    h, x = rotated(images()), images(seed=2)
    together, alone = invert(rotated, h, x, steps=20), invert(rotated, h[1:2], x[1:2], steps=20)
    torch.testing.assert_close(last(together).images[1:2], last(alone).images)


def test_states_are_frozen_and_neither_the_encoder_nor_the_start_is_touched():
    encoder = small_conv(1, width=16, projector=()).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    x = torch.rand(2, 1, 16, 16, generator=rng(0))
    begun, f = x.clone(), feature_function(encoder)
    inversion = invert(f, f(1 - x).detach(), x, steps=30)
    assert inspect.isgenerator(inversion)
    with torch.no_grad():
        first = next(inversion)
        kept = first.images.clone()
        end = last(inversion)
    assert torch.equal(first.images, kept)
    assert (first.step, end.step) == (1, 30)
    assert (end.terms["features"] < 0.5 * first.terms["features"]).all()
    assert torch.equal(x, begun)
    assert encoder.training
    assert all(p.grad is None for p in encoder.parameters())
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_wrong_arguments_of_an_inversion_are_named():
    x = images()
    with pytest.raises(ValueError, match=r"start has shape .* b = 2, as h has"):
        next(invert(rotated, rotated(x)[:2], x))
    with pytest.raises(ValueError, match=r"steps is 0 and lr is 0.05"):
        next(invert(rotated, rotated(x), x, steps=0))


def test_the_decoder_learns_the_mean_of_the_images_that_share_a_representation():
    # two kinds of image, each with noise that h knows nothing of
    kind = torch.arange(256) % 2
    pattern = torch.stack([torch.linspace(0.2, 0.8, 64), torch.linspace(0.8, 0.2, 64)]).view(2, 1, 8, 8)
    noisy = pattern[kind] + 0.2 * torch.randn(256, 1, 8, 8, generator=rng(0)).clamp(-1, 1)
    data = Dataset((noisy * 255).round().to(torch.uint8), kind, ("a", "b"))
    h = torch.nn.functional.one_hot(kind, 2).float() * 100 + 7  # of any scale
    state = start(Decoder(h, (1, 8, 8), width=8), lr=5e-3, total=150, device="cpu")
    steps = list(train(state, data, mean_image(h), until=150, batch_size=64, precision="fp32"))
    drawn = state.model.eval()(h[:2])
    mean = torch.stack([as_float(data.images[kind == k]).mean(dim=0) for k in (0, 1)])
    assert (drawn - mean).abs().mean() < 0.03
    # what remains of the error is the variance within a kind
    within = torch.stack([as_float(data.images[kind == k]).var(dim=0).mean() for k in (0, 1)]).mean()
    assert steps[-1].loss == pytest.approx(within.item(), rel=0.15)


def test_a_decoder_has_the_shape_that_was_asked_or_says_why_not():
    h = torch.randn(20, 5, generator=rng(0))
    decoder = Decoder(h, (3, 28, 32))
    assert decoder(h[:2]).shape == (2, 3, 28, 32)
    torch.testing.assert_close(Decoder(h * 100 + 7, (3, 28, 32))(h[:2] * 100 + 7), decoder(h[:2]))
    assert not torch.equal(Decoder(h, (3, 28, 32), seed=1).out.weight, decoder.out.weight)
    with pytest.raises(ValueError, match=r"shape is \(1, 28, 30\): sides are doubled twice, so they must be multiples"):
        Decoder(h, (1, 28, 30))
    with pytest.raises(ValueError, match="h has 4 dimensions and this decoder was made for 5"):
        decoder(h[:, :4])
