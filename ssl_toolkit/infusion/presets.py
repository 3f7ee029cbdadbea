"""Settings of whole runs where code and paper differ: the released code's, and the paper's as far as we know it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ssl_toolkit.infusion.chains import Alpha, Mixture, increasing
from ssl_toolkit.infusion.operators import Operator, mlp


class Preset(NamedTuple):
    """Length of the chain, layers of the MLP, rate and kind of infusion."""

    steps: int
    hidden: tuple[int, ...]
    rate: Callable[[int], Alpha]
    infusion: Mixture

    def operator(self, shape: Sequence[int], *, seed: int = 0) -> Operator:
        return mlp(shape, steps=self.steps, hidden=self.hidden, seed=seed)


# the code of bordesf/Infusion infuses z_0 and z_1 alike
RELEASED = Preset(10, (1200,), lambda t: 0.02 * max(1, t), Mixture(1e-4))
PAPER = Preset(15, (1200, 1200), increasing(0.01), Mixture(1e-4))
PRESETS = {"paper": PAPER, "released": RELEASED}
