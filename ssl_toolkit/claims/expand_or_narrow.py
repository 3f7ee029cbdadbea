"""The claims of *Expand or Narrow your representation* (Bordes et al., 2023), on shapes and a small net.

Only the last block changes, and with it the width D of the representation. Like the paper, we use projectors of K
outputs. The controls are the same nets untrained, random ReLU features of the default width's representation, the wide
representation narrowed by PCA, and a probe with its weight decay tuned for each width.
"""

import math
import statistics
from collections.abc import Iterator, Sequence

from ssl_toolkit.claims.common import SEEDS, over_seeds, parts, points, trained_on
from ssl_toolkit.claims.expand_or_narrow_training import (
    CLASSIFIER,
    DEFAULT,
    PAPER,
    WIDTHS,
    at_home,
    basis,
    begin,
    by_seed,
    encoder_of,
    means_by_width,
    measured,
    slope,
    slopes,
)
from ssl_toolkit.claims.study import Budget, Claim, Finding, Result, Values, decide, rank_correlation, values_of
from ssl_toolkit.data import batch
from ssl_toolkit.encoders import embed
from ssl_toolkit.losses import nt_xent
from ssl_toolkit.probes import linear_probe, mlp_probe
from ssl_toolkit.probes.width import binary_codes, gradient_rank, zero_fraction
from ssl_toolkit.training.intervals import mean_interval, paired_interval
from ssl_toolkit.training.sweep import Cell, Setting

# EN-1: the gradient reaches no more directions than the projector has outputs.


def _rank_settings(budget: Budget) -> list[Setting]:
    widths, outputs = ((8, 64), (4, 32)) if budget == "smoke" else ((8, 64, 512), (4, 32, 256))
    base = basis(budget) | {"steps": 0 if budget == "smoke" else 20}
    return [s | {"projector": [s["k"]]} for s in over_seeds(SEEDS[budget], base, width=widths, k=outputs)]


def _rank(setting: Setting) -> Iterator[Values | None]:
    state, objective = begin(setting)
    data = parts(setting["data"], setting["limit"])
    yield from trained_on(setting, state, data.train, objective)
    images = batch(data.train, 0, batch_size=600, seed=setting["seed"]).images
    yield {"rank": float(gradient_rank(encoder_of(state), images, lambda z: nt_xent(*z.chunk(2))))}


def _judge_rank(cells: Sequence[Cell]) -> Finding:
    def share(run: Sequence[Cell]) -> float:
        return statistics.fmean(c.result["rank"] / min(c.setting["width"], c.setting["k"]) for c in run)

    most = max(c.result["rank"] - min(c.setting["width"], c.setting["k"]) for c in cells)
    effect, ci = mean_interval(by_seed(cells, share))
    result: Result = "confirmed" if most <= 0 else "not confirmed"
    return Finding(result, effect, ci, f"of min(D, K), reached by the gradient's rank (at most {most:+.0f} beyond it)")


EN1 = Claim(
    "EN-1", PAPER,
    "With a linear projector of K outputs, the loss pushes representations of D features in at most min(D, K) "
    "directions.",
    "The stacked gradients of 600 images have a rank of at most min(D, K) for every D and K: confirmed. One rank "
    "above it: not confirmed.",
    _rank_settings, _rank, _judge_rank,
)  # fmt: skip


# EN-2: with self-supervision, a wider representation is better.


def _wide_settings(budget: Budget) -> list[Setting]:
    return over_seeds(SEEDS[budget], basis(budget), method=("simclr", "untrained"), width=WIDTHS[budget])


def _judge_wide(cells: Sequence[Cell]) -> Finding:
    trained = [cell for cell in cells if cell.setting["method"] == "simclr"]
    means = means_by_width(trained, "test")
    widest = max(means)
    wide, default = (values_of(trained, "test", width=w) for w in (widest, DEFAULT))
    gain, ci = points(paired_interval(wide, default))
    random, random_ci = points(paired_interval(wide, values_of(trained, "test, random", width=DEFAULT)))
    narrow, _ = points(paired_interval(values_of(trained, "test, narrowed", width=widest), default))
    bare, _ = points(
        paired_interval(*(values_of(cells, "test", method="untrained", width=w) for w in (widest, DEFAULT)))
    )
    fixed, _ = points(paired_interval(*(values_of(trained, "fixed decay", width=w) for w in (widest, DEFAULT))))
    rho = rank_correlation(list(means), list(means.values()))
    result = decide(confirmed=ci[0] > 0 and rho >= 0.8 and random_ci[0] > 0, refuted=gain <= 0 or rho <= 0)
    what = (
        f"points gained by D = {widest} over {DEFAULT} (rank correlation {rho:.2f}; {random:+.1f} over random ReLU "
        f"features of D = {DEFAULT}; {narrow:+.1f} once narrowed by PCA; {fixed:+.1f} without a tuned weight decay; "
        f"{bare:+.1f} untrained)"
    )
    return Finding(result, gain, ci, what)


EN2 = Claim(
    "EN-2", PAPER,
    "The wider the last block, the better a self-supervised representation is on its own data.",
    "The probe's accuracy grows with D (Spearman's correlation of the means at least 0.8), the widest net is better "
    "than the default with a 95 % interval above 0, and better than as many random ReLU features of the default, with "
    "an interval above 0: confirmed. No better on average, or no growth: not confirmed.",
    _wide_settings, measured, _judge_wide,
)  # fmt: skip


# EN-3: with labels, a narrow representation is better on the labels' own task, and a wide one on other tasks.


def _supervised_settings(budget: Budget) -> list[Setting]:
    base = basis(budget) | {"method": "supervised", "projector": CLASSIFIER}
    return over_seeds(SEEDS[budget], base, width=WIDTHS[budget])


def _judge_supervised(cells: Sequence[Cell]) -> Finding:
    home, away = (mean_interval(slopes(cells, value)) for value in ("test", "transfer"))
    apart = paired_interval(slopes(cells, "transfer"), slopes(cells, "test"))
    result = decide(
        confirmed=away[1][0] > 0 and (home[1][1] <= 0 or apart[1][0] > 0), refuted=away[0] <= 0 or apart[0] <= 0
    )
    effect, ci = points(apart)
    wide = [cell for cell in cells if cell.setting["width"] >= DEFAULT]
    beyond, (low, high) = points(paired_interval(slopes(wide, "transfer"), slopes(wide, "test")))
    what = (
        f"points more per doubling of D on the factors than on the class ({100 * away[0]:+.2f} and "
        f"{100 * home[0]:+.2f}; from D = {DEFAULT} up {beyond:+.1f} [{low:.1f}, {high:.1f}])"
    )
    return Finding(result, effect, ci, what)


EN3 = Claim(
    "EN-3", PAPER,
    "With supervision, a wider representation gains more on tasks that the labels do not cover than on their own.",
    "Over log2 D, the mean score on the factors that the labels do not cover rises with a 95 % interval above 0, and "
    "the accuracy on the class falls, or rises less with an interval: confirmed. The factors' score does not rise on "
    "average, or rises no more than the accuracy on the class: not confirmed.",
    _supervised_settings, measured, _judge_supervised,
)  # fmt: skip


# EN-4: if batches hold only two classes, D / K matters.


def _shorter(budget: Budget) -> Setting:
    """The basis with fewer steps, for claims that need many runs."""
    return basis(budget) | {"steps": round(0.75 * basis(budget)["steps"])}


def _sampling_settings(budget: Budget) -> list[Setting]:
    widths, outputs = ((DEFAULT,), (8, 128)) if budget == "smoke" else ((32, 512), (8, 512))
    settings = over_seeds(
        SEEDS[budget], _shorter(budget), sampling=("balanced", "two classes"), width=widths, k=outputs
    )
    return [s | {"projector": [s["k"]]} for s in settings]


def _judge_sampling(cells: Sequence[Cell]) -> Finding:
    def within_widths(run: Sequence[Cell]) -> float:
        """The least-squares slope over ln(D / K) with a separate intercept for each D: center per D, then fit."""
        centered = []
        for width in {cell.setting["width"] for cell in run}:
            same = [cell for cell in run if cell.setting["width"] == width]
            x = [math.log(width / cell.setting["k"]) for cell in same]
            y = [cell.result["test"] for cell in same]
            centered += [(a - statistics.fmean(x), b - statistics.fmean(y)) for a, b in zip(x, y, strict=True)]
        return slope(centered)

    fits = {
        sampling: mean_interval(by_seed([c for c in cells if c.setting["sampling"] == sampling], within_widths))
        for sampling in ("balanced", "two classes")
    }
    (two, ci), (balanced, (low, high)) = points(fits["two classes"]), points(fits["balanced"])
    result = decide(confirmed=ci[0] > 0 and low <= 0 <= high, refuted=two <= 0)
    what = f"points per e-fold of D / K with two classes in a batch ({balanced:+.2f} with balanced batches)"
    return Finding(result, two, ci, what)


EN4 = Claim(
    "EN-4", PAPER,
    "With a linear projector of K outputs, a larger D / K is better if batches hold two classes, but not if they are "
    "balanced.",
    "Accuracy over ln(D / K), with a separate intercept for each D, rises with a 95 % interval above 0 if batches hold "
    "two classes, and the interval includes 0 if they are balanced: confirmed. It does not rise on average: not "
    "confirmed.",
    _sampling_settings, at_home, _judge_sampling,
)  # fmt: skip


# EN-5: without a projector the representation is worse.


def _projector_settings(budget: Budget) -> list[Setting]:
    base = basis(budget) | {"width": 512}
    return over_seeds(SEEDS[budget], base, projector=([], [32], [128], [256, 128]))


def _judge_projector(cells: Sequence[Cell]) -> Finding:
    without = values_of(cells, "test", projector=[])
    gaps = {k: paired_interval(values_of(cells, "test", projector=[k]), without) for k in (32, 128)}
    k = max(gaps, key=lambda k: gaps[k][0])
    gap, ci = points(gaps[k])
    mlp, _ = points(paired_interval(values_of(cells, "test", projector=[256, 128]), without))
    result = decide(confirmed=gap >= 5 and ci[0] > 0, refuted=ci[1] < 5)
    return Finding(
        result, gap, ci, f"points lost without a projector against a linear one of {k} ({mlp:.1f} against an MLP)"
    )


EN5 = Claim(
    "EN-5", PAPER,
    "Without a projector, with the loss on the representation itself, SimCLR learns a worse representation.",
    "The better of two linear projectors, of 32 and of 128 outputs, is at least 5 points better than none with a 95 % "
    "interval above 0: confirmed. The interval lies below 5 points: not confirmed.",
    _projector_settings, at_home, _judge_projector,
)  # fmt: skip


# EN-6: wide representations are sparse, linear and binary.


def _form_settings(budget: Budget) -> list[Setting]:
    return over_seeds(SEEDS[budget], basis(budget), width=WIDTHS[budget])


def _form(setting: Setting) -> Iterator[Values | None]:
    state, objective = begin(setting)
    images = parts(setting["data"], setting["limit"])
    yield from trained_on(setting, state, images.train, objective)
    z, z_test = (embed(encoder_of(state), data.images) for data in (images.train, images.test))
    y, y_test = images.train.labels, images.test.labels
    linear = linear_probe(z, y, z_test, y_test).accuracy
    yield None
    codes, codes_test = binary_codes(z).float(), binary_codes(z_test).float()
    binary = linear_probe(codes, y, codes_test, y_test).accuracy
    yield None
    for probe in mlp_probe(z, y, z_test, y_test, epochs=15, seed=setting["seed"]):
        mlp = probe.accuracy
        yield None
    yield {
        "test": linear, "zero fraction": zero_fraction(z_test).mean().item(),
        "half zero": (zero_fraction(z_test) >= 0.5).float().mean().item(),
        "mlp gap": mlp - linear, "binary drop": linear - binary,
    }  # fmt: skip


def _judge_form(cells: Sequence[Cell]) -> Finding:
    signs = {"zero fraction": 1, "mlp gap": -1, "binary drop": -1}
    fits = {name: mean_interval(slopes(cells, name)) for name in signs}
    towards = {name: sorted((signs[name] * low, signs[name] * high)) for name, (_, (low, high)) in fits.items()}
    result = decide(
        confirmed=all(low > 0 for low, _ in towards.values()),
        refuted=any(signs[name] * mean <= 0 for name, (mean, _) in fits.items()),
    )
    (zero, ci), *others = (points(fit) for fit in fits.values())
    words = ", ".join(f"{name} {mean:+.2f}" for name, (mean, _) in zip(list(signs)[1:], others, strict=True))
    return Finding(result, zero, ci, f"points more zeros per doubling of D ({words})")


EN6 = Claim(
    "EN-6", PAPER,
    "Wider self-supervised representations are sparser, can be read just as well linearly, and lose less when made "
    "binary.",
    "Over log2 D, the share of zeros rises, the gap between an MLP probe and a linear one shrinks, and the loss from "
    "binary features shrinks, each with a 95 % interval on its side of 0: confirmed. One of them is flat or reversed "
    "on average: not confirmed.",
    _form_settings, _form, _judge_form,
)  # fmt: skip


# EN-7: the same number of parameters elsewhere does less with self-supervision, and more with labels.

NETS: dict[str, Setting] = {  # each with 0.56 M parameters
    "last block": {"width": 2048},
    "deeper": {"width": DEFAULT, "blocks": 2},
    "wider": {"width": DEFAULT, "planes": [59, 118, 236]},
}


def _net_settings(budget: Budget) -> list[Setting]:
    base = _shorter(budget)
    told = {"simclr": base["projector"], "supervised": CLASSIFIER}
    settings = over_seeds(SEEDS[budget], base, method=list(told), net=list(NETS))
    return [s | NETS[s["net"]] | {"projector": told[s["method"]]} for s in settings]


def _judge_nets(cells: Sequence[Cell]) -> Finding:
    gains = {}
    for method in ("simclr", "supervised"):
        others = ("deeper", "wider")
        best = max(others, key=lambda net: statistics.fmean(values_of(cells, "test", method=method, net=net)))
        scores = [values_of(cells, "test", method=method, net=net) for net in ("last block", best)]
        gains[method] = (*points(paired_interval(*scores)), best)
    (ssl, ci, best), (told, told_ci, told_best) = gains.values()
    result = decide(confirmed=ci[0] > 0 and told <= 0, refuted=ssl <= 0 or told_ci[0] > 0)
    what = f"points gained by a wide last block over a {best} net ({told:+.1f} over a {told_best} one, supervised)"
    return Finding(result, ssl, ci, what)


EN7 = Claim(
    "EN-7", PAPER,
    "With self-supervision, parameters in the last block do more than as many in a deeper or a uniformly wider net; "
    "with labels, they do not.",
    "At equal parameters, SimCLR's wide last block beats the better of a deeper and a uniformly wider net with a 95 % "
    "interval above 0, and the supervised one does not on average: confirmed. SimCLR's does not on average, or the "
    "supervised one does with an interval: not confirmed.",
    _net_settings, at_home, _judge_nets,
)  # fmt: skip

CLAIMS = (EN1, EN2, EN3, EN4, EN5, EN6, EN7)
