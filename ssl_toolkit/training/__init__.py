"""Training: a state, a loop that the caller controls, checkpoints, optimizers, sweeps, and distributed training."""

from ssl_toolkit.training.checkpoint import CheckpointError as CheckpointError, load as load, save as save
from ssl_toolkit.training.distributed import rank_and_world_size as rank_and_world_size
from ssl_toolkit.training.loop import (
    cosine_momentum as cosine_momentum,
    last_of as last_of,
    start as start,
    train as train,
    warmup_momentum as warmup_momentum,
)
from ssl_toolkit.training.optim import LARS as LARS, scaled_lr as scaled_lr
from ssl_toolkit.training.state import (
    NonFiniteError as NonFiniteError,
    Objective as Objective,
    Step as Step,
    TrainState as TrainState,
)
from ssl_toolkit.training.sweep import grid as grid
