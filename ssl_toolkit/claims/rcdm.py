"""The claims of *High Fidelity Visualization of What Your Self-Supervised Representation Knows About* (Bordes et al.).

A laptop trains these encoders and RCDMs in minutes: we test whether the claims hold at this size. Claims share
measurements if they can be judged from the same RCDMs: RC-1, RC-2 and RC-9 use one file, and RC-3, RC-4, RC-5, RC-7 and
RC-8 another.
"""

import statistics
from collections.abc import Iterator, Sequence

from ssl_toolkit.claims.common import BASE, LABELS, SEEDS, over_seeds, points
from ssl_toolkit.claims.rcdm_factors import READ, shown
from ssl_toolkit.claims.rcdm_training import basis, images_of, told, trained_encoder
from ssl_toolkit.claims.study import Budget, Claim, Finding, Result, Values, decide, rank_correlation, values_of
from ssl_toolkit.data import rng
from ssl_toolkit.encoders import embed, feature_function
from ssl_toolkit.probes import few_labels, linear_probe, pgd
from ssl_toolkit.probes.adversarial import label_loss, representation_loss
from ssl_toolkit.training import last_of
from ssl_toolkit.training.intervals import differences, mean_interval, paired_interval
from ssl_toolkit.training.sweep import Cell, Setting

PAPER = "High Fidelity Visualization of What Your Self-Supervised Representation Knows About (arXiv 2112.09164)"

# RC-1, RC-2 and RC-9: samples of an RCDM trained on h, another image's h, or nothing.


def _told_settings(budget: Budget) -> list[Setting]:
    base = basis(budget, data="fashion-mnist")
    return over_seeds(SEEDS[budget], base, told=("h", "another's h", "nothing"))


def _judge_faithfulness(cells: Sequence[Cell]) -> Finding:
    mrr, ci = mean_interval(values_of(cells, "mrr", told="h"))
    control = statistics.fmean(values_of(cells, "mrr", told="another's h"))
    chance = values_of(cells, "chance", told="h")[0]
    result = decide(confirmed=mrr >= 0.8 and control < 5 * chance, refuted=mrr < 0.3)
    return Finding(result, mrr, ci, f"mean reciprocal rank (with another image's h {control:.3f}, chance {chance:.3f})")


RC1 = Claim(
    "RC-1", PAPER,
    "A sample's representation is closest to that of the image it was conditioned on.",
    "Among the conditioning images of the test set, the mean reciprocal rank is at least 0.8, and that of an RCDM "
    "trained with shuffled h is below five times chance: confirmed. Below 0.3: not confirmed.",
    _told_settings, told, _judge_faithfulness,
    section="table of mean ranks and MRR",
    why="The RCDMs were trained for 2,500 steps, too few to tell; both sides are judged by means.",
)  # fmt: skip


def _judge_quality(cells: Sequence[Cell]) -> Finding:
    gain, ci = paired_interval(values_of(cells, "kid", told="nothing"), values_of(cells, "kid", told="h"))
    result = decide(confirmed=ci[0] > 0, refuted=gain <= 0)
    return Finding(result, gain, ci, "KID, on a supervised net's features, saved by conditioning on h")


RC2 = Claim(
    "RC-2", PAPER,
    "A diffusion model makes better samples with a representation as its condition than without, at the same budget.",
    "The unconditional model's KID minus the conditional one's, on the features of a supervised net, has its 95 % "
    "interval above 0: confirmed. Mean at most 0: not confirmed.",
    _told_settings, told, _judge_quality, cells_of="RC-1",
    section="table of FID",
    why="'Not confirmed' asks only for a mean.",
)  # fmt: skip


def _judge_nearness(cells: Sequence[Cell]) -> Finding:
    ratio, ci = mean_interval(values_of(cells, "nearness", told="h"))
    result = decide(confirmed=ci[0] > 0.9, refuted=ratio < 0.7)
    return Finding(result, ratio, ci, "distance from samples to the nearest training image, relative to held-out ones")


RC9 = Claim(
    "RC-9", PAPER,
    "Samples are not copies of training images.",
    "The median pixel distance from a sample to the nearest of n training images, over that to the nearest of n "
    "held-out images, has its 95 % interval above 0.9: confirmed. Mean below 0.7: not confirmed.",
    _told_settings, told, _judge_nearness, cells_of="RC-1",
    section="appendix on nearest neighbors",
    why="There is no positive control: an RCDM that copies must be caught by it.",
)  # fmt: skip


# RC-3, RC-4, RC-5, RC-7, RC-8 and RC-10: what the samples show of the factors of the shapes.

CHANGED = ("hue", "x", "scale")  # by SimCLR's views
DEPTHS = ("representation", "embedding")


def _depth_settings(budget: Budget) -> list[Setting]:
    methods = ("simclr", "vicreg", "byol") if budget == "full" else ("simclr",)
    return over_seeds(SEEDS[budget], basis(budget, data="shapes"), method=methods, depth=DEPTHS)


def _mean(cells: Sequence[Cell], names: Sequence[str], **setting: object) -> list[float]:
    """The average of these values, for each seed."""
    each = [values_of(cells, name, **setting) for name in names]
    return [statistics.fmean(values) for values in zip(*each, strict=True)]


def _lost(cells: Sequence[Cell], names: Sequence[str]) -> dict[str, list[float]]:
    """How much higher the mean of these values is before the projector than after it, for each method."""
    methods = sorted({cell.setting["method"] for cell in cells})
    return {m: differences(*(_mean(cells, names, method=m, depth=depth) for depth in DEPTHS)) for m in methods}


def _judge_projector(cells: Sequence[Cell]) -> Finding:
    lost = _lost(cells, [f"kept {name}" for name in CHANGED])
    found = [mean_interval(values) for values in lost.values()]
    mean, ci = mean_interval([statistics.fmean(values) for values in zip(*lost.values(), strict=True)])
    result = decide(confirmed=2 * sum(m > 0.1 and low > 0 for m, (low, _) in found) > len(found), refuted=mean <= 0)
    return Finding(result, mean, ci, f"of the variance of {', '.join(CHANGED)} kept before the projector but not after")


RC3 = Claim(
    "RC-3", PAPER,
    "The projector throws away what the views change; samples of the backbone still show it.",
    "Retention of hue, x and scale, on average, is more than 0.1 higher for samples of the representation than of the "
    "embedding, with a 95 % interval above 0, for most of the methods: confirmed. Mean at most 0: not confirmed.",
    _depth_settings, shown, _judge_projector,
    section="figures of backbone and projector",
    why="It is the mirroring alone: x + 0.76, but hue + 0.02 and scale + 0.16. Each changed factor should be judged "
    "alone.",
)  # fmt: skip


def _judge_agreement(cells: Sequence[Cell]) -> Finding:
    correlations = []
    for seed in sorted({cell.setting["seed"] for cell in cells}):
        pairs = [
            (cell.result[f"kept {name}"], cell.result[f"read {name}"])
            for cell in cells
            if cell.setting["seed"] == seed
            for name in READ
        ]
        correlations.append(rank_correlation(*zip(*pairs, strict=True)))
    mean, ci = mean_interval(correlations)
    result = decide(confirmed=mean >= 0.7, refuted=mean < 0.3)
    return Finding(result, mean, ci, "rank correlation between what samples keep and what a linear probe reads")


RC4 = Claim(
    "RC-4", PAPER,
    "What stays the same across samples is what the representation holds.",
    "Over factors and depths, the rank correlation of a factor's retention in samples with the R2 of a linear probe is "
    "at least 0.7 on average: confirmed. Below 0.3: not confirmed.",
    _depth_settings, shown, _judge_agreement, cells_of="RC-3",
    section="the idea of the paper",
    why="Ten points, judged by a mean.",
)  # fmt: skip


def _judge_following(cells: Sequence[Cell]) -> Finding:
    lost = _lost(cells, ("hue follows", "scale follows"))
    gain, ci = mean_interval([statistics.fmean(values) for values in zip(*lost.values(), strict=True)])
    result = decide(confirmed=ci[0] > 0, refuted=gain <= 0)
    before, after = (statistics.fmean(_mean(cells, ("hue follows", "scale follows"), depth=d)) for d in DEPTHS)
    what = f"of an augmentation shown by samples before the projector ({before:.2f}) but not after ({after:.2f})"
    return Finding(result, gain, ci, what)


RC5 = Claim(
    "RC-5", PAPER,
    "Samples of the representation show how the image was augmented; samples of the embedding do not.",
    "For images shifted in hue and enlarged, the slope of the factor read from the samples on its true change, "
    "averaged over hue and scale, is larger for the representation than for the embedding, with a 95 % interval above "
    "0: confirmed. Mean at most 0: not confirmed.",
    _depth_settings, shown, _judge_following, cells_of="RC-3",
    section="figures of augmented images",
    why="The embedding was not invariant either, so there was nothing to tell apart.",
    changed="Its rule came in one commit with its first results.",
)  # fmt: skip


def _judge_edits(cells: Sequence[Cell]) -> Finding:
    def at_h(name: str) -> list[float]:
        return _mean(cells, (name,), depth="representation")

    own, removed = at_h("own shape"), at_h("own shape, removed")
    drop, ci = mean_interval([1 - after / max(before, 1e-9) for before, after in zip(own, removed, strict=True)])
    rise, rise_ci = paired_interval(at_h("target's shape, transplanted"), at_h("target's shape"))
    changed, others = (statistics.fmean(at_h(f"{what} changed")) for what in ("shape", "others"))
    result: Result = "not confirmed"
    if statistics.fmean(own) < 0.25:
        result = "inconclusive"
    elif drop >= 0.5 and rise_ci[0] > 0 and others < changed:
        result = "confirmed"
    what = (
        f"of the samples with the image's own shape ({statistics.fmean(own):.2f} of all) lose it; a transplant gains "
        f"the target's shape {rise:+.2f}; the shape changes by {changed:.2f}, other factors by {others:.2f}"
    )
    return Finding(result, drop, ci, what)


RC7 = Claim(
    "RC-7", PAPER,
    "The dimensions that an image's neighbors have in common hold what the neighbors show: set to 0, it is gone; "
    "replaced by another image's, what that image shows appears.",
    "With the common dimensions of the representation at 0, the share of samples that a classifier takes for the "
    "image's own shape falls by at least half; with those of an image of another shape, that shape's share rises with "
    "a 95 % interval above 0; and zeroing changes the other factors less than the shape, relative to the change from "
    "one image to another: confirmed. Otherwise: not confirmed, but inconclusive if less than a quarter of the "
    "unedited samples, twice chance, have the image's shape.",
    _depth_settings, shown, _judge_edits, cells_of="RC-3",
    section="figure of manipulations",
    why="Setting a dense h to 0 does not remove anything from it; there was no control with random dimensions.",
    changed="Its rule came in one commit with its first results.",
)  # fmt: skip


def _judge_interpolation(cells: Sequence[Cell]) -> Finding:
    rho, ci = mean_interval(_mean(cells, ("progress by weight",), depth="representation"))
    jump, covered = (
        statistics.fmean(_mean(cells, (name,), depth="representation")) for name in ("largest jump", "covered")
    )
    result = decide(confirmed=rho >= 0.9, refuted=jump > 0.5 or ci[1] < 0.9)
    what = f"rank correlation of weight and progress (largest jump {jump:.2f} of what is covered, {covered:.2f} in all)"
    return Finding(result, rho, ci, what)


RC8 = Claim(
    "RC-8", PAPER,
    "As h moves from one representation to another, samples change steadily from one image to the other.",
    "As h moves straight from one image's to another's, the progress of the samples' factors from those of the first "
    "image to those of the second has a rank correlation of at least 0.9 with the weight, and the largest of eight "
    "jumps is at most half of the way covered, both on average over pairs of images: confirmed. Its interval below "
    "0.9, or a larger jump: not confirmed.",
    _depth_settings, shown, _judge_interpolation, cells_of="RC-3",
    section="figure of interpolations",
    why="The embedding passes too (0.9985), and so would a cross-fade of pixels.",
    changed="Its rule came in one commit with its first results.",
)  # fmt: skip


def _width_settings(budget: Budget) -> list[Setting]:
    return over_seeds(SEEDS[budget], basis(budget, data="shapes"), width=(32, 512), depth=("representation",))


def _judge_width(cells: Sequence[Cell]) -> Finding:
    gain, ci = paired_interval(*(_mean(cells, [f"kept {name}" for name in READ], width=width) for width in (512, 32)))
    result = decide(confirmed=ci[0] > 0, refuted=gain <= 0)
    return Finding(result, gain, ci, "of the variance of all factors kept by a width of 512 but not of 32")


RC10 = Claim(
    "RC-10", "Expand or Narrow your representation (arXiv 2304.05369), seen through RCDM",
    "A wider representation keeps more of the image.",
    "The mean retention of all factors at width 512 minus that at width 32 has its 95 % interval above 0: confirmed. "
    "Mean at most 0: not confirmed.",
    _width_settings, shown, _judge_width,
    section="RCDM of narrow and wide representations",
    why="'Not confirmed' asks only for a mean, and three seeds.",
)  # fmt: skip


# RC-6: small adversarial changes.

STRENGTHS: dict[Budget, list[float]] = {
    "smoke": [2.0, 8.0],
    "standard": [1.0, 2.0, 4.0, 8.0],
    "full": [1.0, 2.0, 4.0, 8.0, 16.0],
}


def _attack_settings(budget: Budget) -> list[Setting]:
    steps, images = {"smoke": (4, 32), "standard": (400, 500), "full": (4000, 500)}[budget]
    base = BASE | {"steps": steps, "conditions": images, "strengths": STRENGTHS[budget]}
    return over_seeds(SEEDS[budget], base, method=("simclr", "supervised"))


def _attacked(setting: Setting) -> Iterator[Values | None]:
    images, seed = images_of(setting), setting["seed"]
    encoder = (yield from trained_encoder(setting, setting["method"])).cpu()
    few = images.train[few_labels(images.train.labels, LABELS, seed=seed)]
    test = images.test[: setting["conditions"]]
    h = embed(encoder, test.images)
    probe = linear_probe(embed(encoder, few.images), few.labels, h, test.labels, weight_decays=(1e-2,))
    f, before = feature_function(encoder), probe.predict(h)
    by_chance = (h - h.roll(1, dims=0)).norm(dim=1).mean()
    values: Values = {"accuracy": probe.accuracy}
    for strength in setting["strengths"]:
        wrong = label_loss(lambda x: probe.logits(f(x)), before)
        misled = yield from last_of(pgd(wrong, test.images, strength=strength))
        changed = probe.predict(embed(encoder, misled.images)) != before
        generator = rng(seed, 0, "attack")
        pushed = yield from last_of(
            pgd(representation_loss(f, test.images), test.images, strength=strength, generator=generator)
        )
        values[f"flipped at {strength:g}"] = changed.float().mean().item()
        values[f"moved at {strength:g}"] = (pushed.loss.sqrt().mean() / by_chance).item()
    yield values


def _judge_robustness(cells: Sequence[Cell]) -> Finding:
    strengths = cells[0].setting["strengths"]

    def excess(what: str) -> tuple[float, tuple[float, float]]:
        """The supervised encoder's value minus the self-supervised one's, averaged over the strengths."""
        each = [
            differences(*(values_of(cells, f"{what} at {s:g}", method=method) for method in ("supervised", "simclr")))
            for s in strengths
        ]
        return mean_interval([statistics.fmean(values) for values in zip(*each, strict=True)])

    flipped, moved = excess("flipped"), excess("moved")
    result = decide(confirmed=flipped[1][0] > 0 and moved[1][0] > 0, refuted=flipped[0] <= 0 or moved[0] <= 0)
    effect, ci = points(flipped)
    what = f"points more predictions flipped for the supervised encoder (h moved {moved[0]:+.2f} of a mean distance)"
    return Finding(result, effect, ci, what)


RC6 = Claim(
    "RC-6", PAPER,
    "A self-supervised representation is more robust to small adversarial noise than a supervised one.",
    "On average over the strengths, PGD through each encoder's own linear probe flips more predictions of the "
    "supervised encoder than of SimCLR's, and PGD on the representation moves it farther, in units of the mean "
    "distance of two images, both with 95 % intervals above 0: confirmed. Either mean at most 0: not confirmed.",
    _attack_settings, _attacked, _judge_robustness,
    section="abstract; figures of adversarial noise",
    why="The supervised net was trained without color views, SimCLR with them, and their accuracies differ.",
)  # fmt: skip

CLAIMS = (RC1, RC2, RC3, RC4, RC5, RC6, RC7, RC8, RC9, RC10)
