"""Shared parts of the claims: data in three parts, training runs, what probes read from a representation, baselines.

Every setting trains with its own seed on the same images. Two settings with the same seed share the initial weights and
the order of images. Learning rates are chosen on a validation split, and scores are measured on the test set.
"""

import statistics
from collections.abc import Generator, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from torch import Tensor, nn

from ssl_toolkit.claims.study import Budget, Finding, Values, decide, values_of
from ssl_toolkit.data import Dataset, Source, load_data
from ssl_toolkit.encoders import embed, pixels
from ssl_toolkit.joint import JointRecipe, Views
from ssl_toolkit.probes import few_labels, linear_probe, rankme, read_factors
from ssl_toolkit.training import Objective, TrainState, train
from ssl_toolkit.training.intervals import paired_interval
from ssl_toolkit.training.sweep import Cell, Setting, grid

VALIDATION, TEST, LABELS = 2000, 5000, 100  # validation images, test images, labels per class for a probe


class Parts(NamedTuple):
    """The images to train on, to choose learning rates on, and to measure scores on."""

    train: Dataset
    validation: Dataset
    test: Dataset


@lru_cache(maxsize=2)
def parts(name: str, limit: int, size: int | None = None) -> Parts:
    """The training, validation and test images, resized to `size` pixels if given."""
    data = load_data(name, size=size, limit=limit + VALIDATION)
    return Parts(data[:limit], data[limit:], load_data(name, split="test", size=size, limit=TEST))


# Settings of the stored measurements, whatever suits the data since.
MEASURED: dict[str, Any] = {**Views((0.3, 1.0), 0.5, 0.8, 0.2, 0.2)._asdict(), "temperature": 0.2}
POINTS = 20  # points of the loss curve that a run yields


def trained(setting: Setting, objective: Objective | None = None) -> Generator[Values | None, None, TrainState]:
    """Train SimCLR with the tuned recipe and this setting. After each step, yield None, or sometimes the loss."""
    data = parts(setting["data"], setting["limit"]).train
    recipe = JointRecipe(**{name: setting[name] for name in ("steps", "batch_size", "lr", "width", "seed")}, **MEASURED)
    state = recipe.start(data)
    yield from trained_on(setting, state, data, objective or recipe.objective(data))
    return state


def trained_on(
    setting: Setting, state: TrainState, data: Dataset | Source, objective: Objective
) -> Iterator[Values | None]:
    """Run all steps of the setting. After each, yield None, or sometimes the loss."""
    until = setting["steps"]
    every = max(1, until // POINTS)
    for step in train(state, data, objective, until=until, batch_size=setting["batch_size"], seed=setting["seed"]):
        yield {"step": step.step, "loss": round(step.loss, 4)} if step.step % every == 0 else None


def classes_read(setting: Setting, model: nn.Module | None) -> Values:
    """Train a linear probe of the classes on `LABELS` labels of each; it reads raw pixels if there is no model."""

    def z(data: Dataset) -> Tensor:
        return pixels(data.images) if model is None else embed(model, data.images)

    images = parts(setting["data"], setting["limit"])
    few = images.train[few_labels(images.train.labels, LABELS, seed=setting["seed"])]
    features, test = z(few), z(images.test)
    probe = linear_probe(features, few.labels, test, images.test.labels, weight_decays=(1e-2,))
    validation = (probe.predict(z(images.validation)) == images.validation.labels).float().mean().item()
    return {"test": probe.accuracy, "validation": validation, "rankme": rankme(test[:1000])}


def baseline(setting: Setting) -> Iterator[Values | None]:
    """Measure raw pixels, or the network before training."""
    if setting["method"] == "pixels":
        yield classes_read(setting, None)
    else:
        yield classes_read(setting, before_training(setting))


def before_training(setting: Setting) -> nn.Module:
    """The network that `trained` starts from with this seed."""
    recipe = JointRecipe(width=setting["width"], seed=setting["seed"])
    return recipe.start(parts(setting["data"], setting["limit"]).train).model


def over_seeds(seeds: int, base: Setting, **axes: Sequence) -> list[Setting]:
    """The product of the axes with the seeds, seed by seed, so that stopping early leaves complete comparisons."""
    return [base | setting for setting in grid(seed=range(seeds), **axes)]


def five_seeds(first: int, budget: Budget, base: Setting, **axes: Sequence) -> list[Setting]:
    """The product of the axes with five seeds from `first` on, three at the smoke budget, seed by seed."""
    seeds = range(first, first + (3 if budget == "smoke" else 5))
    return [base | setting | {"seed": seed} for seed in seeds for setting in (grid(**axes) if axes else [{}])]


BASE = {"method": "simclr", "data": "fashion-mnist", "limit": 8000, "width": 256, "batch_size": 64, "lr": 2e-3}
STEPS: dict[Budget, int] = {"smoke": 40, "standard": 400, "full": 4000}
SEEDS: dict[Budget, int] = {"smoke": 3, "standard": 3, "full": 5}


def baselines(budget: Budget) -> list[Setting]:
    """The settings of the baselines: raw pixels and the untrained net."""
    return over_seeds(SEEDS[budget], BASE | {"steps": 0}, method=("pixels", "untrained"))


def at_best(cells: Sequence[Cell], name: str, **setting: object) -> list[float]:
    """Test scores per seed, at the value of `name` with the best mean on the validation split."""
    agreeing = [cell for cell in cells if all(cell.setting.get(key) == value for key, value in setting.items())]
    values = {cell.setting[name] for cell in agreeing}
    best = max(values, key=lambda v: statistics.fmean(values_of(agreeing, "validation", **{name: v})))
    return values_of(agreeing, "test", **{name: best})


def points(difference: tuple[float, tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    """A difference and its interval in percentage points."""
    mean, (low, high) = difference
    return 100 * mean, (100 * low, 100 * high)


def factors_read(setting: Setting, model: nn.Module) -> Values:
    """Read every factor of the shapes with probes trained on 5,000 images, and score them on the test set."""
    images = parts(setting["data"], setting["limit"])
    some = images.train[:5000]
    readings = read_factors(
        embed(model, some.images), some.factors, embed(model, images.test.images), images.test.factors
    )
    return {name: reading.score for name, reading in readings.items()}


def against_baselines(scores: list[float], rank: float, cells: Sequence[Cell], what: str) -> Finding:
    """Confirmed if better than the untrained network and raw pixels, with a rank above 2."""
    over = {name: paired_interval(scores, values_of(cells, "test", method=name)) for name in ("untrained", "pixels")}
    result = decide(
        confirmed=all(low > 0 for _, (low, _) in over.values()) and rank > 2,
        refuted=over["untrained"][0] <= 0 or rank <= 2,
    )
    effect, ci = points(over["untrained"])
    return Finding(
        result, effect, ci, f"{what} over the untrained net ({100 * over['pixels'][0]:+.1f} over raw pixels)"
    )
