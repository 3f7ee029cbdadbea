"""RCDMs of several depths that learn side by side: what a panel shows of them, as records."""

from dataclasses import replace

import pytest
import torch

from ssl_toolkit.data import as_bytes, load_data
from ssl_toolkit.diffusion.metrics import faithfulness
from ssl_toolkit.diffusion.monitor import DEPTHS, measure, monitor, paint, prepare
from ssl_toolkit.diffusion.rcdm import RCDMRecipe, conditions, sample
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.training import train

DATA, TEST = load_data("shapes", limit=60, size=16), load_data("shapes", split="test", limit=20, size=16)
ENCODER = small_conv(3, width=16, projector=(8, 4))
BOTH = {depth: (ENCODER, depth) for depth in DEPTHS}
TINY = RCDMRecipe(steps=5, batch_size=8, width=8, multipliers=(1, 2), blocks=1)


def prepared(**settings):
    *_, subjects = prepare(BOTH, DATA, TEST, recipe=TINY, **settings)
    return subjects


@pytest.fixture(scope="module")
def run():
    subjects = prepared()
    records = [r for r in monitor(subjects, DATA, recipe=TINY, every=2, queries=6) if r is not None]
    return subjects, records


def test_each_depth_is_a_subject_that_knows_the_features_of_all_images():
    subjects = prepared()
    assert {depth: s.h.shape for depth, s in subjects.items()} == {"embedding": (60, 4), "representation": (60, 16)}
    for depth, subject in subjects.items():
        assert torch.equal(subject.test, conditions(ENCODER, TEST.images, depth=depth))


def test_side_by_side_each_takes_the_steps_it_takes_alone(run):
    subjects, records = run
    h = conditions(ENCODER, DATA.images)
    state = TINY.start(DATA, h)
    losses = [step.loss for step in train(state, DATA, TINY.objective(h), until=5, batch_size=8)]
    assert [r.loss["representation"] for r in records] == losses
    for mine, alone in zip(subjects["representation"].model.parameters(), state.ema.parameters(), strict=True):
        assert torch.equal(mine, alone)


def test_wherever_it_is_stopped_all_stand_at_the_same_step():
    subjects = prepared()
    for _ in monitor(subjects, DATA, recipe=replace(TINY, steps=3), every=2, queries=2):
        assert len({subject.state.step for subject in subjects.values()}) == 1


def test_faithfulness_is_measured_at_every_so_many_steps_and_at_the_end(run):
    _, records = run
    assert [r.step for r in records if r.faithful] == [2, 4, 5]
    assert all(set(r.faithful) == {"representation", "embedding"} for r in records if r.faithful)
    assert records[-1].faithful["embedding"].chance == pytest.approx(sum(1 / i for i in range(1, 21)) / 20)


def test_the_measure_is_that_of_the_functions(run):
    subjects, records = run
    subject = subjects["embedding"]
    *_, last = sample(subject.model, subject.test[:6], steps=10)
    z = conditions(ENCODER, as_bytes(last.x), depth="embedding")
    assert records[-1].faithful["embedding"] == faithfulness(z, subject.test, torch.arange(6))
    *_, measured = measure(subject, queries=6)
    assert measured == (records[-1].faithful["embedding"], {})


def test_what_is_kept_is_seen_on_two_samples_of_each_image(run):
    subject = run[0]["embedding"]
    *_, last = sample(subject.model, subject.test[:6].repeat_interleave(2, dim=0), steps=10)
    seen = []
    *_, (faithful, kept) = measure(subject, queries=6, kept=lambda x: seen.append(x) or {"hue": 0.5})
    assert kept == {"hue": 0.5}
    assert torch.equal(seen[0].flatten(0, 1), as_bytes(last.x))
    z = conditions(ENCODER, as_bytes(last.x), depth="embedding")
    assert faithful == faithfulness(z, subject.test, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]))


def test_a_trained_model_is_measured_at_once_and_left_as_it_is(run):
    shipped = run[0]["embedding"].model
    weights = [p.clone() for p in shipped.parameters()]
    subjects = prepared(models={"embedding": shipped})
    assert subjects["embedding"].state is None
    records = [r for r in monitor(subjects, DATA, recipe=replace(TINY, steps=2), every=9, queries=6) if r is not None]
    assert [(r.step, set(r.loss), set(r.faithful)) for r in records] == [
        (0, set(), {"embedding"}), (1, {"representation"}, set()), (2, {"representation"}, {"representation"}),
    ]  # fmt: skip
    assert records[0].faithful == {"embedding": run[1][-1].faithful["embedding"]}
    assert all(torch.equal(a, b) for a, b in zip(weights, shipped.parameters(), strict=True))


def test_who_is_behind_catches_up_first():
    subjects = prepared()
    list(monitor({"embedding": subjects["embedding"]}, DATA, recipe=replace(TINY, steps=3), every=9, queries=2))
    records = [r for r in monitor(subjects, DATA, recipe=TINY, every=9, queries=2) if r is not None]
    both = {"embedding", "representation"}
    assert [(r.step, set(r.loss)) for r in records] == [
        *((i, {"representation"}) for i in (1, 2, 3)), (4, both), (5, both),
    ]  # fmt: skip


def test_two_encoders_are_embedded_each_at_its_own_depths():
    other = small_conv(3, width=8, projector=(8, 4), seed=1)
    depths = {"a": (ENCODER, "representation"), "b": (other, "projector1"), "c": (other, "embedding")}
    *_, subjects = prepare(depths, DATA, TEST, recipe=TINY)
    for name, (encoder, depth) in depths.items():
        assert torch.equal(subjects[name].test, conditions(encoder, TEST.images, depth=depth))
        assert torch.equal(subjects[name].h, conditions(encoder, DATA.images, depth=depth))


def test_a_run_goes_on_from_where_it_is():
    again = prepared()
    list(monitor(again, DATA, recipe=replace(TINY, steps=3), every=9, queries=2))
    assert again["embedding"].state.step == 3
    records = [r for r in monitor(again, DATA, recipe=TINY, every=9, queries=2) if r is not None]
    assert [r.step for r in records] == [4, 5]


def test_a_painting_is_k_samples_what_varies_and_how_far_they_are(run):
    subject = run[0]["representation"]
    *between, painted = paint(subject, subject.test[3], k=4, steps=3, seed=1)
    assert between == [None] * 3
    assert painted.images.shape == (4, 3, 16, 16)
    *_, last = sample(subject.model, subject.test[3:4].expand(4, -1), steps=3, seed=1)
    assert torch.equal(painted.images, as_bytes(last.x))
    assert painted.variation == pytest.approx(last.x.var(dim=0).mean(dim=0).sqrt(), abs=1e-5)
    z = conditions(ENCODER, painted.images)
    pairs = torch.cdist(subject.test, subject.test).square().sum() / (20 * 19)  # mean square, of two drawn at random
    assert painted.distance == pytest.approx((z - subject.test[3]).norm(dim=1) / pairs.sqrt(), rel=1e-4)


def test_one_sample_is_too_few():
    subject = prepared()["embedding"]
    with pytest.raises(ValueError, match="k is 1"):
        list(paint(subject, subject.test[0], k=1))
