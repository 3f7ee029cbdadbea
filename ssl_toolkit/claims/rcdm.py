"""The claims of *High Fidelity Visualization of What Your Self-Supervised Representation Knows About* (Bordes et al.).

A laptop trains these encoders and RCDMs in minutes: we test whether the claims hold at this size. Claims share
measurements if they can be judged from the same RCDMs, as RC-4, RC-5, RC-7 and RC-8 do. RC-6 is in `rcdm_attacks`.
"""

import statistics
from collections import Counter
from collections.abc import Sequence

from ssl_toolkit.claims.common import SEEDS, five_seeds, over_seeds
from ssl_toolkit.claims.protocol import Control, after_version_1, beyond
from ssl_toolkit.claims.rcdm_attacks import RC6
from ssl_toolkit.claims.rcdm_factors import READ, shown
from ssl_toolkit.claims.rcdm_training import PAPER, basis, told
from ssl_toolkit.claims.study import Budget, Claim, Finding, Result, decide, rank_correlation, values_of
from ssl_toolkit.data.shapes import SHAPES
from ssl_toolkit.training.intervals import differences, mean_interval, paired_interval
from ssl_toolkit.training.sweep import Cell, Setting

# RC-1, RC-2 and RC-9: samples of an RCDM trained on h, another image's h, or nothing.


def _faithful_settings(budget: Budget) -> list[Setting]:
    base = basis(budget, data="fashion-mnist")
    return five_seeds(100, budget, base | {"painting": 2 * base["painting"]}, told=("h", "another's h"))


def _judge_faithfulness(cells: Sequence[Cell]) -> Finding:
    mrr, other = (values_of(cells, "mrr", told=told) for told in ("h", "another's h"))
    control = Control("MRR over that of an RCDM that was told another image's h", *paired_interval(mrr, other), 0.1)
    mean, ci = mean_interval(mrr)
    chance = values_of(cells, "chance", told="h")[0]
    result = beyond(ci, 0.8) if control.passed else "inconclusive"
    what = f"mean reciprocal rank (with another image's h {statistics.fmean(other):.3f}, chance {chance:.3f})"
    return Finding(result, mean, ci, what, tuple(mrr), control)


RC1 = Claim(
    "RC-1", PAPER,
    "A sample's representation is closest to that of the image it was conditioned on. (The paper: MRR .97 for SimCLR "
    "among 50,000 images of ImageNet; here among 1,000 garments of 16 x 16 pixels.)",
    "Among the conditioning images of the test set, the mean reciprocal rank is above 0.8, with a 95 % interval: "
    "confirmed. The interval lies below 0.8: not confirmed.",
    _faithful_settings, told, _judge_faithfulness, cells_of="RC-1-v2", version="2",
    section="table of mean ranks and MRR", sesoi=0.8, unit="mean reciprocal rank",
    power=after_version_1("the MRR varies from seed to seed by a standard deviation of 0.024"), minutes=60,
    why="Version 1's RCDMs were trained for 2,500 steps, too few to tell, and both sides were judged by means.",
)  # fmt: skip


def _told_settings(budget: Budget) -> list[Setting]:
    base = basis(budget, data="fashion-mnist")
    return over_seeds(SEEDS[budget], base, told=("h", "another's h", "nothing"))


def _judge_quality(cells: Sequence[Cell]) -> Finding:
    gain, ci = paired_interval(values_of(cells, "kid", told="nothing"), values_of(cells, "kid", told="h"))
    result = decide(confirmed=ci[0] > 0, refuted=gain <= 0)
    return Finding(result, gain, ci, "KID, on a supervised net's features, saved by conditioning on h")


RC2 = Claim(
    "RC-2", PAPER,
    "A diffusion model makes better samples with a representation as its condition than without, at the same budget.",
    "The unconditional model's KID minus the conditional one's, on the features of a supervised net, has its 95 % "
    "interval above 0: confirmed. Mean at most 0: not confirmed.",
    _told_settings, told, _judge_quality, section="table of FID",
    why="'Not confirmed' asks only for a mean, and three seeds.",
)  # fmt: skip

COPIES = 200  # images that an RCDM learns by heart


def _copying_settings(budget: Budget) -> list[Setting]:
    base = basis(budget, data="fashion-mnist") | {"told": "h"}
    return five_seeds(200, budget, base, limit=(base["limit"], COPIES))


def _judge_nearness(cells: Sequence[Cell]) -> Finding:
    many = max(cell.setting["limit"] for cell in cells)
    ratio, copied = (values_of(cells, "nearness", limit=limit) for limit in (many, COPIES))
    caught = [1 - value for value in copied]
    control = Control(f"nearness to {COPIES} images that were learned by heart, below 1", *mean_interval(caught), 0.1)
    mean, ci = mean_interval(ratio)
    result = beyond(ci, 0.9) if control.passed else "inconclusive"
    what = (
        "distance from samples to the nearest training image, relative to held-out ones "
        f"({statistics.fmean(copied):.2f} if {COPIES} images are learned by heart)"
    )
    return Finding(result, mean, ci, what, tuple(ratio), control)


RC9 = Claim(
    "RC-9", PAPER,
    "Samples are not copies of training images.",
    "The median pixel distance from a sample to the nearest of n training images, over that to the nearest of n "
    f"held-out images, is above 0.9, with a 95 % interval: confirmed. The interval lies below 0.9: not confirmed. An "
    f"RCDM that learned {COPIES} images by heart must fall below 0.9, with an interval; otherwise nothing is decided.",
    _copying_settings, told, _judge_nearness, cells_of="RC-9-v2", version="2",
    section="appendix on nearest neighbors", sesoi=0.9, unit="ratio of distances",
    power=after_version_1("the ratio varies from seed to seed by a standard deviation of 0.006"), minutes=40,
    why="Version 1 had no positive control: nothing showed that a copy would be caught.",
)  # fmt: skip


# RC-3, RC-4, RC-5, RC-7, RC-8 and RC-10: what the samples show of the factors of the shapes.

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


CHANGED = READ  # crops change x, y and scale, and color jitter the hue of the shape and of its background


def _views_settings(budget: Budget) -> list[Setting]:
    return five_seeds(300, budget, basis(budget, data="shapes") | {"method": "simclr", "views": "full"}, depth=DEPTHS)


def _judge_projector(cells: Sequence[Cell]) -> Finding:
    lost = {name: differences(*(values_of(cells, f"kept {name}", depth=d) for d in DEPTHS)) for name in CHANGED}
    level = 1 - 0.05 / len(lost)  # Bonferroni
    each = {name: beyond(mean_interval(values, level=level)[1], 0.1) for name, values in lost.items()}
    counts = Counter(each.values())
    majority = [result for result, n in counts.items() if 2 * n > len(lost)]
    result: Result = majority[0] if majority else "inconclusive"
    kept = [statistics.fmean(seed) for seed in zip(*lost.values(), strict=True)]
    right = values_of(cells, "reader's shape", depth=DEPTHS[0])
    control = Control("share of real images whose shape the reader says, over chance", *mean_interval(
        [share - 1 / len(SHAPES) for share in right]), 0.5)  # fmt: skip
    words = ", ".join(f"{name} {statistics.fmean(values):+.2f} ({each[name]})" for name, values in lost.items())
    what = f"of the variance kept before the projector but not after, on average: {words}"
    return Finding(
        result if control.passed else "inconclusive", *mean_interval(kept), what, tuple(kept), control
    )  # fmt: skip


RC3 = Claim(
    "RC-3", PAPER,
    "The projector throws away what the views change; samples of the backbone still show it. (Here for SimCLR on "
    "shapes, under crops and color jitter that turns any hue.)",
    "Each of the five factors that the views change is judged alone: its retention is more than 0.1 higher for samples "
    "of the representation than of the embedding, with a 95 % interval over all five (Bonferroni). More than half of "
    "the factors are: confirmed. For more than half the interval lies below 0.1: not confirmed.",
    _views_settings, shown, _judge_projector, cells_of="RC-3-v2", version="2",
    section="figures of backbone and projector", sesoi=0.1, unit="share of the variance", minutes=20,
    power=after_version_1("the loss of a factor varies by a standard deviation of 0.002 to 0.066"),
    why="Version 1 was the mirroring alone: x + 0.76, but hue + 0.02 and scale + 0.16; their mean hid it.",
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
    _depth_settings, shown, _judge_agreement,
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
    _depth_settings, shown, _judge_following, cells_of="RC-4",
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
    _depth_settings, shown, _judge_edits, cells_of="RC-4",
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
    _depth_settings, shown, _judge_interpolation, cells_of="RC-4",
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


CLAIMS = (RC1, RC2, RC3, RC4, RC5, RC6, RC7, RC8, RC9, RC10)
