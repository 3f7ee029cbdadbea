"""Training: a state, a loop that the caller controls, checkpoints, optimizers, sweeps, and distributed training."""

from ssl_toolkit.training.checkpoint import CheckpointError as CheckpointError
from ssl_toolkit.training.checkpoint import load as load
from ssl_toolkit.training.checkpoint import save as save
from ssl_toolkit.training.distributed import rank_and_world_size as rank_and_world_size
from ssl_toolkit.training.loop import cosine_momentum as cosine_momentum
from ssl_toolkit.training.loop import last_of as last_of
from ssl_toolkit.training.loop import start as start
from ssl_toolkit.training.loop import train as train
from ssl_toolkit.training.loop import warmup_momentum as warmup_momentum
from ssl_toolkit.training.optim import LARS as LARS
from ssl_toolkit.training.optim import scaled_lr as scaled_lr
from ssl_toolkit.training.state import NonFiniteError as NonFiniteError
from ssl_toolkit.training.state import Objective as Objective
from ssl_toolkit.training.state import Step as Step
from ssl_toolkit.training.state import TrainState as TrainState
from ssl_toolkit.training.sweep import grid as grid
