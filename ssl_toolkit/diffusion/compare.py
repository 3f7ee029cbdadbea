"""Run several chains from the same noise, in step: they differ by the sampler or the denoiser, not by chance.

chains = {"A": Chain(denoise, ddim), "B": Chain(denoise, heun)}
for frame in side_by_side(chains, noise, schedule=schedule, steps=20):
    frame.t, frame.x["A"], frame.x0["A"], frame.calls["B"]
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite
from ssl_toolkit.diffusion.denoise import Denoise
from ssl_toolkit.diffusion.samplers import Denoised
from ssl_toolkit.diffusion.schedule import Schedule


class Chain(NamedTuple):
    """A denoiser and a sampler; use `partial` for the sampler's settings."""

    denoise: Denoise
    sampler: Callable[..., Iterator[Denoised]]


class Frame(NamedTuple):
    """All chains after i steps: the states x at time t, the guesses x0 from them, and the calls it took to reach x."""

    i: int
    t: float
    snr: float  # alpha^2 / sigma^2 at t; infinite at the image
    x: dict[str, Float[Tensor, "b *x"]]
    x0: dict[str, Float[Tensor, "b *x"]]
    calls: dict[str, int]


@checked_finite
def side_by_side(
    chains: Mapping[str, Chain],
    noise: Float[Tensor, "b *x"],
    *,
    schedule: Schedule,
    steps: int,
    clip: float | None = None,
) -> Iterator[Frame]:
    """Yield `steps` + 1 frames, from pure noise to the image; chains start at sigma(t) noise for the first time t.

    A frame pairs a state with the guess made *at* it. In the last frame, both are the final image.
    Raises ValueError if there is no chain, and for a number of steps that the schedule cannot give.
    """
    if not chains:
        raise ValueError("chains is empty: give at least one Chain(denoise, sampler).")
    if steps < 1:
        raise ValueError(f"steps is {steps}: it must be at least 1.")
    times = schedule.timesteps(steps)
    start = float(schedule.sigma(times[0])) * noise
    x = dict.fromkeys(chains, start)
    made = dict.fromkeys(chains, 0)  # calls

    def counted(name: str, denoise: Denoise) -> Denoise:
        def call(x: Tensor, t: Tensor) -> Tensor:
            made[name] += 1
            return denoise(x, t)

        return call

    running = {
        name: chain.sampler(counted(name, chain.denoise), start, schedule=schedule, timesteps=times, clip=clip)
        for name, chain in chains.items()
    }
    for i, t in enumerate(times):
        calls = dict(made)
        steps_made = {name: next(chain) for name, chain in running.items()}
        x0 = {name: step.x0 for name, step in steps_made.items()}
        yield Frame(i, float(t), schedule.snr(t).item(), x, x0, calls)
        x = {name: step.x for name, step in steps_made.items()}
    yield Frame(len(times), 0.0, torch.inf, x, x, dict(made))
