"""The pool of measurements that claims on the shapes share: train SimCLR where it learns, and read every factor.

    {"method": "simclr", "views": "full", "negatives": None, "temperature": 0.1, "projector": [256, 128], ...}

`CONTROL` is SimCLR as `Recipe` trains it, which every claim needs as its positive control; each claim varies one or two
of its settings. A setting that several claims name is measured once. Nets with the same seed start from the same
weights, see the images in the same order, and are read with the same 4,000 labels.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ssl_toolkit.augment import Augment, compose, gaussian_noise, simclr_views
from ssl_toolkit.claims.common import Parts, parts, trained_on
from ssl_toolkit.claims.protocol import Control, Result
from ssl_toolkit.claims.study import Budget, Finding, Values, values_of
from ssl_toolkit.data import Dataset, FewClasses, as_float, rng
from ssl_toolkit.data.shapes import SHAPES, TEXTURES
from ssl_toolkit.encoders import embed, pixels, small_conv
from ssl_toolkit.joint import JointRecipe, against_a_patch, joint_embedding
from ssl_toolkit.losses import nt_xent
from ssl_toolkit.probes import mlp_probe, rankme, read_factors
from ssl_toolkit.probes.width import binary_codes, random_relu, zero_fraction
from ssl_toolkit.training import Objective, start
from ssl_toolkit.training.intervals import differences, mean_interval
from ssl_toolkit.training.sweep import Cell, Setting

POOL = "shapes-v2"  # the file
POWER = (
    "In a pilot with three other seeds (900 to 902) effects varied from seed to seed by a standard deviation of 0.10 "
    "(the share kept by one negative), 1.3 points (two trained nets) and 3.9 points (one negative over its baseline). "
    "With 80 % power, five seeds tell what lies 1.66 standard deviations from the SESOI, and ten what lies 1.0."
)
LABELED = 4000  # images with labels, for the probes
TESTED = 3000
FIRST = 100  # the first seed that judges; those below judged version 1, and pilots start at 900
WIDTH, WIDEST = 256, 2048
UNTRAINED: Setting = {"method": "untrained", "steps": 0}

_PLAIN = {"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "gray": 0.0}
VIEWS: dict[str, Augment] = {
    "crop": simclr_views(32, scale=(0.5, 1.0), **_PLAIN),
    "crop and gray": simclr_views(32, scale=(0.5, 1.0), **(_PLAIN | {"gray": 0.2})),
    "color": simclr_views(
        32, scale=(1.0, 1.0), flip=0.0, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.5, gray=0.2
    ),
    "noise": compose(gaussian_noise(0.1)),
}


def control(budget: Budget, data: str = "shapes") -> Setting:
    """SimCLR with the recipe's views; its width is a quarter of the recipe's, so that a run takes 20 seconds."""
    return {
        "method": "simclr", "data": data, "limit": 1500 if budget == "smoke" else 8000, "views": "full",
        "negatives": None, "patch": False,
        "temperature": 0.1, "projector": [256, 128], "width": WIDTH, "lr": 2e-3, "batch_size": 64,
        "steps": {"smoke": 40, "standard": 300, "full": 2000}[budget],
    }  # fmt: skip


def pool(
    *varied: Setting, data: str = "shapes", seeds: int = 5, first: int = FIRST
) -> Callable[[Budget], list[Setting]]:
    """The control, the two baselines, and the control with each of these changes; seed by seed."""

    def settings(budget: Budget) -> list[Setting]:
        base = control(budget, data)
        baselines = [base | UNTRAINED, base | UNTRAINED | {"method": "pixels"}]
        each = [base | {"widest": WIDEST}, *baselines, *(base | change for change in varied)]
        n = {"smoke": 3, "standard": seeds, "full": 2 * seeds}[budget]
        return [setting | {"seed": seed} for seed in range(first, first + n) for setting in each]

    return settings


def in_garments(*varied: Setting) -> Callable[[Budget], list[Setting]]:
    """The same changes in the second world, garments in the wild, with three seeds; not at the smoke budget."""
    return lambda budget: [] if budget == "smoke" else pool(*varied, data="garments", seeds=3)(budget)


def learned(setting: Setting) -> Iterator[Values | None]:
    """Train the setting's net, then score the reading of each factor on test and, after training, on validation images.

    The control also holds the class's score from as many random ReLU features of its representation as the widest net
    has, which is what more numbers for a probe are worth without more training.
    """
    images = parts(setting["data"], setting["limit"])
    if setting["method"] == "pixels":
        yield from _read(setting, images, pixels)
        return
    recipe = JointRecipe(
        "simclr" if setting["method"] == "untrained" else setting["method"],
        **{name: setting[name] for name in ("batch_size", "lr", "width", "seed", "temperature")},
        steps=max(1, setting["steps"]), projector=tuple(setting["projector"]),
    )  # fmt: skip
    state = recipe.start(images.train)
    if "net" in setting:  # the same net, but for where its parameters are
        shape = {name: setting[name] for name in ("planes", "blocks") if name in setting}
        model = small_conv(3, width=recipe.width, projector=recipe.projector, seed=recipe.seed, **shape)
        state = start(model, lr=recipe.lr, weight_decay=recipe.weight_decay, warmup=recipe.warmup, total=recipe.steps)
    if setting["method"] != "untrained":
        source = FewClasses(images.train) if "sampling" in setting else images.train
        yield from trained_on(setting, state, source, _objective(setting, recipe, images.train))
    yield from _read(setting, images, lambda x: embed(state.model, x))


def _objective(setting: Setting, recipe: JointRecipe, data: Dataset) -> Objective:
    augment = recipe.augment(data) if setting["views"] == "full" else VIEWS[setting["views"]]
    if setting["patch"]:
        patch = as_float(data.images[:1, :, 8:24, 8:24])  # the middle of the first image, for the whole run
        return against_a_patch(augment, patch, temperature=setting["temperature"])
    if setting["method"] != "simclr":
        return recipe.objective(data)
    loss = partial(nt_xent, temperature=setting["temperature"], negatives=setting["negatives"])
    return joint_embedding(loss, augment, stochastic=True)


def _read(setting: Setting, images: Parts, features: Callable[[Tensor], Tensor]) -> Iterator[Values | None]:
    order = torch.randperm(len(images.train), generator=rng(setting["seed"], 0, "labeled"))
    some, test, held_out = images.train[order[:LABELED]], images.test[:TESTED], images.validation
    z = features(some.images)
    yield None
    z_test, told, asked = features(test.images), _factors(some), _factors(test)
    yield None
    values: Values = {name: reading.score for name, reading in read_factors(z, told, z_test, asked).items()}
    if setting["method"] == "pixels":
        yield values
        return
    yield None
    if setting["method"] != "untrained":  # what is chosen among
        validated = read_factors(z, told, features(held_out.images), _factors(held_out))
        values |= {f"{name}, validation": reading.score for name, reading in validated.items()}
        yield None
    of_class, asked_class = {"class": some.labels}, {"class": test.labels}
    if "widest" in setting:
        random, random_test = random_relu(z, z_test, width=setting["widest"], seed=setting["seed"])
        values["class, random"] = read_factors(random, of_class, random_test, asked_class)["class"].score
        yield None
    codes, codes_test = binary_codes(z).float(), binary_codes(z_test).float()
    values["class, bits"] = read_factors(codes, of_class, codes_test, asked_class)["class"].score
    if "mlp" in setting:
        for mlp in mlp_probe(z, some.labels, z_test, test.labels, epochs=setting["mlp"], seed=setting["seed"]):
            values["class, MLP"] = mlp.accuracy
            yield None
    # the share of images of which at least half of h is exactly 0
    values["h, half zero"] = (zero_fraction(z_test) >= 0.5).float().mean().item()
    yield values | {"h, RankMe": rankme(z_test[:1000])}


def _factors(data: Dataset) -> dict[str, Tensor]:
    """The class and all other factors; on the shapes, the class is the shape."""
    return {"class": data.labels} | {name: v for name, v in data.factors.items() if name not in ("class", "shape")}


# Tools for judges. Scores of cells are lists with a value for each seed.

_CONTROL = {name: value for name, value in control("standard").items() if name not in ("data", "limit", "steps")}
_CHANCE = {"shapes": {"class": 1 / len(SHAPES), "texture": 1 / len(TEXTURES)}, "garments": {"class": 0.1, "flip": 0.5}}


def scores(cells: Sequence[Cell], value: str = "class", **changes: Any) -> list[float]:
    """This value of the control with these changes."""
    return values_of(cells, value, **(_CONTROL | changes))


def shares(cells: Sequence[Cell], factor: str, *, of: str = "", **changes: Any) -> list[float]:
    """The share of the way from chance to a perfect reading: one unit for accuracy and R2."""
    chance = _CHANCE[cells[0].setting["data"]].get(factor, 0.0)
    return [(score - chance) / (1 - chance) for score in scores(cells, f"{factor}{of}", **changes)]


def factors(cells: Sequence[Cell]) -> list[str]:
    """The factors that were read."""
    return [name for name in cells[0].result if ", " not in name]


def better_baseline(read: Callable[..., list[float]]) -> list[float]:
    """The better one of raw pixels and the untrained net, for each seed."""
    return [max(pair) for pair in zip(read(method="pixels"), read(method="untrained"), strict=True)]


def over_baselines(cells: Sequence[Cell], **changes: Any) -> list[float]:
    """Points of the class that the control with these changes gains over the better baseline."""
    read = partial(scores, cells)
    return [100 * gain for gain in differences(read(**changes), better_baseline(read))]


def live(cells: Sequence[Cell], margin: float = 10.0) -> Control:
    """The positive control: SimCLR with all negatives and the recipe's views has learned the class."""
    return Control(
        "SimCLR's points over the better of raw pixels and the untrained net", *mean_interval(over_baselines(cells)),
        margin,
    )  # fmt: skip


def found(
    cells: Sequence[Cell], result: Result, each: Sequence[float], what: str, *, control: Control | None = None
) -> Finding:
    """A finding about these effects, one of each seed: inconclusive where the control (`live`) has learned nothing."""
    control = control or live(cells)
    return Finding(
        result if control.passed else "inconclusive", *mean_interval(each),
        what if control.passed else f"{what} (nothing was learned here: {control})", tuple(each), control,
    )  # fmt: skip


def mean_of(each: Sequence[float]) -> str:
    """A mean with its interval, for the words of a finding."""
    mean, (low, high) = mean_interval(each)
    return f"{mean:.3g} [{low:.3g}, {high:.3g}]"


def best_on_validation(cells: Sequence[Cell], name: str, values: Sequence[Any], **changes: Any) -> Any:
    """The value of this setting with the best mean score of the class on validation images."""
    return max(values, key=lambda v: statistics.fmean(scores(cells, "class, validation", **(changes | {name: v}))))
