"""The paper's row of its Table 1: the log likelihood of test images under Parzen's window around samples.

It uses MNIST if this machine has it, and otherwise, with the same protocol, Fashion-MNIST, for which the paper has no
number. As in the released code, samples are the last step's means, and the window width is the best of ten on
validation images. The estimate is misleading (see `parzen`); it is here only because the paper's table has it.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from ssl_toolkit.claims.common import SEEDS, over_seeds, trained_on
from ssl_toolkit.claims.infusion_training import PAPER, operator_of
from ssl_toolkit.claims.study import Budget, Claim, Finding, Values, decide, values_of
from ssl_toolkit.data import as_float, is_available, load_data
from ssl_toolkit.infusion import PRESETS, chain, choose_sigma, parzen, prior_of, recalibrate
from ssl_toolkit.training.intervals import mean_interval
from ssl_toolkit.training.sweep import Cell, Setting

PAPERS_ROW = 312.0  # +- 1.7 over test images
PORTION = 500  # chains that run at once
# fmt: off
RUNS: dict[Budget, Setting] = {
    "smoke": {"preset": "released", "steps": 4, "batch_size": 64,
              "train": 1000, "validation": 200, "samples": 200, "test": 200},
    "standard": {"preset": "paper", "steps": 500, "batch_size": 64,
                 "train": 50_000, "validation": 1000, "samples": 10_000, "test": 10_000},
    "full": {"preset": "paper", "steps": 146_000, "batch_size": 512,  # 1500 epochs
             "train": 50_000, "validation": 10_000, "samples": 10_000, "test": 10_000},
}
# fmt: on


def _settings(budget: Budget) -> list[Setting]:
    data = "mnist" if is_available("mnist") else "fashion-mnist"
    return over_seeds(SEEDS[budget], RUNS[budget] | {"data": data})


def _measure(setting: Setting) -> Iterator[Values | None]:
    own = {name: setting[name] for name in ("steps", "batch_size", "seed")}
    recipe, seed = replace(PRESETS[setting["preset"]], **own), setting["seed"]
    data = load_data(setting["data"], limit=setting["train"] + setting["validation"])
    train, validation = data[: setting["train"]], as_float(data[setting["train"] :].images)
    test = as_float(load_data(setting["data"], split="test", limit=setting["test"]).images)
    state = recipe.start(train)
    yield from trained_on(setting, state, train, recipe.objective(train))
    operator = operator_of(state)
    prior = prior_of(operator)
    batches = (as_float(some) for some in train.images[:10_000].split(PORTION))
    for _ in recalibrate(operator, batches, prior, rate=recipe.rate, infusion=recipe.infusion, seed=seed):
        yield None
    means = []
    for i, z in enumerate(prior.sample(setting["samples"], seed=seed).split(PORTION)):
        *_, last = chain(operator, z, steps=operator.steps, seed=1000 * seed + i)
        means.append(last.mean)
        yield None
    samples = torch.cat(means)
    sigma = choose_sigma(samples, validation)
    yield None
    found = []
    for x in test.split(PORTION):
        found.append(parzen(samples, x, sigma))
        yield None
    nats = torch.cat(found)
    yield {"parzen": nats.mean().item(), "error": nats.std().item() / len(nats) ** 0.5, "sigma": sigma}


def _judge(cells: Sequence[Cell]) -> Finding:
    data = cells[0].setting["data"]
    nats, ci = mean_interval(values_of(cells, "parzen"))
    error, sigmas = statistics.fmean(values_of(cells, "error")), sorted({cell.result["sigma"] for cell in cells})
    result = decide(confirmed=data == "mnist" and ci[1] >= PAPERS_ROW, refuted=data == "mnist" and ci[1] < PAPERS_ROW)
    widths = ", ".join(f"{sigma:.3g}" for sigma in sigmas)
    what = f"nats per image of {data}, +- {error:.1f} over test images, with Parzen's window of width {widths}"
    return Finding(result, nats, ci, what)


TABLE1 = Claim(
    "infusion-table1", PAPER,
    f"Parzen's window around samples gives MNIST test images {PAPERS_ROW:.0f} nats (the paper's table, from memory).",
    f"On MNIST, the 95 % interval reaches {PAPERS_ROW:.0f} nats: confirmed; it stays below: not confirmed. On other "
    "data: inconclusive. The estimate is misleading; it is here only because the paper's table has it.",
    _settings, _measure, _judge, section="table 1", kind="table",
    changed="It had a verdict (inconclusive), whose rule came in one commit with its first results. On other data and "
    "after a hundredth of the paper's updates it cannot have one: the paper's own experiment was not run.",
)  # fmt: skip
