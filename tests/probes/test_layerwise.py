"""Features of any encoder, step by step, and what is read from them at each depth."""

import pytest
import torch
from torch import nn

from ssl_toolkit.data import load_data
from ssl_toolkit.encoders import embed, embed_steps, pixels, small_conv, wrap
from ssl_toolkit.probes import knn_accuracy, read_depths, read_factors
from ssl_toolkit.probes.layerwise import KNN, LINEAR, small_pixels


@pytest.fixture(scope="module")
def data():
    return load_data("shapes", limit=160)


def test_the_last_record_holds_what_one_pass_gives(data):
    model = small_conv(3)
    records = list(embed_steps(model, data.images, depth=None, batch_size=50))
    assert [r.done for r in records] == [50, 100, 150, 160]
    assert records[0].features == {}
    for depth, z in embed(model, data.images, depth=None).items():
        assert torch.allclose(records[-1].features[depth], z, atol=1e-5)


def test_any_callable_and_any_module_will_do(data):
    class TimmLike(nn.Module):
        """Tokens (b, n, d) until a head takes the first, as vision transformers do."""

        def __init__(self):
            super().__init__()
            self.blocks, self.head = nn.Sequential(nn.Linear(3, 6), nn.GELU()), nn.Linear(6, 4)

        def forward(self, x):
            return self.head(self.blocks(x.flatten(2).transpose(1, 2))[:, 0])

    wrapped = wrap(TimmLike(), depths=["blocks"])
    for model, depths in [
        (lambda x: x.mean(dim=(2, 3)), {"representation": 3}),
        (nn.Sequential(nn.Flatten(), nn.Linear(3072, 7)), {"representation": 7}),
        (wrapped, {"blocks": 6, "representation": 6}),
    ]:
        *_, last = embed_steps(model, data.images[:20], depth=None)
        assert {depth: z.shape[1] for depth, z in last.features.items()} == depths


@pytest.mark.parametrize(
    "model, words",
    [
        (lambda x: x, r"a tensor of shape \(20, 3, 32, 32\).*mean"),
        (lambda x: (x, x), "a tuple.*one element"),
        (lambda x: {"z": x}, "a dict"),
    ],
)
def test_what_is_no_vector_is_a_clear_error(data, model, words):
    with pytest.raises(TypeError, match=words):
        embed(model, data.images[:20])
    with pytest.raises(TypeError, match=words):
        list(embed_steps(model, data.images[:20], depth=None))


def test_a_depth_that_returns_a_tuple_is_named(data):
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(TypeError, match="a depth returned a tuple"):
        wrap(nn.Sequential(Pair()), head=None)


def test_features_that_are_no_numbers_are_an_error(data):
    with pytest.raises(ValueError, match="depth 'representation' hold NaN"):
        list(embed_steps(lambda x: x.flatten(1) / 0, data.images[:20]))


def test_a_depth_that_does_not_exist_is_an_error_with_those_that_do(data):
    with pytest.raises(ValueError, match="'layer9': this encoder has stem, stage1"):
        embed(small_conv(3), data.images[:4], depth="layer9")


def test_scores_are_those_of_the_probes(data):
    train, test = data[:120], data[120:]
    z = {"pixels": small_pixels(train.images, side=4), "mean": train.images.float().mean(dim=(2, 3))}
    q = {"pixels": small_pixels(test.images, side=4), "mean": test.images.float().mean(dim=(2, 3))}
    scores = list(read_depths(z, train, q, test))
    assert [s.depth for s in scores] == ["pixels"] * 10 + ["mean"] * 10
    assert [s.what for s in scores[:10]] == [LINEAR, KNN, *data.factors]
    by = {(s.depth, s.what): s for s in scores}
    assert by["mean", KNN].score == knn_accuracy(z["mean"], train.labels, q["mean"], test.labels)
    reading = read_factors(z["mean"], train.factors, q["mean"], test.factors)["background"]
    assert by["mean", "background"].score == reading.score
    assert by["pixels", LINEAR].chance == test.labels.bincount().max() / len(test)


def test_the_pixel_baseline_is_the_image_where_that_is_small(data):
    assert torch.equal(small_pixels(data.images, side=32), pixels(data.images))
    assert small_pixels(data.images).shape == (160, 3 * 16 * 16)


def test_without_factors_two_scores_are_left(data):
    z = {"mean": data.images.float().mean(dim=(2, 3))}
    assert [s.what for s in read_depths(z, data, z, data, factors=False)] == [LINEAR, KNN]


def test_few_images_and_constant_columns_are_no_hindrance(data):
    train = data[:9]
    z = {"d": torch.cat([train.images.float().mean(dim=(2, 3)), torch.ones(9, 1)], dim=1)}
    assert all(0 <= s.score <= 1 for s in read_depths(z, train, z, train, factors=False))


@pytest.mark.parametrize(
    "part, words",
    [
        (lambda d: d[d.labels == 2], "are of one class"),
        (lambda d: d[:5], "5 images to train on, of . of 8 classes"),
    ],
)
def test_what_no_probe_can_learn_from_is_an_error(data, part, words):
    train = part(data)
    z = {"d": train.images.float().flatten(1)}
    with pytest.raises(ValueError, match=words):
        next(read_depths(z, train, z, train))


def test_a_depth_that_is_not_there_to_test_is_an_error(data):
    with pytest.raises(ValueError, match="no depth 'a': it has b"):
        next(read_depths({"a": torch.rand(160, 2)}, data, {"b": torch.rand(160, 2)}, data))
