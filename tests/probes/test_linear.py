"""Probes against scikit-learn, closed forms and laws."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from torch import nn

from ssl_toolkit import probes
from ssl_toolkit.data import Dataset, rng
from ssl_toolkit.encoders import embed, pixels, small_conv, untrained
from ssl_toolkit.encoders.statistics import neighbors
from ssl_toolkit.probes import few_labels, knn_accuracy, knn_predict, linear_probe, metrics, mlp_probe, probe_depths


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


@given(seed=st.integers(0, 10**6), n=st.integers(1, 300), share=st.floats(0, 1))
def test_neighbors_are_the_largest_similarities_of_all(seed, n, share):
    bank, queries = torch.randn(n, 3, generator=rng(seed)), torch.randn(5, 3, generator=rng(seed, 1))
    k = 1 + round(share * (n - 1))
    similarity, index = neighbors(bank, queries, k=k)
    every = F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T
    assert torch.allclose(similarity, every.sort(dim=1, descending=True).values[:, :k], atol=1e-6)
    assert torch.allclose(every.gather(1, index), similarity, atol=1e-6)
    assert all(len(set(row)) == k for row in index.tolist())


def test_a_cold_vote_is_still_that_of_the_nearest():
    bank, queries = torch.randn(100, 64, generator=rng(0)), torch.randn(20, 64, generator=rng(1))
    labels = 1 + torch.arange(100) % 3
    _, nearest = neighbors(bank, queries, k=5)
    assert torch.equal(knn_predict(bank, labels, queries, k=5, temperature=1e-3)[:, 0], labels[nearest[:, 0]])


def test_an_image_is_its_own_nearest_neighbor(digits):
    similarity, index = neighbors(digits[0], digits[0][:5], k=3)
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


def test_every_depth_is_embedded_by_one_pass():
    encoder = small_conv(1, width=24, projector=(16, 8)).train()
    images = torch.randint(0, 256, (10, 1, 28, 28), dtype=torch.uint8, generator=rng(0))
    passes = []
    encoder.backbone.register_forward_hook(lambda *_: passes.append(1))
    z = embed(encoder, images, depth=None, batch_size=4)
    assert len(passes) == 3
    assert encoder.training
    assert {name: value.shape[1] for name, value in z.items()} == {
        "stem": 32, "stage1": 32, "stage2": 64, "representation": 24, "projector1": 16, "embedding": 8,
    }  # fmt: skip
    assert all(torch.equal(z[name], embed(encoder, images, depth=name, batch_size=4)) for name in z)
    assert list(embed(encoder, images, depth=("embedding", "stem"))) == ["embedding", "stem"]


def test_a_probe_at_every_depth_is_the_probe_of_its_features():
    images = torch.randint(0, 256, (60, 1, 28, 28), dtype=torch.uint8, generator=rng(0))
    data = Dataset(images=images, labels=torch.arange(60) % 3, classes=("a", "b", "c"))
    encoder, depths = small_conv(1, width=24, projector=(16, 8)), ("representation", "embedding")
    read = probe_depths(encoder, data[:40], data[40:], depths=depths, weight_decays=(1e-2,))
    assert tuple(read) == depths
    for depth, probe in read.items():
        z = embed(encoder, images, depth=depth)
        alone = linear_probe(z[:40], data.labels[:40], z[40:], data.labels[40:], weight_decays=(1e-2,))
        assert torch.equal(probe.weight, alone.weight)
        assert probe.accuracy == alone.accuracy


def test_a_constant_column_changes_nothing_even_where_the_test_set_varies(digits):
    train_z, train_y, test_z, test_y = digits
    varies = torch.cat([test_z, 1e6 * torch.randn(len(test_z), 1, generator=rng(0))], dim=1)
    constant = torch.cat([train_z, torch.full((len(train_z), 1), 1234.5678)], dim=1)
    plain = linear_probe(*digits, weight_decays=(1e-3,))
    probe = linear_probe(constant, train_y, varies, test_y, weight_decays=(1e-3,))
    assert probe.accuracy == pytest.approx(plain.accuracy, abs=0.004)
    assert probe.weight[:, -1].abs().max() < 1e-6


def test_a_probe_of_fewer_samples_than_classes_knows_the_classes_it_saw():
    z = 10 * torch.eye(10)
    probe = linear_probe(z[[0, 3, 9]], torch.tensor([0, 3, 9]), z, torch.arange(10))
    assert probe.weight_decay == 1e-2  # none can be held out: the strongest
    assert probe.predict(z[[0, 3, 9]]).tolist() == [0, 3, 9]
    assert probe.accuracy == pytest.approx(0.3)


def test_the_probe_ends_where_the_gradient_of_its_objective_vanishes(digits):
    train_z, train_y, test_z, test_y = (t.double() if t.is_floating_point() else t for t in digits)
    probe = linear_probe(train_z, train_y, test_z, test_y, weight_decays=(1e-2,), iterations=500)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    scores = F.linear((train_z - probe.mean) / probe.std, weight, bias)
    (F.cross_entropy(scores, train_y) + 1e-2 / 2 * weight.square().sum()).backward()
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 2e-4


def rings(n: int, seed: int):
    """Two classes that no line separates, with a tenth of the labels wrong."""
    y = torch.randint(0, 2, (n,), generator=rng(seed, 0))
    angle = torch.rand(n, generator=rng(seed, 1)) * 2 * torch.pi
    z = (1 + y)[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    wrong = torch.rand(n, generator=rng(seed, 2)) < 0.1
    return z + 0.1 * torch.randn(n, 2, generator=rng(seed, 3)), torch.where(wrong, 1 - y, y)


def test_the_mlp_probe_reads_what_no_line_separates():
    train, test = rings(1000, 0), rings(1000, 1)
    *_, probe = mlp_probe(*train, *test, hidden=(32,), epochs=15, lr=1e-2, batch_size=64)
    assert probe.accuracy > 0.85
    assert probe.chance < 0.55
    assert linear_probe(*train, *test).accuracy < 0.6


def test_the_mlp_probe_overfits_and_tells_when_it_was_best():
    y = torch.randint(0, 2, (200,), generator=rng(4))
    z = torch.randn(200, 30, generator=rng(5)) + 0.6 * F.one_hot(y, 30)
    train, test = (z[:120], y[:120]), (z[120:], y[120:])
    records = list(mlp_probe(*train, *test, hidden=(64,), epochs=25, patience=None, lr=1e-2, batch_size=32))
    assert [len(r.validation) for r in records] == list(range(1, 26))
    last = records[-1]
    assert last.validation[last.best - 1] == max(last.validation)
    assert last.best == 1 + last.validation.index(max(last.validation))
    assert last.best < 25
    assert last.accuracy == records[last.best - 1].last_accuracy
    early = list(mlp_probe(*train, *test, hidden=(64,), epochs=25, patience=4, lr=1e-2, batch_size=32))
    assert early == records[: len(early)]
    assert len(early) - early[-1].best == 4


def test_the_mlp_probe_never_looks_at_the_test_set():
    train, test = rings(200, 0), rings(100, 1)
    *_, a = mlp_probe(*train, *test, hidden=(8,), epochs=3)
    torch.rand(3)  # a disturbed global generator must not matter
    *_, b = mlp_probe(*train, test[0], 1 - test[1], hidden=(8,), epochs=3)
    assert (a.best, a.validation) == (b.best, b.validation)
    assert a.accuracy == pytest.approx(1 - b.accuracy)


def test_what_needs_no_label_can_be_had_from_the_probes_too():
    names = ("rankme", "spectrum", "feature_std", "alignment", "uniformity", "lidar", "alpha_req", "describe_rank")
    assert all(getattr(probes, name) is getattr(metrics, name) for name in names)


def test_few_labels_are_balanced_and_drawn_by_the_seed(digits):
    index = few_labels(digits[1], 5)
    assert digits[1][index].bincount().tolist() == [5] * 10
    assert torch.equal(index, few_labels(digits[1], 5))
    assert not torch.equal(index, few_labels(digits[1], 5, seed=1))


def test_what_cannot_be_drawn_anew_in_an_untrained_copy_is_named():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.attention = nn.Parameter(torch.ones(1, 1, 4)), nn.MultiheadAttention(4, 2)

    model = Tokens()
    with torch.no_grad():
        model.attention.in_proj_weight.fill_(7.0)
    with pytest.warns(UserWarning, match="token cannot be drawn anew"):
        fresh = untrained(model)
    assert not torch.equal(fresh.attention.in_proj_weight, model.attention.in_proj_weight)


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
        (lambda z, y: linear_probe(z, y[:3], z, y), r"train_y has shape .* n = 10, as train_z has"),
        (lambda z, y: linear_probe(z * torch.nan, y, z, y), "diverged"),
        (lambda z, y: linear_probe(z, y * 0, z, y), "one class only"),
        (lambda z, y: linear_probe(z, y - 1, z, y), "a label is -1"),
        (lambda z, y: linear_probe(z, y, z[:0], y[:0]), "test_z holds 0"),
        (lambda z, y: linear_probe(z, y, z, y, validation=1.0), "validation is 1.0"),
        (lambda z, y: linear_probe(z, y, z, y, weight_decays=(0.0, 1.0)), r"weight_decays is \(0.0, 1.0\)"),
        (lambda z, y: next(mlp_probe(z, y * 0, z, y)), "one class only"),
        (lambda z, y: next(mlp_probe(z[:2], y[:2], z, y)), "single example"),
        (lambda z, y: next(mlp_probe(z, y, z, y, epochs=0)), "epochs=0"),
        (lambda z, y: knn_predict(z * torch.nan, y, z, k=2), "diverged"),
        (lambda z, y: neighbors(z, z, k=11), "k is 11"),
        (lambda z, y: knn_predict(z, y[:3], z, k=2), r"bank_labels has shape .* n = 10, as bank has"),
        (
            lambda z, y: embed(small_conv(1), torch.rand(2, 1, 28, 28), depth=("stem", "x")),
            "'x': .* has stem, ",
        ),
        (lambda z, y: few_labels(y, 6), "per_class is 6.* 1 ... 5"),
        (lambda z, y: embed(small_conv(1), torch.rand(2, 1, 28, 28), depth="stage9"), "'stage9': this"),
        (lambda z, y: embed(nn.Flatten(), torch.rand(2, 1, 28, 28), depth="stem"), "only an Encoder"),
    ],
)
def test_bad_input_is_named(call, words):
    z, y = torch.randn(10, 4, generator=rng(0)), torch.arange(10) % 2
    with pytest.raises(ValueError, match=words):
        call(z, y)
