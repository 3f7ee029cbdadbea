"""Views against torchvision one sample at a time, against their distributions, and against themselves."""

import math

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from hypothesis import given, settings, strategies as st
from scipy.stats import chisquare, kstest

from ssl_toolkit.augment import functional as ops, transforms as A
from ssl_toolkit.data import rng

N = 24
BILINEAR = tv.InterpolationMode.BILINEAR


def images(channels: int = 3, h: int = 32, w: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(N, channels, h, w, generator=rng(seed))


def uniform(low: float, high: float, stream: str = "") -> torch.Tensor:
    return low + (high - low) * torch.rand(N, generator=rng(1, 0, stream))


def boxes(h: int, w: int) -> torch.Tensor:
    return A.random_resized_crop(8, scale=(0.02, 1.0)).draw(torch.Size([N, 3, h, w]), rng(2))["box"]


CASES = {
    "brightness": (A.brightness, tv.adjust_brightness, uniform(0, 2)),
    "contrast": (A.contrast, tv.adjust_contrast, uniform(0, 2)),
    "saturation": (A.saturation, tv.adjust_saturation, uniform(0, 2)),
    "hue": (A.hue, tv.adjust_hue, uniform(-0.5, 0.5)),
    "solarize": (A.solarize, tv.solarize, uniform(0, 1)),
    "blur 3": (A.gaussian_blur, lambda x, s: tv.gaussian_blur(x, [3, 3], [s, s]), uniform(0.1, 2)),
    "blur 9": (
        lambda x, s: A.gaussian_blur(x, s, 9),
        lambda x, s: tv.gaussian_blur(x, [9, 9], [s, s]),
        uniform(0.1, 3),
    ),
    "rotate": (A.rotate, lambda x, a: tv.rotate(x, a, interpolation=BILINEAR), uniform(-180, 180)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_an_operation_is_torchvisions_for_each_sample(name, channels):
    ours, theirs, values = CASES[name]
    x = images(channels)
    expected = torch.stack([theirs(image, value.item()) for image, value in zip(x, values, strict=True)])
    assert (ours(x, values) - expected).abs().max() < 1 / 255


@pytest.mark.parametrize("size", [8, 24, 32, 48])
@pytest.mark.parametrize("h, w", [(32, 32), (20, 45)])
def test_a_resized_crop_is_torchvisions_larger_or_smaller(size, h, w):
    x, b = images(h=h, w=w), boxes(h, w)
    expected = torch.stack(
        [tv.resized_crop(i, *map(int, box), size=[size, size], antialias=True) for i, box in zip(x, b, strict=True)]
    )
    assert (A.resized_crop(x, b, size) - expected).abs().max() < 1 / 255


def stored(channels: int = 3, h: int = 96, w: int = 80) -> torch.Tensor:
    return (images(channels, h, w) * 255).round().byte()


@pytest.mark.parametrize("size", [8, 40, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_of_stored_images_is_torchvisions_of_bytes_and_that_of_floats(size, channels):
    x, b = stored(channels), boxes(96, 80)
    expected = torch.stack(
        [tv.resized_crop(i, *map(int, box), size=[size, size], antialias=True) for i, box in zip(x, b, strict=True)]
    )
    y = ops.stored_crop(x, b, size)
    assert (y - expected / 255).abs().max() < 1.1 / 255  # to the bit where the processor has AVX2
    assert (y - A.resized_crop(x / 255, b, size)).abs().max() < 1.5 / 255  # half a step is the rounding to bytes


def test_small_stored_images_and_parts_of_pixels_are_cropped_as_floats():
    for x, b in ((stored(h=32, w=32), boxes(32, 32)), (stored(), boxes(96, 80) * 0.5 + 1.25)):
        assert torch.equal(ops.stored_crop(x, b, 16), A.resized_crop(x.float() / 255, b, 16))


def test_stored_images_get_the_draws_and_the_views_of_floats():
    x, augment = stored(), A.compose(A.random_resized_crop(40), A.random_flip())
    view, of_floats = augment(x, rng(3)), augment(x / 255, rng(3))
    assert all(torch.equal(value, of_floats.params[name]) for name, value in view.params.items())
    assert (view.x - of_floats.x).abs().max() < 1.5 / 255
    assert torch.equal(view.x, A.replay(augment, x, view.params))
    augment = A.compose(A.random_flip(), A.color_jitter(), A.random_resized_crop(40))  # what sees them first has floats
    assert torch.equal(augment(x, rng(3)).x, augment(x.float() / 255, rng(3)).x)
    assert augment(x[:0], rng(3)).x.dtype == torch.float32


def test_a_box_outside_of_a_stored_image_is_named():
    with pytest.raises(ValueError, match="boxes holds"):
        ops.stored_crop(stored(), torch.tensor([[90, 0, 7, 8]]).expand(N, 4), 8)


def test_flips_grays_and_moves_are_torchvisions_where_asked():
    x, mask = images(), torch.arange(N) % 3 == 0
    for ours, theirs in ((A.hflip, tv.horizontal_flip), (A.grayscale, lambda i: tv.rgb_to_grayscale(i, 3))):
        expected = torch.stack([theirs(i) if m else i for i, m in zip(x, mask, strict=True)])
        assert (ours(x, mask) - expected).abs().max() < 1 / 255
    shift = torch.stack([uniform(-6, 6, "x"), uniform(-6, 6, "y")], dim=1).round()
    expected = torch.stack(
        [
            tv.affine(i, 0, [int(s[0]), int(s[1])], 1, [0, 0], interpolation=BILINEAR)
            for i, s in zip(x, shift, strict=True)
        ]
    )
    assert (A.translate(x, shift) - expected).abs().max() < 1 / 255


def test_pure_colors_and_grays_survive_a_turn_of_the_hue():
    colors = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5]])
    x = colors.float().view(-1, 3, 1, 1)
    turned = A.hue(x, torch.full((7,), 1 / 3))
    assert torch.allclose(turned[:3, :, 0, 0], colors[[1, 2, 0]].float(), atol=1e-6)
    assert torch.allclose(turned[4:], x[4:])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_fused_jitter_is_the_single_operations_in_each_samples_order(channels):
    op, x = A.color_jitter(0.8, 0.8, 0.8, 0.4, p=0.7), images(channels)
    q = op.draw(x.shape, rng(5))
    steps = [("brightness", A.brightness), ("contrast", A.contrast), ("saturation", A.saturation), ("hue", A.hue)]
    expected = []
    for i in range(N):
        y = x[i : i + 1]
        for code in q["order"][i].tolist():
            name, change = steps[code]
            y = change(y, q[name][i : i + 1])
        expected.append(y)
    assert (op.apply(x, q) - torch.cat(expected)).abs().max() < 1e-5


# distributions ---------------------------------------------------------------------------------------------------
MANY = torch.Size([20_000, 3, 400, 400])  # so large that rounding to pixels does not bend a distribution


def test_the_area_of_crops_is_uniform_and_their_aspect_log_uniform():
    box = A.random_resized_crop(8, scale=(0.1, 0.5)).draw(MANY, rng(0))["box"]
    area, aspect = (box[:, 2] * box[:, 3] / 400**2).numpy(), (box[:, 3] / box[:, 2]).log().numpy()
    assert kstest(area, "uniform", (0.1, 0.4)).pvalue > 1e-3
    assert kstest(aspect, "uniform", (math.log(3 / 4), 2 * math.log(4 / 3))).pvalue > 1e-3


def test_crops_lie_anywhere_in_the_image_and_never_outside():
    box = A.random_resized_crop(8, scale=(0.05, 1.0)).draw(torch.Size([20_000, 1, 28, 28]), rng(0))["box"]
    assert (box[:, :2] >= 0).all()
    assert (box[:, 2:] >= 1).all()
    assert ((box[:, :2] + box[:, 2:]) <= 28).all()
    room = 28 - box[:, 3]
    inner = room > 8
    place = (box[inner, 1] / room[inner]).mean().item()
    assert abs(place - 0.5) < 4 * 0.3 / inner.sum().item() ** 0.5


def test_a_long_image_falls_back_to_its_center():
    box = A.random_resized_crop(8, scale=(1.0, 1.0), ratio=(1.0, 1.0)).draw(torch.Size([50, 1, 10, 40]), rng(0))["box"]
    assert box.unique(dim=0).tolist() == [[0, 15, 10, 10]]


def test_rates_orders_and_shifts_are_those_asked_for():
    n = MANY[0]
    for p in (0.2, 0.5):
        on = A.random_flip(p).draw(MANY, rng(3))["on"].float().mean().item()
        assert abs(on - p) < 4 * (p * (1 - p) / n) ** 0.5
    q = A.color_jitter(0.4, 0.4, 0.4, 0.1, p=1.0).draw(MANY, rng(3))
    assert abs(q["hue"].mean().item()) < 4 * 0.1 / 3**0.5 / n**0.5
    assert kstest(q["hue"].numpy(), "uniform", (-0.1, 0.2)).pvalue > 1e-3
    assert kstest(q["brightness"].numpy(), "uniform", (0.6, 0.8)).pvalue > 1e-3
    code = (q["order"] * torch.tensor([64, 16, 4, 1])).sum(1)
    assert len(code.unique()) == 24
    assert chisquare(code.unique(return_counts=True)[1].numpy()).pvalue > 1e-3


# laws ------------------------------------------------------------------------------------------------------------
OPS = {
    "crop": lambda: A.random_resized_crop(24),
    "flip": A.random_flip,
    "jitter": A.color_jitter,
    "gray": A.random_grayscale,
    "blur": A.random_blur,
    "solarize": A.random_solarize,
    "noise": A.gaussian_noise,
    "translate": A.random_translate,
    "rotate": A.random_rotate,
}


@settings(deadline=None, max_examples=40)
@given(names=st.lists(st.sampled_from(sorted(OPS)), min_size=1, max_size=5), seed=st.integers(0, 10**6))
def test_a_view_is_a_function_of_its_seed_and_of_its_parameters(names, seed):
    augment, x = A.compose(*(OPS[name]() for name in names)), images()
    view = augment(x, rng(seed))
    assert torch.equal(view.x, augment(x, rng(seed)).x)
    assert torch.equal(view.x, A.replay(augment, x, view.params))
    assert view.x.dtype == torch.float32
    assert view.x.is_contiguous()
    assert view.x.min() >= 0
    assert view.x.max() <= 1
    assert all(len(value) == N for value in view.params.values())


@pytest.mark.parametrize("channels", [1, 3])
def test_a_view_depends_on_its_own_image_and_parameters_only(channels):
    augment, x = A.simclr_views(28, blur=0.5, solarize=0.3, noise=0.05), images(channels)
    view = augment(x, rng(0))
    for i in range(0, N, 5):
        alone = A.replay(augment, x[i : i + 1], {k: v[i : i + 1] for k, v in view.params.items()})
        assert torch.allclose(alone[0], view.x[i], atol=1e-6)


def test_each_sample_gets_a_draw_of_its_own():
    same = images()[:1].expand(N, -1, -1, -1)
    x = A.simclr_views(32)(same, rng(0)).x
    distances = torch.cdist(x.flatten(1), x.flatten(1)) + torch.eye(N)
    assert distances.min() > 0


def test_the_parts_of_a_batch_change_as_in_the_whole():
    augment = A.simclr_views(24, blur=0.5, solarize=0.2, noise=0.1)
    x = images()
    whole = augment(x, rng(5))
    parts = [augment(part, rng(5), part=(r, 3)) for r, part in enumerate(x.chunk(3))]
    assert torch.equal(torch.cat([view.x for view in parts]), whole.x)
    assert all(torch.equal(torch.cat([view.params[k] for view in parts]), v) for k, v in whole.params.items())


def test_large_batches_are_done_in_portions_without_a_trace(monkeypatch):
    augment, x = A.simclr_views(32, blur=0.5), images()
    whole = augment(x, rng(0)).x
    monkeypatch.setattr(A, "CHUNK", 5 * x[:1].nbytes)
    assert torch.allclose(augment(x, rng(0)).x, whole, atol=1e-6)


def test_a_blur_keeps_the_sum_of_a_flat_image_and_of_its_border():
    x = torch.full((2, 3, 9, 9), 0.7)
    assert torch.allclose(A.gaussian_blur(x, torch.tensor([0.5, 3.0]), 5), x)


def test_two_operations_of_one_name_keep_their_parameters_apart():
    augment = A.compose(A.random_flip(1.0), A.random_flip(1.0))
    view = augment(images(), rng(0))
    assert list(view.params) == ["flip.on", "flip2.on"]
    assert torch.equal(view.x, images())


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: A.random_resized_crop(8, scale=(0.5, 1.5)), r"scale is \(0.5, 1.5\)"),
        (lambda: A.random_resized_crop(8, scale=(0.9, 0.1)), "smaller first"),
        (lambda: A.random_resized_crop(8, ratio=(0.0, 1.0)), "ratio"),
        (lambda: A.random_flip(1.2), "p is 1.2"),
        (lambda: A.color_jitter(hue=0.7), "hue is 0.7"),
        (lambda: A.color_jitter(brightness=-0.1), "brightness is -0.1"),
        (lambda: A.random_blur(sigma=(0.0, 1.0)), "sigma"),
        (lambda: A.gaussian_noise(-0.1), "sigma is -0.1"),
        (lambda: A.gaussian_blur(images(), uniform(0.1, 1), 4), "kernel_size is 4"),
        (lambda: A.gaussian_blur(images(), uniform(-1, 0)), "sigma holds -"),
        (lambda: A.brightness(images(), uniform(-1, 0)), "f holds -"),
        (lambda: A.hue(images(), uniform(0.6, 1)), "f holds 0"),
        (lambda: A.resized_crop(images(), torch.tensor([[0, 0, 33, 1]]).expand(N, 4), 8), "boxes holds"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
