"""Schedules by their laws and against their formulas; adapters by what an exact network must give back."""

import math

import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion import (
    cosine_schedule,
    edm_precondition,
    edm_schedule,
    flow_schedule,
    from_eps,
    from_flow,
    from_v,
    from_x0,
    guided,
    karras_sigmas,
    linear_schedule,
    spaced_timesteps,
)

DISCRETE = pytest.mark.parametrize("schedule", [linear_schedule(), cosine_schedule(), cosine_schedule(50)])
ALL = pytest.mark.parametrize("schedule", [linear_schedule(), cosine_schedule(200), flow_schedule(), edm_schedule()])


@DISCRETE
def test_discrete_schedules_keep_variance_and_lose_signal(schedule):
    t = torch.arange(len(schedule.alpha_bar))
    assert torch.allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones(len(t)))
    assert torch.allclose(schedule.alpha(t).double() ** 2, schedule.alpha_bar)
    assert (schedule.alpha_bar.diff() < 0).all()
    assert (schedule.snr(t).diff() < 0).all()


def test_the_linear_schedule_is_the_product_written_out():
    beta, alpha_bar = [1e-4 + i * (0.02 - 1e-4) / 999 for i in range(1000)], 1.0
    for i, expected in enumerate(linear_schedule().alpha_bar.tolist()):
        alpha_bar *= 1 - beta[i]
        assert expected == pytest.approx(alpha_bar, rel=1e-9)


def test_the_cosine_schedule_is_its_formula_up_to_the_last_step():
    def f(t):
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    alpha_bar = cosine_schedule().alpha_bar
    for t in (0, 10, 500, 990):
        assert alpha_bar[t].item() == pytest.approx(f(t + 1) / f(0), rel=1e-6)
    assert alpha_bar[-1] == pytest.approx(alpha_bar[-2] * 0.001)  # where beta would be 1


def test_discrete_schedules_are_those_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    linear = diffusers.DDPMScheduler(beta_schedule="linear").alphas_cumprod
    cosine = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    assert torch.allclose(linear_schedule().alpha_bar.float(), linear, rtol=1e-4)
    assert torch.allclose(cosine_schedule().alpha_bar.float(), cosine, rtol=2e-3, atol=1e-7)


def test_karras_sigmas_are_the_formula():
    sigmas = karras_sigmas(18)
    assert sigmas.shape == (18,)
    assert (sigmas[0].item(), sigmas[-1].item()) == pytest.approx((80.0, 0.002))
    for i, sigma in enumerate(sigmas.tolist()):
        assert sigma == pytest.approx((80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, rel=1e-4)
    assert karras_sigmas(1).tolist() == [80]


@given(T=st.integers(1, 1000), share=st.floats(0, 1), spacing=st.sampled_from(["leading", "trailing", "linspace"]))
def test_spaced_timesteps_fall_within_the_schedule(T, share, spacing):
    n = max(1, round(share * T))
    t = spaced_timesteps(T, n, spacing)
    assert t.dtype == torch.int64
    assert len(t) == n
    assert (t.diff() < 0).all()
    assert 0 <= t.min() <= t.max() < T
    if spacing == "trailing":
        assert t[0] == T - 1
    if spacing == "leading":
        assert t[-1] == 0
    if n == T:
        assert torch.equal(t.sort().values, torch.arange(T))


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("n", [4, 20, 50])
def test_spacings_are_those_of_diffusers(spacing, n):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(timestep_spacing=spacing)
    theirs.set_timesteps(n)
    assert torch.equal(spaced_timesteps(1000, n, spacing), theirs.timesteps)


@ALL
def test_the_timesteps_of_a_schedule_go_from_noise_to_image(schedule):
    sigma = schedule.sigma(schedule.timesteps(13))
    assert sigma.shape == (13,)
    assert (sigma.diff() < 0).all()
    assert sigma[-1] > 0


@ALL
def test_a_time_may_be_a_plain_number(schedule):
    t = schedule.timesteps(5)[2]
    for f in (schedule.alpha, schedule.sigma, schedule.snr):
        assert f(t.item()).item() == pytest.approx(f(t).item(), rel=1e-5)


@ALL
def test_a_network_that_is_right_gives_the_image_back(schedule):
    x0, e = torch.randn(2, 5, 3, 4, 4, generator=rng(0), dtype=torch.float64)
    t = schedule.timesteps(9)[2:7]
    a, s = (f(t).double().view(-1, 1, 1, 1) for f in (schedule.alpha, schedule.sigma))
    x = schedule.add_noise(x0, t, e)
    assert torch.allclose(x, a * x0 + s * e)
    found = {"x0": from_x0(lambda x, t: x0)(x, t), "eps": from_eps(lambda x, t: e, schedule)(x, t)}
    if schedule.alpha_bar is not None:
        found["v"] = from_v(lambda x, t: a * e - s * x0, schedule)(x, t)
    for name, guess in found.items():
        assert torch.allclose(guess, x0, rtol=1e-3, atol=1e-3), name


def test_a_velocity_gives_the_image_back():
    x0, e = torch.randn(2, 5, 4, generator=rng(0))
    t = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    x = flow_schedule().add_noise(x0, t, e)
    assert torch.allclose(from_flow(lambda x, t: e - x0)(x, t), x0, atol=1e-6)


def test_a_single_time_reaches_the_network_once_for_each_sample():
    seen = []
    for adapt in (from_x0, from_flow, edm_precondition):
        adapt(lambda x, t: seen.append(t) or x)(torch.ones(3, 2), torch.tensor(0.5))
    assert [t.shape for t in seen] == [(3,)] * 3


def test_edm_scales_input_and_target_to_unit_variance():
    d, s = 0.5, torch.tensor([0.01, 0.5, 20.0], dtype=torch.float64)
    x0, e = d * torch.randn(40_000, 3, generator=rng(0)).double(), torch.randn(40_000, 3, generator=rng(1)).double()
    x, seen = x0 + s * e, []
    denoise = edm_precondition(lambda x, t: seen.append((x, t)) or torch.zeros_like(x))
    skip = torch.stack([denoise(x[:, i : i + 1], s[i])[:, 0] for i in range(3)], dim=1)  # c_skip x
    target = (x0 - skip) / (s * d / (s**2 + d**2).sqrt())
    assert torch.allclose(torch.cat([z for z, _ in seen], dim=1).std(dim=0), torch.ones(3).double(), rtol=0.02)
    assert torch.allclose(target.std(dim=0), torch.ones(3).double(), rtol=0.02)
    assert torch.stack([t[0] for _, t in seen]).tolist() == pytest.approx((s.log() / 4).tolist())


def network(x, t, h, null=None):
    """Says the condition, or -1 where it is told to forget it."""
    calls.append(len(x))
    return (h if null is None else torch.where(null[:, None], -1.0, h)).expand_as(x)


calls: list[int] = []


def test_guidance_extrapolates_from_null_through_the_condition():
    x, t, h = torch.zeros(3, 2), torch.full((3,), 0.5), torch.tensor([[1.0], [2.0], [3.0]])
    for weight, expected in ((1.0, h), (0.0, -torch.ones(3, 1)), (3.0, -1 + 3 * (h + 1))):
        calls.clear()
        assert torch.allclose(guided(network, h, weight=weight)(x, t), expected.expand(3, 2))
        assert calls == [3 if weight == 1 else 6]
    inside = guided(network, h, weight=3.0, interval=(0.2, 0.4))
    assert torch.equal(inside(x, t), h.expand(3, 2))
    assert not torch.equal(inside(x, t - 0.2), h.expand(3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spaced_timesteps(100, 101), "n is 101: a schedule of 100 steps"),
        (lambda: spaced_timesteps(100, 0), "n is 0"),
        (lambda: linear_schedule(0), "steps is 0"),
        (lambda: linear_schedule(10, 0.5, 0.1), "beta_start=0.5"),
        (lambda: karras_sigmas(5, 1.0, 0.1), "sigma_min=1.0"),
        (lambda: flow_schedule().timesteps(0), "n is 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
