"""The protocol: rules that decide by intervals in both directions, power, registration before measurement."""

import math
import statistics

import pytest
import torch

from ssl_toolkit.claims import CLAIMS, registration as registering, results, stored
from ssl_toolkit.claims.index import in_the_same_file
from ssl_toolkit.claims.protocol import (
    beyond,
    every,
    minimal_detectable_effect,
    power,
    seeds_for,
    some,
    within,
)
from ssl_toolkit.claims.registration import register, registration
from ssl_toolkit.claims.study import Finding, chosen, fingerprint
from ssl_toolkit.training.intervals import mean_interval
from ssl_toolkit.training.sweep import Cell, read_cells

REGISTERED = [claim for claim in CLAIMS.values() if claim.registered]
WORDS = ("confirmed", "inconclusive", "not confirmed")


@pytest.mark.parametrize("interval, result", [((3.1, 5.0), "confirmed"), ((2.9, 5.0), "inconclusive"),
                                              ((-5.0, 2.9), "not confirmed")])  # fmt: skip
def test_an_interval_decides_in_both_directions(interval, result):
    assert beyond(interval, 3.0) == result
    low, high = interval
    assert within((-high, -low), -3.0) == result


def test_one_refuted_part_refutes_the_whole_and_one_confirmed_chance_is_enough():
    for a in WORDS:
        for b in WORDS:
            assert WORDS.index(every(a, b)) == max(WORDS.index(a), WORDS.index(b))
            assert WORDS.index(some(a, b)) == min(WORDS.index(a), WORDS.index(b))


def test_power_is_what_simulated_studies_find():
    generator = torch.Generator().manual_seed(0)
    studies = 1.2 + torch.randn(4000, 6, generator=generator)
    found = sum(mean_interval(study.tolist())[1][0] > 0 for study in studies) / len(studies)
    assert power(1.2, 1.0, 6) == pytest.approx(found, abs=0.025)
    assert power(0.0, 1.0, 6) == pytest.approx(0.025, abs=1e-6)


def test_the_number_of_seeds_is_the_first_with_enough_power():
    n = seeds_for(1.0, 1.0)
    assert power(1.0, 1.0, n) >= 0.8 > power(1.0, 1.0, n - 1)
    with pytest.raises(ValueError, match="must be positive"):
        seeds_for(0.0, 1.0)


def test_the_minimal_detectable_effect_is_detected_with_the_power_it_is_for():
    values = [1.0, 2.5, 0.3, 4.0, 2.2]
    assert power(minimal_detectable_effect(values), statistics.stdev(values), 5) == pytest.approx(0.8, abs=1e-6)
    assert minimal_detectable_effect([2.0, 2.0]) == 0


# Registration.


@pytest.mark.parametrize("claim", REGISTERED, ids=lambda c: c.id)
def test_a_registered_claim_is_the_one_that_was_registered(claim):
    assert registration(claim).hash == fingerprint(claim), "register a changed claim again, as a new version"


@pytest.mark.parametrize("claim", REGISTERED, ids=lambda c: c.id)
def test_no_seed_was_measured_before_the_claim_was_registered(claim):
    path = results() / claim.cells("standard")
    if not path.exists():
        pytest.skip("not measured yet")
    cells = chosen(claim, read_cells(path), "standard") + chosen(claim, read_cells(path), "standard", second=True)
    assert all(cell.when > registration(claim).date for cell in cells)


@pytest.mark.parametrize("claim", REGISTERED, ids=lambda c: c.id)
def test_a_stored_result_carries_the_hash_of_the_rule_that_judged_it(claim):
    try:
        verdict, _ = stored(claim.id, version=claim.version)
    except FileNotFoundError:
        pytest.skip("not measured yet")
    assert verdict.rule_hash == registration(claim).hash


@pytest.mark.parametrize("change", [{"rule": "Anything goes."}, {"sesoi": 0.0}, {"statement": "It is better."},
                                    {"settings": lambda budget: [{"seed": 7}]}])  # fmt: skip
def test_a_fingerprint_changes_with_everything_that_was_fixed(change):
    claim = CLAIMS["DJ-2"]
    assert fingerprint(claim._replace(**change)) != fingerprint(claim)
    assert fingerprint(claim._replace(power="other words", minutes=99)) == fingerprint(claim)


@pytest.mark.parametrize("claim", REGISTERED, ids=lambda c: c.id)
def test_a_registered_claim_says_all_that_the_protocol_asks(claim):
    assert all((claim.unit, claim.section, claim.why, claim.power))
    assert claim.minutes > 0
    assert len({setting["seed"] for setting in claim.settings("standard")}) >= 5


def test_pilots_use_seeds_that_no_claim_does():
    piloted = {cell.setting["seed"] for path in (results() / "pilots").glob("*.jsonl") for cell in read_cells(path)}
    used = {setting["seed"] for claim in REGISTERED for setting in claim.settings("full")}
    assert piloted
    assert not piloted & used


def test_claims_that_share_a_file_share_their_measure_and_version():
    for claim in REGISTERED:
        for other in CLAIMS.values():
            if other.cells("standard") == claim.cells("standard"):
                assert (other.measure, other.version) == (claim.measure, claim.version)


def test_what_claims_share_is_measured_once():
    of_all = in_the_same_file(CLAIMS["DJ-2"], "standard")
    assert len(of_all) == len({str(sorted(setting.items())) for setting in of_all})
    each = sum(len(c.settings("standard")) + len(c.second("standard")) for c in REGISTERED if c.cells_of == "shapes-v2")
    assert len(of_all) < 0.7 * each


def test_what_was_registered_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(registering, "results", lambda: tmp_path)
    claim = CLAIMS["DJ-2"]
    first = register(claim)
    assert register(claim) == first == registration(claim)
    with pytest.raises(ValueError, match="give it a new version"):
        register(claim._replace(rule="It is at least as good on average: confirmed."))
    assert registration(claim._replace(version="3")) is None
    assert register(claim._replace(version="3", sesoi=0.1)).hash != first.hash


# The rules of the pool on shapes, on invented measurements.

BARE = {"class": 0.35, "texture": 0.4, "hue": 0.5, "x": 0.5, "y": 0.5, "scale": 0.3, "angle": 0.1, "background": 0.5}


def invented(claim_id: str, score) -> Finding:
    """The judgment of measurements that were not made; `score` gives what differs from the baselines."""
    settings = CLAIMS[claim_id].settings("standard")
    middle = statistics.fmean(setting["seed"] for setting in settings)
    cells = []
    for setting in settings:
        learned = {"class": 0.65} if setting["method"] not in ("untrained", "pixels") else {}
        values = BARE | learned | score(setting | {"middle": middle})
        validated = {f"{name}, validation": value for name, value in values.items() if ", " not in name}
        extra = {"class, random": values.pop("random", 0.66)} if "widest" in setting else {}
        cells.append(Cell(setting, {"h, RankMe": 30.0} | validated | values | extra, 1.0))
    return CLAIMS[claim_id].judge(cells)


def wobble(setting, by: float) -> float:
    """A different small value for each seed, with mean 0."""
    return by * (setting["seed"] - setting["middle"])


def test_where_nothing_is_learned_nothing_is_decided():
    def score(s):  # one negative is as good as all; but all are no better than raw pixels
        return {"class": 0.36 + wobble(s, 1e-4)} if s["method"] == "simclr" else {}

    finding = invented("DJ-2", score)
    assert finding.result == "inconclusive"
    assert "nothing was learned" in finding.what


@pytest.mark.parametrize(
    "one, by, result",
    [(0.60, 0.001, "confirmed"), (0.45, 0.001, "not confirmed"), (0.36, 0.001, "not confirmed"),
     (0.50, 0.02, "inconclusive"), (0.55, 0.08, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_one_negative(one, by, result):
    def score(s):
        return {"class": one + wobble(s, by)} if s["negatives"] == 1 else {}

    finding = invented("DJ-2", score)
    assert finding.result == result
    assert finding.effect == pytest.approx((one - 0.35) / 0.3, abs=1e-6)


@pytest.mark.parametrize("claim_id, views", [("DJ-3", "full"), ("DJ-3b", "noise")])
@pytest.mark.parametrize(
    "gain, by, result",
    [(0.06, 0.002, "confirmed"), (0.06, 0.05, "inconclusive"), (0.01, 0.002, "not confirmed"),
     (-0.1, 0.002, "not confirmed")],
)  # fmt: skip
def test_the_rule_of_a_patch(claim_id, views, gain, by, result):
    def score(s):
        return {"class": 0.35 + gain + wobble(s, by)} if s["patch"] and s["views"] == views else {}

    finding = invented(claim_id, score)
    assert finding.result == result
    assert finding.effect == pytest.approx(100 * gain)


@pytest.mark.parametrize("gain, by, result", [(0.2, 0.001, "confirmed"), (0.0, 0.001, "not confirmed"),
                                              (0.06, 0.02, "inconclusive")])  # fmt: skip
def test_the_rule_of_noise_alone(gain, by, result):
    def score(s):
        if s["method"] != "simclr" or s["views"] != "noise":
            return {}
        return {"class": 0.3, "hue": 0.5 + gain + wobble(s, by)}

    assert invented("DJ-4", score).result == result


def test_noise_that_beats_an_untrained_net_but_not_raw_pixels_is_refused():
    def score(s):
        hue = 0.9 if s["method"] == "pixels" else 0.8 if s["views"] == "noise" and s["method"] == "simclr" else 0.5
        return {"hue": hue + wobble(s, 1e-3), "class": 0.3 if s["views"] == "noise" else BARE["class"]} | (
            {"class": 0.65} if s["method"] == "simclr" and s["views"] == "full" else {}
        )

    assert invented("DJ-4", score).result == "not confirmed"


@pytest.mark.parametrize("swap, by, result", [(0.3, 0.001, "confirmed"), (0.05, 0.001, "not confirmed"),
                                              (0.0, 0.0, "not confirmed"), (0.11, 0.05, "inconclusive")])  # fmt: skip
def test_the_rule_of_augmentations(swap, by, result):
    """'full' is the best single set; for the hue, 'crop' is better by `swap`."""

    def score(s):
        if s["method"] != "simclr":
            return {}
        full, crop = s["views"] == "full", s["views"] == "crop"
        return {"class": 0.5 + 0.4 * full, "x": 0.5 + 0.4 * full, "hue": 0.5 + (swap + wobble(s, by)) * crop}

    assert invented("DJ-5", score).result == result


@pytest.mark.parametrize("gain, by, result", [(0.06, 0.002, "confirmed"), (0.005, 0.002, "not confirmed"),
                                              (0.03, 0.02, "inconclusive")])  # fmt: skip
def test_the_rule_of_width(gain, by, result):
    def score(s):
        wide = s["method"] == "simclr" and s["width"] == 2048
        return {"class": 0.65 + gain + wobble(s, by)} if wide else {}

    finding = invented("EN-2", score)
    assert finding.result == result
    assert finding.effect == pytest.approx(100 * gain)


@pytest.mark.parametrize(
    "bare, random, by, result",
    [(0.0, 0.66, 0.002, "confirmed"), (0.09, 0.66, 0.002, "not confirmed"), (0.0, 0.74, 0.002, "not confirmed"),
     (0.06, 0.66, 0.03, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_width_beyond_width(bare, random, by, result):
    """A wide net that gains no more than an untrained one, or than random features, is refused."""

    def score(s):
        if s["method"] == "untrained":
            return {"class": 0.35 + bare * (s["width"] == 2048)}
        wide = s["method"] == "simclr" and s["width"] == 2048
        return {"random": random} | ({"class": 0.75 + wobble(s, by)} if wide else {})

    assert invented("EN-2b", score).result == result


@pytest.mark.parametrize("lost, by, result", [(0.06, 0.002, "confirmed"), (0.01, 0.002, "not confirmed"),
                                              (0.04, 0.03, "inconclusive")])  # fmt: skip
def test_the_rule_of_no_projector(lost, by, result):
    def at_home(s):
        return {"class": 0.65 - lost + wobble(s, by)} if s["projector"] == [] else {}

    finding = invented("EN-5", at_home)
    assert (finding.result, finding.effect) == (result, pytest.approx(100 * lost))

    def away(s):
        return {"hue": 0.5 - 14 * (lost + wobble(s, by))} if s["projector"] == [] else {}

    finding = invented("EN-5b", away)
    assert (finding.result, finding.effect) == (result, pytest.approx(2 * lost))


@pytest.mark.parametrize("lost, by, result", [(0.0, 0.001, "confirmed"), (0.05, 0.001, "not confirmed"),
                                              (-0.05, 0.001, "confirmed"), (0.02, 0.01, "inconclusive")])  # fmt: skip
def test_the_rule_of_small_batches(lost, by, result):
    """Batch 256 is best, at another rate than 16; the best rates are 2e-3 and 8e-3."""

    def score(s):
        if s["method"] != "simclr":
            return {}
        best = {16: 2e-3, 64: 2e-3, 256: 8e-3}[s["batch_size"]]
        accuracy = {16: 0.65 - lost + wobble(s, by), 64: 0.6, 256: 0.65}[s["batch_size"]]
        return {"class": accuracy - 0.1 * (s["lr"] != best)}

    finding = invented("DJ-1", score)
    assert finding.result == result
    assert "against batch 256" in finding.what
    assert finding.effect == pytest.approx(100 * lost)


@pytest.mark.parametrize(
    "home, away, by, result",
    [(0.05, 0.1, 0.001, "confirmed"), (-0.05, 0.1, 0.001, "not confirmed"), (0.05, 0.0, 0.001, "not confirmed"),
     (0.05, 0.03, 0.02, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_width_by_labels(home, away, by, result):
    """A supervised net that gains away but does not lose at home, as in version 1, is refused."""

    def score(s):
        if s["method"] != "supervised":
            return {}
        wide = s["width"] == 2048
        return {"class": 0.9 - home * wide} | {"hue": 0.3 + 7 * (away + wobble(s, by)) * wide}

    finding = invented("EN-3", score)
    assert finding.result == result
    assert finding.effect == pytest.approx(away)


def test_supervised_claims_need_supervised_nets_that_learned():
    finding = invented("EN-3", lambda s: {"class": 0.36 + wobble(s, 1e-4)} if s["method"] == "supervised" else {})
    assert (finding.result, finding.control.what[:10]) == ("inconclusive", "supervised")


@pytest.mark.parametrize(
    "two, balanced, by, result",
    [(0.01, 0.0, 1e-4, "confirmed"), (0.01, 0.01, 1e-4, "not confirmed"), (0.0, 0.0, 1e-4, "not confirmed"),
     (0.005, 0.0, 3e-3, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_batches_of_two_classes(two, balanced, by, result):
    def score(s):
        if len(s["projector"]) != 1:
            return {}
        each = two + wobble(s, by) if "sampling" in s else balanced
        level = 0.1 * s["width"] ** 0.3  # which is no slope within a width
        return {"class": level + each * math.log(s["width"] / s["projector"][0])}

    assert invented("EN-4", score).result == result


@pytest.mark.parametrize("more, by, result", [(0.6, 0.01, "confirmed"), (0.0, 0.0, "not confirmed"),
                                              (0.25, 0.1, "inconclusive")])  # fmt: skip
def test_the_rule_of_zeros(more, by, result):
    def score(s):
        wide = s["method"] == "vicreg" and s["width"] == 2048
        return {"h, half zero": 0.1 + (more + wobble(s, by)) * wide}

    assert invented("EN-6", score).result == result


@pytest.mark.parametrize("less, by, result", [(0.06, 0.001, "confirmed"), (0.0, 0.001, "not confirmed"),
                                              (0.03, 0.02, "inconclusive")])  # fmt: skip
def test_the_rule_of_an_mlp(less, by, result):
    def score(s):
        return {"class, MLP": 0.65 + (less + wobble(s, by)) * (s["width"] == 64)} if "mlp" in s else {}

    assert invented("EN-6b", score).result == result


@pytest.mark.parametrize(
    "narrow, wide, by, result",
    [(0.5, 0.9, 0.001, "confirmed"), (0.5, 0.5, 0.001, "not confirmed"), (0.5, 0.62, 0.05, "inconclusive")],
)
def test_the_rule_of_bits_does_not_mistake_a_low_floor_for_a_small_loss(narrow, wide, by, result):
    """The narrow net reads less, so it has fewer points to lose; what counts is the share that is kept."""

    def score(s):
        if s["method"] != "simclr":
            return {}
        linear, kept = (0.35, narrow) if s["width"] == 64 else (0.65, wide + wobble(s, by))
        return {"class": linear, "class, bits": 1 / 8 + kept * (linear - 1 / 8)}

    finding = invented("EN-6c", score)
    assert finding.result == result
    assert finding.effect == pytest.approx(wide - narrow)


@pytest.mark.parametrize(
    "ssl, told, by, result",
    [(0.06, 0.0, 0.001, "confirmed"), (0.06, 0.06, 0.001, "not confirmed"), (0.0, -0.06, 0.001, "not confirmed"),
     (0.06, 0.03, 0.01, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_other_nets(ssl, told, by, result):
    """A wide last block that helps supervised nets as much is refused."""

    def score(s):
        if "net" not in s:
            return {}
        gain = ssl if s["method"] == "simclr" else told + wobble(s, by)
        return {"class": 0.6 + gain * (s["net"] == "last block") - 0.1 * (s["net"] == "wider")}

    assert invented("EN-7", score).result == result


# The rules of probes and of speed.


def of_probes(claim_id: str, score) -> Finding:
    """Like `invented`, for claims whose cells hold what DJ-6 and DJ-7 measure."""
    settings = CLAIMS[claim_id].settings("standard")
    middle = statistics.fmean(setting["seed"] for setting in settings)
    cells = []
    for setting in settings:
        values = {"class": 0.35, "representation": 0.35}
        if setting["method"] == "simclr":
            mlp = {"MLP": 0.65, "MLP at the last epoch": 0.65, "best epoch": 40.0}
            speed = {"images/s": 1000.0, "images/s per sample": 200.0, "seconds": 20.0}
            values = {"class": 0.65, "representation": 0.65, "embedding": 0.6} | mlp | speed
        cells.append(Cell(setting, values | score(setting | {"middle": middle}), 1.0))
    return CLAIMS[claim_id].judge(cells)


@pytest.mark.parametrize(
    "gain, by, result",
    [(0.05, 0.001, "confirmed"), (-0.05, 0.001, "not confirmed"), (0.01, 0.001, "not confirmed"),
     (0.02, 0.01, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_where_to_probe(gain, by, result):
    def score(s):
        return {"embedding": 0.65 - gain - wobble(s, by)} if s["method"] == "simclr" else {}

    finding = of_probes("DJ-6", score)
    assert (finding.result, finding.effect) == (result, pytest.approx(100 * gain))


@pytest.mark.parametrize("lost, by, result", [(0.03, 0.001, "confirmed"), (0.0, 0.001, "not confirmed"),
                                              (0.01, 0.005, "inconclusive")])  # fmt: skip
def test_the_rule_of_when_to_stop(lost, by, result):
    """That the best epoch comes before the last is no overfitting: nothing must be lost by it."""

    def score(s):
        return {"MLP at the last epoch": 0.65 - lost - wobble(s, by)} if s["method"] == "simclr" else {}

    assert of_probes("DJ-6b", score).result == result


@pytest.mark.parametrize("lost, by, result", [(0.0, 0.001, "confirmed"), (0.05, 0.001, "not confirmed"),
                                              (0.02, 0.01, "inconclusive")])  # fmt: skip
def test_the_rule_of_growing_views(lost, by, result):
    def score(s):
        return {"class": 0.65 - lost - wobble(s, by)} if s.get("resolution") == "growing" else {}

    assert of_probes("DJ-7", score).result == result


@pytest.mark.parametrize("saved, by, result", [(0.2, 0.01, "confirmed"), (0.0, 0.001, "not confirmed"),
                                               (0.05, 0.03, "inconclusive")])  # fmt: skip
def test_the_rule_of_time(saved, by, result):
    def score(s):
        return {"seconds": 20 * (1 - saved - wobble(s, by))} if s.get("resolution") == "growing" else {}

    assert of_probes("DJ-7b", score).result == result


@pytest.mark.parametrize("ratio, by, result", [(5.0, 0.1, "confirmed"), (1.5, 0.01, "not confirmed"),
                                               (2.0, 0.5, "inconclusive")])  # fmt: skip
def test_the_rule_of_loaders(ratio, by, result):
    def score(s):
        return {"images/s": 200 * (ratio + wobble(s, by))} if s.get("resolution") == "fixed" else {}

    assert of_probes("DJ-7c", score).result == result


@pytest.mark.parametrize("claim_id", ["DJ-6", "DJ-6b", "DJ-7", "DJ-7b", "DJ-7c"])
def test_probes_and_speed_are_not_judged_where_nothing_is_learned(claim_id):
    def score(s):
        return {name: 0.36 + wobble(s, 1e-4) for name in ("class", "representation")}

    assert of_probes(claim_id, score).result == "inconclusive"


# The rules of samples.


def of_samples(claim_id: str, score) -> Finding:
    """The judgment of measurements that were not made: `score` gives all values of a setting."""
    settings = CLAIMS[claim_id].settings("standard")
    middle = statistics.fmean(setting["seed"] for setting in settings)
    return CLAIMS[claim_id].judge([Cell(s, score(s | {"middle": middle}), 1.0) for s in settings])


@pytest.mark.parametrize(
    "mrr, other, by, result",
    [(0.9, 0.01, 0.01, "confirmed"), (0.6, 0.01, 0.01, "not confirmed"), (0.8, 0.01, 0.05, "inconclusive"),
     (0.9, 0.9, 0.01, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_faithfulness(mrr, other, by, result):
    """An RCDM that paints as faithfully when told another image's h is refused: it does not use h."""

    def score(s):
        return {"mrr": (mrr if s["told"] == "h" else other) + wobble(s, by), "chance": 0.007}

    assert of_samples("RC-1", score).result == result


@pytest.mark.parametrize(
    "ratio, copied, by, result",
    [(1.0, 0.3, 0.01, "confirmed"), (0.6, 0.3, 0.01, "not confirmed"), (0.9, 0.3, 0.05, "inconclusive"),
     (1.0, 1.0, 0.01, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_copies(ratio, copied, by, result):
    """Where copies are not caught, nothing is decided."""

    def score(s):
        return {"nearness": (ratio if s["limit"] > 200 else copied) + wobble(s, by)}

    assert of_samples("RC-9", score).result == result


@pytest.mark.parametrize(
    "lost, result",
    [({"hue": 0.3, "background": 0.3, "x": 0.3}, "confirmed"), ({"x": 0.8}, "not confirmed"), ({}, "not confirmed"),
     ({"hue": 0.3, "background": 0.3, "x": 0.1, "y": 0.1}, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_the_projector_counts_factors(lost, result):
    """One factor that is lost by far, as in version 1, is not enough."""

    def score(s):
        after = s["depth"] == "embedding"
        values = {
            f"kept {name}": 0.9 - after * (lost.get(name, 0.0) + wobble(s, 0.02))
            for name in ("hue", "background", "x", "y", "scale")
        }
        return values | {"reader's shape": 0.95}

    assert of_samples("RC-3", score).result == result


@pytest.mark.parametrize(
    "flipped, moved, apart, by, result",
    [(0.2, 0.2, 0.0, 0.01, "confirmed"), (0.0, 0.2, 0.0, 0.01, "not confirmed"), (0.2, 0.0, 0.0, 0.01, "not confirmed"),
     (0.05, 0.2, 0.0, 0.02, "inconclusive"), (0.2, 0.2, 0.05, 0.01, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_robustness(flipped, moved, apart, by, result):
    """Nets of different accuracy are not compared."""

    def score(s):
        values = {"accuracy, simclr": 0.6, "accuracy, supervised": 0.6 + apart}
        values |= {"accuracy, untrained": 0.3, "accuracy, pixels": 0.3}
        for strength in s["strengths"]:
            values |= {f"flipped at {strength:g}, simclr": 0.3, f"moved at {strength:g}, simclr": 0.3}
            values[f"flipped at {strength:g}, supervised"] = 0.3 + flipped + wobble(s, by)
            values[f"moved at {strength:g}, supervised"] = 0.3 + moved + wobble(s, by)
        return values

    finding = of_samples("RC-6", score)
    assert (finding.result, finding.effect) == (result, pytest.approx(100 * flipped))


@pytest.mark.parametrize(
    "gain, bound, by, result",
    [(1.0, 50.0, 0.1, "confirmed"), (0.0, 50.0, 0.01, "not confirmed"), (0.3, 50.0, 0.2, "inconclusive"),
     (1.0, 30.0, 0.1, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_steps(gain, bound, by, result):
    """A chain that has learned no more than the noise it starts from decides nothing."""

    def score(s):
        return {"score": 2.5 + (gain + wobble(s, by)) * (s["T"] == 10), "bound": bound + s["seed"] / 1e3, "prior": 30.0}

    assert of_samples("IN-4", score).result == result


@pytest.mark.parametrize(
    "ours, mean, by, result",
    [(0.02, 0.1, 1e-4, "confirmed"), (0.04, 0.1, 1e-4, "not confirmed"), (0.0285, 0.1, 2e-3, "inconclusive"),
     (0.02, 0.02, 1e-4, "inconclusive")],
)  # fmt: skip
def test_the_rule_of_completions(ours, mean, by, result):
    """A completion that is no better than the mean image decides nothing."""

    def score(s):
        return {"best of 8": ours + wobble(s, by), "best of 8 neighbors": 0.03, "mean image": mean, "spread": 0.1}

    assert of_samples("IN-8", score).result == result
