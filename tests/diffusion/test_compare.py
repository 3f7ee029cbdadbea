"""The exact denoiser of a finite set, and chains that go side by side."""

from functools import partial

import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.diffusion import (
    Chain,
    cosine_schedule,
    ddim,
    ddpm,
    dpmpp_2m,
    edm_schedule,
    exact_denoiser,
    flow_schedule,
    heun,
    linear_schedule,
    side_by_side,
)

POINTS = torch.randn(9, 1, 2, 3, generator=rng(1)).clamp(-1, 1)
NOISE = torch.randn(5, 1, 2, 3, generator=rng(2))
FLOW = flow_schedule()


@pytest.mark.parametrize("schedule", [linear_schedule(), cosine_schedule(), flow_schedule(), edm_schedule()])
def test_the_exact_denoiser_is_the_mean_of_the_posterior(schedule):
    t = schedule.timesteps(7)[3]
    a, s = schedule.alpha(t).double(), schedule.sigma(t).double()
    x = a * POINTS[:5] + s * NOISE
    guess = exact_denoiser(POINTS, schedule)(x.float(), t)
    for i in range(5):
        likelihood = torch.stack([(-(x[i] - a * p).square().sum() / (2 * s**2)).exp() for p in POINTS])
        mean = sum(w * p for w, p in zip(likelihood / likelihood.sum(), POINTS, strict=True))
        assert guess[i] == pytest.approx(mean, abs=1e-5)


def test_pure_noise_tells_nothing_and_hardly_any_noise_tells_all():
    denoise = exact_denoiser(POINTS, FLOW)
    assert denoise(NOISE, torch.tensor(1.0)) == pytest.approx(POINTS.mean(dim=0).expand(5, -1, -1, -1), abs=1e-6)
    assert denoise(POINTS[:5], torch.tensor(1e-3)) == pytest.approx(POINTS[:5], abs=1e-6)
    assert exact_denoiser(POINTS, edm_schedule())(80 * NOISE, torch.tensor(80.0)).isfinite().all()


def test_times_may_differ_from_row_to_row():
    denoise, t = exact_denoiser(POINTS, FLOW), torch.tensor([0.9, 0.5, 0.3, 0.2, 0.1])
    rows = [denoise(NOISE[i : i + 1], t[i]) for i in range(5)]
    assert denoise(NOISE, t) == pytest.approx(torch.cat(rows), abs=1e-6)


def test_chains_side_by_side_are_the_chains_of_the_samplers():
    denoise, settings = exact_denoiser(POINTS, FLOW), {"schedule": FLOW, "timesteps": FLOW.timesteps(6), "clip": 0.5}
    pair = {"a": Chain(denoise, ddim), "b": Chain(denoise, partial(ddpm, seed=3))}
    frames = list(side_by_side(pair, NOISE, schedule=FLOW, steps=6, clip=0.5))
    for name, alone in (("a", ddim(denoise, NOISE, **settings)), ("b", ddpm(denoise, NOISE, seed=3, **settings))):
        steps = list(alone)
        assert [f.t for f in frames] == [*(step.t for step in steps), 0]
        assert torch.equal(frames[0].x[name], NOISE)
        assert all(torch.equal(f.x[name], s.x) for f, s in zip(frames[1:], steps, strict=True))
        assert all(torch.equal(f.x0[name], s.x0) for f, s in zip(frames[:-1], steps, strict=True))
        assert torch.equal(frames[-1].x[name], frames[-1].x0[name])


def test_calls_are_those_that_led_to_a_state():
    denoise = exact_denoiser(POINTS, FLOW)
    pair = {"one": Chain(denoise, dpmpp_2m), "two": Chain(denoise, heun)}
    frames = list(side_by_side(pair, NOISE, schedule=FLOW, steps=4))
    assert [f.calls["one"] for f in frames] == [0, 1, 2, 3, 4]
    assert [f.calls["two"] for f in frames] == [0, 2, 4, 6, 7]  # the last step of Heun's is Euler's


def test_the_ratio_of_signal_to_noise_rises_from_nothing_to_everything():
    frames = list(side_by_side({"a": Chain(exact_denoiser(POINTS, FLOW), ddim)}, NOISE, schedule=FLOW, steps=4))
    assert [f.snr for f in frames] == pytest.approx([0, (0.25 / 0.75) ** 2, 1, 9, torch.inf])


def test_a_schedule_whose_noise_is_large_starts_at_that_noise():
    schedule = edm_schedule()
    first = next(side_by_side({"a": Chain(exact_denoiser(POINTS, schedule), ddim)}, NOISE, schedule=schedule, steps=9))
    assert first.x["a"] == pytest.approx(80 * NOISE, rel=1e-4)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="chains is empty"):
        next(side_by_side({}, NOISE, schedule=FLOW, steps=4))
    with pytest.raises(ValueError, match="images is empty"):
        exact_denoiser(POINTS[:0], FLOW)
    with pytest.raises(ValueError, match="1 to 50"):
        next(side_by_side({"a": Chain(ddim, ddim)}, NOISE, schedule=linear_schedule(50), steps=51))
