"""What a sampler's step costs beside the call of its network, and the same step of diffusers.

A step is timed with a network that answers at once, so that the network's own spread does not hide it; the CPU preset
on 16 images of 28 pixels then says what share that is. Both libraries reach the same images (tests/test_samplers.py).
"""

import time
from collections.abc import Callable

import torch

ROUNDS, CALLS = 30, 20


def least(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest of `rounds`."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def run() -> dict[str, object]:
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

    from ssl_toolkit.diffusion import UNet, ddim, dpmpp_2m, euler, flow_schedule, from_eps, from_flow, linear_schedule

    x, t = torch.randn(16, 1, 28, 28), torch.full((16,), 0.5)
    network = UNet(1).eval()
    with torch.no_grad():
        call = least(lambda: network(x, t), ROUNDS)

    def ours(sampler: Callable, adapt: Callable, schedule: object) -> float:
        times = schedule.timesteps(CALLS)
        return least(lambda: list(sampler(adapt(lambda x, t: x), x, schedule=schedule, timesteps=times))) / CALLS

    def theirs(scheduler: object) -> float:
        def chain() -> None:
            scheduler.set_timesteps(CALLS)
            state = x
            for t in scheduler.timesteps:
                state = scheduler.step(state, t, state).prev_sample

        return least(chain) / CALLS

    linear = linear_schedule()
    steps = {
        "ddim": ours(ddim, lambda network: from_eps(network, linear), linear),
        "diffusers ddim": theirs(DDIMScheduler(clip_sample=False)),
        "dpmpp_2m": ours(dpmpp_2m, lambda network: from_eps(network, linear), linear),
        "diffusers dpmpp_2m": theirs(DPMSolverMultistepScheduler()),
        "flow euler": ours(euler, from_flow, flow_schedule()),
        "diffusers flow euler": theirs(FlowMatchEulerDiscreteScheduler()),
    }
    return {
        "network ms": round(1e3 * call, 2),
        "step ms": {name: round(1e3 * seconds, 3) for name, seconds in steps.items()},
        "more %": {name: round(100 * seconds / call, 1) for name, seconds in steps.items()},
    }
