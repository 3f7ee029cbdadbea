"""The training state, a plain object outside the loop, and the record of one step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from ssl_toolkit.data import Batch
from ssl_toolkit.losses import Terms


class Step(NamedTuple):
    """The record of one update: the terms of its loss, its learning rate, and how long it took."""

    step: int  # updates made so far, this one included
    terms: dict[str, float]
    lr: float
    seconds: float

    @property
    def loss(self) -> float:
        return sum(self.terms.values())


@dataclass
class TrainState:
    """Everything that training changes, and its few settings. Assign `lr` to change it during training."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: nn.Module | None  # the teacher: a moving average of the model
    lr: float  # peak learning rate, before the schedule
    warmup: int  # steps of linear warm-up
    total: int | None  # the cosine reaches 0 here; None keeps the rate constant after the warm-up
    momentum: float  # base momentum of the moving average
    ema_schedule: "Callable[[TrainState], float]"  # the momentum of the next step
    step: int = 0

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


Objective = Callable[[TrainState, Batch, torch.Generator], Terms]


class NonFiniteError(ArithmeticError):
    """A loss term, or its gradient, is NaN or infinite. The state is that of the last good step."""

    def __init__(self, step: int, term: str, value: float):
        self.step, self.term = step, term
        super().__init__(
            f"step {step}: {term} is {value}; training stopped, and the state is that of step {step - 1}. "
            "A lower learning rate or a longer warm-up usually helps."
        )
