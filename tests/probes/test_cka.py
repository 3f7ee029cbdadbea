"""Linear CKA: its two forms, what it does not see, and what it must not say yes to."""

import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.data import rng
from ssl_toolkit.probes import cka_matrix, linear_cka


def features(n, d, seed=0, shift=0.0):
    return shift + torch.randn(n, d, generator=rng(seed, d, "cka"))


def by_gram(x, y):
    """tr(KHLH) / sqrt(tr(KHKH) tr(LHLH)), H = I - 1/n."""
    n = len(x)
    h = torch.eye(n, dtype=torch.float64) - 1 / n
    kh, lh = (h @ (z.double() @ z.double().T) @ h for z in (x, y))
    return (torch.trace(kh @ lh) / (torch.trace(kh @ kh) * torch.trace(lh @ lh)).sqrt()).item()


@pytest.mark.parametrize("n, d, k", [(50, 3, 8), (8, 30, 20), (20, 30, 5), (2, 1, 1)])
def test_it_is_the_gram_form_whichever_side_is_smaller(n, d, k):
    x, y = features(n, d), features(n, k)
    assert linear_cka(x, y) == pytest.approx(by_gram(x, y), abs=1e-9)


def test_it_is_the_formula_written_out():
    x, y = features(7, 2), features(7, 3)
    xc, yc = x - x.mean(0), y - y.mean(0)
    cross = sum(float(xc[:, i] @ yc[:, j]) ** 2 for i in range(2) for j in range(3))
    own = [sum(float(z[:, i] @ z[:, j]) ** 2 for i in range(z.shape[1]) for j in range(z.shape[1])) for z in (xc, yc)]
    assert linear_cka(x, y) == pytest.approx(cross / (own[0] * own[1]) ** 0.5, rel=1e-5)


@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10), seed=st.integers(0, 50))
def test_rotation_scale_shift_and_order_of_images_change_nothing(scale, shift, seed):
    x, y = features(40, 5, seed), features(40, 4, seed)
    rotation = torch.linalg.qr(features(5, 5, seed + 1)).Q
    order = torch.randperm(40, generator=rng(seed))
    changed = (scale * x @ rotation + shift)[order]
    assert linear_cka(changed, y[order]) == pytest.approx(linear_cka(x, y), abs=1e-4)
    assert linear_cka(changed, x[order]) == pytest.approx(1, abs=1e-4)
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x), abs=1e-9)


def test_another_linear_map_does_change_it():
    x = features(200, 4)
    assert linear_cka(x, x * torch.tensor([10.0, 1, 1, 1])) < 0.8


def test_unrelated_features_are_alike_only_where_images_are_few():
    assert linear_cka(features(5000, 16), features(5000, 9, seed=1)) == pytest.approx(0, abs=0.01)
    assert linear_cka(features(20, 900), features(20, 800, seed=1)) > 0.9


def test_a_dead_dimension_with_a_large_mean_adds_nothing():
    x = features(60, 3)
    dead = torch.full((60, 1), 1e4)
    assert linear_cka(torch.cat([x, dead], 1), x) == pytest.approx(1, abs=1e-6)


def test_the_matrix_is_every_pair_of_depths():
    a, b = {"one": features(30, 3), "two": features(30, 5)}, {"three": features(30, 4)}
    matrix = cka_matrix(a, b)
    assert matrix.shape == (2, 1)
    assert matrix[1, 0].item() == pytest.approx(linear_cka(a["two"], b["three"]), abs=1e-6)
    own = cka_matrix(a)
    assert torch.allclose(own, own.T)
    assert torch.allclose(own.diagonal(), torch.ones(2))


@pytest.mark.parametrize(
    "x, y, words",
    [
        (torch.rand(4, 2), torch.rand(5, 2), "4 rows and y has 5"),
        (torch.rand(1, 2), torch.rand(1, 2), "at least 2 images"),
        (torch.tensor([[1.0], [torch.nan]]), torch.rand(2, 2), "finite"),
        (torch.ones(9, 3), torch.rand(9, 3), "collapsed"),
    ],
)
def test_what_cannot_be_compared_is_an_error(x, y, words):
    with pytest.raises(ValueError, match=words):
        linear_cka(x, y)
