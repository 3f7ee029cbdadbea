"""The claims of *High Fidelity Visualization of What Your Self-Supervised Representation Knows About* (Bordes et al.).

Encoder and RCDM are of a size that a laptop trains in minutes: what is tested is whether the claim holds at this size.
RC-5, RC-7 and RC-8 of our list are left to the notebooks.
"""

import statistics
from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from ssl_toolkit.attacks import apart, mistaken, pgd
from ssl_toolkit.claims.setup import BASE, LABELS, SEEDS, crossed, parts, points
from ssl_toolkit.claims.study import Budget, Claim, Finding, Result, Values, interval, minus, of
from ssl_toolkit.data import Batch, as_float
from ssl_toolkit.diffusion.rcdm import RCDM, conditions, sample
from ssl_toolkit.diffusion.rcdm import Recipe as Painter
from ssl_toolkit.encoders import Encoder, small_conv
from ssl_toolkit.factors import read_factors
from ssl_toolkit.features import differentiable, embed
from ssl_toolkit.generative import faithfulness, kid, nearest, retention
from ssl_toolkit.losses import Terms
from ssl_toolkit.probes import few_labels, linear_probe
from ssl_toolkit.recipes import Method, Recipe
from ssl_toolkit.seeds import rng
from ssl_toolkit.sweep import Cell, Setting
from ssl_toolkit.train import TrainState, start, train

PAPER = "High Fidelity Visualization of What Your Self-Supervised Representation Knows About (arXiv 2112.09164)"
Record = TypeVar("Record")
STEPS: dict[Budget, int] = {"smoke": 4, "standard": 400, "full": 4000}  # of an encoder
RATIO = 10  # steps of an RCDM for each of its encoder
CHANNELS: dict[Budget, int] = {"smoke": 8, "standard": 16, "full": 16}  # of its first level
CONDITIONS: dict[Budget, int] = {"smoke": 32, "standard": 1000, "full": 1000}  # images of the test set that it is given


def _settings(budget: Budget, *, data: str = "fashion-mnist", **axes: Sequence) -> list[Setting]:
    base = {"data": data, "steps": STEPS[budget], "channels": CHANNELS[budget], "conditions": CONDITIONS[budget]}
    return crossed(SEEDS[budget], BASE | base, **axes)


def _encoder(setting: Setting, method: Method) -> Generator[None, None, Encoder]:
    data, seed = parts(setting["data"], setting["limit"]).train, setting["seed"]
    recipe = Recipe(method=method, **{name: setting[name] for name in ("steps", "batch_size", "lr", "width", "seed")})
    state, objective = recipe.start(data), recipe.objective(data)
    yield from _last(train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=seed))
    assert isinstance(state.model, Encoder)
    return state.model


def _painter(setting: Setting, h: Float[Tensor, "n d"], *, drop: float = 0.1) -> Generator[None, None, RCDM]:
    data, seed = parts(setting["data"], setting["limit"]).train, setting["seed"]
    recipe = Painter(steps=RATIO * setting["steps"], drop=drop, width=setting["channels"], seed=seed)
    state, objective = recipe.start(data, h), recipe.objective(h)
    yield from _last(train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=seed))
    assert isinstance(state.ema, RCDM)
    return state.ema


def _last(records: Iterator[Record]) -> Generator[None, None, Record]:
    for record in records:
        last = record
        yield None
    return last


def _samples(
    model: RCDM, h: Float[Tensor, "n d"], seed: int, *, guidance: float = 1.0
) -> Generator[None, None, Float[Tensor, "n c h w"]]:
    images = []
    for i, part in enumerate(h.split(128)):
        noise = torch.randn(len(part), *model.shape, generator=rng(seed, i, "claims"))
        last = yield from _last(sample(model, part, guidance=guidance, noise=noise))
        images.append(last.x.cpu().clamp(0, 1))
    return torch.cat(images)


# RC-1, RC-2 and RC-9: samples of an RCDM that is told h, another image's h, or nothing.


def _told(setting: Setting) -> Iterator[Values | None]:
    images, seed = parts(setting["data"], setting["limit"]), setting["seed"]
    encoder = yield from _encoder(setting, "simclr")
    judge = yield from _encoder(setting, "supervised")  # the features of KID: of a network that no RCDM has seen
    h = conditions(encoder, images.train.images)
    if setting["told"] == "another's h":
        h = h[torch.randperm(len(h), generator=rng(seed, 0, "claims"))]
    nothing = setting["told"] == "nothing"
    model = yield from _painter(setting, h, drop=1.0 if nothing else 0.1)
    test, rest = images.test.images.split([n := setting["conditions"], len(images.test) - n])
    asked = conditions(encoder, test)
    x = yield from _samples(model, asked, seed, guidance=0.0 if nothing else 1.0)
    found = faithfulness(conditions(encoder, x), asked)
    real, fake = (embed(judge, some) for some in (test, x))
    scale = real.var(dim=0).mean().sqrt()  # one for all dimensions: one that is dead on real images must not explode
    other = torch.cat([images.validation.images, rest])
    k = min(len(other), len(images.train))
    distances = [nearest(x, as_float(some[:k])).distance.median().item() for some in (images.train.images, other)]
    yield {
        "mrr": found.mrr,
        "mean rank": found.mean_rank,
        "chance": found.chance,
        "kid": kid(real / scale, fake / scale).mean,
        "nearness": distances[0] / distances[1],
    }


def _judge_faithfulness(cells: Sequence[Cell]) -> Finding:
    mrr, ci = interval(of(cells, "mrr", told="h"))
    control = statistics.fmean(of(cells, "mrr", told="another's h"))
    chance = of(cells, "chance", told="h")[0]
    result: Result = "inconclusive"
    if mrr >= 0.8 and control < 5 * chance:
        result = "confirmed"
    elif mrr < 0.3:
        result = "not confirmed"
    return Finding(result, mrr, ci, f"mean reciprocal rank (told another's h {control:.3f}, chance {chance:.3f})")


RC1 = Claim(
    "RC-1", PAPER,
    "A sample's representation is closest to that of the image it was conditioned on.",
    "Among the conditioning images of the test set the mean reciprocal rank is at least 0.8, and that of an RCDM "
    "trained with shuffled h is below five times chance: confirmed. Below 0.3: not confirmed.",
    lambda budget: _settings(budget, told=("h", "another's h")), _told, _judge_faithfulness,
)  # fmt: skip


def _judge_quality(cells: Sequence[Cell]) -> Finding:
    gain, ci = interval(minus(of(cells, "kid", told="nothing"), of(cells, "kid", told="h")))
    result: Result = "confirmed" if ci[0] > 0 else "not confirmed" if gain <= 0 else "inconclusive"
    return Finding(result, gain, ci, "KID, on a supervised net's features, saved by being told h")


RC2 = Claim(
    "RC-2", PAPER,
    "Conditioned on a representation, a diffusion model makes better samples than without, at the same budget.",
    "The unconditional model's KID minus the conditional one's, on the features of a supervised net, has its 95 % "
    "interval above 0: confirmed. Mean at most 0: not confirmed.",
    lambda budget: _settings(budget, told=("h", "nothing")), _told, _judge_quality,
)  # fmt: skip


def _judge_nearness(cells: Sequence[Cell]) -> Finding:
    ratio, ci = interval(of(cells, "nearness", told="h"))
    result: Result = "confirmed" if ci[0] > 0.9 else "not confirmed" if ratio < 0.7 else "inconclusive"
    return Finding(result, ratio, ci, "distance of samples to the nearest training image, in that to held-out images")


RC9 = Claim(
    "RC-9", PAPER,
    "Samples are not copies of training images.",
    "The median distance in pixels from a sample to the nearest of n training images, over that to the nearest of n "
    "images which were held out, has its 95 % interval above 0.9: confirmed. Mean below 0.7: not confirmed.",
    lambda budget: _settings(budget, told=("h",)), _told, _judge_nearness,
)  # fmt: skip


# RC-3, RC-4 and RC-10: which factors of the shapes are kept in the samples.

TURNS: dict[str, float | None] = {"hue": 1.0, "background": 1.0, "x": None, "y": None, "scale": None}
CHANGED = ("hue", "x", "scale")  # by SimCLR's views
EACH = 4  # samples of one condition


def _code(factors: dict[str, Tensor]) -> Float[Tensor, "n 7"]:
    """What a reader is to say: cosine and sine of what is on a circle, and the others standardised."""
    columns = []
    for name, turn in TURNS.items():
        v = factors[name]
        angle = 2 * torch.pi * v
        columns += [(v - v.mean()) / v.std()] if turn is None else [angle.cos(), angle.sin()]
    return torch.stack(columns, dim=1)


def _decode(code: Float[Tensor, "n 7"]) -> dict[str, Float[Tensor, " n"]]:
    values, columns = {}, iter(code.unbind(dim=1))
    for name, turn in TURNS.items():
        first = next(columns)
        values[name] = first if turn is None else torch.atan2(next(columns), first) / (2 * torch.pi)
    return values


def _reader(setting: Setting) -> Generator[None, None, Encoder]:
    """A network that reads the factors off an image, trained on real ones."""
    data, seed, steps = parts(setting["data"], setting["limit"]).train, setting["seed"], 2 * setting["steps"]
    code = _code(data.factors)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        target = code[batch.index.to(code.device)].to(batch.images.device)
        return {"squared error": F.mse_loss(state.model(batch.images).float(), target)}

    reader = small_conv(3, projector=(128, code.shape[1]), seed=seed)
    state = start(reader, lr=setting["lr"], total=steps)
    yield from _last(train(state, data, objective, until=steps, batch_size=setting["batch_size"], seed=seed))
    return reader


def _kept(setting: Setting) -> Iterator[Values | None]:
    images, depth = parts(setting["data"], setting["limit"]), setting["depth"]
    data, test = images.train, images.test[:2000]
    encoder = yield from _encoder(setting, setting["method"])
    reader = yield from _reader(setting)
    h, test_h = (conditions(encoder, part.images, depth=depth) for part in (data, test))
    model = yield from _painter(setting, h)
    asked = test_h[: setting["conditions"] // EACH].repeat_interleave(EACH, dim=0)
    x = yield from _samples(model, asked, setting["seed"])
    in_samples, in_images = (_decode(embed(reader, some, depth="embedding")) for some in (x, test.images))
    known, wanted = ({name: part.factors[name] for name in TURNS} for part in (data, test))
    read = read_factors(h, known, test_h, wanted)
    values: Values = {}
    for name, turn in TURNS.items():
        values[f"kept {name}"] = retention(in_samples[name].view(-1, EACH), in_images[name], turn=turn)
        values[f"read {name}"] = read[name].score
    yield values


def _mean(cells: Sequence[Cell], names: Sequence[str], **setting: object) -> list[float]:
    """What is kept of these factors on average, seed by seed."""
    each = [of(cells, f"kept {name}", **setting) for name in names]
    return [statistics.fmean(values) for values in zip(*each, strict=True)]


def _depth_settings(budget: Budget) -> list[Setting]:
    methods = ("simclr", "vicreg", "byol") if budget == "full" else ("simclr",)
    return _settings(budget, data="shapes", method=methods, depth=("representation", "embedding"))


def _judge_projector(cells: Sequence[Cell]) -> Finding:
    lost = {}
    for method in sorted({cell.setting["method"] for cell in cells}):
        kept = [_mean(cells, CHANGED, method=method, depth=d) for d in ("representation", "embedding")]
        lost[method] = minus(*kept)
    found = [interval(values) for values in lost.values()]
    mean, ci = interval([statistics.fmean(values) for values in zip(*lost.values(), strict=True)])
    result: Result = "inconclusive"
    if 2 * sum(m > 0.1 and low > 0 for m, (low, _) in found) > len(found):
        result = "confirmed"
    elif mean <= 0:
        result = "not confirmed"
    return Finding(result, mean, ci, f"of the variance of {', '.join(CHANGED)} kept before the projector and not after")


RC3 = Claim(
    "RC-3", PAPER,
    "The projector throws away what the views change, which the backbone's samples still show.",
    "Retention of hue, x and scale, on average, is more than 0.1 higher for samples of the representation than of the "
    "embedding, with a 95 % interval above 0, for most of the methods: confirmed. Mean at most 0: not confirmed.",
    _depth_settings, _kept, _judge_projector,
)  # fmt: skip


def _judge_agreement(cells: Sequence[Cell]) -> Finding:
    correlations = []
    for seed in sorted({cell.setting["seed"] for cell in cells}):
        pairs = [
            (cell.result[f"kept {name}"], cell.result[f"read {name}"])
            for cell in cells
            if cell.setting["seed"] == seed
            for name in TURNS
        ]
        correlations.append(float(spearmanr(*zip(*pairs, strict=True)).statistic))
    mean, ci = interval(correlations)
    result: Result = "confirmed" if mean >= 0.7 else "not confirmed" if mean < 0.3 else "inconclusive"
    return Finding(result, mean, ci, "rank correlation of what samples keep with what a linear probe reads")


RC4 = Claim(
    "RC-4", PAPER,
    "What stays the same across samples is what the representation holds.",
    "Over factors and depths, the rank correlation of a factor's retention in samples with the R2 of a linear probe is "
    "at least 0.7 on average: confirmed. Below 0.3: not confirmed.",
    _depth_settings, _kept, _judge_agreement,
)  # fmt: skip


def _width_settings(budget: Budget) -> list[Setting]:
    return _settings(budget, data="shapes", width=(32, 512), depth=("representation",))


def _judge_width(cells: Sequence[Cell]) -> Finding:
    gain, ci = interval(minus(*(_mean(cells, list(TURNS), width=width) for width in (512, 32))))
    result: Result = "confirmed" if ci[0] > 0 else "not confirmed" if gain <= 0 else "inconclusive"
    return Finding(result, gain, ci, "of the variance of all factors kept by a width of 512 and not of 32")


RC10 = Claim(
    "RC-10", "Expand or Narrow your representation (arXiv 2304.05369), seen through RCDM",
    "A wider representation keeps more of the image.",
    "The mean retention of all factors at width 512 minus that at width 32 has its 95 % interval above 0: confirmed. "
    "Mean at most 0: not confirmed.",
    _width_settings, _kept, _judge_width,
)  # fmt: skip


# RC-6: small adversarial changes.

STRENGTHS: dict[Budget, list[float]] = {
    "smoke": [2.0, 8.0],
    "standard": [1.0, 2.0, 4.0, 8.0],
    "full": [1.0, 2.0, 4.0, 8.0, 16.0],
}


def _attack_settings(budget: Budget) -> list[Setting]:
    settings = _settings(budget, method=("simclr", "supervised"))
    return [s | {"strengths": STRENGTHS[budget], "conditions": min(s["conditions"], 500)} for s in settings]


def _attacked(setting: Setting) -> Iterator[Values | None]:
    images, seed = parts(setting["data"], setting["limit"]), setting["seed"]
    encoder = (yield from _encoder(setting, setting["method"])).cpu()
    few = images.train[few_labels(images.train.labels, LABELS, seed=seed)]
    test = images.test[: setting["conditions"]]
    h = embed(encoder, test.images)
    probe = linear_probe(embed(encoder, few.images), few.labels, h, test.labels, weight_decays=(1e-2,))
    f, before = differentiable(encoder), probe.predict(h)
    by_chance = (h - h.roll(1, dims=0)).norm(dim=1).mean()
    values: Values = {"accuracy": probe.accuracy}
    for strength in setting["strengths"]:
        wrong = mistaken(lambda x: probe.logits(f(x)), before)
        misled = yield from _last(pgd(wrong, test.images, strength=strength))
        changed = probe.predict(embed(encoder, misled.images)) != before
        generator = rng(seed, 0, "attack")
        pushed = yield from _last(pgd(apart(f, test.images), test.images, strength=strength, generator=generator))
        values[f"flipped at {strength:g}"] = changed.float().mean().item()
        values[f"moved at {strength:g}"] = (pushed.loss.sqrt().mean() / by_chance).item()
    yield values


def _judge_robustness(cells: Sequence[Cell]) -> Finding:
    strengths = cells[0].setting["strengths"]

    def excess(what: str) -> tuple[float, tuple[float, float]]:
        """Of the supervised encoder over the self-supervised one, on average over the strengths."""
        each = [
            minus(*(of(cells, f"{what} at {s:g}", method=method) for method in ("supervised", "simclr")))
            for s in strengths
        ]
        return interval([statistics.fmean(values) for values in zip(*each, strict=True)])

    flipped, moved = excess("flipped"), excess("moved")
    result: Result = "inconclusive"
    if flipped[1][0] > 0 and moved[1][0] > 0:
        result = "confirmed"
    elif flipped[0] <= 0 or moved[0] <= 0:
        result = "not confirmed"
    effect, ci = points(flipped)
    what = f"points more predictions flipped of the supervised encoder (h moved by {moved[0]:+.2f} of a mean distance)"
    return Finding(result, effect, ci, what)


RC6 = Claim(
    "RC-6", PAPER,
    "A self-supervised representation is more robust to small adversarial noise than a supervised one.",
    "On average over the strengths, PGD through a linear probe of its own flips more predictions of the supervised "
    "encoder than of SimCLR's, and PGD on the representation moves it farther in units of the mean distance of two "
    "images, both with 95 % intervals above 0: confirmed. Either mean at most 0: not confirmed.",
    _attack_settings, _attacked, _judge_robustness,
)  # fmt: skip

CLAIMS = (RC1, RC2, RC3, RC4, RC6, RC9, RC10)
