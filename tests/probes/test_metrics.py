"""Gauges against their formulas written out, on spectra that are known, and by their laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.data import rng
from ssl_toolkit.probes import alignment, alpha_req, describe_rank, feature_std, lidar, rankme, spectrum, uniformity


def orthonormal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """(n, d) centered columns of unit length, at right angles."""
    z = torch.randn(n, d, generator=rng(seed), dtype=torch.float64)
    return torch.linalg.qr(z - z.mean(dim=0))[0]


def with_spectrum(deviations: torch.Tensor, n: int = 300, seed: int = 0) -> torch.Tensor:
    """Features whose standard deviations along their principal axes are these, the axes turned at random."""
    d = len(deviations)
    return (orthonormal(n, d, seed) * deviations.double() * (n - 1) ** 0.5) @ rotation(d, seed)


def rotation(d: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(d, d, generator=rng(seed, 0, "rotation"), dtype=torch.float64))[0]


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


def test_the_spectrum_is_that_of_pca():
    from sklearn.decomposition import PCA

    z = torch.randn(90, 20, generator=rng(0)) @ torch.randn(20, 20, generator=rng(1))
    expected = np.sqrt(PCA().fit(z.numpy()).explained_variance_)
    assert np.allclose(spectrum(z).numpy(), expected, atol=1e-4)
    few = spectrum(z[:6])
    assert few.shape == (20,)
    assert few[5:].max() < 1e-3  # six samples have five directions


def views(n: int, q: int, d: int, *, signal: int, noise: float = 0.1, seed: int = 0) -> torch.Tensor:
    """Samples that differ in `signal` directions, each seen q times with noise in all of them."""
    samples = torch.zeros(n, 1, d)
    samples[:, 0, :signal] = torch.randn(n, signal, generator=rng(seed))
    return samples + noise * torch.randn(n, q, d, generator=rng(seed, 1))


def test_lidar_is_its_formula_written_out():
    z, delta = views(12, 3, 5, signal=2).double(), 1e-2
    n, q, d = z.shape
    means = [sum(z[i, j] for j in range(q)) / q for i in range(n)]
    center = sum(means) / n
    s_b = sum(torch.outer(m - center, m - center) for m in means) / n
    s_w = sum(torch.outer(z[i, j] - means[i], z[i, j] - means[i]) for i in range(n) for j in range(q)) / (n * (q - 1))
    values, vectors = torch.linalg.eigh(s_w + delta * torch.eye(d))
    root = vectors @ torch.diag(values**-0.5) @ vectors.T
    p = torch.linalg.eigvalsh(root @ s_b @ root)
    p = p / p.sum()
    assert lidar(z, delta=delta) == pytest.approx(math.exp(-sum(x * math.log(x) for x in p.tolist())), rel=1e-6)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 12), q=st.integers(2, 4), d=st.integers(1, 9))
def test_lidar_lies_between_one_and_its_most_and_knows_no_axes_and_no_order(seed, n, q, d):
    z = views(n, q, d, signal=(d + 1) // 2, seed=seed)
    value = lidar(z)
    assert 1 - 1e-9 <= value <= min(n - 1, d) + 1e-6
    assert lidar(z @ rotation(d, seed).float()) == pytest.approx(value, rel=1e-3)
    order, of_views = torch.randperm(n, generator=rng(seed, 2)), torch.randperm(q, generator=rng(seed, 3))
    assert lidar(z[order][:, of_views]) == pytest.approx(value, rel=1e-6)
    assert lidar(z + 3.0) == pytest.approx(value, rel=1e-3)


def test_lidar_counts_directions_that_tell_samples_apart_where_rankme_is_fooled_by_noise():
    z = views(400, 8, 32, signal=4, noise=0.2)
    assert 4 < lidar(z) < 6
    assert rankme(z.flatten(0, 1)) > 12
    assert lidar(torch.ones(10, 3, 4)) == 1


@given(alpha=st.floats(0.0, 3.0), d=st.integers(4, 64), scale=st.floats(0.01, 100.0))
def test_alpha_req_of_an_exact_power_law_is_its_exponent(alpha, d, scale):
    z = with_spectrum(scale * torch.arange(1, d + 1).double() ** (-alpha / 2))
    assert alpha_req(z) == pytest.approx(alpha, abs=1e-6)
    assert alpha_req((z @ rotation(d, 1) + scale).float()) == pytest.approx(alpha, abs=1e-2)
    assert alpha_req(z, first=2, last=4) == pytest.approx(alpha, abs=1e-6)


def test_alpha_req_fits_the_range_it_is_given():
    deviations = torch.cat([torch.ones(4), torch.arange(5, 65).double() ** -1 * 5])  # flat, then lambda_j ~ j^-2
    z = with_spectrum(deviations)
    assert alpha_req(z, last=4) == pytest.approx(0, abs=1e-6)
    assert alpha_req(z, first=5) == pytest.approx(2, abs=1e-6)
    assert 0 < alpha_req(z) < 2


def test_alpha_req_leaves_out_dead_units_and_says_inf_of_a_single_direction():
    z = with_spectrum(torch.arange(1, 17).double() ** -0.5)
    assert alpha_req(torch.cat([z, torch.zeros(300, 8)], dim=1)) == pytest.approx(1, abs=1e-6)
    assert alpha_req(z[:, :1] * torch.ones(3)) == math.inf
    assert alpha_req(torch.ones(10, 4)) == math.inf


@pytest.mark.parametrize(
    "deviations, words",
    [
        ([1.0] + [1e-6] * 127, "collapsed: rank 1 of 128"),
        ([1.0] * 3 + [0.0] * 125, "collapsing: rank 3 of 128"),
        ([1.0] * 20 + [0.0] * 108, "narrow: rank 20 of 128"),
        ([1.0] * 100 + [0.0] * 28, "spread: rank 100 of 128"),
        ([1.0, 1.0], "spread: rank 2 of 2"),
        ([1.0, 0.0], "collapsed: rank 1 of 2"),
        ([1.0], "spread: rank 1 of 1"),
    ],
)
def test_a_rank_is_told_in_words(deviations, words):
    z = with_spectrum(torch.tensor(deviations))
    assert describe_rank(rankme(z), len(deviations)) == words


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda z: lidar(z[:, None]), "q=1 view"),
        (lambda z: lidar(z[:1, None].expand(1, 3, 4)), r"1 sample\(s\).* at least 2"),
        (lambda z: lidar(z.view(5, 2, 4), delta=0.0), "delta is 0.0"),
        (lambda z: lidar(z.view(5, 2, 4) * torch.nan), "diverged"),
        (lambda z: alpha_req(z, first=0), "first=0 and last=4.* 1 ... 4"),
        (lambda z: alpha_req(z, last=5), "first=1 and last=5"),
        (lambda z: alpha_req(z[:, :1]), "two indices"),
        (lambda z: alpha_req(z[:1]), "1 sample"),
        (lambda z: spectrum(z * torch.inf), "diverged"),
        (lambda z: rankme(z[:0]), "0 sample"),
        (lambda z: rankme(z * torch.nan), "diverged"),
        (lambda z: feature_std(z[:1]), "1 sample"),
        (lambda z: uniformity(z[:1]), "1 sample"),
        (lambda z: alignment(z, z * torch.nan), "diverged"),
        (lambda z: describe_rank(math.nan, 8), "rank is nan"),
        (lambda z: describe_rank(8.0, 3), "rank is 8.0 of 3"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.randn(10, 4, generator=rng(0)))
