"""DJ-6: where a probe reads, and when it stops.

The control of the pool on shapes is trained for each seed. 100 labels of each class are read linearly, from the
representation and from the embedding, and by an MLP for 300 epochs, whose best one is chosen on 2,000 images.
"""

from collections.abc import Iterator, Sequence

from ssl_toolkit.claims.common import parts, trained_on
from ssl_toolkit.claims.protocol import Control, Result, beyond
from ssl_toolkit.claims.shapes_training import POWER, better_baseline, mean_of, pool
from ssl_toolkit.claims.study import Budget, Claim, Finding, Values, values_of
from ssl_toolkit.encoders import embed, pixels
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.probes import few_labels, linear_probe, mlp_probe
from ssl_toolkit.training.intervals import differences, mean_interval
from ssl_toolkit.training.sweep import Cell, Setting

PAPER = "Towards Democratizing Joint-Embedding SSL (arXiv 2303.01986)"
LABELS = 100  # of each class, to train a probe on


def _settings(budget: Budget) -> list[Setting]:
    more = {"epochs": 20, "held out": 50} if budget == "smoke" else {"epochs": 300, "held out": 250}  # of each class
    settings = pool(first=200)(budget)
    return [{name: value for name, value in s.items() if name != "widest"} | more for s in settings]


def _probes(setting: Setting) -> Iterator[Values | None]:
    """Read the class from raw pixels or a net; with SimCLR also from the embedding, and by an MLP, epoch by epoch."""
    images, seed = parts(setting["data"], setting["limit"]), setting["seed"]
    held_out, test = setting["held out"], images.test
    some = images.train[few_labels(images.train.labels, LABELS + held_out, seed=seed)]
    few = some[few_labels(some.labels, LABELS, seed=seed)]
    if setting["method"] == "pixels":
        probe = linear_probe(pixels(few.images), few.labels, pixels(test.images), test.labels, weight_decays=(1e-2,))
        yield {"representation": probe.accuracy}
        return
    recipe = JointRecipe(
        **{name: setting[name] for name in ("batch_size", "lr", "width", "seed", "temperature")},
        steps=max(1, setting["steps"]), projector=tuple(setting["projector"]),
    )  # fmt: skip
    state, values = recipe.start(images.train), {}
    if setting["method"] == "simclr":
        yield from trained_on(setting, state, images.train, recipe.objective(images.train))
    z, z_test = embed(state.model, few.images, depth=None), embed(state.model, test.images, depth=None)
    for depth in ("representation", "embedding"):
        probe = linear_probe(z[depth], few.labels, z_test[depth], test.labels, weight_decays=(1e-2,))
        values[depth] = probe.accuracy
        yield None
    if setting["method"] == "simclr":
        h, h_test = embed(state.model, some.images), z_test["representation"]
        share = held_out / (LABELS + held_out)
        for mlp in mlp_probe(
            h, some.labels, h_test, test.labels, epochs=setting["epochs"], patience=None, validation=share, seed=seed
        ):
            yield {"epoch": len(mlp.validation), "MLP": mlp.last_accuracy}
        values |= {"MLP": mlp.accuracy, "MLP at the last epoch": mlp.last_accuracy, "best epoch": float(mlp.best)}
    yield values


def _found(cells: Sequence[Cell], result: Result, each: list[float], what: str) -> Finding:
    def read(method: str) -> list[float]:
        return values_of(cells, "representation", method=method)

    over = [100 * d for d in differences(read("simclr"), better_baseline(read))]
    control = Control("SimCLR's points over the better of raw pixels and the untrained net", *mean_interval(over), 10.0)
    if not control.passed:
        result, what = "inconclusive", f"{what} (nothing was learned here: {control})"
    return Finding(result, *mean_interval(each), what, tuple(each), control)


def _judge_where(cells: Sequence[Cell]) -> Finding:
    depths = (values_of(cells, depth, method="simclr") for depth in ("representation", "embedding"))
    gain = [100 * d for d in differences(*depths)]
    what = "points of the class gained by probing the representation, not the projector's output"
    return _found(cells, beyond(mean_interval(gain)[1], 2.0), gain, what)


def _judge_when(cells: Sequence[Cell]) -> Finding:
    best, last, epoch = (
        values_of(cells, name, method="simclr") for name in ("MLP", "MLP at the last epoch", "best epoch")
    )
    lost = [100 * d for d in differences(best, last)]
    linear = [100 * d for d in differences(best, values_of(cells, "representation", method="simclr"))]
    what = (
        f"points of the class that an MLP probe loses from its best epoch ({min(epoch):.0f} to {max(epoch):.0f}) to "
        f"the last; at its best it is {mean_of(linear)} points above a linear probe"
    )
    return _found(cells, beyond(mean_interval(lost)[1], 1.0), lost, what)


DJ6 = Claim(
    "DJ-6", PAPER,
    "It matters where you probe: the representation is read better than the projector's output.",
    "The linear probe of the representation is more than 2 points better at the class than that of the embedding, with "
    "a 95 % interval: confirmed. The interval lies below 2 points: not confirmed.",
    _settings, _probes, _judge_where, cells_of="DJ-6-v2", version="2",
    section="probes at each layer of the projector, as quoted in the SSL Cookbook, section 3.7.1", sesoi=2.0,
    unit="points of accuracy", power=POWER, minutes=4,
    why="Version 1 asked two things at once, and its MLP trained for 60 epochs. Its first rule only asked that the "
    "best epoch comes before the last, as it does without overfitting too, and was made stricter after a look.",
)  # fmt: skip
DJ6B = Claim(
    "DJ-6b", PAPER,
    "It matters when a probe stops: an MLP probe overfits, so that its best epoch is not its last.",
    "On test images, an MLP probe trained for 300 epochs on 100 labels of each class loses more than 1 point from its "
    "best epoch, chosen on 2,000 other images, to its last, with a 95 % interval: confirmed. The interval lies below 1 "
    "point: not confirmed.",
    _settings, _probes, _judge_when, cells_of="DJ-6-v2", version="2",
    section="figure 13 of the SSL Cookbook, which quotes the paper", sesoi=1.0, unit="points of accuracy", power=POWER,
    minutes=4, why="New: a part of version 1 of DJ-6.",
)  # fmt: skip
CLAIMS = (DJ6, DJ6B)
