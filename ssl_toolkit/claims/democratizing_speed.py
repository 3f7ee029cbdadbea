"""DJ-7: views by the batch, and views that grow during training, make training cheap; three claims.

The growing views begin at 24 pixels and reach all 32 after three quarters of the steps.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset as TorchDataset

from ssl_toolkit.claims.common import parts, trained_on
from ssl_toolkit.claims.protocol import Control, Result, beyond, within
from ssl_toolkit.claims.shapes_training import POWER, better_baseline, pool
from ssl_toolkit.claims.study import Budget, Claim, Finding, Values, values_of
from ssl_toolkit.data import Dataset, batch, rng
from ssl_toolkit.encoders import embed, pixels
from ssl_toolkit.joint import JointRecipe, progressive, ramp
from ssl_toolkit.probes import few_labels, linear_probe
from ssl_toolkit.training.intervals import differences, mean_interval
from ssl_toolkit.training.sweep import Cell, Setting

PAPER = "Towards Democratizing Joint-Embedding SSL (arXiv 2303.01986)"
SMALLEST, LABELS = 24, 100


class _PerSample(TorchDataset):
    """Two views of one image at a time with torchvision, as in a typical data loader."""

    def __init__(self, data: Dataset):
        from torchvision.transforms import v2

        self.images = data.images
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(data.shape[-1], scale=(0.5, 1.0), antialias=True),
                v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.5)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.transform(self.images[i]), self.transform(self.images[i])


def _settings(budget: Budget) -> list[Setting]:
    images, settings = 512 if budget == "smoke" else 4096, []
    for setting in pool({"resolution": "growing"}, seeds=10, first=300)(budget):
        fixed = {"resolution": "fixed", "images": images} if "widest" in setting else {}
        settings.append({name: value for name, value in setting.items() if name != "widest"} | fixed)
    return settings


def _speed(setting: Setting) -> Iterator[Values | None]:
    """Measure seconds and accuracy of a run; for views of one size, also both loaders' images per second."""
    data, seed, values = parts(setting["data"], setting["limit"]).train, setting["seed"], {}
    if setting["method"] == "pixels":
        yield _class_read(setting, pixels)
        return
    recipe = JointRecipe(
        **{name: setting[name] for name in ("batch_size", "lr", "width", "seed", "temperature")},
        steps=max(1, setting["steps"]), projector=tuple(setting["projector"]),
    )  # fmt: skip
    state, size, steps = recipe.start(data), data.shape[-1], setting["steps"]
    if setting["method"] == "untrained":
        yield _class_read(setting, lambda x: embed(state.model, x))
        return
    if setting["resolution"] == "fixed":
        n, augment = setting["images"], recipe.augment(data)
        began = time.perf_counter()
        for i in range(n // 64):
            images, generator = batch(data, i, batch_size=64, seed=seed).images, rng(seed, i)
            augment(images, generator), augment(images, generator)
            yield None
        values["images/s"] = n / (time.perf_counter() - began)
        loader = DataLoader(_PerSample(data[:n]), 64, shuffle=True, num_workers=os.cpu_count() or 1)
        began, seen = 0.0, 0
        for a, _ in loader:  # the clock starts after the first batch, since workers take seconds to start
            seen += len(a) if began else 0
            began = began or time.perf_counter()
            yield None
        values["images/s per sample"] = seen / (time.perf_counter() - began)
    sizes = ramp(size if setting["resolution"] == "fixed" else SMALLEST, size, begin=0, end=steps * 3 // 4)
    views = progressive(lambda s: replace(recipe, size=s).objective(data), sizes)
    busy, run = 0.0, trained_on(setting, state, data, views)
    for _ in range(steps):
        began = time.perf_counter()
        record = next(run)
        busy += time.perf_counter() - began
        yield record
    yield {**values, **_class_read(setting, lambda x: embed(state.model, x)), "seconds": busy}


def _class_read(setting: Setting, features: Callable[[Tensor], Tensor]) -> Values:
    images = parts(setting["data"], setting["limit"])
    few, test = images.train[few_labels(images.train.labels, LABELS, seed=setting["seed"])], images.test
    probe = linear_probe(features(few.images), few.labels, features(test.images), test.labels, weight_decays=(1e-2,))
    return {"class": probe.accuracy}


def _found(cells: Sequence[Cell], result: Result, each: list[float], what: str) -> Finding:
    def read(**wanted: str) -> list[float]:
        return values_of(cells, "class", **wanted)

    over = [100 * d for d in differences(read(resolution="fixed"), better_baseline(read))]
    control = Control("SimCLR's points over the better of raw pixels and the untrained net", *mean_interval(over), 10.0)
    if not control.passed:
        result, what = "inconclusive", f"{what} (nothing was learned here: {control})"
    return Finding(result, *mean_interval(each), what, tuple(each), control)


def _judge_loss(cells: Sequence[Cell]) -> Finding:
    kept = (values_of(cells, "class", resolution=r) for r in ("fixed", "growing"))
    lost = [100 * d for d in differences(*kept)]
    what = f"points of the class lost by views that grow from {SMALLEST} to 32 pixels"
    return _found(cells, within(mean_interval(lost)[1], 2.0), lost, what)


def _judge_time(cells: Sequence[Cell]) -> Finding:
    growing, fixed = (values_of(cells, "seconds", resolution=r) for r in ("growing", "fixed"))
    saved = [1 - a / b for a, b in zip(growing, fixed, strict=True)]
    what = f"of the training time saved by views that grow from {SMALLEST} to 32 pixels"
    return _found(cells, beyond(mean_interval(saved)[1], 0.05), saved, what)


def _judge_loader(cells: Sequence[Cell]) -> Finding:
    ours, theirs = (values_of(cells, name, resolution="fixed") for name in ("images/s", "images/s per sample"))
    ratio = [a / b for a, b in zip(ours, theirs, strict=True)]
    what = f"times the images/s of per-sample transforms ({statistics.fmean(ours):,.0f} images/s)"
    return _found(cells, beyond(mean_interval(ratio)[1], 2.0), ratio, what)


_FIGURE = "figure 1: wall-clock time of SimCLR, 160 to 224 pixels against 224, and FFCV-SSL against torchvision"
_ONE = "Version 1 asked two things at once, and refuted by a mean."
DJ7 = Claim(
    "DJ-7", PAPER,
    "Views that grow during training cost little accuracy. (The paper: 160 to 224 pixels, 8 hours instead of 12.)",
    f"Views that grow from {SMALLEST} to 32 pixels lose less than 2 points of the class, after as many steps, with a "
    "95 % interval: confirmed. The interval lies above 2 points: not confirmed.",
    _settings, _speed, _judge_loss, cells_of="DJ-7-v2", version="2", section=_FIGURE, sesoi=2.0,
    unit="points of accuracy", power=POWER, minutes=9, why=_ONE,
)  # fmt: skip
DJ7B = Claim(
    "DJ-7b", PAPER,
    "Views that grow during training save time. (The paper: 160 to 224 pixels, about 8 hours instead of 12.)",
    f"Views that grow from {SMALLEST} to 32 pixels save more than 0.05 of the training time, with a 95 % interval: "
    "confirmed. The interval lies below 0.05: not confirmed.",
    _settings, _speed, _judge_time, cells_of="DJ-7-v2", version="2", section=_FIGURE, sesoi=0.05,
    unit="share of the training time", power=POWER, minutes=9, why=f"New: a part of DJ-7. {_ONE}",
)  # fmt: skip
DJ7C = Claim(
    "DJ-7c", PAPER,
    "An efficient loader makes views several times as fast as torchvision's transforms, image by image. (The paper: "
    "32 hours with torchvision, 12 with FFCV-SSL; ours has no decoding, so it compares the transforms alone.)",
    "Two views by the batch are made more than twice as fast as by per-sample torchvision transforms, in as many "
    "workers as there are cores, with a 95 % interval: confirmed. The interval lies below twice: not confirmed.",
    _settings, _speed, _judge_loader, cells_of="DJ-7-v2", version="2", section=_FIGURE, sesoi=2.0,
    unit="times the images/s", power=POWER, minutes=9, why=f"New: a part of DJ-7. {_ONE}",
)  # fmt: skip
CLAIMS = (DJ7, DJ7B, DJ7C)
