"""Limits and large numbers: tight clusters, other scales, ids as labels, one class, equal distances, nothing."""

import math

import pytest
import torch
import torch.nn.functional as F

from ssl_toolkit import few_labels, knn_accuracy, linear_probe, rankme, rng
from ssl_toolkit.diffusion.metrics import faithfulness, nearest, prdc
from ssl_toolkit.encoders.statistics import distances, mean_and_std, unit_rows
from ssl_toolkit.probes import knn_predict, linear_cka, mlp_probe, pca, principal_planes, ridge_r2, uniformity
from ssl_toolkit.probes.tsne import repulsion

Z, Y = torch.randn(60, 8, generator=rng(0)), torch.arange(60) % 3
SCALES = [1e-13, 1e-6, 1e6, 1e19]


def exact(a, b):
    return torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")


@pytest.mark.parametrize("width", [3e-2, 3e-4, 3e-6, 0.0])
def test_distances_are_exact_however_tight_the_clusters(width):
    centers = 10 * torch.randn(5, 64, generator=rng(0), dtype=torch.float64)
    z = centers.repeat(30, 1) + width * torch.randn(150, 64, generator=rng(1), dtype=torch.float64)
    found = torch.cat(list(distances(z, z[:100], portion=40)))
    assert torch.allclose(found, exact(z, z[:100]), rtol=1e-5, atol=0)


def test_metrics_of_tight_clusters_are_right():
    z = (10 * torch.randn(10, 256, generator=rng(0))).repeat(40, 1)
    z = z + 0.003 * torch.randn(z.shape, generator=rng(1))
    real, fake = z[torch.randperm(400, generator=rng(2))].split(200)
    inside = exact(real, fake) < exact(real, real).kthvalue(6, dim=1).values[:, None]
    assert prdc(real, fake, k=5).density == pytest.approx(inside.sum(dim=0).double().mean().item() / 5)
    near = real + 0.0003 * torch.randn(real.shape, generator=rng(3))  # each is closest to its own row
    assert faithfulness(near, real).mean_rank == 1
    assert torch.equal(nearest(near, real).index, torch.arange(200))


@pytest.mark.parametrize("scale", SCALES)
def test_what_features_know_does_not_depend_on_their_scale(scale):
    z = scale * Z
    assert knn_accuracy(z, Y, z.flip(0), Y) == knn_accuracy(Z, Y, Z.flip(0), Y)
    assert rankme(z) == pytest.approx(rankme(Z), rel=1e-4)
    assert uniformity(z) == pytest.approx(uniformity(Z), rel=1e-4)
    assert linear_cka(z, Z) == pytest.approx(1)
    assert linear_probe(z, Y, z, Y, iterations=20).accuracy == pytest.approx(linear_probe(Z, Y, Z, Y).accuracy, abs=0.1)
    assert torch.allclose(pca(z) / scale, pca(Z), atol=1e-4)
    assert torch.allclose(principal_planes(z), principal_planes(Z), atol=1e-3)


def test_at_usual_scales_rows_are_normalized_to_the_same_bits():
    assert torch.equal(unit_rows(Z), F.normalize(Z, dim=1))
    assert torch.equal(unit_rows(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_the_std_of_large_features_is_finite():
    mean, std = mean_and_std(1e19 * Z)
    assert torch.allclose(std / 1e19, Z.std(dim=0), rtol=1e-5)
    assert torch.allclose(mean / 1e19, Z.mean(dim=0), atol=1e-6)


def test_uniformity_is_the_mean_over_pairs():
    z = torch.randn(700, 5, generator=rng(1))  # more than one portion
    pairs = torch.pdist(F.normalize(z, dim=1).double()).square()
    assert uniformity(z) == pytest.approx((-2 * pairs).exp().mean().log().item(), rel=1e-5)


@pytest.mark.parametrize("ids", [[140764, 208407, 10**9], [0, 5, 9]])
def test_labels_may_be_ids_of_any_size(ids):
    y = torch.tensor(ids)[Y]
    assert knn_accuracy(Z, y, Z, y, k=1) == 1
    assert set(knn_predict(Z, y, Z).unique().tolist()) == set(ids)
    probe, few = linear_probe(Z, y, Z, y), linear_probe(Z, Y, Z, Y)
    assert probe.accuracy == pytest.approx(few.accuracy, abs=0.05)
    assert set(probe.predict(Z).tolist()) <= set(ids)
    assert torch.equal(probe.classes[probe.columns(y)], y)
    *_, last = mlp_probe(Z, y, Z, y, epochs=2)
    assert 0 <= last.accuracy <= 1


def test_few_labels_of_many_classes_are_drawn_as_from_each_class_in_turn():
    labels = torch.randint(0, 50, (3000,), generator=rng(0))
    order = torch.randperm(3000, generator=rng(7, 4, "few labels"))
    expected = torch.cat([order[labels[order] == c][:4] for c in labels.unique()])
    assert torch.equal(few_labels(labels, 4, seed=7), expected)


@pytest.mark.parametrize("span", [20, 90, 150, 300, 2000])
def test_the_repulsion_is_right_however_wide_the_map(span):
    y = (torch.rand(500, 2, generator=rng(0)) - 0.5) * span
    w = 1 / (1 + exact(y, y).square())
    w.fill_diagonal_(0)
    right = ((w * w)[:, :, None] * (y[:, None] - y[None])).sum(dim=1)
    force, total = repulsion(y)
    assert (force - right).norm() < 0.1 * right.norm()
    assert total == pytest.approx(w.sum().item(), rel=0.03)


@pytest.mark.parametrize("inference", [False, True])
def test_probes_learn_from_features_with_a_graph_and_in_inference_mode(inference):
    z = torch.nn.Linear(8, 8)(Z)
    with torch.inference_mode(inference):
        z = z.detach().clone() if inference else z
        *_, last = mlp_probe(z, Y, z, Y, epochs=2)
        assert math.isfinite(last.accuracy)
        assert math.isfinite(linear_probe(z, Y, z, Y).accuracy)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_probes_take_features_of_any_precision(kind):
    *_, last = mlp_probe(Z.to(kind), Y, Z, Y, epochs=1)
    assert math.isfinite(last.accuracy)
    assert knn_accuracy(Z, Y, Z.to(kind), Y, k=1) == 1
    assert rankme(Z.to(kind)) == pytest.approx(rankme(Z), rel=0.01)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: knn_accuracy(Z, Y, Z[:0], Y[:0]), "queries holds no row"),
        (lambda: knn_accuracy(Z, Y - 1, Z, Y), "bank_labels holds -1: labels start at 0"),
        (lambda: few_labels(Y[:0], 1), "labels is empty"),
        (lambda: few_labels(Y - 1, 1), "labels holds -1"),
        (lambda: linear_probe(Z, Y, Z, Y, iterations=0), "iterations is 0"),
        (lambda: linear_probe(Z, Y, Z[:, :5], Y), r"test_z has shape \(60, 5\): .* d = 8, as train_z has"),
        (lambda: linear_probe(Z, Y, Z, Y).logits(Z[:, :5]), "z has 5 dimensions: this probe was fitted on 8"),
        (lambda: linear_probe(Z, Y, Z, Y).columns(Y + 7), "labels holds 7: the probe was not fitted on it"),
        (lambda: ridge_r2(Z, Z[:, :1], Z, torch.ones(60, 1)), "test_t is constant"),
        (lambda: rankme(Z[:0]), r"z holds 0 sample"),
        (lambda: rankme(Z[:, :0]), "its rows hold no number"),
    ],
)
def test_nothing_to_measure_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
