"""Progressive resolution: views that grow during training, since small ones cost less (Bordes et al., 2023).

    objective = progressive(lambda size: joint_embedding(nt_xent, simclr_views(size)), ramp(16, 32, begin=300, end=900))
    for step in train(state, data, objective, until=1000): ...

The size depends only on the step, so a run that was saved and loaded continues with the same views.
"""

from collections.abc import Callable
from functools import cache

import torch

from ssl_toolkit.data import Batch
from ssl_toolkit.losses import Terms
from ssl_toolkit.training import Objective, TrainState


def ramp(low: int, high: int, *, begin: int, end: int, multiple: int = 4) -> Callable[[int], int]:
    """The size in pixels at each step: `low` up to step `begin`, `high` from step `end`, linear in between.

    In between, the size is rounded down to a multiple of `multiple`, so that a run uses few sizes.

    >>> [stk.joint.ramp(16, 32, begin=100, end=300)(step) for step in (0, 100, 200, 290, 300)]
    [16, 16, 24, 28, 32]
    """
    if not 1 <= low <= high:
        raise ValueError(f"low={low} and high={high}: sizes must be positive, and low at most high.")
    if not 0 <= begin <= end:
        raise ValueError(f"begin={begin} and end={end}: steps must not be negative, and begin at most end.")
    if multiple < 1:
        raise ValueError(f"multiple is {multiple}: it must be at least 1.")

    def size(step: int) -> int:
        if step >= end:
            return high
        on_the_line = low + (high - low) * max(0, step - begin) // (end - begin) if step > begin else low
        return max(low, on_the_line // multiple * multiple)

    return size


def progressive(make: Callable[[int], Objective], size: Callable[[int], int]) -> Objective:
    """Use the objective `make(size(step))` at each step; there is one for each size, made once.

    The encoder must take images of any size, as all of `ssl_toolkit.encoders.networks` do.
    """
    made = cache(make)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        return made(size(state.step))(state, batch, generator)

    return objective
