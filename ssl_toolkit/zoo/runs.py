"""Runs that come with the toolkit: what a training panel shows before anything was trained here.

A file holds the records of one run. It is found by what made it, the recipe and the data, so that a panel shows the
run that Play would repeat, or none.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.data.files import atomic_write
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.probes.monitor import Baselines, Snapshot
from ssl_toolkit.probes.online import Reading
from ssl_toolkit.training import Step

RUNS = Path(__file__).parent / "runs"
# of a snapshot: what is one number, and how the tensors are stored
NUMBERS = ("step", "knn", "rankme", "std", "most", "alpha", "lidar", "samples", "right")
TENSORS = {
    "spectrum": torch.float32, "similarity": torch.float32, "neighbors": torch.int16, "planes": torch.float16
}  # fmt: skip
WHOLE = ("step", "most", "samples")


class Run(NamedTuple):
    """The records of one run, in the order in which `monitor` yields them, by kind."""

    steps: list[Step]
    snapshots: list[Snapshot]
    readings: list[Reading]
    baselines: Baselines


def save_run(
    run: Run, recipe: JointRecipe, bank: Dataset, queries: Dataset, folder: Path = RUNS, *, every: int = 5
) -> Path:
    """Write a run of at least one step and one snapshot, of the steps each `every`-th; returns its path.

    `recipe` has the views that the run was made by, `bank` and `queries` are those of its snapshots.
    """
    steps, base = [step for step in run.steps if step.step % every == 0 or step is run.steps[-1]], run.baselines
    terms, depths = list(steps[0].terms), list(run.readings[0].accuracy) if run.readings else []
    rights, found = list(base.right), list(base.neighbors)
    tensors = {
        "steps": _table([[s.step, s.lr, s.seconds, *s.terms.values()] for s in steps]),
        "snapshots": _table([[getattr(s, name) for name in NUMBERS] for s in run.snapshots]),
        "readings": _table([[r.step, r.chance, *r.accuracy.values()] for r in run.readings]),
        "baselines": _table([[base.chance, base.pixels, base.untrained, *(base.right[name] for name in rights)]]),
        "baselines.neighbors": torch.stack([base.neighbors[name] for name in found]).to(torch.int16),
    }
    for name, kind in TENSORS.items():
        tensors[name] = torch.stack([getattr(s, name) for s in run.snapshots]).to(kind)
    made_by = _key(recipe, bank, queries)
    path = folder / f"{bank.name}-{recipe.method}-{made_by}.safetensors".replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    names = {"terms": terms, "depths": depths, "rights": rights, "found": found}
    with atomic_write(path) as partial:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            partial,
            metadata={"names": json.dumps(names), "recipe": json.dumps(asdict(recipe)), "torch": torch.__version__},
        )
    return path


def find_run(recipe: JointRecipe, bank: Dataset, queries: Dataset, folder: Path = RUNS) -> Run | None:
    """The stored run of this recipe, with its views, on these images; None where there is none that can be read."""
    for path in folder.glob(f"*-{_key(recipe, bank, queries)}.safetensors"):
        try:
            return _read(path)
        except (OSError, SafetensorError, ValueError, KeyError):
            return None  # a damaged one: the panel has nothing to show, as without it
    return None


def _read(path: Path) -> Run:
    with safe_open(path, "pt") as file:
        names = json.loads(file.metadata()["names"])
        t = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    steps = [
        Step(int(step), dict(zip(names["terms"], terms, strict=True)), lr, seconds)
        for step, lr, seconds, *terms in t["steps"].tolist()
    ]
    tensors = zip(*(t[name].long() if name == "neighbors" else t[name].float() for name in TENSORS), strict=True)
    snapshots = [
        Snapshot(**_numbers(row), **dict(zip(TENSORS, of, strict=True)))
        for row, of in zip(t["snapshots"].tolist(), tensors, strict=True)
    ]
    readings = [
        Reading(int(step), dict(zip(names["depths"], accuracy, strict=True)), chance)
        for step, chance, *accuracy in t["readings"].tolist()
    ]
    chance, by_pixels, untrained, *rights = map(_or_none, t["baselines"][0].tolist())
    found = dict(zip(names["found"], t["baselines.neighbors"].long(), strict=True))
    base = Baselines(chance, by_pixels, untrained, found, dict(zip(names["rights"], rights, strict=True)))
    return Run(steps, snapshots, readings, base)


def _key(recipe: JointRecipe, bank: Dataset, queries: Dataset) -> str:
    """Of what a run is made by; of images only the labels count, since pixels may differ in their last bit."""
    told: dict[str, Any] = {"recipe": asdict(recipe), "data": bank.name, "shape": list(bank.shape)}
    told["labels"] = [sha256(part.labels.cpu().numpy().tobytes()).hexdigest() for part in (bank, queries)]
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def _table(rows: Sequence[Sequence[Any]]) -> Tensor:
    """Numbers, where NaN stands for None."""
    return torch.tensor([[float("nan") if x is None else float(x) for x in row] for row in rows], dtype=torch.float64)


def _or_none(x: float) -> float | None:
    return None if x != x else x


def _numbers(row: Sequence[float]) -> dict[str, Any]:
    return {name: int(x) if name in WHOLE else _or_none(x) for name, x in zip(NUMBERS, row, strict=True)}
