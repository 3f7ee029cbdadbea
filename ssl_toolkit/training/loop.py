"""Training as a generator: the caller controls the loop, and the state is a plain object outside it.

    state = start(small_conv(1), lr=2e-3, total=1000)
    for step in train(state, data, joint_embedding(nt_xent, simclr_views(28)), until=1000):
        ...                                          # look, plot, probe, change state.lr, break

Each `next()` makes one update and then yields, so you can stop anywhere with a consistent state. All randomness is a
function of (seed, step): `train(until=500)`, `save`, `load`, `train(until=1000)` equals an uninterrupted run bit for
bit. A checkpoint holds tensors (safetensors) and plain JSON in its header, never pickle.
"""

import copy
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import torch
from torch import Tensor, nn

from ssl_toolkit.data import Batch, Dataset, Source, batch, check_unit_range, rng
from ssl_toolkit.training.distributed import (
    accelerator,
    all_reduce_mean,
    broadcast,
    rank_and_world_size,
    sync_batchnorm,
)
from ssl_toolkit.training.state import NonFiniteError, Objective, Step, TrainState


def start(
    model: nn.Module,
    *,
    lr: float = 2e-3,
    weight_decay: float = 1e-4,
    warmup: int = 0,
    total: int | None = None,
    ema: float | None = None,
    ema_schedule: Callable[[TrainState], float] | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
    device: torch.device | str | None = None,
) -> TrainState:
    """Make a state at step 0 and move the model to `device` (None: Accelerate's choice, an accelerator if any).

    `optimizer(groups, lr=lr)` makes any PyTorch optimizer; biases and normalization scales are not decayed. `ema` is
    the momentum of a teacher that follows the model. `ema_schedule(state)` gives the momentum of the next step. The
    default, `cosine_momentum`, rises to 1 as in BYOL; use `warmup_momentum` for an average to sample from.
    Raises ValueError for numbers out of range.

    >>> state = stk.start(stk.small_conv(1), lr=1e-3, warmup=10, total=300)
    >>> state.step, state.lr
    (0, 0.001)
    """
    if not 0 < lr < math.inf:
        raise ValueError(f"lr is {lr}: it must be positive and finite; 1e-4 to 1e-2 are usual for AdamW.")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("the model has no parameter to train: set requires_grad on some.")
    if not weight_decay >= 0 or warmup < 0 or (total is not None and total < 1):
        raise ValueError(f"weight_decay={weight_decay} and warmup={warmup} must be >= 0, total={total} >= 1.")
    if ema is not None and not 0 <= ema < 1:
        raise ValueError(f"ema is {ema}: a momentum must be in [0, 1); 0.99 to 0.999 are usual.")
    model = model.to(device or accelerator().device)
    groups = [
        {"params": [p for p in model.parameters() if p.requires_grad and p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.requires_grad and p.ndim <= 1], "weight_decay": 0.0},
    ]
    teacher = None if ema is None else copy.deepcopy(model).requires_grad_(False)
    return TrainState(
        model, optimizer(groups, lr=lr), teacher, lr, warmup, total, ema or 0.0, ema_schedule or cosine_momentum
    )


def learning_rate(state: TrainState) -> float:
    """The learning rate of the next step: linear warm-up, then a cosine to 0 at `total`."""
    warm = min(1.0, (state.step + 1) / (state.warmup + 1))
    if state.total is None or state.step < state.warmup:
        return state.lr * warm
    progress = min(1.0, (state.step - state.warmup) / max(1, state.total - state.warmup))
    return state.lr * 0.5 * (1 + math.cos(math.pi * progress))


def train(
    state: TrainState,
    data: Dataset | Source,
    objective: Objective,
    *,
    until: int,
    batch_size: int = 256,
    seed: int = 0,
    precision: str = "auto",
) -> Iterator[Step]:
    """Make updates until `state.step` is `until`, yielding a `Step` after each. Call it again to continue.

    `batch_size` counts the images of one step over all processes. Under `accelerate launch` each process takes its
    share, and the steps equal those of a single process. "auto" computes in bfloat16 if that is faster on the device.
    Raises ValueError for images outside [0, 1]; NonFiniteError, in every process, if a term or its gradient is not
    finite, and keeps the state of the step before; MemoryError, which says what to lower, if a step does not fit on the
    device.

    >>> data, recipe = stk.load_data("digits", size=28), stk.Recipe(steps=3)
    >>> state, objective = recipe.start(data), recipe.objective(data)
    >>> for step in stk.train(state, data, objective, until=3, batch_size=64):
    ...     print(step.step, list(step.terms))
    1 ['alignment', 'uniformity']
    2 ['alignment', 'uniformity']
    3 ['alignment', 'uniformity']
    """
    if state.total is not None and state.step < until and until > state.total:
        warnings.warn(
            f"until is {until} and the learning rate reaches 0 at step {state.total}: later steps change nothing. "
            "Raise state.total to train longer.",
            stacklevel=2,
        )
    accelerator()
    rank, processes = rank_and_world_size()
    if batch_size % processes:
        raise ValueError(f"batch_size is {batch_size}: it must be a multiple of the {processes} processes.")
    share = slice(rank * batch_size // processes, (rank + 1) * batch_size // processes)
    device = state.device
    cast = torch.autocast(device.type, torch.bfloat16, enabled=_bf16(precision, device))
    state.model.train()
    state.model.to(memory_format=torch.channels_last)
    if state.ema is not None:
        state.ema.train().to(memory_format=torch.channels_last)
    broadcast([*state.model.parameters(), *([] if state.ema is None else state.ema.parameters()), *_buffers(state)])
    checked = False
    while state.step < until:
        began = time.perf_counter()
        made = batch(data, state.step, batch_size=batch_size, seed=seed, share=share)
        if not checked:  # the first batch tells whether images are of 0 ... 255 or normalized; all would cost time
            check_unit_range(made.stored)
            checked = True
        mine = Batch(made.stored.to(device), made.labels.to(device), made.index)
        generator = rng(seed, state.step, "views")
        lr = learning_rate(state)
        if not 0 <= lr < math.inf:
            raise ValueError(f"state.lr is {state.lr}: it must be positive and finite; 1e-4 to 1e-2 are usual.")
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        try:
            terms = _update(state, mine, objective, generator, cast)
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise MemoryError(
                    f"step {state.step + 1} needs more memory than is left on {device}: lower batch_size "
                    f"({batch_size}), the width of the network, or the size or number of views."
                ) from error
            raise
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                raise ValueError(
                    f"batch_size is {batch_size}: the network's BatchNorm compares the images of a batch, so it needs "
                    "at least 2 in each process."
                ) from error
            raise
        yield Step(state.step, terms, lr, time.perf_counter() - began)


Record = TypeVar("Record")


def last_of(records: Iterable[Record]) -> Generator[None, None, Record]:
    """Exhaust a generator from within another one: yields None for each record and returns the last record.

    >>> def whole(records):
    ...     return (yield from last_of(records))
    >>> list(whole("abc"))
    [None, None, None]
    """
    for record in records:
        latest = record
        yield None
    return latest


def _update(
    state: TrainState,
    batch: Batch,
    objective: Objective,
    generator: torch.Generator,
    cast: torch.autocast,
) -> dict[str, float]:
    """Make one full update of `state`, or none at all; return the terms of the loss.

    All its memory is freed when it returns, so the next step reuses memory that is still in the cache.
    """
    buffers = [b.clone() for b in _buffers(state)]  # BatchNorm averages and queues change before the loss is known
    seen = _batches_seen(state.ema)
    try:
        with cast, sync_batchnorm():
            terms = objective(state, batch, generator)
        _check_terms(terms)
        state.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        gradients = [p.grad for p in state.model.parameters() if p.grad is not None]
        losses = torch.stack([t.detach().float() for t in terms.values()])
        all_reduce_mean([*gradients, losses])
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        values = torch.cat([losses, norm[None]]).tolist()
        for name, value in zip([*terms, "gradient norm"], values, strict=True):
            if not math.isfinite(value):
                raise NonFiniteError(state.step + 1, name, value)
    except BaseException:  # Ctrl-C too
        torch._foreach_copy_(_buffers(state), buffers)
        state.optimizer.zero_grad(set_to_none=True)
        raise
    with uninterrupted():
        state.optimizer.step()
        if state.ema is not None:
            _follow(state, ran=_batches_seen(state.ema) > seen)
        state.step += 1
    return dict(zip(terms, values, strict=False))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block, so that it leaves what the block changes before or after, whole."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield  # no Ctrl-C comes here
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *arrived: came.append(arrived))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        handler(*came[0])


def _check_terms(terms: object) -> None:
    if not isinstance(terms, dict) or not terms or any(not isinstance(t, Tensor) or t.ndim for t in terms.values()):
        raise TypeError(f"the objective returned {terms!r:.80}: it must be a dict of scalar tensors, {{'name': loss}}.")


def _bf16(precision: str, device: torch.device) -> bool:
    if precision not in ("auto", "bf16", "fp32"):
        raise ValueError(f"precision is {precision!r}: it must be 'auto', 'bf16' or 'fp32'.")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # bfloat16 is faster on a CPU with AMX; with AVX512-BF16 alone the casts cost more than the products save
    return device.type == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()


def _buffers(state: TrainState) -> list[Tensor]:
    return [b for module in (state.model, state.ema) if module is not None for b in module.buffers()]


_AVERAGES = ("running_mean", "running_var")  # BatchNorm's names for its buffers


@torch.no_grad()
def _follow(state: TrainState, ran: bool) -> None:
    """ema <- m ema + (1 - m) model; BatchNorm averages are copied from the model if the objective runs no teacher."""
    assert state.ema is not None
    weight = 1 - state.ema_schedule(state)
    torch._foreach_lerp_(list(state.ema.parameters()), list(state.model.parameters()), weight)
    if not ran:
        for average, mine in zip(*(_named(m, *_AVERAGES) for m in (state.ema, state.model)), strict=True):
            average.copy_(mine)


def _batches_seen(model: nn.Module | None) -> int:
    """How many batches the model's BatchNorms have seen in total."""
    return 0 if model is None else sum(int(count) for count in _named(model, "num_batches_tracked"))


def _named(model: nn.Module, *names: str) -> list[Tensor]:
    """All buffers with these names, in any layer."""
    return [buffer for name, buffer in model.named_buffers() if name.rpartition(".")[2] in names]


def cosine_momentum(state: TrainState) -> float:
    """m = 1 - (1 - momentum) (1 + cos(pi step / total)) / 2 as in BYOL: the teacher stops moving as training ends."""
    m = state.momentum
    if state.total is not None:
        m = 1 - (1 - m) * (1 + math.cos(math.pi * min(1.0, state.step / state.total))) / 2
    return m


def warmup_momentum(state: TrainState) -> float:
    """m = min(momentum, (1 + step) / (10 + step)): an average that quickly forgets the untrained weights."""
    return min(state.momentum, (1 + state.step) / (10 + state.step))
