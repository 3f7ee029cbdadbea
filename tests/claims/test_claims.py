"""Claims: rules judged on numbers whose verdict is known, interval arithmetic, runs that are killed and go on."""

import inspect
import json
import re
import statistics
from functools import partial
from pathlib import Path

import pytest
import torch
from scipy import stats

from ssl_toolkit.__main__ import main
from ssl_toolkit.claims import (
    BUDGETS,
    CLAIMS,
    Verdict,
    cards,
    common as setup,
    infusion_parzen as table1,
    results,
    run,
    shapes_training,
    stored,
)
from ssl_toolkit.claims.common import before_training, trained
from ssl_toolkit.claims.democratizing import VIEWS
from ssl_toolkit.claims.expand_or_narrow import NETS
from ssl_toolkit.claims.expand_or_narrow_training import basis, begin
from ssl_toolkit.claims.index import in_the_same_file
from ssl_toolkit.claims.rcdm_factors import READ, _enlargeable, _progress, _slope, _zoomed, code, decode
from ssl_toolkit.claims.study import Claim, Finding, rank_correlation, run_claim, values_of
from ssl_toolkit.data import Dataset, as_float
from ssl_toolkit.data.shapes import PERIODS, RANGES, render, shapes
from ssl_toolkit.diffusion.metrics import retention
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.training.intervals import differences, mean_interval
from ssl_toolkit.training.sweep import Cell, read_cells

DATA_CLAIMS = list(CLAIMS.values())
MEASURES = list({claim.measure: claim for claim in reversed(DATA_CLAIMS)}.values())  # one claim for each


def toy(measured: list | None = None, fails_at: int | None = None) -> Claim:
    def measure(setting):
        if setting["seed"] == fails_at:
            raise KeyboardInterrupt
        yield None
        if measured is not None:
            measured.append(setting["seed"])
        yield {"score": 1.0 + setting["seed"]}

    def judge(measurements):
        return Finding("confirmed", *mean_interval([m.result["score"] for m in measurements]), "score")

    settings = [{"seed": seed, "steps": 3} for seed in range(4)]
    return Claim("T-1", "a paper", "It holds.", "The score is above 0.", lambda budget: settings, measure, judge)


def test_a_run_ends_in_its_verdict():
    records = list(run_claim(toy()))
    assert [r.result["score"] for r in records if isinstance(r, Cell)] == [1, 2, 3, 4]
    verdict = records[-1]
    assert isinstance(verdict, Verdict)
    assert (verdict.claim, verdict.result, verdict.effect, verdict.seeds) == ("T-1", "confirmed", 2.5, 4)
    assert verdict.ci95[0] < 2.5 < verdict.ci95[1]


def test_a_run_that_was_stopped_goes_on_and_measures_nothing_twice(tmp_path):
    measured = []
    with pytest.raises(KeyboardInterrupt):
        list(run_claim(toy(measured, fails_at=2), folder=tmp_path))
    path = tmp_path / "T-1.standard.jsonl"
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + 2  # a header, and a line for each setting
    *_, verdict = run_claim(toy(measured), folder=tmp_path)
    assert measured == [0, 1, 2, 3]
    stored = json.loads((tmp_path / "T-1.standard.json").read_text())
    assert stored["effect"] == verdict.effect
    assert stored["rule"] == "The score is above 0."


def test_claims_of_the_same_cells_measure_them_once(tmp_path):
    measured: list = []
    first = toy(measured)
    second = first._replace(id="T-2", rule="The score is above 1.", cells_of="T-1")
    *_, verdict = run_claim(first, folder=tmp_path)
    *cells, other = run_claim(second, folder=tmp_path)
    assert measured == [0, 1, 2, 3]
    assert (other.claim, other.effect, other.seconds) == ("T-2", verdict.effect, verdict.seconds)
    assert len(cells) == 4
    assert json.loads((tmp_path / "T-2.standard.json").read_text())["rule"] == "The score is above 1."
    assert not (tmp_path / "T-2.standard.jsonl").exists()


@pytest.mark.parametrize("claim", [c for c in CLAIMS.values() if c.cells_of in CLAIMS], ids=lambda c: c.id)
def test_claims_judged_from_the_cells_of_another_have_its_settings_and_measure(claim):
    other = CLAIMS[claim.cells_of]
    assert not other.cells_of
    assert claim.measure is other.measure
    assert all(claim.settings(budget) == other.settings(budget) for budget in BUDGETS)


def test_a_rank_correlation_is_spearmans_and_0_of_constants():
    assert rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1)
    assert rank_correlation([3, 1, 2], [1.0, 2.0, 1.5]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3], [5, 5, 5]) == rank_correlation([5, 5, 5], [1, 2, 3]) == 0


def test_the_interval_is_students():
    differences = [0.1, 0.4, 0.2, 0.3]
    mean, (low, high) = mean_interval(differences)
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert mean == pytest.approx(statistics.fmean(differences))
    assert (low, high) == pytest.approx((expected.low, expected.high))
    with pytest.raises(ValueError, match="two seeds"):
        mean_interval([0.1])


def test_measurements_are_found_by_their_settings_in_the_order_of_seeds():
    ms = [Cell({"k": k, "seed": s}, {"v": k + s / 10}, 0.0) for s in (2, 0, 1) for k in (1, 2)]
    assert values_of(ms, "v", k=2) == [2.0, 2.1, 2.2]
    assert differences(values_of(ms, "v", k=2), values_of(ms, "v", k=1)) == pytest.approx([1, 1, 1])
    with pytest.raises(ValueError, match="no cell"):
        values_of(ms, "v", k=3)


def invented(claim: Claim, score) -> Finding:
    """The judgment of measurements that were not made."""
    settings = claim.settings("standard")
    return claim.judge([Cell(s, score(s), 1.0) for s in settings])


def noise(setting) -> float:
    return 1e-3 * setting["seed"]


# Expand or Narrow


@pytest.mark.parametrize("beyond, result", [(0, "confirmed"), (1, "not confirmed")])
def test_the_rule_of_the_gradients_rank(beyond, result):
    def score(s):
        return {"rank": float(min(s["width"], s["k"]) + (beyond if s["seed"] == 1 and s["width"] == 8 else 0))}

    assert invented(CLAIMS["EN-1"], score).result == result


def test_the_nets_that_are_compared_have_as_many_parameters():
    sizes = {}
    for name, net in NETS.items():
        model = small_conv(3, **net)
        sizes[name] = sum(p.numel() for p in model.backbone.parameters())
    assert sizes["deeper"] == pytest.approx(sizes["last block"], rel=0.03)
    assert sizes["wider"] == pytest.approx(sizes["last block"], rel=0.03)


def test_nets_of_one_seed_share_all_weights_below_the_width(few_images):
    a, b = (begin(basis("smoke") | {"width": width, "seed": 5})[0].model for width in (32, 512))
    shared = [name for name, p in a.backbone.named_parameters() if p.shape == b.backbone.get_parameter(name).shape]
    assert "stage3.0.conv1.weight" in shared
    assert all(torch.equal(a.backbone.get_parameter(name), b.backbone.get_parameter(name)) for name in shared)


@pytest.mark.parametrize("gain, result", [(0.1, "confirmed"), (-0.1, "not confirmed"), (0.0008, "inconclusive")])
def test_the_rules_of_quality_and_of_width(gain, result):
    def quality(s):
        return {"kid": 0.3 + (0.0 if s["told"] == "h" else gain + noise(s))}

    def width(s):
        return {f"kept {name}": 0.3 + (gain + noise(s) if s["width"] == 512 else 0.0) for name in READ}

    assert invented(CLAIMS["RC-2"], quality).result == result
    assert invented(CLAIMS["RC-10"], width).result == result


@pytest.mark.parametrize("order, result", [(1, "confirmed"), (-1, "not confirmed"), (0, "not confirmed")])
def test_the_rule_of_agreement(order, result):
    def score(s):
        read = {name: 0.1 * i + 0.05 * (s["depth"] == "embedding") for i, name in enumerate(READ)}
        kept = {name: order * value if order else i % 4 for i, (name, value) in enumerate(read.items())}
        return {f"read {name}": v for name, v in read.items()} | {f"kept {name}": v for name, v in kept.items()}

    finding = invented(CLAIMS["RC-4"], score)
    assert finding.result == result
    assert order == 0 or finding.effect == pytest.approx(order)


@pytest.mark.parametrize("lost, result", [(0.2, "confirmed"), (-0.1, "not confirmed"), (0.001, "inconclusive")])
def test_the_rule_of_augmented_images(lost, result):
    def score(s):
        follows = 0.5 + noise(s) - (lost + 2 * noise(s) if s["depth"] == "embedding" else 0.0)
        return {"hue follows": follows + 0.1, "scale follows": follows - 0.1}

    finding = invented(CLAIMS["RC-5"], score)
    assert finding.result == result
    assert finding.effect == pytest.approx(lost + 2e-3)


@pytest.mark.parametrize(
    "own, removed, rise, others, result",
    [
        (0.6, 0.2, 0.2, 0.1, "confirmed"),
        (0.2, 0.05, 0.2, 0.1, "inconclusive"),
        (0.6, 0.4, 0.2, 0.1, "not confirmed"),
        (0.6, 0.2, 0.0, 0.1, "not confirmed"),
        (0.6, 0.2, 0.2, 0.9, "not confirmed"),
    ],
)
def test_the_rule_of_common_dimensions(own, removed, rise, others, result):
    def score(s):
        if s["depth"] == "embedding":
            return dict.fromkeys(
                ("own shape", "own shape, removed", "target's shape", "target's shape, transplanted", "shape changed",
                 "others changed"), 0.9,
            )  # fmt: skip
        return {
            "own shape": own, "own shape, removed": removed + noise(s), "target's shape": 0.1,
            "target's shape, transplanted": 0.1 + rise + noise(s) - 1e-3, "shape changed": 0.7,
            "others changed": others,
        }  # fmt: skip

    finding = invented(CLAIMS["RC-7"], score)
    assert finding.result == result
    assert finding.effect == pytest.approx(1 - (removed + 1e-3) / own)


@pytest.mark.parametrize(
    "rho, jump, wobble, result",
    [
        (0.95, 0.2, 1, "confirmed"),
        (0.95, 0.6, 1, "not confirmed"),
        (0.7, 0.2, 1, "not confirmed"),
        (0.89, 0.2, 10, "inconclusive"),
    ],
)
def test_the_rule_of_interpolation(rho, jump, wobble, result):
    def score(s):
        return {
            "progress by weight": rho + wobble * (noise(s) - 1e-3) if s["depth"] == "representation" else 0.0,
            "largest jump": jump if s["depth"] == "representation" else 0.9,
            "covered": 0.5,
        }

    assert invented(CLAIMS["RC-8"], score).result == result


def test_what_a_perfect_reader_says_of_the_factors_is_decoded_to_them():
    factors = shapes(50).factors
    assert code(factors).abs().max() <= 1
    for name, said in decode(code(factors)).items():
        assert retention(said.view(-1, 1).expand(-1, 4), said, period=PERIODS.get(name)) == pytest.approx(1)
        off = (said - factors[name] + 0.5) % 1 - 0.5 if name in PERIODS else said - factors[name]
        assert off.abs().max() < 1e-5


def test_an_enlarged_image_is_that_of_its_enlarged_factors():
    images, factors = shapes(300)
    zoom = 1.25
    chosen = _enlargeable(Dataset(images, factors["shape"], tuple("abcdefgh"), factors), zoom)
    assert 20 < len(chosen) < 150
    grown = dict(chosen.factors)
    grown["scale"] = zoom * grown["scale"]
    for name in ("x", "y"):
        grown[name] = 0.5 + zoom * (grown[name] - 0.5)
    for name in ("scale", "x", "y"):
        assert RANGES[name][0] - 1e-6 <= grown[name].min()
        assert grown[name].max() <= RANGES[name][1] + 1e-6
    off = _zoomed(as_float(chosen.images), zoom) - as_float(render(grown))
    assert off.abs().mean() < 0.015


def test_slopes_are_those_of_least_squares_through_the_origin():
    a = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    assert _slope(a, 0.3 * a) == pytest.approx(0.3)
    assert _slope(a, torch.tensor([[2.0, -1.0], [0.0, 0.0]])) == pytest.approx(0)


def test_progress_is_the_share_of_the_way_between_two_codes():
    begin, end = torch.rand(2, 3, 7, generator=torch.Generator().manual_seed(0))
    weights = torch.linspace(0, 1, 5)

    def walk(at):
        values = _progress(begin[:, None] + at[:, None] * (end - begin)[:, None], begin, end, weights)
        return tuple(values[name] for name in ("progress by weight", "largest jump", "covered"))

    assert walk(weights) == pytest.approx((1, 0.25, 1), abs=1e-5)
    assert walk(0.4 * weights + 0.3) == pytest.approx((1, 0.25, 0.4), abs=1e-5)  # what all samples share is no progress
    assert walk(-weights)[0] == pytest.approx(-1)
    assert walk((weights > 0.5).float())[1:] == pytest.approx((1, 1), abs=1e-5)
    assert walk(torch.zeros(5)) == (0, 0, 0)


def read_infusion(s, **changed) -> dict[str, float]:
    """What a good operator would score, a little different for each seed, but for what is changed."""
    values = {"bound": 100.0, "prior": 30.0, "parzen": 100.0, "score": 4.0, "diversity": 0.8} | changed
    return {name: value + noise(s) for name, value in values.items()}


@pytest.mark.parametrize("below, off, result", [(2.0, 0.01, "confirmed"), (-0.5, 0.01, "not confirmed"),
                                                (2.0, 0.2, "not confirmed")])  # fmt: skip
def test_the_rule_of_the_bound(below, off, result):
    def score(s):
        return {"bound below": below + noise(s), "of 10 below": below / 4, "of all off": off}

    assert invented(CLAIMS["IN-0"], score).result == result


@pytest.mark.parametrize("bound, result", [(100.0, "confirmed"), (20.0, "not confirmed"), (30.0008, "inconclusive")])
def test_the_rule_of_the_prior(bound, result):
    def score(s):
        return read_infusion(s, bound=bound) | {"prior": 30.0 + (bound == 30.0008) * 2e-3 * (s["seed"] == 1)}

    assert invented(CLAIMS["IN-1"], score).result == result


@pytest.mark.parametrize(
    "share, worse, result",
    [(0.1, 2.0, "confirmed"), (0.9, 2.0, "not confirmed"), (0.1, -1.0, "not confirmed"), (0.5, 2.0, "inconclusive")],
)
def test_the_rule_of_no_infusion(share, worse, result):
    def score(s):
        return read_infusion(s) if s["omega"] else read_infusion(s, diversity=0.8 * share, score=4 - worse)

    assert invented(CLAIMS["IN-2"], score).result == result


@pytest.mark.parametrize(
    "best, increasing, result",
    [(0.1, 4.0, "confirmed"), (0.7, 4.0, "not confirmed"), (0.0, 4.0, "not confirmed"), (0.1, 3.0, "inconclusive")],
)
def test_the_rule_of_rates(best, increasing, result):
    def score(s):
        good = increasing if s["omega"] else 4.0 if s["alpha"] == best else 2.0
        return read_infusion(s, score=good + 1e-2 * s["seed"] * (s["omega"] > 0) * (-1) ** s["seed"])

    assert invented(CLAIMS["IN-3"], score).result == result


@pytest.mark.parametrize("shared, result", [(2.0, "confirmed"), (5.0, "not confirmed"), (3.9995, "inconclusive")])
def test_the_rule_of_steps_told_apart(shared, result):
    def score(s):
        alike = s["apart"] == "shared"
        return read_infusion(s, score=shared + noise(s) - 1e-3 if alike else 4.0)

    assert invented(CLAIMS["IN-5"], score).result == result


@pytest.mark.parametrize("bound, drawn, result", [(120.0, 3.0, "confirmed"), (90.0, 3.0, "not confirmed"),
                                                  (120.0, 5.0, "inconclusive")])  # fmt: skip
def test_the_rule_of_objectives(bound, drawn, result):
    def score(s):
        return read_infusion(s, bound=bound, score=drawn) if s["objective"] == "variational" else read_infusion(s)

    assert invented(CLAIMS["IN-6"], score).result == result


@pytest.mark.parametrize("bound, drawn, result", [(120.0, 4.5, "confirmed"), (90.0, 4.5, "not confirmed"),
                                                  (120.0, 3.0, "not confirmed")])  # fmt: skip
def test_the_rule_of_gaussian_infusion(bound, drawn, result):
    def score(s):
        bounds = {"bound by mixture": 50.0, "bound by gaussian": bound if s["infusion"] == "gaussian" else 100.0}
        return read_infusion(s, score=drawn if s["infusion"] == "gaussian" else 4.0, **bounds)

    assert invented(CLAIMS["IN-7"], score).result == result


@pytest.mark.parametrize(
    "few, many, result",
    [(0.1, 0.4, "confirmed"), (0.1, 0.1, "inconclusive"), (0.3, 0.4, "not confirmed"), (0.2005, 0.4, "inconclusive")],
)
def test_the_rule_of_the_head_to_head(few, many, result):
    def score(s):
        kid = {10: few, 30: many}.get(s["T"], 0.5) if s["method"] == "infusion" else 0.2 + (s["method"] == "cold")
        return {"kid": kid + noise(s) * (s["method"] == "infusion") * (-1) ** s["seed"], "score": 4.0}

    finding = invented(CLAIMS["IN-9"], score)
    assert finding.result == result
    assert finding.effect == pytest.approx(0.2 - few, abs=2e-3)


@pytest.mark.parametrize("data, nats, result", [("mnist", 320.0, "confirmed"), ("mnist", 250.0, "not confirmed"),
                                                ("fashion-mnist", 320.0, "inconclusive")])  # fmt: skip
def test_the_rule_of_the_papers_table(data, nats, result):
    cells = [Cell({"data": data, "seed": s}, {"parzen": nats + s, "error": 2.0, "sigma": 0.1}, 1.0) for s in range(3)]
    finding = CLAIMS["infusion-table1"].judge(cells)
    assert finding.result == result
    assert f"nats per image of {data}, +- 2.0" in finding.what


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("claim", DATA_CLAIMS, ids=lambda c: c.id)
def test_settings_are_plain_and_each_comes_with_three_seeds_at_least(claim, budget):
    settings = claim.settings(budget)
    assert json.loads(json.dumps(settings)) == settings
    assert len({json.dumps(s, sort_keys=True) for s in settings}) == len(settings)
    without = [json.dumps({k: v for k, v in s.items() if k != "seed"}) for s in settings]
    assert all(without.count(w) >= 3 for w in without)


@pytest.mark.parametrize("claim", DATA_CLAIMS, ids=lambda c: c.id)
def test_what_is_stored_was_measured_by_the_settings_as_they_stand(claim, monkeypatch):
    monkeypatch.setattr(table1, "is_available", lambda name: False)  # it was measured where MNIST is not
    path, settings = results() / claim.cells("standard"), in_the_same_file(claim, "standard")
    if path.exists():
        cells = read_cells(path, settings)
        assert len(cells) == len(settings) or claim.registered  # which may be measured in part
        assert all(cell.result and not cell.error for cell in cells)


@pytest.fixture
def few_images(monkeypatch):
    """Claims that hold out and test on fewer images than they do."""
    monkeypatch.setattr(setup, "VALIDATION", 200)
    monkeypatch.setattr(setup, "TEST", 300)
    monkeypatch.setattr(shapes_training, "LABELED", 200)
    setup.parts.cache_clear()
    yield
    setup.parts.cache_clear()


@pytest.mark.parametrize("claim", MEASURES, ids=lambda c: c.id)
def test_a_setting_is_measured_for_real(claim, few_images):
    settings, values = claim.settings("smoke"), {}
    for setting in {(s.get("method"), s.get("width")): s for s in reversed(settings)}.values():  # controls differ
        small = {"steps": 2, "painting": 2, "limit": 2000}
        less = {name: min(setting[name], most) for name, most in small.items() if name in setting}
        *portions, more = claim.measure(setting | less)
        assert all(portion is None or set(portion) in ({"step", "loss"}, {"epoch", "MLP"}) for portion in portions)
        values |= more
    assert all(isinstance(v, float) for v in values.values())
    judge = partial(claim.judge, [Cell(s, values, 1.0) for s in settings])
    assert judge().result in ("confirmed", "not confirmed", "inconclusive")


def test_the_untrained_network_is_the_one_that_a_run_of_that_seed_starts_from():
    setting = CLAIMS["DJ-2"].settings("smoke")[0] | {
        "limit": 3000,
        "steps": 1,
        "lr": 1e-30,
    }  # a step that changes nothing
    *_, state = iterate(trained(setting))
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (state.model, before_training(setting))]
    torch.testing.assert_close(*weights, rtol=0, atol=1e-20)
    other = before_training(setting | {"seed": 1})
    assert not torch.equal(weights[0], torch.cat([p.flatten() for p in other.parameters()]))


def iterate(generator):
    """What it yields, then what it returns."""
    yield (yield from generator)


def test_views_of_claims_have_the_size_of_the_shapes():
    assert all(op.size in (None, 32) for views in VIEWS.values() for op in views.ops)


def test_what_there_is_not_is_named():
    with pytest.raises(ValueError, match=r"DJ-99.* DJ-1"):
        run("DJ-99")
    with pytest.raises(ValueError, match="budget is 'tiny'"):
        next(inspect.unwrap(run_claim)(CLAIMS["DJ-1"], budget="tiny"))


def test_the_page_of_claims_is_the_one_that_the_command_prints(capsys):
    page = (Path(__file__).parents[2] / "notebooks" / "CLAIMS.md").read_text(encoding="utf-8")
    assert main(["claims", "--page"]) == 0
    assert page == capsys.readouterr().out
    made = {claim_id: cards.card(claim_id) for claim_id in CLAIMS}
    said = dict(re.findall(r"^\| \[([A-Z]{2}-\d+[a-z]?|infusion-table1)\]\(#[^|]*\| [^|]*\| ([a-z ]+) \|", page, re.M))
    assert said == {claim_id: each.standing for claim_id, each in made.items()}
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
    assert f"Their {len(said)} claims" in readme
    assert cards.counted(list(made.values())) in readme


def test_a_card_says_the_evidence_and_what_changed_our_mind():
    for claim in CLAIMS.values():
        made = cards.card(claim.id)
        assert made.lines["The rule"] == claim.rule
        assert made.result or made.claim.kind != "discovery"
        if claim.registered:
            assert "Why it was replaced" in made.lines
            assert "Registered" in made.lines
            assert (made.verdict is None) == (made.standing == cards.UNMEASURED)
            if made.verdict is not None:
                assert {"Positive control", "Scale", "By seed"} <= made.lines.keys()
        elif claim.kind == "discovery":
            assert "What is weak in it" in made.lines, claim.id
        assert "Version 1" in made.lines or made.old is None
    with pytest.raises(ValueError, match="claim_id is 'DJ-99'"):
        cards.card("DJ-99")


def test_theorems_and_tables_have_no_verdict_of_their_own():
    standings = {claim_id: cards.card(claim_id).standing for claim_id in ("EN-1", "IN-0", "IN-9", "infusion-table1")}
    assert standings == {"EN-1": "theorem", "IN-0": "theorem", "IN-9": "table", "infusion-table1": "table"}


@pytest.mark.parametrize("claim_id", ["DJ-1", "DJ-5", "EN-2", "EN-7"])
def test_the_first_version_of_a_replaced_claim_can_still_be_read(claim_id):
    verdict, cells = stored(claim_id, version="1")
    assert (verdict.claim, verdict.version) == (claim_id, "1")
    assert len(cells) >= 9
    assert verdict.ci95[0] <= verdict.effect <= verdict.ci95[1]


def test_every_remark_is_about_a_claim_or_a_paper():
    remarks = json.loads((results() / "remarks.json").read_text(encoding="utf-8"))
    papers = {claim_id.split("-")[0] for claim_id in CLAIMS if claim_id[:2].isupper()}
    second = {f"{claim.id} v{claim.version}" for claim in CLAIMS.values() if claim.registered}
    assert set(remarks) <= {*CLAIMS, *papers, *second}
    assert {claim.id for claim in CLAIMS.values() if not claim.registered} <= set(remarks)
    measured = {name for name in second if cards.card(name.split()[0]).verdict is not None}
    assert measured <= set(remarks)
