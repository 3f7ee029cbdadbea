"""Losses that regularize the batch's statistics: formulas written out, closed forms, laws, and lightly."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import Tensor

from ssl_toolkit.data import rng
from ssl_toolkit.losses import lejepa, mmcr, sigreg, visreg, w_mse

# all of them as functions of views alone, the random directions fixed
OF_VIEWS = {
    "w_mse": lambda z: w_mse(z[0], z[1]),
    "mmcr": lambda z: mmcr(z, lambd=0.3),
    "lejepa": lambda z: lejepa(z, lambd=0.3, slices=7, generator=rng(1)),
    "visreg": lambda z: visreg(z, slices=7, generator=rng(1)),
}
views_and_losses = pytest.mark.parametrize("name", OF_VIEWS)


def random_views(seed: int, v: int = 2, b: int = 8, d: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    image = torch.randn(b, d, generator=rng(seed, 0, "image"), dtype=dtype)
    return image + 0.5 * torch.randn(v, b, d, generator=rng(seed, 0, "view"), dtype=dtype)


def total(name: str, z: Tensor) -> Tensor:
    return sum(OF_VIEWS[name](z).values())


def orthogonal(d: int, seed: int) -> Tensor:
    return torch.linalg.qr(torch.randn(d, d, generator=rng(seed, 0, "turn"), dtype=torch.float64)).Q


def w_mse_by_the_paper(za: Tensor, zb: Tensor) -> Tensor:
    whitened = []
    for z in (za, zb):
        b, d = z.shape
        centered = z - z.mean(0)
        cov = torch.stack(
            [torch.stack([centered[:, i] @ centered[:, j] / (b - 1) for j in range(d)]) for i in range(d)]
        )
        whitened.append(centered @ torch.linalg.inv(torch.linalg.cholesky(cov)).T)
    return ((F.normalize(whitened[0]) - F.normalize(whitened[1])) ** 2).sum(1).mean()


def mmcr_by_the_paper(z: Tensor, lambd: float) -> Tensor:
    def nuclear(m: Tensor) -> Tensor:  # trace of the root of m m^T
        return torch.linalg.eigvalsh(m @ m.T).clamp_min(0).sqrt().sum()

    z = z / z.norm(dim=2, keepdim=True)
    views = sum(nuclear(z[:, i]) for i in range(z.shape[1])) / z.shape[1]
    return -nuclear(z.mean(0).T) + lambd * views


def directions(d: int, slices: int, seed: int) -> Tensor:
    u = torch.randn(d, slices, generator=rng(seed)).double()
    return u / u.norm(dim=0)


def epps_pulley_by_loops(x: Tensor) -> float:
    n, dt, integral = len(x), 3 / 16, 0.0
    for k in range(-16, 17):  # the whole line, not twice a half
        t = k * dt
        ecf = sum(complex(math.cos(t * v), math.sin(t * v)) for v in x.tolist()) / n
        weight = dt / 2 if abs(k) == 16 else dt
        integral += weight * abs(ecf - math.exp(-t * t / 2)) ** 2 * math.exp(-t * t / 2)
    return n * integral


def epps_pulley_in_closed_form(x: Tensor) -> float:
    """The same integral over the whole line: the three products of characteristic functions are Gaussian integrals."""
    n = len(x)
    pairs = torch.exp(-((x[:, None] - x[None, :]) ** 2) / 2).sum() / n
    return (math.sqrt(2 * math.pi) * (pairs - math.sqrt(2) * torch.exp(-(x**2) / 4).sum() + n / math.sqrt(3))).item()


def visreg_by_loops(z: Tensor, std: Tensor, lambd: float, slices: int, seed: int) -> Tensor:
    """`std` (v, d) is what the shape term divides by: passing it detached is the stop-gradient."""
    v, b, d = z.shape
    u, normal = directions(d, slices, seed).to(z), torch.distributions.Normal(0.0, 1.0)
    quantiles = normal.icdf(torch.tensor([i / (b + 1) for i in range(1, b + 1)], dtype=z.dtype))
    invariance = torch.stack([(z[i] - z.mean(0)) ** 2 for i in range(v)]).mean()
    reg = torch.zeros((), dtype=z.dtype)
    for i in range(v):
        mean = z[i].mean(0)
        reg = reg + (mean**2).mean() / v + ((1 - ((z[i] - mean) ** 2).mean(0).sqrt()) ** 2).mean() / v
        for s in range(slices):
            y = ((z[i] - mean) / (std[i] + 1e-4)) @ u[:, s]
            reg = reg + ((y.sort().values - quantiles) ** 2).mean() / (v * slices)
    return (1 - lambd) * invariance + lambd * reg


@pytest.mark.parametrize("seed", range(5))
def test_each_loss_equals_its_formula_written_out(seed):
    z = random_views(seed, v=3)
    assert torch.allclose(total("w_mse", z), w_mse_by_the_paper(z[0], z[1]))
    assert torch.allclose(total("mmcr", z), mmcr_by_the_paper(z, 0.3))
    assert torch.allclose(total("visreg", z), visreg_by_loops(z, z.std(1, correction=0), 0.6, 7, 1))
    u = directions(3, 7, 1)
    statistic = sum(epps_pulley_by_loops(z[v] @ u[:, s]) for v in range(3) for s in range(7)) / 21
    invariance = sum(((z[v] - z.mean(0)) ** 2).mean() for v in range(3)) / 3
    assert total("lejepa", z).item() == pytest.approx(0.7 * invariance.item() + 0.3 * statistic)


@pytest.mark.parametrize("name", ["w_mse", "mmcr", "lejepa"])
def test_gradients_are_those_of_the_value(name):
    z = random_views(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: total(name, z), (z,))


def test_the_gradient_of_visreg_is_that_of_its_formula_with_the_std_of_the_shape_held_fixed():
    z = random_views(2).requires_grad_()
    std = z.std(1, correction=0).detach()
    (expected,) = torch.autograd.grad(visreg_by_loops(z, std, 0.6, 7, 1), z)
    (found,) = torch.autograd.grad(total("visreg", z), z)
    assert torch.allclose(found, expected)
    assert torch.autograd.gradcheck(lambda z: visreg_by_loops(z, std, 0.6, 2, 1), (z,))


@views_and_losses
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_images_and_of_views_does_not_matter(name, seed):
    z = random_views(seed)
    order = torch.randperm(z.shape[1], generator=rng(seed, 1))
    assert torch.allclose(total(name, z[:, order]), total(name, z))
    assert torch.allclose(total(name, z.flip(0)), total(name, z))


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_w_mse_ignores_a_triangular_affine_map_of_either_view(seed):
    z = random_views(seed)
    # Cholesky's factor of M Cov M^T is M L where M is lower triangular with a positive diagonal
    m = torch.randn(3, 3, generator=rng(seed, 2), dtype=torch.float64).tril(-1) + torch.diag(torch.tensor([0.5, 1, 3]))
    assert torch.allclose(w_mse(z[0] @ m.T + 7, z[1])["distance"], w_mse(z[0], z[1])["distance"])


def test_w_mse_whitens_slices_dealt_at_random():
    (za, zb), generator, slices = random_views(3, b=12), rng(5), []
    for _ in range(2):
        slices += torch.randperm(12, generator=generator).split(6)
    by_hand = torch.stack([w_mse_by_the_paper(za[i], zb[i]) for i in slices]).mean()
    assert torch.allclose(w_mse(za, zb, w_size=6, iterations=2, generator=rng(5))["distance"], by_hand)


def test_an_eps_of_one_does_not_whiten():
    za, zb = random_views(4)
    plain = 2 - 2 * F.cosine_similarity(za - za.mean(0), zb - zb.mean(0))
    assert torch.allclose(w_mse(za, zb, eps=1.0)["distance"], plain.mean())


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10))
def test_mmcr_sees_angles_only(seed, scale):
    z = random_views(seed)
    assert torch.allclose(total("mmcr", scale * z @ orthogonal(3, seed)), total("mmcr", z))


def test_mmcr_is_least_where_views_agree_and_images_are_orthogonal():
    best = torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    assert mmcr(best)["centroids"].item() == pytest.approx(-4)
    assert mmcr(random_views(0, b=4, d=4))["centroids"] > -4
    collapsed = torch.ones(2, 4, 4, dtype=torch.float64)
    assert mmcr(collapsed)["centroids"].item() == pytest.approx(-2)  # rank 1: sqrt(b)


@pytest.mark.parametrize("seed", range(5))
def test_the_statistic_of_sigreg_approximates_its_integral_in_closed_form(seed):
    x = torch.rand(40, 1, generator=rng(seed), dtype=torch.float64) * 4 - 1
    # one dimension has two directions, and the statistic is even
    found = sigreg(x, slices=1, generator=rng(seed)).item()
    assert found == pytest.approx(epps_pulley_in_closed_form(x[:, 0]), rel=0.01)


@pytest.mark.parametrize("b", [16, 256])
def test_for_gaussian_samples_the_mean_of_sigreg_is_known_and_does_not_depend_on_their_number(b):
    t = torch.linspace(-3, 3, 33, dtype=torch.float64)
    # E |ecf - e^{-t^2/2}|^2 = (1 - e^{-t^2}) / b
    expected = torch.trapezoid((1 - torch.exp(-(t**2))) * torch.exp(-(t**2) / 2), t).item()
    z = torch.randn(100, b, 4, generator=rng(b))
    assert expected == pytest.approx(1.05, abs=0.005)
    assert sigreg(z, slices=64, generator=rng(0)).item() == pytest.approx(expected, rel=0.1)


def test_sigreg_tells_what_is_not_gaussian():
    gaussian, uniform = torch.randn(512, 2, generator=rng(0)), torch.rand(512, 2, generator=rng(1)) - 0.5
    statistics = {
        name: sigreg(z, slices=64, generator=rng(2)).item()
        for name, z in {
            "gaussian": gaussian,
            "uniform, standardized": uniform * math.sqrt(12),
            "wide": 2 * gaussian,
            "moved": gaussian + 1,
            "collapsed": torch.zeros(512, 2),
        }.items()
    }
    ordered = sorted(statistics, key=lambda name: statistics[name])
    assert ordered[:2] == ["gaussian", "uniform, standardized"]
    assert statistics["gaussian"] < 2 < statistics["uniform, standardized"] < 30 < statistics[ordered[2]]


def test_at_collapse_the_scale_of_visreg_still_pushes_while_sigreg_does_not():
    # 1e-3 apart: the slope of (1 - std)^2 is constant, that of the characteristic function vanishes
    z = (1e-3 * random_views(0, b=64)).requires_grad_()
    (scale,) = torch.autograd.grad(visreg(z, slices=16, generator=rng(0))["scale"], z)
    (sketch,) = torch.autograd.grad(sigreg(z, slices=16, generator=rng(0)) / 64, z)
    assert scale.norm() > 20 * sketch.norm()


@pytest.mark.parametrize("loss", [lejepa, visreg])
def test_identical_views_leave_no_invariance_and_identical_images_no_gradient_that_is_not_finite(loss):
    z = random_views(0)[:1].repeat(2, 1, 1)
    assert loss(z, generator=rng(0))["invariance"] == 0
    collapsed = torch.ones(2, 8, 3, requires_grad=True)
    sum(loss(collapsed, generator=rng(0)).values()).backward()
    assert collapsed.grad.isfinite().all()


@pytest.mark.parametrize("seed", range(50))
def test_lightly_agrees_on_random_embeddings(seed):
    lightly = pytest.importorskip("lightly.loss", reason="lightly is in the extra `bench`")
    z = random_views(seed, b=32, d=6, dtype=torch.float32)

    def same_draws() -> torch.Generator:
        """lightly draws from the global generator: both are put to one seed."""
        return torch.Generator().manual_seed(seed)

    def peer(call) -> float:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return call().item()

    found = w_mse(z[0], z[1], w_size=16, generator=same_draws())["distance"].item()
    whitening = lightly.WMSELoss(embedding_dim=6, w_size=16).train()
    assert found == pytest.approx(peer(lambda: whitening(torch.cat([z[0], z[1]]))), rel=1e-3)
    # lightly does not normalize, as the official code does; half of the views may come from a teacher
    unit = F.normalize(z, dim=2).transpose(0, 1)
    found = sum(mmcr(z).values()).item()
    assert found == pytest.approx(peer(lambda: lightly.MMCRLoss()(unit[:, :1], unit[:, 1:])), rel=1e-4)
    # it pulls to the mean of the global views and wants local ones too: the same views twice
    found = sum(lejepa(z, lambd=0.05, slices=64, generator=same_draws()).values()).item()
    sketch = lightly.LeJEPALoss(lambda_param=0.05, sigreg_num_vectors=64)
    assert found == pytest.approx(peer(lambda: sketch(local_proj=z, global_proj=z)), rel=1e-4)
    found = sum(visreg(z, slices=64, generator=same_draws()).values()).item()
    apart = lightly.VISRegLoss(lambda_param=0.6, num_slices=64)
    assert found == pytest.approx(peer(lambda: apart(local_proj=z[:0], global_proj=z)), rel=1e-4)


def test_in_training_a_collapse_is_a_nan_that_stops_it():
    z = torch.ones(2, 8, 3, requires_grad=True) * 2
    assert w_mse(z[0], z[1])["distance"].isnan()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: w_mse(torch.ones(1, 3), torch.ones(1, 3)), "1 image"),
        (lambda: w_mse(torch.ones(4, 4), torch.ones(4, 4)), "w_size is 4.*4 images.*4 dimensions"),
        (lambda: w_mse(*random_views(0), w_size=6), "w_size is 6: it must divide the 8"),
        (lambda: w_mse(*random_views(0), w_size=4), "generator"),
        (lambda: w_mse(*random_views(0), eps=-1.0), "eps=-1.0"),
        (lambda: w_mse(*random_views(0), iterations=0), "iterations=0"),
        (lambda: w_mse(torch.ones(8, 3), torch.ones(8, 3)), "full rank"),
        (lambda: w_mse(*(random_views(0) * torch.nan)), "za holds 24 values of 24"),
        (lambda: mmcr(random_views(0, v=1)), r"\(1, 8, 3\).*at least 2 views"),
        (lambda: mmcr(random_views(0), lambd=-1.0), "lambd is -1.0"),
        (lambda: lejepa(random_views(0, b=1), generator=rng(0)), r"holds 1 image"),
        (lambda: lejepa(random_views(0), lambd=2.0, generator=rng(0)), "lambd is 2.0"),
        (lambda: visreg(random_views(0), lambd=-0.1, generator=rng(0)), "lambd is -0.1"),
        (lambda: visreg(random_views(0), slices=0, generator=rng(0)), "slices is 0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
