"""Measure a model before it is stored, on test images that it was not trained on."""

from collections.abc import Generator, Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from ssl_toolkit import infusion
from ssl_toolkit.data import Dataset, as_bytes, as_float, rng
from ssl_toolkit.diffusion.factor_reader import FACTORS, encode_factors, factor_accuracy, factor_retention
from ssl_toolkit.diffusion.metrics import faithfulness, kid_in_units, recognition, retention
from ssl_toolkit.diffusion.rcdm import RCDM, conditions, sample
from ssl_toolkit.encoders import Encoder, embed, pixels, untrained
from ssl_toolkit.infusion import Gaussian, Operator, chain, dequantize, lower_bound, prior_of
from ssl_toolkit.probes import knn_accuracy, linear_probe, read_factors
from ssl_toolkit.training import last_of
from ssl_toolkit.zoo.plans import Plan

LABELED = 10_000  # labeled training images for a probe
ASKED, EACH = 1000, 4  # ASKED test images are painted once; ASKED / EACH of them are painted EACH times more
Values = dict[str, float]


def measured(
    model: Encoder | RCDM | Operator, made: Plan, models: Mapping[str, nn.Module], data: Dataset, test: Dataset
) -> Generator[None, None, Values]:
    """Return the measures of the model, by name; yield None after each step of a sampler.

    For an encoder: accuracy of a linear probe and of kNN, and R2 of every known factor, next to the untrained net and
    raw pixels. For a reader: R2. For an RCDM, see `_samples`; for an operator, see `_chains`.
    """
    some = data[:LABELED]
    if isinstance(model, RCDM):
        return (yield from _samples(model, made, models, some, test))
    if isinstance(model, Operator):
        return _chains(model, made, models, test)
    if made.kind == "reader":
        z, z_test = (embed(model, part.images, depth="embedding") for part in (some, test))
        return {f"R2 of {name}": r2 for name, r2 in _r2(z, z_test, some, test).items()}
    accuracy: Values = {}
    knn: Values = {}
    r2: Values = {}
    for prefix, f in {"": model, "untrained ": untrained(model), "pixels ": None}.items():
        z, z_test = (pixels(part.images) if f is None else embed(f, part.images) for part in (some, test))
        accuracy[f"{prefix}accuracy"] = linear_probe(z, some.labels, z_test, test.labels).accuracy
        knn[f"{prefix}kNN"] = knn_accuracy(z, some.labels, z_test, test.labels)
        r2 |= {f"{prefix}R2 of {name}": score for name, score in _r2(z, z_test, some, test).items()}
    return accuracy | knn | r2


def _r2(z: Float[Tensor, "n d"], z_test: Float[Tensor, "m d"], data: Dataset, test: Dataset) -> Values:
    known = {name: data.factors[name] for name in FACTORS if name in data.factors}
    return {name: reading.score for name, reading in read_factors(z, known, z_test, test.factors).items()}


def _samples(
    model: RCDM, made: Plan, models: Mapping[str, nn.Module], data: Dataset, test: Dataset
) -> Generator[None, None, Values]:
    """How faithful samples are, among `ASKED` test images; their KID to real images; and what they keep of h.

    KID uses features of the supervised encoder, in units of their standard deviation pooled over all dimensions. That
    encoder decides which class is kept, and the reader which factors. "kept" says that samples of one h agree,
    "right" that they agree with the true factor, and "read" is what a linear probe reads from h.
    """
    encoder, judge, reader = (models.get(name) for name in (made.encoder, made.judge, made.reader))
    assert isinstance(encoder, Encoder)
    assert isinstance(judge, Encoder)
    h, h_test = (conditions(encoder, part.images, depth=made.depth) for part in (data, test))
    n = min(ASKED, len(test) // 2)
    asked, real = h_test[:n], embed(judge, test.images[n : 2 * n])  # KID compares with images whose h was not used
    painted = yield from _painted(model, asked)
    found = faithfulness(conditions(encoder, painted, depth=made.depth), asked)
    values = {
        "MRR": found.mrr,
        "mean rank": found.mean_rank,
        "chance": found.chance,
        "KID": kid_in_units(real, embed(judge, painted)),
    }
    samples = yield from _painted(model, asked[: len(asked) // EACH].repeat_interleave(EACH, dim=0))
    by_judge = [embed(judge, x, depth="embedding").argmax(dim=1) for x in (samples, test.images)]
    values["class read"] = linear_probe(h, data.labels, h_test, test.labels).accuracy
    values["class kept"] = retention(by_judge[0].view(-1, EACH), by_judge[1])
    if isinstance(reader, Encoder):
        rows = samples.unflatten(0, (-1, EACH))
        shares = factor_retention(reader, rows, test.images)
        right = factor_accuracy(reader, rows, encode_factors(test)[: len(rows)])
        for name, score in _r2(h, h_test, data, test).items():
            values |= {f"{name} read": score, f"{name} kept": shares[name], f"{name} right": right[name]}
    return values


def _chains(model: Operator, made: Plan, models: Mapping[str, nn.Module], test: Dataset) -> Values:
    """Class scores of the chain's last means and of real images, KID, and a lower bound on log p(x) of real images.

    The supervised encoder gives the class scores and the features for KID. The bound is in nats. Any infusion gives a
    bound; Gaussian infusion gives the higher one.
    """
    judge, recipe, prior = models[made.judge], made.recipe, prior_of(model)
    assert isinstance(recipe, infusion.InfusionRecipe)
    real = as_float(test.images[:ASKED])
    *_, last = chain(model, prior.sample(ASKED), steps=model.steps)
    seen, of_real = (recognition(embed(judge, x, depth="embedding")) for x in (last.mean, real))
    x = dequantize(real, rng(0, 0, "zoo"))
    return {
        "class score": seen.score,
        "test images' class score": of_real.score,
        "KID": kid_in_units(embed(judge, real), embed(judge, last.mean)),
        "bound": lower_bound(model, x, prior=prior, rate=recipe.rate, infusion=Gaussian()).mean().item(),
        "entropy": seen.entropy,
        "balance": seen.balance,
    }


def _painted(model: RCDM, h: Float[Tensor, "n d"]) -> Generator[None, None, UInt8[Tensor, "n c h w"]]:
    images = []
    for i, part in enumerate(h.split(100)):
        noise = torch.randn(len(part), *model.shape, generator=rng(0, i, "zoo"))
        last = yield from last_of(sample(model, part, noise=noise))
        images.append(as_bytes(last.x))
    return torch.cat(images)
