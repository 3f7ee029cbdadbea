"""Edits of representations, and directions to move them along, by their laws."""

import math

import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion.directions import principal_directions, sparse_directions
from ssl_toolkit.diffusion.edit import common_dimensions, interpolate, mask_patches, move, remove, transplant


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


WEIGHTS = torch.linspace(0, 1, 9, dtype=torch.float64)


@pytest.mark.parametrize("spherical", [False, True])
@given(seed=st.integers(0, 1000))
def test_a_path_starts_at_a_ends_at_b_and_is_the_same_backwards(spherical, seed):
    a, b = normal(2, 6, seed=seed)
    path = interpolate(a, b, WEIGHTS, spherical=spherical)
    torch.testing.assert_close(path[[0, -1]], torch.stack([a, b]))
    torch.testing.assert_close(path, interpolate(b, a, WEIGHTS, spherical=spherical).flip(0))


@given(seed=st.integers(0, 1000))
def test_on_the_sphere_lengths_and_angles_grow_evenly(seed):
    a, b = normal(2, 6, seed=seed)
    path = interpolate(a, 3 * b, WEIGHTS, spherical=True)
    torch.testing.assert_close(path.norm(dim=1), torch.lerp(a.norm(), 3 * b.norm(), WEIGHTS))
    angles = torch.cosine_similarity(path[1:], path[:-1]).acos()
    torch.testing.assert_close(angles, angles.mean().expand(8), rtol=1e-5, atol=1e-6)
    # and the path stays in the plane of a and b
    assert torch.linalg.matrix_rank(torch.cat([path, a[None], b[None]]), rtol=1e-9) == 2


def test_between_parallel_vectors_the_sphere_is_a_line():
    a = normal(6)
    torch.testing.assert_close(interpolate(a, 2 * a, WEIGHTS, spherical=True), interpolate(a, 2 * a, WEIGHTS))


def test_where_there_is_no_great_circle_or_many_it_says_so():
    a = normal(6)
    with pytest.raises(ValueError, match="a or b is zero"):
        interpolate(a, 0 * a, WEIGHTS, spherical=True)
    with pytest.raises(ValueError, match="opposite directions"):
        interpolate(a, -2 * a, WEIGHTS, spherical=True)


def test_common_dimensions_are_those_that_more_than_14_of_20_have():
    h = torch.zeros(20, 4)
    h[:14, 1] = h[:15, 2] = h[:, 3] = 0.5
    h[:15, 2] *= -1
    assert common_dimensions(h).tolist() == [False, False, True, True]
    assert common_dimensions(h, above=torch.tensor([0.0, 0.0, 0.4, 0.6])).tolist() == [False, False, True, False]
    assert common_dimensions(h[:3], more_than=2).tolist() == [False, True, True, True]
    with pytest.raises(ValueError, match=r"more_than is 14: of 14 representations it must lie in 0 ... 13"):
        common_dimensions(h[:14])


def test_what_is_removed_and_put_back_is_what_was_there():
    h, other, dims = normal(3, 8), normal(8, seed=1), normal(8, seed=2) > 0
    bare = remove(h, dims)
    assert (bare[:, dims] == 0).all()
    assert torch.equal(bare[:, ~dims], h[:, ~dims])
    assert torch.equal(transplant(bare, dims, h), h)
    assert torch.equal(transplant(h, dims, other), transplant(other, ~dims, h))


def test_a_slider_goes_back_the_way_that_it_came():
    h, direction = normal(3, 8), normal(8, seed=1)
    amounts = torch.tensor([-1.0, 0.0, 2.5], dtype=torch.float64)
    torch.testing.assert_close(move(move(h, direction, 1.5), direction, -1.5), h)
    torch.testing.assert_close(move(h[0], direction, amounts), torch.stack([h[0] + a * direction for a in amounts]))
    torch.testing.assert_close(move(h, direction, amounts)[2], h[2] + 2.5 * direction)


@given(share=st.floats(0, 1), patch=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_mask_hides_whole_patches_and_as_many_as_were_asked(share, patch, seed):
    x = 0.5 + normal(2, 3, 9, 12).abs()
    masked = mask_patches(x, share, patch=patch, generator=rng(seed))
    hidden = masked == 0
    assert torch.equal(masked[~hidden], x[~hidden])
    assert (hidden == hidden[:, :1]).all()  # all channels alike
    cells = [
        hidden[:, 0, i : i + patch, j : j + patch].flatten(1)
        for i in range(0, 9, patch)
        for j in range(0, 12, patch)
    ]  # fmt: skip
    assert all((cell.all(1) | ~cell.any(1)).all() for cell in cells)
    counts = sum(cell.all(1).long() for cell in cells)
    assert counts.tolist() == [round(share * math.ceil(9 / patch) * math.ceil(12 / patch))] * 2


def test_masks_differ_between_images_and_bad_ones_are_named():
    masked = mask_patches(torch.ones(2, 1, 12, 12), 0.5, generator=rng(0), fill=0.25)
    assert masked.unique().tolist() == [0.25, 1.0]
    assert not torch.equal(masked[0], masked[1])
    with pytest.raises(ValueError, match=r"share is 1.5: it must lie in \[0, 1\]"):
        mask_patches(masked, 1.5, generator=rng(0))
    with pytest.raises(ValueError, match=r"patch is 13: of images of 12 x 12 it must be 1 ... 12"):
        mask_patches(masked, 0.5, patch=13, generator=rng(0))


@pytest.mark.parametrize("n", [500, 6], ids=["many images", "fewer than dimensions"])
def test_principal_directions_are_orthogonal_and_as_long_as_the_bank_is_wide_there(n):
    from sklearn.decomposition import PCA

    h = normal(n, 8) @ normal(8, 8, seed=1) + 3
    directions = principal_directions(h, 4)
    gram = directions @ directions.T
    torch.testing.assert_close(gram, gram.diag().diag(), atol=1e-8, rtol=0)
    pca = PCA(4).fit(h.numpy())
    torch.testing.assert_close(gram.diag(), torch.from_numpy(pca.explained_variance_) * (n - 1) / n)
    cosine = torch.cosine_similarity(directions, torch.from_numpy(pca.components_)).abs()
    torch.testing.assert_close(cosine, torch.ones(4).double())
    assert torch.equal(principal_directions(h[torch.randperm(n, generator=rng(0))], 4).sign(), directions.sign())
    with pytest.raises(ValueError, match="k is 9"):
        principal_directions(h, 9)


@pytest.fixture(scope="module")
def mixed():
    """Images made of few of 6 things each: h = c D with c >= 0 sparse."""
    things = normal(6, 20, seed=1)
    codes = (normal(2000, 6).abs() + 1) * (torch.rand(2000, 6, generator=rng(2)) < 0.2)
    return things, codes @ things


def test_sparse_directions_find_the_things_that_images_are_made_of(mixed):
    things, h = mixed
    first, *_, last = sparse_directions(h, 6, penalty=0.1, steps=40)
    similarity = torch.cosine_similarity(things[:, None], last.directions[None], dim=2)
    assert similarity.max(dim=1).values.min() > 0.85
    assert similarity.argmax(dim=1).unique().numel() == 6
    assert (first.step, last.step) == (1, 40)
    assert last.error < min(0.2, first.error)
    assert last.used.mean() < 0.5
    # a principal direction is a mixture of them
    principal = torch.cosine_similarity(things[:, None], principal_directions(h, 6)[None], dim=2).abs()
    assert principal.max(dim=1).values.mean() < 0.9


def test_sparse_directions_are_a_function_of_the_seed_and_say_what_is_wrong(mixed):
    _, h = mixed
    a, b, c = (list(sparse_directions(h, 4, steps=2, seed=seed))[-1].directions for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    with pytest.raises(ValueError, match=r"k is 0 and penalty is 0.25"):
        next(sparse_directions(h, 0))
    with pytest.raises(ValueError, match="batch_size is 4000: for these 2000 images"):
        next(sparse_directions(h, 4, batch_size=4000))
