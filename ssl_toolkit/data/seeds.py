"""Where randomness is born: every draw of the toolkit is a function of (seed, step, stream).

A run that stops at step 500 and one that never stopped draw the same numbers at step 501, so neither the
state of a loader nor that of a generator is ever stored. Numbers are drawn on the CPU and moved: one seed
gives one picture on every device.
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
    """Lend torch's global CPU generator the numbers of `rng(seed, 0, stream)`, for code that can draw from no other.

    PyTorch initializes its layers from the global generator; on leaving, that is as it was before.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(rng(seed, 0, stream).get_state())
        yield
