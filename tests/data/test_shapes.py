"""The renderer by its laws: seeds, symmetries, and one factor moving one thing."""

import colorsys
import math

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from ssl_toolkit.data.shapes import RANGES, SHAPES, TEXTURES, draw_factors, render, shapes

EVERY_SHAPE = range(len(SHAPES))
each_shape = pytest.mark.parametrize("shape", EVERY_SHAPE, ids=SHAPES)
each_texture = pytest.mark.parametrize("texture", range(len(TEXTURES)), ids=TEXTURES)


def one(**changes: float) -> dict[str, Tensor]:
    """The factors of one centered circle, with changes."""
    plain = {"shape": 0, "texture": 0, "hue": 0.1, "x": 0.5, "y": 0.5, "scale": 0.3, "angle": 0.0, "background": 0.6}
    return {name: torch.tensor([value]) for name, value in (plain | changes).items()}


def difference(a: Tensor, b: Tensor) -> int:
    return int((a.int() - b.int()).abs().max())


def test_a_seed_gives_the_same_images_twice_and_another_seed_others():
    assert torch.equal(shapes(20, seed=3).images, shapes(20, seed=3).images)
    assert not torch.equal(shapes(20, seed=3).images, shapes(20, seed=4).images)


@given(n=st.integers(1, 600), k=st.integers(1, 600), seed=st.integers(0, 9))
def test_the_first_k_factors_of_n_are_those_of_k(n, k, seed):
    n, k = max(n, k), min(n, k)
    many, few = draw_factors(n, seed=seed, distractor=True), draw_factors(k, seed=seed, distractor=True)
    assert all(torch.equal(many[name][:k], few[name]) for name in few)


@pytest.mark.parametrize("k", [1, 7, 255, 256, 257])
def test_the_first_k_images_of_n_are_those_of_k(k):
    assert torch.equal(shapes(600, distractor=True).images[:k], shapes(k, distractor=True).images)


def test_images_come_with_one_value_of_every_factor():
    images, factors = shapes(50, size=24)
    assert images.shape == (50, 3, 24, 24)
    assert images.dtype == torch.uint8
    assert set(factors) == {"shape", "texture", "hue", "x", "y", "scale", "angle", "background"}
    assert all(values.shape == (50,) for values in factors.values())


def test_factors_are_uniform_and_independent():
    factors = draw_factors(20_000, distractor=True)
    for name, (low, high) in RANGES.items():
        counts = torch.histc(factors[name], bins=20, min=low, max=high)
        assert (counts / 1000 - 1).abs().max() < 0.15, name
    for name, names in (("shape", SHAPES), ("texture", TEXTURES), ("distractor_shape", SHAPES)):
        counts = factors[name].bincount(minlength=len(names))
        assert (counts * len(names) / 20_000 - 1).abs().max() < 0.1, name
    correlation = torch.corrcoef(torch.stack([values.double() for values in factors.values()]))
    assert (correlation - torch.eye(len(factors))).abs().max() < 0.04


@each_shape
@each_texture
def test_moving_x_and_y_by_pixels_shifts_the_image(shape, texture):
    still = render(one(shape=shape, texture=texture, scale=0.2, angle=0.3))
    moved = render(one(shape=shape, texture=texture, scale=0.2, angle=0.3, x=0.5 + 5 / 32, y=0.5 - 3 / 32))
    assert difference(moved, still.roll((-3, 5), dims=(2, 3))) <= 1


@each_shape
def test_a_quarter_turn_of_the_angle_is_a_quarter_turn_of_the_image(shape):
    upright, turned = (render(one(shape=shape, angle=angle)) for angle in (0.2, 0.2 + math.pi / 2))
    assert difference(turned, upright.rot90(1, dims=(2, 3))) <= 1


@each_texture
def test_textures_turn_with_their_shape(texture):
    upright, turned = (render(one(shape=3, texture=texture, angle=angle)) for angle in (0.0, math.pi / 2))
    assert difference(turned, upright.rot90(1, dims=(2, 3))) <= 1


@each_shape
def test_drawn_larger_and_averaged_down_a_picture_stays_the_same(shape):
    small, large = (render(one(shape=shape, angle=0.4), size=size) for size in (32, 256))
    averaged = torch.nn.functional.avg_pool2d(large.float(), 8)
    assert (averaged - small).abs().mean() < 1.5
    assert (averaged - small).abs().max() < 60  # at a corner, a pixel sees less than its area


@each_shape
def test_no_shape_leaves_the_frame(shape):
    places = torch.cartesian_prod(*(torch.tensor(RANGES[name]) for name in ("x", "y")), torch.linspace(-0.5, 0.5, 9)).T
    x, y, angle = places
    factors = {name: values.expand(36) for name, values in one(shape=shape, scale=RANGES["scale"][1]).items()}
    image = render(factors | {"x": x, "y": y, "angle": angle})
    # the same in the middle of a picture twice as wide
    half = {"x": (x + 0.5) / 2, "y": (y + 0.5) / 2, "angle": angle, "scale": factors["scale"] / 2}
    wide = render(factors | half, size=64)
    assert difference(wide[:, :, 16:48, 16:48], image) <= 1
    wide[:, :, 16:48, 16:48] = wide[:1, :, :1, :1]
    assert torch.equal(wide, wide[:1, :, :1, :1].expand_as(wide))


@each_shape
def test_each_shape_shows_its_angle_within_the_range(shape):
    angles = torch.linspace(*RANGES["angle"], 13)
    striped = one(shape=shape, texture=0 if SHAPES[shape] not in ("circle", "ring") else 1)
    images = (
        render({name: values.expand(13) for name, values in striped.items()} | {"angle": angles}).float().flatten(1)
    )
    assert torch.pdist(images).min() > 100


def test_a_plain_circle_and_a_plain_ring_have_no_angle():
    for shape in ("circle", "ring"):
        assert difference(*(render(one(shape=SHAPES.index(shape), angle=angle)) for angle in (0.0, 0.5))) <= 1


@given(hue=st.floats(0, 1), background=st.floats(0, 1))
def test_the_colors_of_shape_and_ground_have_the_hues_asked_for(hue, background):
    image = render(one(hue=hue, background=background))[0].double() / 255
    for pixel, wanted, brightness in ((image[:, 16, 16], hue, 0.95), (image[:, 0, 0], background, 0.36)):
        got, _, value = colorsys.rgb_to_hsv(*pixel.tolist())
        assert abs((got - wanted + 0.5) % 1 - 0.5) < 0.01
        assert value == pytest.approx(brightness, abs=0.01)


@each_texture
def test_a_texture_keeps_the_hue(texture):
    inside = render(one(texture=texture, hue=0.4), size=64)[0, :, 24:40, 24:40].flatten(1).T.double() / 255
    hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in inside.tolist()]
    assert max(abs(hue - 0.4) for hue in hues) < 0.02


def test_textures_differ():
    images = torch.cat([render(one(texture=texture, scale=0.2)) for texture in range(len(TEXTURES))])
    assert torch.pdist(images.float().flatten(1)).min() > 300


def test_edges_are_antialiased():
    grays = [render(one(hue=0.0, background=0.0, x=x))[0, 0].double() for x in (0.5, 0.51, 0.52)]
    assert len(torch.stack(grays).unique()) > 20
    ground, paint = 0.36 * 255, 0.95 * 255
    areas = [((gray - ground) / (paint - ground)).sum() for gray in grays]
    assert areas == pytest.approx([math.pi * (0.3 * 0.85 * 32) ** 2] * 3, rel=0.01)


def test_the_ground_changes_nothing_inside_the_shape_and_the_hue_nothing_outside():
    a, b, c = render(one()), render(one(background=0.1)), render(one(hue=0.7))
    assert torch.equal(a[..., 12:20, 12:20], b[..., 12:20, 12:20])
    assert torch.equal(a[..., :4], c[..., :4])
    assert not torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_distractor_changes_no_other_factor_and_stays_behind_in_its_corner():
    (plain, factors), (distracted, more) = shapes(200), shapes(200, distractor=True)
    assert all(torch.equal(factors[name], more[name]) for name in factors)
    changed = (plain != distracted).any(dim=1)
    assert changed[:, 8:24, 8:24].sum() == 0
    assert changed.flatten(1).any(dim=1).float().mean() > 0.95


def test_factors_may_be_edited_and_drawn_again():
    images, factors = shapes(30, seed=5)
    assert torch.equal(render(factors), images)
    assert torch.equal(render({name: values[10:20] for name, values in factors.items()}), images[10:20])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"color": torch.zeros(1)}, "color"),
        ({"distractor_hue": torch.zeros(1)}, "distractor_shape, distractor_x, distractor_y"),
        ({"x": torch.zeros(2)}, "lengths"),
        ({"shape": torch.tensor([8])}, "from 0 to 7"),
        ({"texture": torch.tensor([-1])}, "from 0 to 3"),
        ({"scale": torch.zeros(1)}, "must be positive"),
    ],
)
def test_factors_that_cannot_be_drawn_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        render(one() | changes)


def test_a_missing_factor_and_an_impossible_size_are_named():
    with pytest.raises(ValueError, match="hue"):
        render({name: values for name, values in one().items() if name != "hue"})
    with pytest.raises(ValueError, match="size is 3"):
        render(one(), size=3)
    with pytest.raises(ValueError, match="n is 0"):
        shapes(0)


def test_hue_jitter_moves_the_two_hues_and_nothing_else():
    from torchvision.transforms.v2.functional import adjust_hue

    jittered, drawn = adjust_hue(render(one(hue=0.1, background=0.6)), 0.2), render(one(hue=0.3, background=0.8))
    assert difference(jittered[..., 12:20, 12:20], drawn[..., 12:20, 12:20]) <= 4
    assert difference(jittered[..., :4], drawn[..., :4]) <= 4
