"""Probes against scikit-learn, closed forms and laws."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ssl_toolkit.encoders import small_conv
from ssl_toolkit.probes import (
    alignment,
    embed,
    feature_std,
    few_labels,
    knn_accuracy,
    knn_predict,
    linear_probe,
    neighbours,
    pixels,
    rankme,
    spectrum,
    uniformity,
    untrained,
)
from ssl_toolkit.seeds import rng


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    z, y = torch.tensor(x[order], dtype=torch.float32), torch.tensor(y[order])
    return z[:1200], y[:1200], z[1200:], y[1200:]


def test_the_linear_probe_is_scikit_learns_logistic_regression(digits):
    from sklearn.linear_model import LogisticRegression

    train_z, train_y, test_z, test_y = digits
    decay = 1e-3
    ours = linear_probe(*digits, weight_decays=(decay,), iterations=500)
    scaled = [((z - train_z.mean(0)) / train_z.std(0).clamp_min(1e-6)).numpy() for z in (train_z, test_z)]
    theirs = LogisticRegression(C=1 / (decay * len(train_z)), max_iter=2000, tol=1e-8).fit(scaled[0], train_y)
    assert ours.accuracy == pytest.approx(theirs.score(scaled[1], test_y), abs=0.004)  # two images of 597
    ours_p = torch.softmax(torch.from_numpy(scaled[1]) @ ours.weight.T + ours.bias, 1)
    assert np.abs(ours_p.numpy() - theirs.predict_proba(scaled[1])).max() < 0.02
    assert torch.equal(ours.predict(test_z), ours_p.argmax(1))


def test_the_weight_decay_is_chosen_without_the_test_set(digits):
    train_z, train_y, test_z, test_y = digits
    ours = linear_probe(train_z, train_y, test_z, test_y)
    shuffled = linear_probe(train_z, train_y, test_z, test_y[torch.randperm(len(test_y), generator=rng(0))])
    assert ours.weight_decay == shuffled.weight_decay
    assert torch.equal(ours.weight, shuffled.weight)
    assert ours.accuracy > 0.93
    assert 0.02 < shuffled.accuracy < 0.2  # labels of other images: chance
    assert 0.1 < ours.chance < 0.13


def test_a_probe_of_noise_reads_nothing():
    z, y = torch.randn(1000, 8, generator=rng(1)), torch.randint(0, 4, (1000,), generator=rng(2))
    probe = linear_probe(z[:500], y[:500], z[500:], y[500:])
    assert abs(probe.accuracy - 0.25) < 4 * (0.25 * 0.75 / 500) ** 0.5


def test_knn_ranks_labels_by_the_weighted_vote_written_out(digits):
    train_z, train_y, test_z, _ = digits
    ranked = knn_predict(train_z, train_y, test_z[:20], k=7, temperature=0.1)
    assert ranked.shape == (20, 10)
    unit = lambda z: z / z.norm(dim=1, keepdim=True)  # noqa: E731
    for query, labels in zip(unit(test_z[:20]), ranked, strict=True):
        s = unit(train_z) @ query
        votes = torch.zeros(10)
        for j in s.argsort(descending=True)[:7]:
            votes[train_y[j]] += (s[j] / 0.1).exp()
        assert votes[labels[0]] == votes.max()
        assert sorted(labels.tolist()) == list(range(10))


def test_knn_agrees_with_scikit_learn(digits):
    from sklearn.neighbors import KNeighborsClassifier

    train_z, train_y, test_z, test_y = digits
    weights = lambda distance: np.exp((1 - distance) / 0.1)  # noqa: E731
    theirs = KNeighborsClassifier(20, metric="cosine", weights=weights).fit(train_z, train_y).score(test_z, test_y)
    assert knn_accuracy(*digits) == pytest.approx(theirs, abs=0.002)


def test_an_image_is_its_own_nearest_neighbour(digits):
    similarity, index = neighbours(digits[0], digits[0][:5], k=3)
    assert index[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert similarity[:, 0] == pytest.approx(1)


def test_embedding_restores_every_mode_and_moves_no_average():
    encoder = small_conv(1).train()
    encoder.projector.eval()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    images = torch.randint(0, 256, (10, 1, 28, 28), dtype=torch.uint8, generator=rng(0))
    z = embed(encoder, images, batch_size=4)
    assert z.shape == (10, 128)
    assert encoder.training
    assert not encoder.projector.training
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert torch.allclose(z, embed(encoder, images / 255), atol=1e-6)
    assert embed(encoder, images, depth="stage1").shape == (10, 32)
    assert embed(nn.Flatten(), images).shape == (10, 784)
    assert torch.equal(embed(lambda x: x.flatten(1), images), pixels(images))


@given(seed=st.integers(0, 10**6), d=st.integers(2, 12))
def test_rankme_counts_equal_directions(seed, d):
    q, _ = torch.linalg.qr(torch.randn(40, d, generator=rng(seed)))
    assert rankme(q) == pytest.approx(d, rel=1e-3)
    assert rankme(5 * q) == pytest.approx(rankme(q), rel=1e-6)
    assert rankme(torch.outer(q[:, 0], torch.arange(1.0, d + 1))) == pytest.approx(1, rel=1e-3)


def test_rankme_is_the_papers_formula_for_wide_and_tall_features():
    for shape in ((30, 10), (10, 30)):
        z = torch.randn(shape, generator=rng(3), dtype=torch.float64)
        sigma = torch.linalg.svdvals(z)
        p = sigma / sigma.sum() + 1e-7
        assert rankme(z.float()) == pytest.approx((-(p * p.log()).sum()).exp().item(), rel=1e-4)


def test_a_collapsed_representation_shows_in_every_gauge():
    spread, collapsed = torch.randn(500, 16, generator=rng(0)), torch.ones(500, 16)
    collapsed = collapsed + 1e-4 * spread
    assert feature_std(spread) == pytest.approx(0.25, rel=0.05)
    assert feature_std(collapsed) < 1e-3
    assert rankme(spread) > 14
    assert rankme(collapsed) < 1.1
    assert uniformity(spread) < -2
    assert uniformity(collapsed) == pytest.approx(0, abs=1e-3)
    assert alignment(spread, spread) == 0


def test_the_spectrum_is_that_of_pca(digits):
    from sklearn.decomposition import PCA

    expected = np.sqrt(PCA().fit(digits[0].numpy()).explained_variance_)
    assert np.allclose(spectrum(digits[0]).numpy(), expected, atol=1e-3)


def test_few_labels_are_balanced_and_drawn_by_the_seed(digits):
    index = few_labels(digits[1], 5)
    assert digits[1][index].bincount().tolist() == [5] * 10
    assert torch.equal(index, few_labels(digits[1], 5))
    assert not torch.equal(index, few_labels(digits[1], 5, seed=1))


def test_an_untrained_copy_shares_nothing_with_its_model():
    encoder = small_conv(1)
    fresh = untrained(encoder, seed=5)
    weights = zip(encoder.parameters(), fresh.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)
    assert not {p.data_ptr() for p in encoder.parameters()} & {p.data_ptr() for p in fresh.parameters()}


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda z, y: knn_predict(z, y, z, k=0), "k is 0"),
        (lambda z, y: knn_predict(z, y, z, k=99), "k is 99"),
        (lambda z, y: knn_predict(z, y, z, k=2, temperature=0.0), "temperature is 0.0"),
        (lambda z, y: inspect.unwrap(linear_probe)(z, y[:3], z, y), "10 and 3 to train"),
        (lambda z, y: linear_probe(z * torch.nan, y, z, y), "diverged"),
        (lambda z, y: linear_probe(z, y * 0, z, y), "one class only"),
        (lambda z, y: few_labels(y, 6), "per_class is 6.* 1 ... 5"),
        (lambda z, y: embed(small_conv(1), torch.rand(2, 1, 28, 28), depth="stage9"), "'stage9': this"),
        (lambda z, y: embed(nn.Flatten(), torch.rand(2, 1, 28, 28), depth="stem"), "only an Encoder"),
    ],
)
def test_bad_input_is_named(call, words):
    z, y = torch.randn(10, 4, generator=rng(0)), torch.arange(10) % 2
    with pytest.raises(ValueError, match=words):
        call(z, y)
