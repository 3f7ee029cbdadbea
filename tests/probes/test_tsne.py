"""The plane: PCA against an eigendecomposition, t-SNE against the sums over all pairs and against scikit-learn."""

import math

import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from ssl_toolkit.data import rng
from ssl_toolkit.probes import pca, tsne
from ssl_toolkit.probes.tsne import Affinities, _affinities, kl_gradient, repulsion


def clusters(n=240, d=12, k=6, seed=0):
    g = rng(seed, 0, "clusters")
    which = torch.arange(n) % k
    return 6 * torch.randn(k, d, generator=g)[which] + torch.randn(n, d, generator=g), which


def test_pca_keeps_the_two_largest_variances():
    z, _ = clusters()
    variance = torch.linalg.eigvalsh(torch.cov(z.T))
    assert torch.allclose(pca(z).var(dim=0), variance.flip(0)[:2], rtol=1e-3)
    assert torch.allclose(pca(z).mean(dim=0), torch.zeros(2), atol=1e-4)
    theirs = torch.from_numpy(PCA(2).fit_transform(z.numpy()))
    assert torch.allclose(pca(z).abs(), theirs.abs(), atol=1e-3)


def test_pca_of_one_dimension_is_a_line_and_of_many_the_same_picture_twice():
    assert torch.equal(pca(torch.rand(9, 1))[:, 1], torch.zeros(9))
    z = torch.randn(30, 1500, generator=rng(1))
    assert torch.equal(pca(z), pca(z))


def all_pairs(y):
    """sum_j w^2 (y_i - y_j) and sum_k!=l w, written out."""
    away = y[:, None] - y[None]
    w = 1 / (1 + away.square().sum(dim=2))
    return (w.square()[..., None] * away).sum(dim=1), w.sum() - len(y)


@pytest.mark.parametrize("spread, tolerance", [(1e-4, 1e-3), (1.0, 1e-3), (10.0, 0.02), (30.0, 0.04)])
def test_the_grid_gives_the_sum_over_all_pairs(spread, tolerance):
    y = spread * torch.rand(400, 2, generator=rng(2))
    force, total = repulsion(y)
    exact, exact_total = all_pairs(y.double())
    assert total == pytest.approx(exact_total.item(), rel=1e-3)
    assert (force - exact).norm() < tolerance * exact.norm() + 1e-5 * len(y)


def test_the_gradient_is_that_of_the_divergence():
    z, _ = clusters(60)
    affinities = _affinities(z, torch.arange(60), 5.0)
    p = torch.zeros(60, 60).scatter_(1, affinities.index, affinities.p)
    p = ((p + p.T) / 120).double()
    y = torch.randn(60, 2, generator=rng(3)).double().requires_grad_()
    w = 1 / (1 + (y[:, None] - y[None]).square().sum(dim=2))
    q = (w / (w.sum() - 60)).masked_fill(torch.eye(60).bool(), 1)
    (p * ((p + 1e-30).log() - q.log())).sum().backward()
    found = kl_gradient(affinities, y.detach().float())
    assert (found - y.grad).norm() < 0.01 * y.grad.norm()


def test_every_point_has_the_perplexity_that_was_asked_for():
    z, _ = clusters()
    p = _affinities(z, torch.arange(240), 12.0).p
    assert p.shape == (240, 36)
    assert torch.allclose((-(p * p.log()).sum(dim=1)).exp(), torch.full((240,), 12.0), rtol=1e-3)


def test_equal_points_share_their_affinity():
    p = _affinities(torch.zeros(20, 3), torch.arange(4), 3.0).p
    assert torch.allclose(p, torch.full((4, 9), 1 / 9))


def test_tsne_keeps_neighbors_as_well_as_the_library_does():
    from sklearn.manifold import TSNE

    z, which = clusters()
    *_, last = tsne(z, perplexity=20.0, iterations=300)
    theirs = TSNE(init="pca", perplexity=20.0, max_iter=300, random_state=0).fit_transform(z.numpy())
    ours = trustworthiness(z.numpy(), last.points.numpy(), n_neighbors=8)
    assert ours > trustworthiness(z.numpy(), theirs, n_neighbors=8) - 0.01
    nearest = torch.cdist(last.points, last.points).fill_diagonal_(math.inf).argmin(dim=1)
    assert (which[nearest] == which).float().mean() > 0.98


def test_tsne_yields_every_iteration_frozen_and_twice_the_same():
    z, _ = clusters(300)
    first = list(tsne(z, iterations=5))
    assert [layout.iteration for layout in first] == [0, 0, 1, 2, 3, 4, 5]
    assert not torch.equal(first[-2].points, first[-1].points)
    for a, b in zip(first, tsne(z, iterations=5), strict=True):
        assert torch.equal(a.points, b.points)


@pytest.mark.parametrize(
    "z, options, words",
    [
        (torch.rand(2, 4), {}, "at least 3"),
        (torch.full((50, 4), torch.nan), {}, "diverged"),
        (torch.ones(50, 4), {}, "collapsed"),
        (torch.rand(50, 4), {"perplexity": 30.0}, r"must lie in \[1, 16.33\]"),
    ],
)
def test_what_cannot_be_projected_is_an_error(z, options, words):
    with pytest.raises(ValueError, match=words):
        next(tsne(z, **options))


def test_a_constant_column_among_others_does_no_harm():
    z, _ = clusters(90)
    z = torch.cat([z, torch.full((90, 1), 7.0)], dim=1)
    *_, last = tsne(z, perplexity=10.0, iterations=20)
    assert last.points.isfinite().all()


def test_one_neighbor_alone_pulls_both_ways():
    affinities = Affinities(torch.tensor([[1.0], [0.0]]), torch.tensor([[1], [0]]))
    y = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    gradient = kl_gradient(affinities, y, exaggeration=100.0)
    assert gradient[0, 0] < 0 < gradient[1, 0]
    assert torch.allclose(gradient[0], -gradient[1], atol=1e-3)
