"""Samplers with exact denoisers: where they land, how fast they get there, and diffusers where it is right."""

import inspect
import math
from itertools import pairwise

import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion import (
    cosine_schedule,
    ddim,
    ddim_invert,
    ddpm,
    dpmpp_2m,
    edm_schedule,
    euler,
    exact_denoiser,
    flow_schedule,
    from_eps,
    from_flow,
    heun,
    karras_sigmas,
    linear_schedule,
    spaced_timesteps,
)

SAMPLERS = pytest.mark.parametrize("sampler", [ddpm, ddim, euler, heun, dpmpp_2m], ids=lambda f: f.__name__)
SCHEDULES = pytest.mark.parametrize(
    "schedule",
    [linear_schedule(), cosine_schedule(), flow_schedule(), edm_schedule()],
    ids=["linear", "cosine", "flow", "edm"],
)


class Gaussian:
    """x0 ~ N(mean, std^2): the denoiser, and where its probability-flow ODE leads, both in closed form."""

    def __init__(self, mean, std, schedule):
        self.mean, self.std, self.schedule = mean, std, schedule

    def level(self, t):
        t = torch.as_tensor(t)
        return self.schedule.alpha(t).double(), self.schedule.sigma(t).double()

    def denoise(self, x, t):
        a, s = self.level(t)
        return self.mean + a * self.std**2 / (a**2 * self.std**2 + s**2) * (x - a * self.mean)

    def follow(self, x, t, to):
        (a, s), (a_to, s_to) = self.level(t), self.level(to)
        var, var_to = a**2 * self.std**2 + s**2, a_to**2 * self.std**2 + s_to**2
        return a_to * self.mean + (var_to / var).sqrt() * (x - a * self.mean)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def last(chain):
    *_, step = chain
    return step


@SAMPLERS
@SCHEDULES
def test_with_the_exact_denoiser_of_a_finite_set_a_sampler_lands_on_its_points(sampler, schedule):
    points = noise(12, 2, seed=1)
    times = schedule.timesteps(60)
    x = schedule.sigma(times[0]) * noise(100, 2)
    end = last(sampler(exact_denoiser(points, schedule), x, schedule=schedule, timesteps=times)).x
    distance, which = torch.cdist(end, points).min(dim=1)
    assert distance.quantile(0.9) < 1e-3
    assert len(which.unique()) > 8


ORDERS = [(euler, 1), (ddim, 1), (heun, 2), (dpmpp_2m, 2)]
PATHS = [
    (flow_schedule(), lambda n: torch.linspace(0.95, 0.05, n)),
    (edm_schedule(), lambda n: karras_sigmas(n, 0.1, 20.0)),
    (linear_schedule(100_000, 1e-6, 2e-4), lambda n: spaced_timesteps(100_000, n, "linspace") * 9 // 10 + 5000),
]


@pytest.mark.parametrize(("schedule", "times"), PATHS, ids=["flow", "edm", "linear"])
@pytest.mark.parametrize(("sampler", "order"), ORDERS, ids=lambda f: getattr(f, "__name__", f))
def test_the_order_of_convergence_is_the_papers(sampler, order, schedule, times):
    gaussian = Gaussian(0.3, 0.5, schedule)

    def error(n):
        t = times(n)
        x = noise(50) * schedule.sigma(t[0]) + schedule.alpha(t[0]) * 0.3
        *_, step, _ = sampler(gaussian.denoise, x, schedule=schedule, timesteps=t)
        return (step.x - gaussian.follow(x, t[0], t[-1])).abs().mean()

    assert math.log2(error(80) / error(160)) == pytest.approx(order, abs=0.2)


@SCHEDULES
@pytest.mark.parametrize("sampler", [lambda *a, **k: ddim(*a, eta=1.0, **k), ddpm, heun], ids=["ddim1", "ddpm", "heun"])
def test_samples_of_a_gaussian_have_its_mean_and_variance(sampler, schedule):
    gaussian, times = Gaussian(0.3, 0.5, schedule), schedule.timesteps(150)
    a, s = gaussian.level(times[0])
    x = a * 0.3 + (a**2 * 0.25 + s**2).sqrt() * noise(20_000)
    end = last(sampler(gaussian.denoise, x, schedule=schedule, timesteps=times)).x
    assert end.mean() == pytest.approx(0.3, abs=0.015)
    assert end.std() == pytest.approx(0.5, rel=0.06)  # of finite steps the ancestral ones lose some variance


def test_churn_keeps_the_distribution_and_changes_the_samples():
    gaussian = Gaussian(0.3, 0.5, edm_schedule())
    x = 20 * noise(20_000)
    runs = [last(heun(gaussian.denoise, x, sigmas=karras_sigmas(60, sigma_max=20.0), churn=c)).x for c in (0.0, 20.0)]
    for end in runs:
        assert end.std() == pytest.approx(0.5, rel=0.03)
    assert (runs[0] - runs[1]).abs().mean() > 0.05


@SAMPLERS
def test_every_state_of_a_chain_is_yielded_and_stays_as_it_was(sampler):
    schedule, x = cosine_schedule(), noise(4, 2)
    times = schedule.timesteps(10)
    calls = []

    def denoise(x, t):
        calls.append(t.item())
        return 0.9 * x

    chain = sampler(denoise, x, schedule=schedule, timesteps=times)
    assert calls == []  # nothing happens before the caller asks
    steps, copies = [], []
    for step in chain:
        steps.append(step)
        copies.append((step.x.clone(), step.x0.clone()))
    assert [s.i for s in steps] == list(range(10))
    assert [s.t for s in steps] == times.tolist()
    assert len(calls) == (19 if sampler is heun else 10)
    assert all(torch.equal(s.x, x) and torch.equal(s.x0, x0) for s, (x, x0) in zip(steps, copies, strict=True))
    assert torch.equal(x, noise(4, 2))
    if sampler is not heun:
        assert torch.allclose(steps[-1].x, steps[-1].x0)


@SAMPLERS
def test_a_step_goes_to_the_next_entry_of_the_list_however_it_is_spaced(sampler):
    """diffusers' DDIM steps by T / n instead, which is right for 'leading' alone."""
    schedule, x0, e = linear_schedule(), noise(3, 2, seed=1), noise(3, 2, seed=2)
    times = torch.tensor([999, 700, 650, 30, 29])
    x = schedule.add_noise(x0, times[:1].expand(3), e)
    found = list(sampler(lambda x, t: x0, x, schedule=schedule, timesteps=times))
    if sampler is ddpm:
        assert torch.allclose(found[-1].x, x0)
        return
    for step, t in zip(found, times[1:], strict=False):  # with the true image at hand, chains follow the straight noise
        assert torch.allclose(step.x, schedule.add_noise(x0, t.expand(3), e), atol=1e-5)


def test_an_end_that_is_named_is_the_same_as_one_that_is_not():
    gaussian = Gaussian(0.3, 0.5, flow_schedule())
    for sampler in (ddim, euler, heun, dpmpp_2m):
        runs = [
            last(sampler(gaussian.denoise, noise(5), schedule=flow_schedule(), timesteps=t)).x
            for t in (torch.linspace(1, 0, 8), torch.linspace(1, 0, 8)[:-1])
        ]
        assert torch.equal(*runs)


def test_on_flow_and_edm_schedules_euler_is_the_rule_of_their_papers():
    gaussian = Gaussian(0.3, 0.5, flow_schedule())
    x = expected = noise(5)
    for t, to in pairwise(torch.linspace(1, 0, 9).double()):
        u = (expected - gaussian.denoise(expected, t)) / t  # e - x0
        expected = expected + (to - t) * u
    chain = euler(gaussian.denoise, x, schedule=flow_schedule(), timesteps=flow_schedule().timesteps(8))
    assert torch.allclose(last(chain).x, expected)
    gaussian, sigmas = Gaussian(0.3, 0.5, edm_schedule()), [*karras_sigmas(8).double(), torch.tensor(0.0).double()]
    x = expected = 80 * noise(5)
    for s, to in pairwise(sigmas):  # EDM's Algorithm 1
        d = (expected - gaussian.denoise(expected, s)) / s
        end = expected + (to - s) * d
        if to > 0:
            end = expected + (to - s) * (d + (end - gaussian.denoise(end, to)) / to) / 2
        expected = end
    assert torch.allclose(last(heun(gaussian.denoise, x, sigmas=karras_sigmas(8))).x, expected)


def test_ddim_with_eta_1_is_ddpm_and_runs_repeat_by_their_seed():
    schedule, gaussian = cosine_schedule(), Gaussian(0.3, 0.5, cosine_schedule())
    settings = {"schedule": schedule, "timesteps": schedule.timesteps(12)}
    a = last(ddim(gaussian.denoise, noise(6), eta=1.0, **settings)).x
    assert torch.allclose(a, last(ddpm(gaussian.denoise, noise(6), **settings)).x)
    assert torch.equal(a, last(ddim(gaussian.denoise, noise(6), eta=1.0, **settings)).x)
    assert not torch.allclose(a, last(ddim(gaussian.denoise, noise(6), eta=1.0, seed=1, **settings)).x)


@pytest.mark.parametrize("schedule", [cosine_schedule(), flow_schedule()], ids=["cos", "flow"])
def test_inversion_and_sampling_are_a_round_trip(schedule):
    points = noise(6, 2, seed=1)
    smooth = Gaussian(0.3, 0.5, schedule).denoise
    for denoise, x in ((smooth, noise(5)), (exact_denoiser(points, schedule), points + 0.01)):
        times = schedule.timesteps(40)[1:]
        errors = []
        for refine in (0, 40):
            start = last(ddim_invert(denoise, x, schedule=schedule, timesteps=times, refine=refine)).x
            *_, before_last, _ = ddim(denoise, start, schedule=schedule, timesteps=times)
            errors.append((before_last.x - x).abs().max())
        assert errors[1] < 1e-6
        assert errors[0] < 0.1


def test_clipping_bounds_every_guess():
    for sampler in (ddpm, ddim, euler, heun, dpmpp_2m):
        chain = sampler(lambda x, t: 5 * x, noise(9), schedule=cosine_schedule(), timesteps=[999, 500, 3], clip=1.0)
        assert all(step.x0.abs().max() <= 1 for step in chain)


def dummy(x, t):
    """A network that depends on both of its arguments."""
    return torch.sin(3 * x) * (0.2 + t.float().view(-1, *[1] * (x.ndim - 1)) / 1000)


def theirs(scheduler, x, n, *, step=lambda i: {}, network=dummy):
    scheduler.set_timesteps(n)
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(network(scheduler.scale_model_input(x, t), t.expand(len(x))), t, x, **step(i)).prev_sample
    return x


def from_noise(schedule):
    return from_eps(dummy, schedule)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_ddpm_is_that_of_diffusers(variance):
    diffusers = pytest.importorskip("diffusers")
    peer = diffusers.DDPMScheduler(variance_type=variance, clip_sample=True, timestep_spacing="leading")
    x = noise(4, 2, 3, 3).float()
    expected = theirs(peer, x, 25, step=lambda i: {"generator": rng(0, i, "sampler")})
    schedule = linear_schedule()
    found = last(
        ddpm(
            from_noise(schedule), x, schedule=schedule, timesteps=spaced_timesteps(1000, 25),
            variance=variance.removeprefix("fixed_"), clip=1.0,
        )
    )  # fmt: skip
    assert torch.allclose(found.x, expected, atol=2e-4)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_is_that_of_diffusers_where_its_spacing_is_right(eta):
    diffusers = pytest.importorskip("diffusers")
    peer = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="leading", set_alpha_to_one=True)
    x = noise(4, 2, 3, 3).float()
    expected = theirs(peer, x, 25, step=lambda i: {"eta": eta, "generator": rng(0, i, "sampler")})
    schedule = linear_schedule()
    found = last(ddim(from_noise(schedule), x, schedule=schedule, timesteps=spaced_timesteps(1000, 25), eta=eta))
    assert torch.allclose(found.x, expected, atol=2e-4)


@pytest.mark.parametrize("spacing", ["linspace", "trailing", "leading"])
def test_dpmpp_2m_is_that_of_diffusers(spacing):
    diffusers = pytest.importorskip("diffusers")
    peer = diffusers.DPMSolverMultistepScheduler(timestep_spacing=spacing, final_sigmas_type="zero")
    x = noise(4, 2, 3, 3).float()
    expected = theirs(peer, x, 20)
    schedule = linear_schedule()
    found = last(dpmpp_2m(from_noise(schedule), x, schedule=schedule, timesteps=peer.timesteps))
    assert torch.allclose(found.x, expected, atol=1e-3)


def test_flow_euler_is_that_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    peer = diffusers.FlowMatchEulerDiscreteScheduler()
    x = noise(4, 2, 3, 3).float()
    peer.set_timesteps(15)
    expected = x
    for t in peer.timesteps:
        expected = peer.step(dummy(expected, t.expand(4) / 1000), t, expected).prev_sample
    found = last(euler(from_flow(dummy), x, schedule=flow_schedule(), timesteps=peer.timesteps / 1000))
    assert torch.allclose(found.x, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give schedule= and timesteps="),
        ({"timesteps": [1]}, "give schedule= and timesteps="),
        ({"schedule": linear_schedule(), "timesteps": [1], "sigmas": [1.0]}, "give schedule= and timesteps="),
        ({"schedule": linear_schedule(), "timesteps": [1000]}, r"timesteps, integers 0 \.\.\. 999"),
        ({"schedule": linear_schedule(), "timesteps": [5, 9]}, "noise must fall"),
        ({"schedule": linear_schedule(), "timesteps": []}, "noise must fall"),
        ({"schedule": linear_schedule(), "sigmas": [1.0]}, "takes timesteps"),
        ({"schedule": flow_schedule(), "sigmas": [80.0]}, "takes timesteps"),
        ({"schedule": flow_schedule(), "timesteps": [0.5, 0.5]}, "noise must fall"),
    ],
)
def test_times_that_make_no_chain_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        next(ddim(lambda x, t: x, noise(2), **settings))


def test_settings_out_of_range_are_named():
    settings = {"schedule": linear_schedule(), "timesteps": [9, 5]}
    with pytest.raises(ValueError, match="eta is 2"):
        next(ddim(lambda x, t: x, noise(2), eta=2.0, **settings))
    with pytest.raises(ValueError, match="churn is 3"):
        next(heun(lambda x, t: x, noise(2), churn=3.0, **settings))
    with pytest.raises(ValueError, match="variance is 'middle'"):
        next(inspect.unwrap(ddpm)(lambda x, t: x, noise(2), variance="middle", **settings))


@pytest.mark.parametrize("sampler", [ddpm, ddim, euler, heun, dpmpp_2m])
@pytest.mark.parametrize("wrong", [lambda x, t: 0.5 * x[:1], lambda x, t: x.mean(), lambda x, t: None])
def test_a_guess_of_another_shape_is_refused(sampler, wrong):
    schedule = linear_schedule()
    with pytest.raises(ValueError, match=r"denoise returned .* for x of shape \(4, 1, 8, 8\)"):
        next(sampler(wrong, torch.randn(4, 1, 8, 8), schedule=schedule, timesteps=schedule.timesteps(3)))
