"""Measures of samples against closed forms, loops, torchmetrics, and by their laws."""

import math
import warnings

import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion.metrics import (
    PRDC,
    faithfulness,
    frechet_distance,
    kid,
    memorization,
    nearest,
    pixel_variation,
    prdc,
    ranks,
    recognition,
    retention,
)


def gaussian(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=rng(seed), dtype=torch.float64)


def standardized(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Rows whose sample mean is exactly 0 and whose sample covariance is exactly I."""
    z = gaussian(n, d, seed)
    return torch.linalg.qr(z - z.mean(dim=0)).Q * (n - 1) ** 0.5


def test_fd_of_gaussians_is_the_closed_form():
    z, scale, shift = standardized(200, 5), torch.tensor([1.0, 2, 3, 0.5, 1]).double(), torch.arange(5).double()
    # covariances that commute: |m|^2 + sum (s - 1)^2
    expected = shift.square().sum() + (scale - 1).square().sum()
    assert frechet_distance(z, z * scale + shift) == pytest.approx(expected.item())
    assert frechet_distance(z, z) == pytest.approx(0, abs=1e-9)


def test_fd_is_the_formula_with_a_matrix_root():
    from scipy.linalg import sqrtm

    x, y = gaussian(300, 6) @ gaussian(6, 6, 1), gaussian(200, 6, 2) @ gaussian(6, 6, 3) + 1
    s1, s2 = x.T.cov(), y.T.cov()
    root = torch.as_tensor(sqrtm((s1 @ s2).numpy()).real)
    expected = (x.mean(0) - y.mean(0)).square().sum() + (s1 + s2 - 2 * root).trace()
    assert frechet_distance(x, y) == pytest.approx(expected.item())
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))


def test_fd_and_kid_agree_with_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid")
    from torchmetrics.image.kid import KernelInceptionDistance

    class Flat(torch.nn.Module):
        num_features = 27

        def forward(self, x):
            return x.flatten(1)

    real, fake = (torch.rand(40, 3, 3, 3, generator=rng(seed)) for seed in (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fd = fid.FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(3, 3, 3))
        mmd = KernelInceptionDistance(feature=Flat(), normalize=True, subsets=1, subset_size=40)
    for metric in (fd, mmd):
        metric.update(real, real=True)
        metric.update(fake, real=False)
    assert frechet_distance(real.flatten(1), fake.flatten(1)) == pytest.approx(fd.compute().item(), rel=1e-3)
    assert kid(real.flatten(1), fake.flatten(1)).mean == pytest.approx(mmd.compute()[0].item(), abs=1e-6)


@pytest.mark.parametrize("n", [12, 4])
def test_kid_is_the_mean_over_whole_blocks(n):
    x, y = gaussian(40, 3), gaussian(43, 3, 1)
    blocks = [kid(x[i : i + n], y[i : i + n]).mean for i in range(0, 40 // n * n, n)]
    assert kid(x, y, block=n).mean == pytest.approx(sum(blocks) / len(blocks))


def test_kid_is_unbiased():
    estimates = torch.tensor([kid(gaussian(10, 3, 2 * i), gaussian(10, 3, 2 * i + 1)).mean for i in range(1500)])
    assert estimates.min() < 0
    assert abs(estimates.mean()) < 3 * estimates.std() / len(estimates) ** 0.5
    many = kid(gaussian(2000, 3, 0), gaussian(2000, 3, 1), block=20)
    assert abs(many.mean) < 4 * many.error
    assert math.isnan(kid(gaussian(30, 3), gaussian(30, 3, 1)).error)


def test_precision_recall_density_and_coverage_are_their_definitions():
    real, fake, k = gaussian(30, 2), gaussian(20, 2, 1) * 0.7 + 0.3, 3

    def radius(z, i):
        return sorted((z[i] - other).norm().item() for other in z)[k]

    within_real = [[(f - real[i]).norm().item() < radius(real, i) for i in range(30)] for f in fake]
    within_fake = [[(r - fake[j]).norm().item() < radius(fake, j) for j in range(20)] for r in real]
    expected = PRDC(
        precision=sum(any(row) for row in within_real) / 20,
        recall=sum(any(row) for row in within_fake) / 30,
        density=sum(map(sum, within_real)) / (k * 20),
        coverage=sum(any(row[i] for row in within_real) for i in range(30)) / 30,
    )
    assert prdc(real, fake, k=k) == pytest.approx(expected)


@given(seed=st.integers(0, 1000), k=st.integers(1, 6))
def test_a_set_covers_itself_and_a_far_one_not_at_all(seed, k):
    z = gaussian(40, 3, seed)
    # each point lies in its own ball and in those of as many others as make k on average
    assert prdc(z, z, k=k) == pytest.approx(PRDC(1, 1, 1, 1), abs=1e-9)
    assert prdc(z, z + 1000, k=k) == PRDC(0, 0, 0, 0)


def test_modes_that_are_dropped_cost_recall_and_coverage_but_no_precision():
    real = torch.cat([gaussian(100, 2), gaussian(100, 2, 1) + 50])
    one_mode = gaussian(100, 2, 2)
    found = prdc(real, one_mode)
    assert found.precision > 0.85
    assert found.recall < 0.55
    assert found.coverage < 0.55


def test_ranks_count_who_is_closer():
    candidates = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    assert ranks(torch.tensor([[0.1], [1.9], [1.4], [0.0]]), candidates).tolist() == [1, 2, 2, 4]
    assert ranks(torch.tensor([[9.0]]), candidates, torch.tensor([3])).tolist() == [1]


def test_features_that_are_all_alike_recognize_nothing():
    rank, mrr, chance = faithfulness(torch.ones(50, 8), torch.ones(999, 8))
    assert rank == 500  # in the middle of all
    assert mrr < chance


def test_a_faithful_sample_ranks_first_and_a_blind_one_at_chance():
    z = gaussian(1500, 4).float()
    assert faithfulness(z, z)[:2] == (1, 1)
    blind = faithfulness(gaussian(1500, 4, 1).float(), z)
    harmonic = sum(1 / i for i in range(1, 1501))
    assert blind.chance == pytest.approx(harmonic / 1500)
    assert blind.mrr == pytest.approx(blind.chance, rel=0.5)
    assert blind.mean_rank == pytest.approx(750, rel=0.1)


def test_variation_is_zero_where_samples_agree():
    x = torch.rand(2, 5, 3, 4, 4, generator=rng(0))
    x[..., :2, :] = 0.5
    found = pixel_variation(x)
    assert found.shape == (2, 4, 4)
    assert found[:, :2].max() == 0
    assert torch.allclose(found[1, 3, 3], x[1, :, :, 3, 3].var(dim=0).mean().sqrt())
    assert pixel_variation(x[0]).shape == (4, 4)


def test_retention_is_the_share_of_variance_that_the_condition_explains():
    h, noise = gaussian(4000, 1), gaussian(4000, 6, 1)
    real = gaussian(4000, 1, 2)[:, 0] * 2**0.5
    assert retention(h.expand(-1, 6), real) == 1
    assert retention(h + noise, real) == pytest.approx(0.5, abs=0.03)
    assert retention(noise * 2**0.5, real) == pytest.approx(0, abs=0.08)


def test_retention_of_a_choice_and_of_a_hue():
    draws = torch.rand(3000, 5, generator=rng(0))
    reference = torch.rand(3000, generator=rng(1))
    assert retention((draws * 4).long(), (reference * 4).long()) == pytest.approx(0, abs=0.03)
    assert retention(draws, reference, period=1.0) == pytest.approx(0, abs=0.03)
    near_red = (draws - 0.5) * 0.02 % 1  # on both sides of where the circle is cut
    assert retention(near_red, reference, period=1.0) > 0.99
    assert retention(near_red, reference) < 0
    assert retention(torch.full((9, 3), 2), (reference * 4).long()) == 1


def test_the_nearest_image_is_found_and_a_copy_is_no_distance_away():
    train = torch.randint(0, 256, (1500, 1, 5, 5), generator=rng(0), dtype=torch.uint8)
    found = nearest(train[[7, 1400]], train)
    assert found.index.tolist() == [7, 1400]
    assert found.distance.tolist() == [0, 0]
    fresh = torch.randint(0, 256, (1000, 1, 5, 5), generator=rng(1), dtype=torch.uint8)
    assert memorization(fresh[:500], fresh[500:], train) == pytest.approx(1, abs=0.05)
    assert memorization(train[:500], fresh, train) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(torch.rand(5, 3), torch.rand(5, 4)), r"fake has shape .* d = 3, as real"),
        (lambda: frechet_distance(torch.rand(1, 3), torch.rand(5, 3)), "real holds 1 sample.*at least 2"),
        (lambda: kid(torch.rand(5, 3), torch.full((5, 3), float("nan"))), "NaN or infinite"),
        (lambda: kid(torch.rand(5, 3), torch.rand(5, 3), block=1), "block is 1"),
        (lambda: prdc(torch.rand(5, 3), torch.rand(9, 3), k=5), r"k is 5: .* 1 \.\.\. 4"),
        (lambda: ranks(torch.rand(5, 3), torch.rand(4, 3)), "there are 4 candidates"),
        (lambda: pixel_variation(torch.rand(1, 1, 2, 2)), "at least 2"),
        (lambda: retention(torch.rand(5, 1), torch.rand(4)), "at least 2"),
        (lambda: retention(torch.rand(5, 3), torch.ones(4)), "nothing to retain"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_recognition_is_that_of_its_formula_and_knows_its_ends():
    sure = 50 * torch.eye(4)
    every, one = recognition(sure), recognition(sure[:1].expand(9, -1))
    assert (every.score, every.entropy, every.balance) == pytest.approx((4, 0, 1), abs=1e-6)
    assert (one.score, one.entropy, one.balance) == pytest.approx((1, 0, 0), abs=1e-6)
    none = recognition(torch.zeros(9, 4))
    assert (none.score, none.entropy, none.balance) == pytest.approx((1, math.log(4), 1), abs=1e-6)
    p = torch.rand(7, 4, generator=rng(0)).double().softmax(dim=1)
    kl = [sum(a * (a / m).log() for a, m in zip(row, p.mean(dim=0), strict=True)) for row in p]
    assert recognition(p.log()).score == pytest.approx((sum(kl) / 7).exp().item())
