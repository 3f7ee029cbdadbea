"""The source of all randomness: every draw of the toolkit is a function of (seed, step, stream).

A run resumed at step 500 draws the same numbers at step 501 as a run that never stopped, so no loader or
generator state is ever stored. Numbers are drawn on the CPU and then moved: one seed gives the same picture
on every device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch


def rng(seed: int, step: int = 0, stream: str = "") -> torch.Generator:
    """A fresh CPU generator for `stream` at `step` of the run with this `seed`; the streams are independent.

    >>> torch.rand(2, generator=rng(0, 7, "noise")).equal(torch.rand(2, generator=rng(0, 7, "noise")))
    True
    """
    key = blake2b(f"{seed}/{step}/{stream}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(key, "little", signed=True))


@contextmanager
def seeded(seed: int, stream: str) -> Iterator[None]:
    """Make torch's global CPU generator draw as `rng(seed, 0, stream)`, for code that can use no other.

    PyTorch initializes its layers from the global generator. Its state is restored on exit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(rng(seed, 0, stream).get_state())
        yield
