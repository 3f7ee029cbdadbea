"""Weights from elsewhere: any file or state dict, whatever its keys are called in front, into a network of yours."""

import argparse
import os
import zipfile
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssl_toolkit.encoders.anatomy import says_classifier

# Where both hold a whole network: the teacher is the average that papers evaluate, a query encoder the one that learns.
PREFERRED = ("teacher", "ema", "encoder_q", "online", "base_encoder", "student", "encoder_k", "target", "momentum")
DEPTH = 4  # how far down in nested dicts, and how many words in front of a key


class LoadedWeights(NamedTuple):
    """What `load_weights` found. Keys are the module's own, except those of `unexpected`, which are the file's."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]  # in the module only: they keep their values
    unexpected: tuple[str, ...]  # in the file only
    wrong_shape: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]  # the key, the file's and the module's shape
    source: str  # the container and prefix in the file, such as "teacher: backbone."
    share: float  # of the module's keys that matched; a classifier that found none does not count

    def __repr__(self) -> str:
        total = len(self.matched) + len(self.missing) + len(self.wrong_shape)
        lines = [f"{len(self.matched)} of {total} keys loaded" + (f" from {self.source!r}" if self.source else "")]
        lines += [f"missing: {_some(self.missing)}"] if self.missing else []
        lines += [f"unexpected: {_some(self.unexpected)}"] if self.unexpected else []
        if self.wrong_shape:
            lines.append("wrong shape: " + _some([f"{k} {found} for {own}" for k, found, own in self.wrong_shape]))
        return "\n".join(lines)


def load_weights(
    module: nn.Module, source: str | os.PathLike[str] | Mapping[str, Any], *, at_least: float = 0.9
) -> LoadedWeights:
    """Load a file of weights, or a state dict, into `module`, whatever wrapped the network when it was saved.

    A file is safetensors, or what `torch.save` wrote, read without running any code in it. Containers such as
    "state_dict", "model" or "teacher" are opened, and what stands in front of all keys, such as "module.",
    "backbone.", "_orig_mod." or "encoder_q.", is taken away: of all ways to do so, the one that matches most keys by
    name and shape, the teacher's where several do. The report says what matched and what did not. An `Encoder` from
    `wrap` gets its network's weights.

    Raises ValueError, and changes nothing, if less than the share `at_least` of the module's keys match, not counting a
    classifier that the file has not, for a file that is neither, and for one that needs code to be read;
    FileNotFoundError if there is no file.

    >>> encoder = stk.small_conv(3)
    >>> saved = {"model": {f"module.{key}": value for key, value in stk.small_conv(3, seed=1).state_dict().items()}}
    >>> stk.load_weights(encoder, saved).share
    1.0
    """
    if not 0 <= at_least <= 1:
        raise ValueError(f"at_least is {at_least}: it is the share of the module's keys that must match, in [0, 1].")
    if not isinstance(source, Mapping | str | os.PathLike):
        raise TypeError(f"source is a {type(source).__name__}: it must be the path of a file, or a state dict.")
    saved = source if isinstance(source, Mapping) else _read(Path(source))
    states = _states(saved)
    if not states:
        raise ValueError("source holds no tensors by name: it must be a state dict, or a file or dict that holds one.")
    own = {key: value for key, value in module.state_dict().items() if isinstance(value, Tensor)}
    counted = [key for key in own if not key.endswith("num_batches_tracked")]  # old files have none
    best: tuple[tuple[int, int, int], str, dict[str, str], Mapping[str, Tensor]] | None = None
    least = max(at_least / 2, 0.05) * len(counted)
    for container, state in states.items():
        for prefix in _prefixes(state, least):
            for inside in _prefixes(own, least):  # the network may be wrapped here, too
                names = {_plain(key.removeprefix(prefix)): key for key in state if key.startswith(prefix)}
                pairs = {key: names.get(_plain(key.removeprefix(inside))) for key in own if key.startswith(inside)}
                found = {key: name for key, name in pairs.items() if name is not None}
                fits = sum(state[name].shape == own[key].shape for key, name in found.items())
                score = (fits, -_rank(f"{container}.{prefix}"), -len(prefix) - len(inside))
                if best is None or score > best[0]:
                    best = score, f"{container}: {prefix}".strip(": "), found, state
    assert best is not None
    _, where, found, state = best
    matched = {key: state[name] for key, name in found.items() if state[name].shape == own[key].shape}
    asked = [key for key in counted if key in matched or not any(map(says_classifier, _paths(key)))]
    report = LoadedWeights(
        tuple(matched),
        tuple(key for key in counted if key not in found),
        tuple(name for name in state if name not in found.values()),
        tuple((k, tuple(state[n].shape), tuple(own[k].shape)) for k, n in found.items() if k not in matched),
        where,
        sum(key in matched for key in asked) / max(1, len(asked)),
    )
    if report.share < at_least or not matched:
        raise ValueError(
            f"only {report.share:.0%} of the keys of {type(module).__name__} match, at_least is {at_least:.0%}, so "
            f"nothing was loaded. Is it another architecture?\n{report}"
        )
    module.load_state_dict(matched, strict=False)
    return report


def _read(path: Path) -> Any:
    if path.is_dir():
        raise IsADirectoryError(f"source is {str(path)!r}, a folder: name the file of weights in it.")
    if not path.is_file():
        raise FileNotFoundError(f"source is {str(path)!r}: there is no such file.")
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{str(path)!r} is damaged, or no safetensors file: {error}.") from None
    if zipfile.is_zipfile(path) and any(n.endswith("constants.pkl") for n in zipfile.ZipFile(path).namelist()):
        raise ValueError(f"{str(path)!r} is TorchScript, which is code: save the state_dict of the network instead.")
    # a Namespace of settings, which many published files hold, is plain data
    allowed = getattr(torch.serialization, "safe_globals", lambda _: nullcontext())
    try:
        with allowed([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if "GLOBAL " not in str(error):
            raise ValueError(f"{str(path)!r} is damaged, or no file of weights.") from None
        wanted = str(error).split("GLOBAL ")[1].split()[0].strip("`")
        raise ValueError(
            f"{str(path)!r} asks to run {wanted}, and code in a file is never run: where you trust it, load it by "
            "torch.load and save its state_dict as safetensors."
        ) from None


def _states(saved: Any, at: str = "", depth: int = 0) -> dict[str, Mapping[str, Tensor]]:
    """Every dict of tensors in nested dicts, by the path that leads to it."""
    if not isinstance(saved, Mapping) or depth > DEPTH:
        return {}
    tensors = {key: value for key, value in saved.items() if isinstance(key, str) and isinstance(value, Tensor)}
    found: dict[str, Mapping[str, Tensor]] = {at: tensors} if tensors else {}
    for key, value in saved.items():
        found |= _states(value, f"{at}.{key}".strip("."), depth + 1)
    return found


def _prefixes(state: Mapping[str, Any], least: float) -> list[str]:
    """ "" and what stands in front of at least so many keys, up to `DEPTH` words, each with its dot."""
    words = [key.split(".") for key in state]
    counts = Counter(".".join([*w[:n], ""]) for n in range(1, DEPTH + 1) for w in words if n < len(w))
    return ["", *(prefix for prefix, count in counts.items() if count >= least)]


def _paths(key: str) -> list[str]:
    """The modules that hold a key, from the outermost."""
    words = key.split(".")[:-1]
    return [".".join(words[: i + 1]) for i in range(len(words))]


def _plain(key: str) -> str:
    """The key without what `torch.compile` puts into it."""
    return key.replace("_orig_mod.", "")


def _rank(place: str) -> int:
    """How late a place comes in the order of preference; places that are not in it come first of all."""
    words = place.split(".")
    return next((i + 1 for i, name in enumerate(PREFERRED) if any(word.startswith(name) for word in words)), 0)


def _some(items: Any) -> str:
    shown = ", ".join(map(str, list(items)[:6]))
    return shown + (f" and {len(items) - 6} more" if len(items) > 6 else "")
