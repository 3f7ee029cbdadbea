"""Measures of the width of a representation: ranks that are theorems, codes, controls, and tasks elsewhere."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings, strategies as st

from ssl_toolkit import load_data, rng
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.losses import barlow_twins, nt_xent, vicreg
from ssl_toolkit.probes import linear_probe
from ssl_toolkit.probes.width import (
    Domain,
    _in_the_form_of,
    binary_codes,
    gradient,
    gradient_rank,
    narrowed,
    random_relu,
    transfer_suite,
    zero_fraction,
)

LOSSES = {"simclr": nt_xent, "vicreg": vicreg, "barlow twins": barlow_twins}


def images(n: int, channels: int = 3, size: int = 24) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=rng(0))


def pairs(loss):
    return lambda z: loss(*z.chunk(2))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("width, k", [(8, 4), (8, 8), (6, 12), (40, 5)])
def test_a_linear_projector_lets_the_gradient_through_in_min_d_k_directions(loss, width, k):
    rank = gradient_rank(small_conv(width=width, projector=(k,)), images(120), pairs(LOSSES[loss]))
    assert rank <= min(width, k)
    assert rank >= min(width, k) - 1  # Barlow Twins and VICReg center the embeddings, which may cost one


@pytest.mark.parametrize("projector, bound", [((16, 4), 16), ((5, 30), 5)])
def test_of_more_layers_the_first_is_the_bottleneck(projector, bound):
    assert gradient_rank(small_conv(width=40, projector=projector), images(120), pairs(nt_xent)) == bound


def test_without_a_projector_a_channel_that_is_silent_stays_so():
    encoder, x = small_conv(width=40, projector=()), images(120)
    heard = (encoder.eval().features(x)["representation"] > 0).any(dim=0)
    g = gradient(encoder, x, pairs(nt_xent))
    assert 0 < heard.sum() < 40
    assert torch.equal(g[:, ~heard], torch.zeros_like(g[:, ~heard]))
    assert gradient_rank(encoder, x, pairs(nt_xent)) == heard.sum()


def test_a_few_images_push_in_no_more_directions_than_they_are():
    assert gradient_rank(small_conv(width=64, projector=(64,)), images(10), pairs(nt_xent)) <= 10


def test_the_gradient_is_w_transposed_times_that_of_the_embedding():
    encoder, x = small_conv(width=9, projector=(4,)), images(20)
    (w,) = (p.double() for p in encoder.projector.parameters())
    z = (encoder.eval().features(x)["representation"].double() @ w.T).detach().requires_grad_()
    (dz,) = torch.autograd.grad(sum(nt_xent(*z.chunk(2)).values()), z)
    torch.testing.assert_close(gradient(encoder, x, pairs(nt_xent)), dz @ w)


def test_measuring_the_gradient_leaves_the_encoder_as_it_was():
    encoder = small_conv(width=8, projector=(8, 4)).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    gradient_rank(encoder, images(20), pairs(nt_xent))
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert encoder.training
    assert all(p.grad is None for p in encoder.parameters())


def test_zeros_are_counted_exactly():
    z = torch.tensor([[0.0, 1e-30, 2.0, -0.0], [1.0, 1.0, 1.0, 1.0]])
    assert zero_fraction(z).tolist() == [0.5, 0.0]


def test_codes_know_what_the_signs_know():
    z = torch.randn(200, 16, generator=rng(0))
    y = (z[:, 0] > 0).long()
    codes = binary_codes(z)
    assert torch.equal(codes, binary_codes(3 * z))
    assert linear_probe(codes.float()[:150], y[:150], codes.float()[150:], y[150:]).accuracy == 1


def test_random_features_are_the_formula_and_the_same_for_training_and_test():
    z = torch.randn(50, 6, generator=rng(1)) * 5 + 3
    a, b = random_relu(z, z[:7], width=30, seed=4)
    w = torch.randn(6, 30, generator=rng(4, 30, "random relu")) / 6**0.5
    torch.testing.assert_close(a, torch.relu((z - z.mean(0)) / z.std(0) @ w))
    assert torch.equal(a[:7], b)
    assert not torch.equal(random_relu(z, z, width=30, seed=5)[0], a)


def test_random_features_let_a_linear_probe_read_what_is_not_linear():
    z = torch.randn(2000, 2, generator=rng(2))
    y = (z[:, 0] * z[:, 1] > 0).long()  # exclusive or
    wide, wide_test = random_relu(z[:1000], z[1000:], width=200)
    assert linear_probe(z[:1000], y[:1000], z[1000:], y[1000:]).accuracy < 0.65
    assert linear_probe(wide, y[:1000], wide_test, y[1000:]).accuracy > 0.9


def test_a_constant_feature_does_not_break_random_features():
    z = torch.randn(10, 3, generator=rng(3))
    z[:, 1] = 7
    assert all(part.isfinite().all() for part in random_relu(z, z + 1, width=4))


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(0, 100))
def test_narrowing_keeps_the_directions_of_most_variance(width, seed):
    z = torch.randn(40, 6, generator=rng(seed)) @ torch.randn(6, 6, generator=rng(seed, 1))
    a, b = narrowed(z, z[:5], width=width)
    variance = torch.linalg.eigvalsh(z.double().T.cov()).flip(0)[:width]
    torch.testing.assert_close(a.T.double().cov().reshape(width, width).diagonal(), variance, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(a[:5], b, rtol=1e-4, atol=1e-4)


def test_narrowing_more_features_than_images():
    z = torch.randn(8, 20, generator=rng(0))
    a, _ = narrowed(z, z, width=7)
    torch.testing.assert_close(torch.cdist(a, a), torch.cdist(z, z), rtol=1e-4, atol=1e-4)  # 8 points span 7


def test_the_suite_reads_home_factors_and_other_domains():
    home = Domain(load_data("shapes", limit=400, size=24), load_data("shapes", split="test", limit=100, size=24))
    digits = Domain(load_data("digits", limit=300), load_data("digits", split="test", limit=100))
    readings = transfer_suite(small_conv(width=16), home, others={"digits": digits})
    tasks = ["classes", "ten labels", "long tail", "new texture"]
    factors = ["texture", "hue", "x", "y", "scale", "angle", "background"]  # not the shape, which is the label
    assert list(readings) == [*tasks, *factors, "digits"]
    assert readings["digits"].score > readings["digits"].chance
    assert readings["background"].score > 0.3


def test_the_suite_of_pixels_knows_a_factor_that_is_a_pixel():
    home = Domain(load_data("shapes", limit=400, size=24), load_data("shapes", split="test", limit=100, size=24))
    home = Domain(*(part[torch.arange(len(part))] for part in home))
    for part in home:
        part.factors = {"corner": part.images[:, 0, 0, 0].float()}
    corner = partial(torch.Tensor.flatten, start_dim=1)
    assert transfer_suite(lambda x: corner(x[:, :, :4, :4]), home)["corner"].score > 0.999


def test_other_images_are_brought_to_the_form_of_those_at_home():
    gray, color = images(3, 1, 8), images(2, 3, 24)
    assert _in_the_form_of(color, gray).shape == (3, 3, 24, 24)
    assert torch.equal(_in_the_form_of(color, color), color)
    assert _in_the_form_of(gray, color).shape == (2, 1, 8, 8)
    assert _in_the_form_of(color, (255 * gray).byte()).dtype == torch.uint8


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda z: random_relu(z, z, width=0), "width is 0"),
        (lambda z: narrowed(z, z, width=7), r"1 \.\.\. 6"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.randn(10, 6, generator=rng(0)))
