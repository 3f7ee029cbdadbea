"""The claims of *Towards Democratizing Joint-Embedding Self-Supervised Learning* (Bordes et al., 2023).

Each is tested with images and nets that a laptop trains in seconds: we test whether the claim holds at this size, not
whether the paper's numbers do.
"""

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch.utils.data import DataLoader, Dataset as TorchDataset

from ssl_toolkit.augment import Augment, compose, gaussian_noise, simclr_views
from ssl_toolkit.claims.common import (
    BASE,
    MEASURED,
    SEEDS,
    STEPS,
    against_baselines,
    at_best,
    baseline,
    baselines,
    before_training,
    classes_read,
    factors_read,
    over_seeds,
    parts,
    points,
    trained,
)
from ssl_toolkit.claims.study import Budget, Claim, Finding, Result, Values, decide, values_of
from ssl_toolkit.data import Dataset, as_float, batch, rng
from ssl_toolkit.encoders import Encoder, embed
from ssl_toolkit.joint import JointRecipe, against_a_patch, against_own_patch, joint_embedding, progressive, ramp
from ssl_toolkit.losses import nt_xent
from ssl_toolkit.probes import few_labels, linear_probe, mlp_probe
from ssl_toolkit.training.intervals import differences, mean_interval, paired_interval
from ssl_toolkit.training.sweep import Cell, Setting

PAPER = "Towards Democratizing Joint-Embedding SSL (arXiv 2303.01986)"


# DJ-1: small batches need a different learning rate, and little else.

BATCHES: dict[Budget, tuple[int, ...]] = {
    "smoke": (16, 64, 256),
    "standard": (16, 64, 256),
    "full": (16, 32, 64, 128, 256, 512),
}


def _batch_settings(budget: Budget) -> list[Setting]:
    epochs = {"smoke": 0.25, "standard": 1, "full": 10}[budget]
    rates = [5e-4 * 4**i for i in range(-1, 3)] if budget != "full" else [5e-4 * 2**i for i in range(-3, 5)]
    settings = over_seeds(SEEDS[budget], BASE, batch_size=BATCHES[budget], lr=rates)
    return [s | {"steps": round(epochs * s["limit"] / s["batch_size"])} for s in settings]


def _simclr(setting: Setting) -> Iterator[Values | None]:
    state = yield from trained(setting)
    yield classes_read(setting, state.model)


def _judge_batches(cells: Sequence[Cell]) -> Finding:
    sizes = sorted({cell.setting["batch_size"] for cell in cells})
    rates = sorted({cell.setting["lr"] for cell in cells})
    tuned = {size: at_best(cells, "lr", batch_size=size) for size in sizes}
    best = max(tuned.values(), key=statistics.fmean)
    small, large = sizes[0], sizes[-1]
    gap, ci = points(paired_interval(best, tuned[small]))
    # the best rate for the largest batch, scaled in proportion to the batch size
    rate = max(rates, key=lambda lr: statistics.fmean(values_of(cells, "validation", batch_size=large, lr=lr)))
    scaled = min(rates, key=lambda lr: abs(lr / (rate * small / large) - 1))
    fixed, _ = points(paired_interval(best, values_of(cells, "test", batch_size=small, lr=scaled)))
    result = decide(confirmed=gap <= 3 and fixed > max(0.0, 2 * gap), refuted=gap > 5)
    what = f"points lost by batch {small} with its own learning rate ({fixed:.1f} with the rate scaled from {large})"
    return Finding(result, gap, ci, what)


DJ1 = Claim(
    "DJ-1", PAPER,
    "SimCLR at a small batch loses little once its learning rate is tuned for that batch.",
    "At equal epochs, the smallest batch with its best learning rate is within 3 points of the best batch with its "
    "own, and loses more than twice as much with the largest batch's rate scaled in proportion: confirmed. More than 5 "
    "points lost with its best rate: not confirmed.",
    _batch_settings, _simclr, _judge_batches,
)  # fmt: skip


# DJ-2: one negative is enough.


def _negative_settings(budget: Budget) -> list[Setting]:
    counts = (1, None) if budget == "smoke" else (1, 4, 16, None)
    rates = (2e-3,) if budget == "smoke" else (5e-4, 2e-3)
    axes = {"negatives": counts, "lr": rates}
    return [*over_seeds(SEEDS[budget], BASE | {"steps": STEPS[budget]}, **axes), *baselines(budget)]


def _few_negatives(setting: Setting) -> Iterator[Values | None]:
    if setting["method"] != "simclr":
        yield from baseline(setting)
        return
    augment = JointRecipe(**MEASURED).augment(parts(setting["data"], setting["limit"]).train)
    loss = partial(nt_xent, temperature=0.2, negatives=setting["negatives"])
    state = yield from trained(setting, joint_embedding(loss, augment, stochastic=True))
    yield classes_read(setting, state.model)


def _judge_negatives(cells: Sequence[Cell]) -> Finding:
    one = [cell for cell in cells if cell.setting.get("negatives", 0) == 1]
    rank = min(cell.result["rankme"] for cell in one)
    return against_baselines(at_best(one, "lr"), rank, cells, "points gained with one negative")


DJ2 = Claim(
    "DJ-2", PAPER,
    "SimCLR learns useful features with a single negative for each image.",
    "With one negative, and the learning rate chosen on the validation split, the linear probe beats the untrained "
    "network's and raw pixels' with 95 % intervals above 0, and RankMe is above 2: confirmed. No better than the "
    "untrained network, or collapsed: not confirmed.",
    _negative_settings, _few_negatives, _judge_negatives,
)  # fmt: skip


# DJ-3: an image patch is enough as a negative.


def _patch_settings(budget: Budget) -> list[Setting]:
    rates = (2e-3,) if budget == "smoke" else (5e-4, 2e-3)
    base = BASE | {"steps": STEPS[budget]}
    return [*over_seeds(SEEDS[budget], base, patch=("constant", "own"), lr=rates), *baselines(budget)]


def _patch(setting: Setting) -> Iterator[Values | None]:
    if setting["method"] != "simclr":
        yield from baseline(setting)
        return
    data = parts(setting["data"], setting["limit"]).train
    augment, side = JointRecipe(**MEASURED).augment(data), data.images.shape[-1]
    corner, size = side // 4, side // 2
    one = as_float(data.images[:1, :, corner : corner + size, corner : corner + size])
    objective = against_a_patch(augment, one) if setting["patch"] == "constant" else against_own_patch(augment)
    state = yield from trained(setting, objective)
    yield classes_read(setting, state.model)


def _judge_patches(cells: Sequence[Cell]) -> Finding:
    findings = {}
    for reading in ("constant", "own"):
        run = [cell for cell in cells if cell.setting.get("patch") == reading]
        rank = min(cell.result["rankme"] for cell in run)
        what = f"points gained against {'one patch' if reading == 'constant' else 'a patch of the image itself'}"
        findings[reading] = against_baselines(at_best(run, "lr"), rank, cells, what)
    results = {finding.result for finding in findings.values()}
    result: Result = results.pop() if len(results) == 1 else "inconclusive"
    one, own = findings["constant"], findings["own"]
    return Finding(result, one.effect, one.ci95, f"{one.what}; {own.effect:.1f} {own.what} ({own.result})")


DJ3 = Claim(
    "DJ-3", PAPER,
    "SimCLR learns useful features with a single image patch as the only negative.",
    "The claim has two readings, one constant patch for all images and a patch of each image next to its crop. Both "
    "are judged like one negative (DJ-2): confirmed, or not, if they agree. We do not know which one the paper ran.",
    _patch_settings, _patch, _judge_patches,
)  # fmt: skip


# DJ-4: Gaussian noise as the only augmentation.


def _noise_settings(budget: Budget) -> list[Setting]:
    sigmas = (0.1, 0.5) if budget == "smoke" else (0.05, 0.1, 0.2, 0.5, 1.0)
    base = BASE | {"data": "shapes", "steps": STEPS[budget]}
    seeds = 3 if budget == "smoke" else 5  # over so many pairs, Student's t of three seeds can hardly confirm anything
    return [*over_seeds(seeds, base, sigma=sigmas), *over_seeds(seeds, base | {"steps": 0}, method=("untrained",))]


def _noise_only(setting: Setting) -> Iterator[Values | None]:
    if setting["method"] == "untrained":
        yield factors_read(setting, before_training(setting))
        return
    views = compose(gaussian_noise(setting["sigma"]))
    state = yield from trained(setting, joint_embedding(partial(nt_xent, temperature=0.2), views))
    yield factors_read(setting, state.model)


def _judge_noise(cells: Sequence[Cell]) -> Finding:
    factors = list(cells[0].result)
    sigmas = sorted({cell.setting["sigma"] for cell in cells if "sigma" in cell.setting})
    level = 1 - 0.05 / (len(factors) * len(sigmas))  # Bonferroni, for this many chances to get lucky
    gains = {
        (name, sigma): paired_interval(
            values_of(cells, name, sigma=sigma), values_of(cells, name, method="untrained"), level=level
        )
        for name in factors
        for sigma in sigmas
    }
    (name, sigma), (effect, ci) = max(gains.items(), key=lambda item: item[1][1][0])
    result: Result = "confirmed" if ci[0] > 0 else "inconclusive"
    if all(mean <= 0 for mean, _ in gains.values()):
        result = "not confirmed"
    return Finding(result, effect, ci, f"gain in reading {name} at sigma {sigma} (accuracy or R2, Bonferroni interval)")


DJ4 = Claim(
    "DJ-4", PAPER,
    "Gaussian noise as the only augmentation still gives useful features on some task.",
    "For some factor of the shapes and some sigma, the linear reading beats the untrained network's, with a 95 % "
    "interval above 0 over all pairs of factor and sigma (Bonferroni): confirmed. No pair is better on average: not "
    "confirmed.",
    _noise_settings, _noise_only, _judge_noise,
)  # fmt: skip


# DJ-5: the best augmentations depend on the task.

_PLAIN = {"flip": 0.0, "jitter": 0.0, "gray": 0.0}
VIEWS: dict[str, Augment] = {
    "crop": simclr_views(32, scale=(0.3, 1.0), **_PLAIN),
    "crop and grey": simclr_views(32, scale=(0.3, 1.0), **(_PLAIN | {"gray": 0.2})),
    "colour only": simclr_views(32, scale=(1.0, 1.0), flip=0.0),
    "full": simclr_views(32, scale=(0.3, 1.0)),
    "noise": compose(gaussian_noise(0.2)),
}


def _view_settings(budget: Budget) -> list[Setting]:
    base = BASE | {"data": "shapes", "steps": STEPS[budget]}
    return over_seeds(SEEDS[budget], base, views=list(VIEWS))


def _some_views(setting: Setting) -> Iterator[Values | None]:
    loss = partial(nt_xent, temperature=0.2)
    state = yield from trained(setting, joint_embedding(loss, VIEWS[setting["views"]]))
    yield factors_read(setting, state.model)


def _judge_views(cells: Sequence[Cell]) -> Finding:
    factors = list(cells[0].result)
    best = {
        name: max(VIEWS, key=lambda views: statistics.fmean(values_of(cells, name, views=views))) for name in factors
    }
    # what the best set for most factors loses on factors for which another set is best
    common = statistics.mode(best.values())
    level = 1 - 0.05 / len(factors)  # Bonferroni
    losses = {
        name: paired_interval(values_of(cells, name, views=winner), values_of(cells, name, views=common), level=level)
        for name, winner in best.items()
        if winner != common
    }
    if not losses:
        score = mean_interval(values_of(cells, factors[0], views=common))
        return Finding("not confirmed", *score, f"{factors[0]} with {common!r}, the best set for every factor")
    name, (effect, ci) = max(losses.items(), key=lambda item: item[1][1][0])
    what = (
        f"lost in reading {name} with {common!r}, best for most factors, against {best[name]!r} (accuracy or R2, "
        "Bonferroni interval)"
    )
    return Finding("confirmed" if ci[0] > 0 else "inconclusive", effect, ci, what)


DJ5 = Claim(
    "DJ-5", PAPER,
    "No set of augmentations is best for every downstream task.",
    "The set that is best for most factors of the shapes loses to another one on some factor, with a 95 % interval "
    "above 0 over all factors (Bonferroni): confirmed. One set is best for all factors: not confirmed.",
    _view_settings, _some_views, _judge_views,
    changed="At first the interval was not corrected for the number of factors; the verdict was the same.",
)  # fmt: skip


# DJ-6: a probe's result depends on where it reads and when it stops.


def _probe_settings(budget: Budget) -> list[Setting]:
    return over_seeds(SEEDS[budget], BASE | {"steps": STEPS[budget], "epochs": 20 if budget == "smoke" else 60})


def _probes(setting: Setting) -> Iterator[Values | None]:
    state = yield from trained(setting)
    images = parts(setting["data"], setting["limit"])
    few = images.train[few_labels(images.train.labels, 100, seed=setting["seed"])]
    assert isinstance(state.model, Encoder)
    z, z_test = embed(state.model, few.images, depth=None), embed(state.model, images.test.images, depth=None)
    values = {}
    for depth in ("representation", "embedding"):
        probe = linear_probe(z[depth], few.labels, z_test[depth], images.test.labels, weight_decays=(1e-2,))
        values[depth] = probe.accuracy
        yield None
    h, h_test = z["representation"], z_test["representation"]
    for curve in mlp_probe(
        h, few.labels, h_test, images.test.labels, epochs=setting["epochs"], patience=None, seed=setting["seed"]
    ):
        mlp = curve
        yield None
    yield {**values, "mlp": mlp.accuracy, "mlp at the last epoch": mlp.last_accuracy, "best epoch": float(mlp.best)}


def _judge_probes(cells: Sequence[Cell]) -> Finding:
    gain = paired_interval(values_of(cells, "representation"), values_of(cells, "embedding"))
    effect, ci = points(gain)
    lost, (low, _) = paired_interval(values_of(cells, "mlp"), values_of(cells, "mlp at the last epoch"))
    result = decide(confirmed=ci[0] > 0 and low > 0, refuted=effect <= 0)
    mlp = statistics.fmean(differences(values_of(cells, "mlp"), values_of(cells, "representation")))
    what = (
        f"points gained by probing the representation, not the embedding (an MLP reads it {100 * mlp:+.1f} points "
        f"better than a linear probe at its best epoch, {statistics.fmean(values_of(cells, 'best epoch')):.0f} of "
        f"{cells[0].setting['epochs']}, and {100 * (mlp - lost):+.1f} at the last)"
    )
    return Finding(result, effect, ci, what)


DJ6 = Claim(
    "DJ-6", PAPER,
    "It matters where and how you probe: probes read the representation better than the projector's output, and an MLP "
    "probe overfits, so its best epoch is not its last.",
    "On the test set the linear probe of the representation beats that of the embedding, and the MLP probe at its best "
    "epoch on a validation split beats itself at the last, both with a 95 % interval above 0: confirmed. The "
    "representation is no better on average: not confirmed.",
    _probe_settings, _probes, _judge_probes,
    changed="At first the best epoch only had to come before the last, as it does without overfitting too: confirmed.",
)  # fmt: skip


# DJ-7: batched views, and small views first.


class _PerSample(TorchDataset):
    """Two views of one image at a time with torchvision, as in a typical data loader."""

    def __init__(self, data: Dataset, size: int):
        from torchvision.transforms import v2

        self.images = data.images
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.3, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.transform(self.images[i]), self.transform(self.images[i])


def _speed_settings(budget: Budget) -> list[Setting]:
    base = BASE | {"data": "shapes", "steps": STEPS[budget], "images": 512 if budget == "smoke" else 4096}
    return over_seeds(SEEDS[budget], base, resolution=("fixed", "growing"))


def _speed(setting: Setting) -> Iterator[Values | None]:
    """Measure seconds and accuracy of a run; for views of one size, also both loaders' images per second."""
    data = parts(setting["data"], setting["limit"]).train
    size, steps = data.images.shape[-1], setting["steps"]
    values = {}
    if setting["resolution"] == "fixed":
        n, augment = setting["images"], JointRecipe(**MEASURED).augment(data)
        began = time.perf_counter()
        for i in range(n // 64):
            images, generator = batch(data, i, batch_size=64, seed=setting["seed"]).images, rng(setting["seed"], i)
            augment(images, generator), augment(images, generator)
            yield None
        values["images/s"] = n / (time.perf_counter() - began)
        loader = DataLoader(_PerSample(data[:n], size), 64, shuffle=True, num_workers=os.cpu_count() or 1)
        began, seen = 0.0, 0
        for a, _ in loader:  # the clock starts after the first batch, since workers take seconds to start
            seen += len(a) if began else 0
            began = began or time.perf_counter()
            yield None
        values["images/s per sample"] = seen / (time.perf_counter() - began)
    loss = partial(nt_xent, temperature=0.2)
    sizes = ramp(size if setting["resolution"] == "fixed" else size // 2, size, begin=0, end=steps * 3 // 4)
    views = progressive(lambda s: joint_embedding(loss, simclr_views(s, scale=(0.3, 1.0))), sizes)
    run, busy = trained(setting, views), 0.0
    while True:
        began = time.perf_counter()
        try:
            record = next(run)
        except StopIteration as done:
            yield {**values, **classes_read(setting, done.value.model), "seconds": busy}
            return
        busy += time.perf_counter() - began
        yield record


def _judge_speed(cells: Sequence[Cell]) -> Finding:
    ours, theirs = (values_of(cells, name, resolution="fixed") for name in ("images/s", "images/s per sample"))
    ratio, ci = mean_interval([a / b for a, b in zip(ours, theirs, strict=True)])
    lost, (_, most) = points(
        paired_interval(values_of(cells, "test", resolution="fixed"), values_of(cells, "test", resolution="growing"))
    )
    seconds = [statistics.fmean(values_of(cells, "seconds", resolution=r)) for r in ("growing", "fixed")]
    share = seconds[0] / seconds[1]
    result = decide(confirmed=ci[0] >= 2 and most <= 1 and share < 1, refuted=ratio < 2 or lost > 1 or share >= 1)
    what = (
        f"times the images/s of per-sample transforms (growing views: {share:.0%} of the time, {lost:+.1f} points lost)"
    )
    return Finding(result, ratio, ci, what)


DJ7 = Claim(
    "DJ-7", PAPER,
    "An efficient loader, and views that grow during training, make joint-embedding training cheap.",
    "Two views by the batch are made at least twice as fast as by per-sample torchvision transforms in as many workers "
    "as there are cores, and growing views save time and lose at most 1 point of the linear probe, with 95 % "
    "intervals: confirmed. Less than twice, more than 1 point lost or no time saved on average: not confirmed.",
    _speed_settings, _speed, _judge_speed,
)  # fmt: skip

CLAIMS = (DJ1, DJ2, DJ3, DJ4, DJ5, DJ6, DJ7)
