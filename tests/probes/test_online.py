"""Probes that learn while an encoder trains: no trace in the run, and the accuracy of probes fitted afterwards."""

import math

import pytest
import torch
from torch import nn

from ssl_toolkit.augment import simclr_views
from ssl_toolkit.data import Dataset, load_data, rng
from ssl_toolkit.encoders import Encoder, features_at, small_conv
from ssl_toolkit.joint import joint_embedding, teacher_student
from ssl_toolkit.losses import byol, nt_xent
from ssl_toolkit.probes import LinearProbes, probe_depths
from ssl_toolkit.probes.online import Reading, read
from ssl_toolkit.training import Step, start, train

NOISE = Dataset(
    images=torch.randint(0, 256, (96, 1, 28, 28), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(96) % 4,
    classes=("a", "b", "c", "d"),
)
DATA, TEST = NOISE[:64], NOISE[64:]
VIEWS = simclr_views(28)
OBJECTIVES = {"simclr": joint_embedding(nt_xent, VIEWS), "byol": teacher_student(byol, VIEWS)}
AFTER = ("representation", "projector1", "embedding")


def fresh(method: str = "simclr"):
    predictor, ema = ((16, 8), 0.9) if method == "byol" else (None, None)
    return start(small_conv(1, width=32, projector=(16, 8), predictor=predictor), lr=1e-3, ema=ema)


def run(state, method: str = "simclr", until: int = 10, every: int = 1, probes=None) -> list:
    """A run with probes that learn beside it, and what they read after every fourth step and at the end."""
    probes, records = probes or LinearProbes(state.model, DATA), []
    for step in train(state, DATA, OBJECTIVES[method], until=until, batch_size=16):
        records.append(step)
        if step.step % every == 0:
            probes.follow(state, DATA, batch_size=16, seed=0)
        if step.step % 4 == 0 or step.step == until:
            records += read(state.model, probes, TEST, step=step.step)
    return records


def all_of(state) -> list[torch.Tensor]:
    modules = [m for m in (state.model, state.ema) if m is not None]
    moments = [v for per in state.optimizer.state.values() for v in per.values()]
    return [*(v for m in modules for v in m.state_dict().values()), *moments]


@pytest.mark.parametrize("method", OBJECTIVES)
def test_a_run_with_probes_is_the_run_without_them_bit_for_bit(method):
    plain, with_probes = fresh(method), fresh(method)
    expected = list(train(plain, DATA, OBJECTIVES[method], until=10, batch_size=16))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    records = run(with_probes, method)
    assert torch.equal(before, torch.get_rng_state())
    steps = [r for r in records if isinstance(r, Step)]
    assert [(s.step, s.terms, s.lr) for s in steps] == [(s.step, s.terms, s.lr) for s in expected]
    assert all(torch.equal(a, b) for a, b in zip(all_of(plain), all_of(with_probes), strict=True))
    assert with_probes.model.training


def test_readings_come_when_asked_for_and_at_the_end():
    readings = [r for r in run(fresh(), until=10) if isinstance(r, Reading)]
    assert [r.step for r in readings] == [4, 8, 10]
    for reading in readings:
        assert tuple(reading.accuracy) == AFTER
        assert all(0 <= a <= 1 for a in reading.accuracy.values())
        assert reading.chance == 0.25


def test_the_probes_step_after_every_so_many_steps_of_the_encoder():
    state, taught = fresh(), []
    probes = LinearProbes(state.model, DATA, memory=40)
    probes.optimizer.register_step_post_hook(lambda *_: taught.append((state.step, len(probes.labels))))
    run(state, until=10, every=3, probes=probes)
    assert taught == [(3, 16), (6, 32), (9, 40)]  # and remember 40 images at most


def test_probes_may_be_handed_on_from_one_call_to_the_next():
    whole, parts = fresh(), fresh()
    *_, expected = run(whole)
    probes = LinearProbes(parts.model, DATA)
    run(parts, until=4, probes=probes)
    *_, reading = run(parts, until=10, probes=probes)
    assert reading == expected


def test_on_a_frozen_encoder_they_come_to_what_probes_fitted_afterwards_read():
    data, test = load_data("digits"), load_data("digits", split="test")
    encoder = small_conv(1, width=64, projector=(32, 16)).train()
    offline = probe_depths(encoder, data, test, depths=AFTER, weight_decays=(1e-3,))
    probes = LinearProbes(encoder, data)
    for epoch in range(8):
        for index in torch.randperm(len(data), generator=rng(0, epoch)).split(64):
            part = data[index]
            probes.learn(features_at(encoder, part.images / 255, probes.depths), part.labels)
    *portions, reading = read(encoder, probes, test, step=0)
    assert portions == [None] * math.ceil(len(test) / 128)
    for depth, accuracy in reading.accuracy.items():
        assert offline[depth].accuracy > 0.5  # chance is 0.1
        assert accuracy > offline[depth].accuracy - 0.04


def test_depths_of_any_width_learn_at_one_pace():
    """A depth whose every feature is there sixteen times learns as fast as one that has it once."""

    class Repeated(nn.Module):
        def forward(self, x):
            z = x.flatten(1)[:, :8]
            return {"wide": z.repeat(1, 16), "representation": z}

    encoder = Encoder(Repeated(), width=8)
    encoder.anchor = nn.Parameter(torch.zeros(1))
    probes = LinearProbes(encoder, DATA, depths=("wide", "representation"))
    for _ in range(5):
        probes.learn(features_at(encoder, DATA.images / 255, probes.depths), DATA.labels)
    loss = {
        depth: nn.functional.cross_entropy(scores, DATA.labels).item()
        for depth, scores in probes(features_at(encoder, DATA.images / 255, probes.depths)).items()
    }
    assert loss["wide"] == pytest.approx(loss["representation"], rel=0.15)


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda s: run(start(nn.Sequential(nn.Flatten(), nn.Linear(784, 8)))),
            "a Sequential: only an Encoder",
        ),
        (lambda s: LinearProbes(s.model, DATA, depths=("stage9",)), "'stage9'.* representation, projector1, embedding"),
        (lambda s: LinearProbes(s.model, Dataset(DATA.images, DATA.labels, ("a", "b"))), "3, and there are 2 classes"),
        (lambda s: LinearProbes(s.model, Dataset(DATA.images, DATA.labels * 0, ("a",))), "1 classes"),
        (lambda s: LinearProbes(s.model, DATA, lr=0.0), "lr=0.0"),
        (lambda s: LinearProbes(s.model, DATA, memory=1), "memory=1"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(fresh())
