"""What to look at first, against what was planted and against sums written out."""

import pytest
import torch
from scipy.stats import beta

import ssl_toolkit as stk
from ssl_toolkit.data import rng
from ssl_toolkit.probes import confusions, duplicates, knn_graph, label_errors, outliers, purity
from ssl_toolkit.probes.review import _median_of_second, _posterior


@pytest.fixture(scope="module")
def garments():
    data = stk.load_data("garments", limit=3000)
    return stk.zoo.load("garments-simclr"), data, stk.embed(stk.zoo.load("garments-simclr"), data.images)


def planted(labels, share, seed):
    """Labels of which a share is wrong, any other class with equal chance, and which these are."""
    g = rng(seed, 0, "planted")
    wrong = torch.zeros(len(labels), dtype=torch.bool)
    wrong[torch.randperm(len(labels), generator=g)[: round(share * len(labels))]] = True
    away = torch.randint(1, 10, labels.shape, generator=g)
    return torch.where(wrong, (labels + away) % 10, labels), wrong


@pytest.mark.parametrize("seed", [0, 1])
def test_half_of_the_planted_label_errors_are_found_before_one_in_five_is_right(garments, seed):
    _, data, z = garments
    labels, wrong = planted(data.labels, 0.05, seed)
    found = label_errors(z, labels)
    hits = wrong[found.index].cumsum(0)
    m = int((hits >= 0.5 * wrong.sum()).nonzero()[0]) + 1
    precision = float(hits[m - 1]) / m
    assert precision >= 0.8
    assert float(found.false_discovery[m - 1]) == pytest.approx(1 - precision, abs=0.1)
    assert found.noise == pytest.approx(0.05, abs=0.015)
    right = wrong[found.index[:m]]
    assert (found.suggested[:m] == data.labels[found.index[:m]])[right].float().mean() > 0.6
    assert (found.score.diff() <= 0).all()


def test_rows_without_a_label_neither_vote_nor_are_judged(garments):
    _, data, z = garments
    labels = data.labels[:400].clone()
    labels[::4] = -1
    known = labels >= 0
    found, alone = label_errors(z[:400], labels), label_errors(z[:400][known], labels[known])
    assert torch.equal(found.index, known.nonzero().squeeze(1)[alone.index])
    assert torch.equal(found.score, alone.score)


def test_the_noise_and_the_false_discoveries_are_those_of_the_model():
    g = rng(3)
    log_p = (3 * torch.randn(20_000, 5, generator=g)).log_softmax(dim=1)
    y = torch.multinomial(log_p.exp(), 1, generator=g).squeeze(1)
    wrong = torch.rand(len(y), generator=g) < 0.1
    y = torch.where(wrong, (y + torch.randint(1, 5, y.shape, generator=g)) % 5, y)
    found = _posterior(torch.arange(len(y)), torch.arange(5), y, 0.4 * log_p, 0.6 * log_p)
    assert found.noise == pytest.approx(0.1, abs=0.01)
    for m in (300, 1000, 3000):
        right = 1 - float(wrong[found.index[:m]].float().mean())
        assert float(found.false_discovery[m - 1]) == pytest.approx(right, abs=0.04)


@pytest.mark.parametrize("edit", [lambda x: x, lambda x: (1.05 * x + 0.01 * torch.randn(x.shape)).clamp(0, 1)])
def test_all_planted_duplicates_are_found_and_nothing_else(garments, edit):
    encoder, data, z = garments
    copied = torch.randperm(3000, generator=rng(5))[:60]
    torch.manual_seed(0)
    copies = stk.embed(encoder, edit(data.images[copied].float() / 255))
    inside = duplicates(torch.cat([z, copies]))
    assert {tuple(p) for p in inside.pairs.tolist()} == {(int(a), 3000 + i) for i, a in enumerate(copied)}
    across = duplicates(copies, z)
    assert {tuple(p) for p in across.pairs.tolist()} == {(i, int(a)) for i, a in enumerate(copied)}
    assert len(duplicates(z).pairs) == 0


def test_chance_marks_about_as_many_as_it_may():
    sets = [duplicates(torch.randn(800, 6, generator=rng(s)), expected=2.0) for s in range(10)]
    assert 0.5 < sum(len(d.pairs) for d in sets) / 10 < 6
    assert sum(d.dimension for d in sets) / 10 == pytest.approx(5, abs=1)  # a sphere of six dimensions has five


def test_a_group_of_many_copies_is_linked():
    z = torch.cat([torch.randn(200, 8, generator=rng(0)), torch.ones(30, 8)])
    pairs = duplicates(z).pairs
    assert set(range(200, 230)) <= set(pairs.flatten().tolist())
    assert (duplicates(z).distance[: len(pairs)] < 1e-6).all()
    for k in (3, 10, 30):
        assert _median_of_second(k) == pytest.approx(beta.median(2, k - 2))


@pytest.mark.parametrize("n, k", [(30, 5), (1500, 20), (4, 9)])
def test_the_graph_is_that_of_all_pairs(n, k):
    z = torch.randn(n, 6, generator=rng(n)).double()
    graph = knn_graph(z, k=k)
    unit = z / z.norm(dim=1, keepdim=True)
    far = torch.cdist(unit, unit).fill_diagonal_(torch.inf)
    distance, index = far.topk(min(k, n - 1), dim=1, largest=False)
    assert torch.equal(graph.index, index)
    assert torch.allclose(graph.distance, distance, atol=1e-9)
    other = torch.randn(7, 6, generator=rng(1)).double()
    near = knn_graph(other, z, k=2)
    far = torch.cdist(other / other.norm(dim=1, keepdim=True), unit)
    assert torch.equal(near.index, far.topk(2, dim=1, largest=False).indices)


def test_no_row_is_its_own_neighbor_however_many_copies_there_are():
    graph = knn_graph(torch.ones(40, 3), k=6)
    assert graph.index.shape == (40, 6)
    assert not (graph.index == torch.arange(40)[:, None]).any()
    assert all(len(set(row)) == 6 for row in graph.index.tolist())


def test_outliers_are_ranked_by_the_distance_to_the_kth():
    z = torch.cat([torch.randn(200, 4, generator=rng(2)) * 0.05 + 1, -torch.ones(2, 4) + torch.eye(2, 4)])
    found = outliers(z, k=5)
    assert set(found.index[:2].tolist()) == {200, 201}
    assert set(found.far.tolist()) >= {200, 201}
    assert len(found.far) < 25
    unit = z / z.norm(dim=1, keepdim=True)
    kth = torch.cdist(unit, unit).topk(6, dim=1, largest=False).values[:, 5]
    assert torch.allclose(found.score, kth[found.index], atol=1e-4)


def test_purity_is_the_share_of_neighbors_of_the_class():
    z, labels = torch.randn(60, 5, generator=rng(4)), torch.arange(60) % 3
    labels[50:] = -1
    index = knn_graph(z[:50], k=4).index
    for p in purity(z, labels, k=4):
        rows = (labels[:50] == p.label).nonzero().squeeze(1).tolist()
        shares = [sum(int(labels[j]) == p.label for j in index[i].tolist()) / 4 for i in rows]
        assert p.share == pytest.approx(sum(shares) / len(rows))
        assert p.interval[0] < p.share < p.interval[1]
        assert (p.rows, p.chance) == (len(rows), pytest.approx((len(rows) - 1) / 49))


def test_confusions_count_and_name_the_rows():
    labels, said = torch.tensor([0, 0, 1, 1, 1, -1]), torch.tensor([0, 2, 0, 0, 1, 2])
    first, second = confusions(labels, said)
    assert (first.label, first.predicted, first.index.tolist()) == (1, 0, [2, 3])
    assert first.share == pytest.approx(2 / 3)
    assert (second.label, second.predicted, second.index.tolist()) == (0, 2, [1])
    assert confusions(labels, labels) == []


def test_what_is_no_number_is_refused():
    z, labels = torch.randn(40, 3), torch.arange(40) % 2
    bad = z.clone()
    bad[3, 1] = torch.nan
    for call in (lambda x: label_errors(x, labels), duplicates, outliers, lambda x: purity(x, labels), knn_graph):
        with pytest.raises(ValueError, match="z holds"):
            call(bad)
    with pytest.raises(ValueError, match="ten of two at least"):
        label_errors(z, torch.zeros(40).long())
    with pytest.raises(ValueError, match="at least 4"):
        duplicates(z[:3])
    with pytest.raises(ValueError, match="k is 0"):
        outliers(z, k=0)
