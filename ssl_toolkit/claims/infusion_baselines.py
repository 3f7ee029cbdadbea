"""Infusion against the methods that came after it, with equal networks, updates, batches and calls.

All train the paper's MLP from the same weights, with a BatchNorm for each of its T steps, and show it every image of a
batch at T states before an update. They differ in the states and in the loss:

    infusion  states of the infused chain                       log p_t(x | z_{t-1})
    DDIM      alpha x + sigma e at T cosine levels              |x0 - x|^2        (Ho et al., 2020; Song et al., 2021)
    flow      (1 - t) x + t e                                   |u - (e - x)|^2   (Lipman et al.; Liu et al., 2023)
      by x0   the same, u = (z - x0) / t                        |x0 - x|^2 / t^2
    cold      x, covered pixel by pixel by a state of p_0       |x0 - x|          (Bansal et al., 2023)

Each samples in the T steps that it was trained for. Diffusion and flow see images in [-1, 1]. Only infusion uses the
outputs for the variance.
"""

import statistics
import time
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ssl_toolkit.claims.common import trained_on
from ssl_toolkit.claims.infusion_training import (
    SAMPLES,
    SIDE,
    class_score,
    classifier,
    distance,
    diversity,
    images,
    judge,
    operator_of,
    settings,
    started,
    trained,
)
from ssl_toolkit.claims.study import Budget, Claim, Finding, Values, decide, values_of
from ssl_toolkit.data import Batch, as_float, rng
from ssl_toolkit.diffusion import (
    Schedule,
    cold,
    cosine_schedule,
    covering,
    ddim,
    euler,
    flow_schedule,
    from_flow,
    from_x0,
)
from ssl_toolkit.diffusion.denoise import Network
from ssl_toolkit.encoders import eval_mode
from ssl_toolkit.infusion import Operator, Prior, chain, fit_prior
from ssl_toolkit.infusion.chains import fork
from ssl_toolkit.losses import Terms
from ssl_toolkit.training import Objective, TrainState
from ssl_toolkit.training.intervals import paired_interval
from ssl_toolkit.training.sweep import Cell, Setting

METHODS = ("infusion", "DDIM", "flow", "flow by x0", "cold")
FEW, MANY = 10, 30  # calls
CALLS: dict[Budget, tuple[int, ...]] = {
    "smoke": (FEW, MANY),
    "standard": (1, 2, 5, FEW, 20, MANY),
    "full": (1, 2, 5, FEW, 20, MANY),
}
JUDGED: dict[Budget, int] = {"smoke": 20, "standard": 400, "full": 2000}  # updates of the net that gives KID's features


# How each of the other methods calls the network. The first of the T steps starts from pure noise.


def guess(operator: Operator) -> Network:
    """x0 in [-1, 1], at t = T - 1 ... 0."""
    return lambda x, t: 2 * operator(x, operator.steps - int(t[0]))[0] - 1


def velocity(operator: Operator) -> Network:
    """u = e - x, at t = 1 ... 1/T: the raw outputs for the mean, since u is not bounded."""
    return lambda x, t: operator.net(x, _step(operator, t)).chunk(2, dim=1)[0]


def restoration(operator: Operator) -> Network:
    """x0 in [0, 1], at t = 1 ... 1/T."""
    return lambda x, t: operator(x, _step(operator, t))[0]


def straight_guess(operator: Operator) -> Network:
    """x0 in [-1, 1], at t = 1 ... 1/T."""
    return lambda x, t: 2 * restoration(operator)(x, t) - 1


def _step(operator: Operator, t: Float[Tensor, " b"]) -> int:
    return 1 + round((1 - t[0].item()) * operator.steps)


def objective(method: str, prior: Prior) -> Objective:
    """What one of the other methods minimizes: the mean error over T states of each image."""

    def errors(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        operator = operator_of(state)
        schedule = _schedule(method, operator.steps)
        found = [
            _error(method, operator, prior, schedule, batch.images, t, generator)
            for t in schedule.timesteps(operator.steps)
        ]
        return {method: torch.stack(found).mean()}

    return errors


def _error(
    method: str,
    operator: Operator,
    prior: Prior,
    schedule: Schedule,
    x: Float[Tensor, "b c h w"],
    t: Shaped[Tensor, ""],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    told = t.expand(len(x))
    if method == "cold":
        pixels = prior.sample(len(x), seed=fork(generator))
        degrade = covering(pixels, torch.rand(x.shape, generator=generator))
        return (restoration(operator)(degrade(x, t), told) - x).abs().mean()
    x0, e = 2 * x - 1, torch.randn(x.shape, generator=generator)
    z = schedule.add_noise(x0, told, e)
    match method:
        case "DDIM":
            error = guess(operator)(z, told) - x0
        case "flow":
            error = velocity(operator)(z, told) - (e - x0)
        case _:  # by x0: u = (z - x0) / t
            error = (straight_guess(operator)(z, told) - x0) / t
    return error.square().mean()


def samples(method: str, operator: Operator, prior: Prior, *, seed: int) -> Float[Tensor, "n 1 h w"]:
    """Images in [0, 1], sampled with T calls of the network."""
    e, T = torch.randn(SAMPLES, 1, SIDE, SIDE, generator=rng(seed, 0, "samples")), operator.steps
    schedule = _schedule(method, T)
    times = schedule.timesteps(T)
    with eval_mode(operator):
        match method:
            case "infusion":
                *_, link = chain(operator, prior.sample(SAMPLES, seed=seed), steps=T, seed=seed)
                return link.mean
            case "DDIM":
                *_, last = ddim(from_x0(guess(operator)), e, schedule=schedule, timesteps=times)
            case "flow":
                *_, last = euler(from_flow(velocity(operator)), e, schedule=schedule, timesteps=times)
            case "flow by x0":
                *_, last = euler(from_x0(straight_guess(operator)), e, schedule=schedule, timesteps=times)
            case "cold":
                pixels = prior.sample(SAMPLES, seed=seed)
                degrade = covering(pixels, torch.rand(e.shape, generator=rng(seed, 0, "order")))
                *_, last = cold(from_x0(restoration(operator)), pixels, degrade=degrade, timesteps=times)
                return last.x
    return (last.x / 2 + 0.5).clamp(0, 1)


def _schedule(method: str, T: int) -> Schedule:
    return cosine_schedule(T) if method == "DDIM" else flow_schedule()


def _settings(budget: Budget) -> list[Setting]:
    of_all = settings(budget, T=CALLS[budget], method=METHODS)
    # the rate was chosen on another seed: against 2e-3, infusion, DDIM and flow gain, and cold diffusion hardly loses
    common = {"lr": 5e-3, "judge": JUDGED[budget]}
    return [s | common | {"omega": 0.2 / s["T"]} for s in of_all]  # chains of all lengths end at the same rate


def _measure(setting: Setting) -> Iterator[Values | None]:
    features, method, seed = (yield from judge(setting["judge"])), setting["method"], setting["seed"]
    began = time.process_time()
    if method == "infusion":
        operator, prior = yield from trained(setting)
    else:
        data, state = images().train, started(setting)
        prior = fit_prior(data.images)
        yield from trained_on(setting, state, data, objective(method, prior))
        operator = operator_of(state)
    seconds = time.process_time() - began
    x = samples(method, operator, prior, seed=seed)
    yield {
        "kid": distance(x, features),
        "score": class_score(x, classifier()),
        "diversity": diversity(x) / diversity(as_float(images().test.images)),
        "processor seconds": seconds,
    }


def _judge(cells: Sequence[Cell]) -> Finding:
    others = METHODS[1:]
    kids = {(m, T): values_of(cells, "kid", method=m, T=T) for m in METHODS for T in (FEW, MANY)}
    best = {T: min(others, key=lambda m: statistics.fmean(kids[m, T])) for T in (FEW, MANY)}
    few, many = (paired_interval(kids[best[T], T], kids["infusion", T]) for T in (FEW, MANY))
    result = decide(confirmed=few[0] >= 0 and many[1][1] < 0, refuted=few[1][1] < 0)
    what = f"KID below {best[FEW]}, the best other method, at {FEW} calls ({many[0]:+.3g} below {best[MANY]} at {MANY})"
    return Finding(result, *few, what)


IN9 = Claim(
    "IN-9", "Ours: no paper compares these",
    "With equal networks, updates and calls, infusion makes images as good as diffusion, flow matching and cold "
    f"diffusion do in {FEW} calls, and worse ones in {MANY}.",
    f"KID (lower is better) against the best of the others on average. At {FEW} calls, infusion's is no higher on "
    f"average, and at {MANY} calls it is higher with a 95 % interval: confirmed. At {FEW} calls, it is higher with "
    "one: not confirmed.",
    _settings, _measure, _judge, kind="table",
    changed="It was said to be the infusion paper's claim, and had a verdict (not confirmed), whose rule came in one "
    "commit with its first results. It is a comparison of ours: a table, without a verdict.",
)  # fmt: skip
