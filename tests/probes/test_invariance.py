"""How far features move, and what can be read back: networks for which both are known."""

import pytest
import torch

from ssl_toolkit.augment import transforms as aug
from ssl_toolkit.data import as_float, load_data, rng
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.probes.invariance import AUGMENTATIONS, moved, parameters, reactions, read_back


@pytest.fixture(scope="module")
def images():
    return load_data("shapes", limit=200).images


def only(*names):
    return {name: AUGMENTATIONS[name] for name in names}


def results(model, images, *names):
    return [r for r in reactions(model, images, augmentations=only(*names)) if r is not None]


def test_moved_is_the_ratio_written_out():
    z, z_t = torch.randn(12, 5, generator=rng(0)), torch.randn(12, 5, generator=rng(1))
    pairs = [float((z[i] - z[j]).square().sum()) for i in range(12) for j in range(12) if i != j]
    steps = [float((z_t[i] - z[i]).square().sum()) for i in range(12)]
    assert moved(z, z_t) == pytest.approx(((sum(steps) / 12) / (sum(pairs) / len(pairs))) ** 0.5, rel=1e-5)


def test_another_image_is_one_away_and_the_same_none():
    z = torch.randn(3000, 6, generator=rng(0))
    assert moved(z, z.roll(1, dims=0)) == pytest.approx(1, abs=0.03)
    assert moved(z, z) == 0
    assert moved(z, z.roll(1, dims=0), torch.zeros(3000).bool()) == 0


def test_the_scale_of_the_features_does_not_matter():
    z, z_t = torch.randn(20, 3, generator=rng(0)), torch.randn(20, 3, generator=rng(1))
    assert moved(7 * z + 3, 7 * z_t + 3) == pytest.approx(moved(z, z_t), rel=1e-5)


def test_a_mirrored_image_has_the_same_mean_and_flip_cannot_be_read_from_it(images):
    (reaction,) = results(lambda x: x.mean(dim=(2, 3)), images, "flip")
    assert reaction.moved < 1e-5
    assert reaction.read_back < 0.1


def test_brightness_is_read_back_from_the_mean_and_not_from_the_sign(images):
    def with_mean(x):
        return x.mean(dim=(2, 3)).log()

    weak, *_ = results(with_mean, images, "brightness")
    assert weak.read_back > 0.95
    assert weak.moved > 0

    def without(x):  # the brightness cancels
        z = x.mean(dim=(2, 3))
        return z / z.norm(dim=1, keepdim=True)

    weak, *_ = results(without, images, "brightness")
    assert weak.moved < 0.1
    assert weak.read_back < 0.5


def test_only_images_that_changed_count(images):
    gray = as_float(images).mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    (reaction,) = results(lambda x: x.flatten(1), (gray * 255).byte(), "gray")
    assert reaction.moved < 0.02


def test_stronger_moves_further_at_every_depth_of_an_encoder(images):
    found = results(small_conv(3), images[:64], "translate")
    depths = list(dict.fromkeys(r.depth for r in found))
    assert depths[0] == "stem"
    assert depths[-1] == "embedding"
    for depth in depths[:4]:
        weak, _, strong = (r.moved for r in found if r.depth == depth)
        assert 0 < weak < strong


def test_noise_has_no_parameter_to_read(images):
    assert {r.read_back for r in results(lambda x: x.flatten(1)[:, ::64], images[:32], "noise")} == {None}


def test_the_parameters_are_what_was_drawn_and_differs():
    x = torch.rand(40, 3, 16, 16, generator=rng(0))
    view = aug.compose(aug.color_jitter(0.4, 0.0, 0.0, 0.0, p=1.0), aug.random_rotate(9.0))(x, rng(1))
    target = parameters(view.params)
    assert target.shape == (40, 2)
    drawn = view.params["rotate.angle"]
    assert torch.allclose(target[:, 1], (drawn - drawn.mean()) / drawn.std(), atol=1e-5)
    assert parameters(aug.compose(aug.gaussian_noise(0.1))(x, rng(1)).params) is None


def test_reading_back_uses_the_pair():
    z = torch.randn(400, 4, generator=rng(0))
    t = torch.randn(400, 1, generator=rng(1))
    assert read_back(z, z + t, t) > 0.99  # neither of the two tells it, their difference does


def test_every_family_can_be_used_and_twice_gives_the_same(images):
    model = small_conv(3, projector=())
    one = {name: (operation, strengths[:1]) for name, (operation, strengths) in AUGMENTATIONS.items()}
    first, second = (list(reactions(model, images[:24], augmentations=one)) for _ in range(2))
    assert first == second
    assert {r.augmentation for r in first if r} == set(AUGMENTATIONS)


def test_too_few_images_and_collapsed_features_are_errors(images):
    with pytest.raises(ValueError, match="there are 5 images"):
        next(reactions(small_conv(3), images[:5]))
    with pytest.raises(ValueError, match="collapsed"):
        list(reactions(lambda x: torch.ones(len(x), 2), images[:20], augmentations=only("flip")))
