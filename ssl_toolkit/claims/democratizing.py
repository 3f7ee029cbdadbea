"""The claims of *Towards Democratizing Joint-Embedding Self-Supervised Learning* (Bordes et al., 2023).

Each is put to the test on images and nets that a laptop trains in seconds: what is tested is whether the claim holds at
this size, not whether the paper's numbers do. Every setting of a claim trains from its own seed on the same images;
two settings of one seed share initial weights and the order of images. Learning rates are chosen on a validation split
and scores are read on the test set.
"""

import itertools
import statistics
from collections.abc import Generator, Iterator, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from torch import Tensor, nn

from ssl_toolkit.augment import Augment, compose, gaussian_noise, simclr_views
from ssl_toolkit.claims.study import Budget, Claim, Finding, Measurement, Result, Setting, Values, interval, minus, of
from ssl_toolkit.data import Dataset, load_data
from ssl_toolkit.factors import read_factors
from ssl_toolkit.joint import joint_embedding
from ssl_toolkit.losses import nt_xent
from ssl_toolkit.probes import embed, few_labels, linear_probe, pixels, rankme, untrained
from ssl_toolkit.recipes import Recipe
from ssl_toolkit.train import Objective, TrainState, train

PAPER = "Towards Democratizing Joint-Embedding SSL (arXiv 2303.01986)"
VALIDATION, TEST, LABELS = 2000, 5000, 100  # images held out, images tested on, labels of each class that a probe gets


class Parts(NamedTuple):
    """What is trained on, what learning rates are chosen on, and what scores are read on."""

    train: Dataset
    validation: Dataset
    test: Dataset


@lru_cache(maxsize=2)
def _data(name: str, limit: int) -> Parts:
    data = load_data(name, limit=limit + VALIDATION)
    return Parts(data[:limit], data[limit:], load_data(name, split="test", limit=TEST))


def _trained(setting: Setting, objective: Objective | None = None) -> Generator[None, None, TrainState]:
    """SimCLR as in the tuned recipe, but for what the setting says; None after each step."""
    data = _data(setting["data"], setting["limit"]).train
    recipe = Recipe(**{name: setting[name] for name in ("steps", "batch_size", "lr", "width", "seed")})
    state = recipe.start(data)
    for _ in train(
        state, data, objective or recipe.objective(data),
        until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed,
    ):  # fmt: skip
        yield None
    return state


def _score(setting: Setting, model: nn.Module | None) -> Values:
    """A linear probe of the classes, trained on `LABELS` of each; raw pixels where there is no model."""

    def z(data: Dataset) -> Tensor:
        return pixels(data.images) if model is None else embed(model, data.images)

    parts = _data(setting["data"], setting["limit"])
    few = parts.train[few_labels(parts.train.labels, LABELS, seed=setting["seed"])]
    features, test = z(few), z(parts.test)
    probe = linear_probe(features, few.labels, test, parts.test.labels, weight_decays=(1e-2,))
    validation = (probe.predict(z(parts.validation)) == parts.validation.labels).float().mean().item()
    return {"test": probe.accuracy, "validation": validation, "rankme": rankme(test[:1000])}


def _baseline(setting: Setting) -> Iterator[Values | None]:
    """Raw pixels, or the network before training."""
    if setting["method"] == "pixels":
        yield _score(setting, None)
    else:
        recipe = Recipe(width=setting["width"], seed=setting["seed"])
        yield _score(setting, untrained(recipe.start(_data(setting["data"], setting["limit"]).train).model))


def _settings(seeds: int, base: Setting, **axes: Sequence) -> list[Setting]:
    """The product of the axes with the seeds, seeds last, so that an early stop leaves whole comparisons."""
    rows = itertools.product(*axes.values(), range(seeds))
    return [{**base, **dict(zip((*axes, "seed"), row, strict=True))} for row in rows]


BASE = {"method": "simclr", "data": "fashion-mnist", "limit": 8000, "width": 256, "batch_size": 64, "lr": 2e-3}
STEPS: dict[Budget, int] = {"smoke": 40, "standard": 400, "full": 4000}
SEEDS: dict[Budget, int] = {"smoke": 3, "standard": 3, "full": 5}


def _baselines(budget: Budget) -> list[Setting]:
    return _settings(SEEDS[budget], BASE | {"steps": 0}, method=("pixels", "untrained"))


def _tuned(measurements: Sequence[Measurement], name: str, **setting: object) -> list[float]:
    """Test scores, seed by seed, at the value of `name` with the best mean on the validation split."""
    agreeing = [m for m in measurements if all(m.setting.get(key) == value for key, value in setting.items())]
    values = {m.setting[name] for m in agreeing}
    best = max(values, key=lambda v: statistics.fmean(of(agreeing, "validation", **{name: v})))
    return of(agreeing, "test", **{name: best})


def _points(difference: tuple[float, tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    mean, (low, high) = difference
    return 100 * mean, (100 * low, 100 * high)


# DJ-1: small batches need another learning rate, and little else.

BATCHES: dict[Budget, tuple[int, ...]] = {
    "smoke": (16, 64, 256),
    "standard": (16, 64, 256),
    "full": (16, 32, 64, 128, 256, 512),
}


def _batch_settings(budget: Budget) -> list[Setting]:
    epochs = {"smoke": 0.25, "standard": 1, "full": 10}[budget]
    rates = [5e-4 * 4**i for i in range(-1, 3)] if budget != "full" else [5e-4 * 2**i for i in range(-3, 5)]
    settings = _settings(SEEDS[budget], BASE, batch_size=BATCHES[budget], lr=rates)
    return [s | {"steps": round(epochs * s["limit"] / s["batch_size"])} for s in settings]


def _simclr(setting: Setting) -> Iterator[Values | None]:
    state = yield from _trained(setting)
    yield _score(setting, state.model)


def _judge_batches(measurements: Sequence[Measurement]) -> Finding:
    sizes = sorted({m.setting["batch_size"] for m in measurements})
    rates = sorted({m.setting["lr"] for m in measurements})
    tuned = {size: _tuned(measurements, "lr", batch_size=size) for size in sizes}
    best = max(tuned.values(), key=statistics.fmean)
    small, large = sizes[0], sizes[-1]
    gap, ci = _points(interval(minus(best, tuned[small])))
    # the rate that is best for the largest batch, scaled in proportion to the batch
    rate = max(rates, key=lambda lr: statistics.fmean(of(measurements, "validation", batch_size=large, lr=lr)))
    scaled = min(rates, key=lambda lr: abs(lr / (rate * small / large) - 1))
    fixed, _ = _points(interval(minus(best, of(measurements, "test", batch_size=small, lr=scaled))))
    result: Result = "inconclusive"
    if gap > 5:
        result = "not confirmed"
    elif gap <= 3 and fixed > max(0.0, 2 * gap):
        result = "confirmed"
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
    return [*_settings(SEEDS[budget], BASE | {"steps": STEPS[budget]}, **axes), *_baselines(budget)]


def _few_negatives(setting: Setting) -> Iterator[Values | None]:
    if setting["method"] != "simclr":
        yield from _baseline(setting)
        return
    augment = Recipe().augment(_data(setting["data"], setting["limit"]).train)
    loss = partial(nt_xent, temperature=0.2, negatives=setting["negatives"])
    state = yield from _trained(setting, joint_embedding(loss, augment, stochastic=True))
    yield _score(setting, state.model)


def _against_baselines(scores: list[float], rank: float, measurements: Sequence[Measurement], what: str) -> Finding:
    """Confirmed when better than the untrained network and raw pixels, with a rank above 2."""
    over = {name: interval(minus(scores, of(measurements, "test", method=name))) for name in ("untrained", "pixels")}
    result: Result = "inconclusive"
    if all(low > 0 for _, (low, _) in over.values()) and rank > 2:
        result = "confirmed"
    elif over["untrained"][0] <= 0 or rank <= 2:
        result = "not confirmed"
    effect, ci = _points(over["untrained"])
    return Finding(
        result, effect, ci, f"{what} over the untrained net ({100 * over['pixels'][0]:+.1f} over raw pixels)"
    )


def _judge_negatives(measurements: Sequence[Measurement]) -> Finding:
    one = [m for m in measurements if m.setting.get("negatives", 0) == 1]
    rank = min(m.values["rankme"] for m in one)
    return _against_baselines(_tuned(one, "lr"), rank, measurements, "points gained with one negative")


DJ2 = Claim(
    "DJ-2", PAPER,
    "SimCLR learns useful features with a single negative for each image.",
    "With one negative, and the learning rate chosen on the validation split, the linear probe beats the untrained "
    "network's and raw pixels' with 95 % intervals above 0, and RankMe is above 2: confirmed. No better than the "
    "untrained network, or collapsed: not confirmed.",
    _negative_settings, _few_negatives, _judge_negatives,
)  # fmt: skip


# DJ-4: Gaussian noise as the only augmentation.


def _noise_settings(budget: Budget) -> list[Setting]:
    sigmas = (0.1, 0.5) if budget == "smoke" else (0.05, 0.1, 0.2, 0.5, 1.0)
    base = BASE | {"data": "shapes", "steps": STEPS[budget]}
    trained = _settings(SEEDS[budget], base, sigma=sigmas)
    return [*trained, *_settings(SEEDS[budget], base | {"steps": 0}, method=("untrained",))]


def _factors(setting: Setting, model: nn.Module) -> Values:
    """Every factor of the shapes, read from 5,000 images, as scores on the test set."""
    parts = _data(setting["data"], setting["limit"])
    some = parts.train[:5000]
    readings = read_factors(
        embed(model, some.images), some.factors, embed(model, parts.test.images), parts.test.factors
    )
    return {name: reading.score for name, reading in readings.items()}


def _noise_only(setting: Setting) -> Iterator[Values | None]:
    data = _data(setting["data"], setting["limit"]).train
    if setting["method"] == "untrained":
        yield _factors(setting, untrained(Recipe(width=setting["width"], seed=setting["seed"]).start(data).model))
        return
    views = compose(gaussian_noise(setting["sigma"]))
    state = yield from _trained(setting, joint_embedding(partial(nt_xent, temperature=0.2), views))
    yield _factors(setting, state.model)


def _judge_noise(measurements: Sequence[Measurement]) -> Finding:
    factors = list(measurements[0].values)
    sigmas = sorted({m.setting["sigma"] for m in measurements if "sigma" in m.setting})
    level = 1 - 0.05 / (len(factors) * len(sigmas))  # Bonferroni: so many chances to be lucky
    gains = {
        (name, sigma): interval(
            minus(of(measurements, name, sigma=sigma), of(measurements, name, method="untrained")), level=level
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
    "For some factor of the shapes and some sigma the linear reading beats the untrained network's, with an interval "
    "above 0 at 95 % over all pairs of factor and sigma (Bonferroni): confirmed. No pair better in the mean: not "
    "confirmed.",
    _noise_settings, _noise_only, _judge_noise,
)  # fmt: skip


# DJ-5: which augmentations are best depends on the task.

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
    return _settings(SEEDS[budget], base, views=list(VIEWS))


def _some_views(setting: Setting) -> Iterator[Values | None]:
    loss = partial(nt_xent, temperature=0.2)
    state = yield from _trained(setting, joint_embedding(loss, VIEWS[setting["views"]]))
    yield _factors(setting, state.model)


def _judge_views(measurements: Sequence[Measurement]) -> Finding:
    factors = list(measurements[0].values)
    best = {
        name: max(VIEWS, key=lambda views: statistics.fmean(of(measurements, name, views=views))) for name in factors
    }
    # of the set that is best for most factors, what it loses where another is best
    common = statistics.mode(best.values())
    losses = {
        name: interval(minus(of(measurements, name, views=winner), of(measurements, name, views=common)))
        for name, winner in best.items()
        if winner != common
    }
    if not losses:
        score = interval(of(measurements, factors[0], views=common))
        return Finding("not confirmed", *score, f"{factors[0]} with {common!r}, the best set for every factor")
    name, (effect, ci) = max(losses.items(), key=lambda item: item[1][1][0])
    what = f"lost in reading {name} by {common!r}, best for most factors, to {best[name]!r} (accuracy or R2)"
    return Finding("confirmed" if ci[0] > 0 else "inconclusive", effect, ci, what)


DJ5 = Claim(
    "DJ-5", PAPER,
    "No set of augmentations is best for every downstream task.",
    "The set that is best for most factors of the shapes loses to another one on some factor, with a 95 % interval "
    "above 0: confirmed. One set is best for all factors: not confirmed.",
    _view_settings, _some_views, _judge_views,
)  # fmt: skip
