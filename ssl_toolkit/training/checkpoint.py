"""Checkpoints: a training state as one file of tensors (safetensors) with plain JSON in its header, never pickle.

Writing is atomic. Reading verifies a digest of the whole file before it changes anything.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ssl_toolkit.data.files import atomic_write

if TYPE_CHECKING:
    from ssl_toolkit.training.state import TrainState

FORMAT = 1


class CheckpointError(ValueError):
    """The file is not a checkpoint of this state. Nothing was changed."""


def save(state: "TrainState", path: str | os.PathLike[str]) -> None:
    """Write the state to one file, whole or not at all: after a failure, an older file of that name is unchanged.

    Raises FileNotFoundError if the folder does not exist, IsADirectoryError if the path is a folder.

    >>> from tempfile import mkdtemp
    >>> path, state = mkdtemp() + "/run.safetensors", stk.start(stk.small_conv(1))
    >>> stk.save(state, path)
    >>> stk.load(path, stk.start(stk.small_conv(1, seed=1))).step
    0
    """
    from safetensors.torch import save_file

    tensors, slots = _tensors(state)
    numbers = {"lr": state.lr, "warmup": state.warmup, "total": state.total, "momentum": state.momentum}
    header = {"format": FORMAT, "step": state.step, **numbers, "optimizer": type(state.optimizer).__name__, **slots}
    header["sha256"] = _digest(header, tensors)
    with atomic_write(path) as partial:
        save_file(tensors, partial, metadata={"ssl_toolkit": json.dumps(header)})


def load(path: str | os.PathLike[str], state: "TrainState") -> "TrainState":
    """Load a file that `save` wrote into `state`, which must have the same architecture, and return it.

    lr, warm-up and total come from the file, too: assign `state.total` to train longer than originally planned.

    Raises CheckpointError for a damaged, foreign or newer file, or another architecture, and then leaves the state
    unchanged; FileNotFoundError if there is no file.

    >>> stk.load("nowhere.safetensors", stk.start(stk.small_conv(1)))
    Traceback (most recent call last):
    FileNotFoundError: path is 'nowhere.safetensors': there is no such file.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"path is {str(path)!r}: there is no such file.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("ssl_toolkit", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} is truncated or no checkpoint: {error}.") from None
    if not isinstance(header, dict) or not isinstance(header.get("format"), int):
        raise CheckpointError(f"{str(path)!r} was not written by ssl_toolkit.training.checkpoint.save.")
    if header["format"] > FORMAT:
        raise CheckpointError(
            f"{str(path)!r} has format {header['format']}, this version reads up to {FORMAT}: update ssl_toolkit."
        )
    if header.pop("sha256", None) != _digest(header, tensors):
        raise CheckpointError(f"{str(path)!r} is damaged: its contents changed after it was written.")
    _check(path, header, tensors, state)
    _fill(header, tensors, state)
    return state


def _digest(header: dict, tensors: dict[str, Tensor]) -> str:
    """A digest of every number in the header and every name, type, shape and byte of the tensors."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, t in sorted(tensors.items()):
        digest.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        digest.update(t.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _modules(state: "TrainState") -> dict[str, nn.Module]:
    return {"model": state.model} | ({} if state.ema is None else {"ema": state.ema})


def _parameters(state: "TrainState") -> list[Tensor]:
    return [p for group in state.optimizer.param_groups for p in group["params"]]


def _tensors(state: "TrainState") -> tuple[dict[str, Tensor], dict[str, dict[str, float]]]:
    """The state as named tensors, and the optimizer's plain numbers as {"slots": {name: number}}."""
    tensors = {
        f"{prefix}.{name}": value.detach().contiguous().clone()
        for prefix, module in _modules(state).items()
        for name, value in module.state_dict().items()
    }
    numbers: dict[str, float] = {}
    for i, p in enumerate(_parameters(state)):
        for slot, value in state.optimizer.state.get(p, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{i}.{slot}"] = value.detach().contiguous().clone()
            else:
                numbers[f"{i}.{slot}"] = value
    return tensors, {"slots": numbers}


def _check(path: str | os.PathLike[str], header: dict, tensors: dict[str, Tensor], state: "TrainState") -> None:
    expected = {
        f"{prefix}.{name}": tuple(value.shape)
        for prefix, module in _modules(state).items()
        for name, value in module.state_dict().items()
    }
    found = {name: tuple(t.shape) for name, t in tensors.items() if not name.startswith("optimizer.")}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise CheckpointError(
                f"{str(path)!r} has another architecture: {name} is {found.get(name, 'absent')} in the file "
                f"and {expected.get(name, 'absent')} in the state."
            )
    if header.get("optimizer") != type(state.optimizer).__name__:
        raise CheckpointError(
            f"{str(path)!r} was trained with {header.get('optimizer')}, the state has {type(state.optimizer).__name__}."
        )
    parameters = _parameters(state)
    for name, t in tensors.items():
        if name.startswith("optimizer."):
            _, i, _ = name.split(".", 2)
            if not (i.isdigit() and int(i) < len(parameters) and t.shape in (parameters[int(i)].shape, ())):
                raise CheckpointError(f"{str(path)!r} has another architecture: {name} fits no parameter.")
    numbers = ("step", "lr", "warmup", "momentum")
    if any(not isinstance(header.get(key), int | float) for key in numbers) or "total" not in header:
        raise CheckpointError(f"{str(path)!r} lacks one of {', '.join(numbers)}, total in its header.")


def _fill(header: dict, tensors: dict[str, Tensor], state: "TrainState") -> None:
    for prefix, module in _modules(state).items():
        start = len(prefix) + 1
        module.load_state_dict({n[start:]: t for n, t in tensors.items() if n.startswith(f"{prefix}.")})
    slots: dict[int, dict[str, Tensor | float]] = {}
    for name, t in tensors.items():
        if name.startswith("optimizer."):
            _, i, slot = name.split(".", 2)
            slots.setdefault(int(i), {})[slot] = t
    for name, number in header.get("slots", {}).items():
        i, slot = name.split(".", 1)
        slots.setdefault(int(i), {})[slot] = number
    state.optimizer.load_state_dict({"state": slots, "param_groups": state.optimizer.state_dict()["param_groups"]})
    for key in ("step", "lr", "warmup", "total", "momentum"):
        setattr(state, key, header[key])
