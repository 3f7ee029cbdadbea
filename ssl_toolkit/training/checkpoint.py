"""Checkpoints: a training state as one file of tensors (safetensors) with plain JSON in its header, never pickle.

Writing is atomic. Reading verifies a digest of the whole file before it changes anything.
"""

import hashlib
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ssl_toolkit.data.files import atomic_write

if TYPE_CHECKING:
    from ssl_toolkit.training.state import TrainState

FORMAT = 2  # 1 held only tensors as large as a parameter, and numbers, of the optimizer


NUMBERS = ("step", "lr", "warmup", "total", "momentum")  # of a TrainState


class CheckpointError(ValueError):
    """The file is not a checkpoint of this state. Nothing was changed."""


def save(state: "TrainState", path: str | os.PathLike[str]) -> None:
    """Write the state to one file, whole or not at all: after a failure, an older file of that name is unchanged.

    The file holds what the model, its average and any optimizer keep: tensors, numbers, texts, and dicts, lists and
    tuples of these. Links are followed. Raises TypeError for a state that holds anything else, FileNotFoundError if the
    folder does not exist, IsADirectoryError if the path is a folder, OSError for a device and for a full disk.

    >>> from tempfile import mkdtemp
    >>> path, state = mkdtemp() + "/run.safetensors", stk.start(stk.small_conv(1))
    >>> stk.save(state, path)
    >>> stk.load(path, stk.start(stk.small_conv(1, seed=1))).step
    0
    """
    from safetensors.torch import save as to_bytes

    tensors: dict[str, Tensor] = {}
    header: dict[str, Any] = {"format": FORMAT, "optimizer": type(state.optimizer).__name__}
    for name in NUMBERS:
        number = getattr(state, name)
        header[name] = number.item() if isinstance(number, Tensor | np.generic) else number
    header["modules"] = {
        f"{prefix}.{name}": _written(value, f"{prefix}.{name}", tensors)
        for prefix, module in _modules(state).items()
        for name, value in module.state_dict().items()
    }
    kept = state.optimizer.state_dict()
    # functions are the program's, not the state's: the optimizer that loads the file has its own
    groups = [{k: v for k, v in group.items() if not callable(v)} for group in kept["param_groups"]]
    header["kept"] = _written({**kept, "param_groups": groups}, "optimizer", tensors)
    header["sha256"] = _digest(header, tensors)
    with atomic_write(path) as partial:
        partial.write_bytes(to_bytes(tensors, metadata={"ssl_toolkit": json.dumps(header)}))


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
            # cloned, since a sum depends on where its numbers lie in memory, by a bit
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
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
    modules, kept = (_saved if header["format"] > 1 else _saved_by_format_1)(header, tensors)
    _check(path, header, modules, kept, state)
    _fill(header, modules, kept, state)
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


def _written(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value as plain JSON, whose tensors are added to `tensors` under their names. `_read` is its inverse."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_quantized or value.is_meta or value.dtype == torch.complex128:
            raise TypeError(f"{name} is a {value.type()} tensor: only dense tensors of plain types can be saved.")
        if name in tensors:  # two keys that look alike, such as 1 and "1"
            return _written(value, f"{name}'", tensors)
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if type(value) in (dict, OrderedDict):
        if any(not isinstance(key, str | int | float | None) for key in value):
            raise TypeError(f"{name} is a dict with the keys {list(value)!r:.80}: only texts and numbers can be saved.")
        return {"dict": [[key, _written(inner, f"{name}.{key}", tensors)] for key, inner in value.items()]}
    if type(value) in (list, tuple, torch.Size):
        items = [_written(inner, f"{name}.{i}", tensors) for i, inner in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(
        f"{name} is a {type(value).__name__}: only tensors, numbers, texts, and dicts, lists and tuples of these can "
        "be saved."
    )


def _read(written: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(written, dict):
        return written
    ((kind, inner),) = written.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {key: _read(value, tensors) for key, value in inner}
    items = [_read(value, tensors) for value in inner]
    return items if kind == "list" else tuple(items)


def _saved(header: dict, tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the modules held, by name, and the `state_dict` of the optimizer."""
    return {name: _read(value, tensors) for name, value in header["modules"].items()}, _read(header["kept"], tensors)


def _saved_by_format_1(header: dict, tensors: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Any]]:
    modules = {name: t for name, t in tensors.items() if not name.startswith("optimizer.")}
    slots: dict[int, dict[str, Any]] = {}
    for name in tensors.keys() - modules.keys():
        _, i, slot = name.split(".", 2)
        slots.setdefault(int(i), {})[slot] = tensors[name]
    for name, number in header.get("slots", {}).items():
        i, slot = name.split(".", 1)
        slots.setdefault(int(i), {})[slot] = number
    return modules, {"state": slots}


def _check(
    path: str | os.PathLike[str], header: dict, modules: dict[str, Any], kept: dict[str, Any], state: "TrainState"
) -> None:
    def shape(name: str, value: Any) -> Any:
        return "of any shape" if name.endswith("_extra_state") else tuple(value.shape)

    expected = {
        f"{prefix}.{name}": shape(name, value)
        for prefix, module in _modules(state).items()
        for name, value in module.state_dict().items()
    }
    found = {name: shape(name, value) for name, value in modules.items()}
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
    sizes = [len(group["params"]) for group in state.optimizer.param_groups]
    in_file = [len(group["params"]) for group in kept.get("param_groups", state.optimizer.param_groups)]
    if sizes != in_file:
        raise CheckpointError(
            f"{str(path)!r} was trained with another choice of parameters: the optimizer has groups of {in_file} "
            f"parameters in the file and of {sizes} in the state."
        )
    if unknown := [i for i in kept["state"] if isinstance(i, int) and i >= sum(sizes)]:
        raise CheckpointError(f"{str(path)!r} has another architecture: optimizer.{unknown[0]} fits no parameter.")
    if any(not isinstance(header.get(key, ""), int | float | (None if key == "total" else float)) for key in NUMBERS):
        raise CheckpointError(f"{str(path)!r} lacks one of {', '.join(NUMBERS)} in its header.")


def _fill(header: dict, modules: dict[str, Any], kept: dict[str, Any], state: "TrainState") -> None:
    for prefix, module in _modules(state).items():
        start = len(prefix) + 1
        module.load_state_dict({n[start:]: value for n, value in modules.items() if n.startswith(f"{prefix}.")})
    own = state.optimizer.state_dict()["param_groups"]
    groups = [mine | group for mine, group in zip(own, kept.get("param_groups", own), strict=True)]
    state.optimizer.load_state_dict({**kept, "param_groups": groups})
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    for i, slots in kept["state"].items():
        p = parameters[i] if isinstance(i, int) else i
        state.optimizer.state[p] = _exact(state.optimizer.state[p], slots)
    for name in NUMBERS:
        setattr(state, name, header[name])


def _exact(loaded: Any, saved: Any) -> Any:
    """What was saved, where PyTorch has put it: its optimizers convert all they load to the type of the parameter."""
    if isinstance(loaded, Tensor) and isinstance(saved, Tensor):
        return loaded if loaded.dtype == saved.dtype else saved.to(loaded.device)
    if type(loaded) is not type(saved):  # the optimizer has made something else of it
        return loaded
    if isinstance(saved, dict):
        return loaded | {key: _exact(loaded.get(key, value), value) for key, value in saved.items()}
    if isinstance(saved, list | tuple):
        return type(saved)(_exact(a, b) for a, b in zip(loaded, saved, strict=True))
    return saved
