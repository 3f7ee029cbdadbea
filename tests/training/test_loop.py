"""Training: bit-exact resumption, whole states, clear failures."""

import inspect
import json
import os
import signal
import struct
import sys
from functools import partial

import pytest
import torch
from torch import nn

from ssl_toolkit.augment import simclr_views
from ssl_toolkit.data import Dataset, batch, rng, seeded
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import joint_embedding, supervised, teacher_student
from ssl_toolkit.losses import barlow_twins, byol, nt_xent, vicreg
from ssl_toolkit.training import LARS, CheckpointError, NonFiniteError, TrainState, load, save, start, train
from ssl_toolkit.training.loop import learning_rate

DATA = Dataset(
    images=torch.randint(0, 256, (64, 1, 28, 28), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(64) % 4,
    classes=("a", "b", "c", "d"),
)
VIEWS = simclr_views(28)
OBJECTIVES = {
    "simclr": joint_embedding(nt_xent, VIEWS),
    "one negative": joint_embedding(partial(nt_xent, negatives=1), VIEWS, stochastic=True),
    "vicreg": joint_embedding(vicreg, VIEWS),
    "barlow twins": joint_embedding(barlow_twins, VIEWS),
    "byol": teacher_student(byol, VIEWS),
    "supervised": supervised(VIEWS),
}


def fresh(method: str = "simclr", width: int = 32, **settings):
    predictor = (16, 8) if method == "byol" else None
    model = small_conv(1, width=width, projector=(16, 8), predictor=predictor)
    return start(model, **{"lr": 1e-3, "warmup": 2, "total": 12, "ema": 0.9 if method == "byol" else None, **settings})


def run(state, method: str = "simclr", until: int = 6, **settings):
    return list(train(state, DATA, OBJECTIVES[method], until=until, batch_size=16, **settings))


def tensors(state) -> list[torch.Tensor]:
    modules = [m for m in (state.model, state.ema) if m is not None]
    weights = [p for group in state.optimizer.param_groups for p in group["params"]]
    moments = [v for p in weights for _, v in sorted(state.optimizer.state[p].items())]
    return [*(v for m in modules for v in m.state_dict().values()), *moments]


def same(a, b) -> bool:
    return all(torch.equal(p, q) for p, q in zip(tensors(a), tensors(b), strict=True))


def averages(model) -> list[torch.Tensor]:
    return [b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))]


def test_an_average_that_no_objective_runs_has_the_batch_norm_of_the_model():
    state = fresh(ema=0.9)
    run(state, until=2)
    run(state, until=4)
    assert all(torch.equal(a, b) for a, b in zip(averages(state.model), averages(state.ema), strict=True))
    start_again = start(state.model, ema=0.9)  # from a network that has seen batches
    run(start_again, until=2)
    assert all(torch.equal(a, b) for a, b in zip(averages(state.model), averages(start_again.ema), strict=True))


def test_a_teacher_that_runs_keeps_averages_of_its_own():
    state = fresh("byol")
    run(state, "byol", until=4)
    assert not any(
        torch.equal(a, b) for a, b in zip(averages(state.model.backbone), averages(state.ema.backbone), strict=True)
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_step_that_is_broken_off_leaves_the_state_of_the_step_before(error):
    def broken(state, batch, generator):
        OBJECTIVES["simclr"](state, batch, generator)  # BatchNorm's averages have moved
        raise error

    state, whole = fresh(), fresh()
    run(state, until=2), run(whole, until=2)
    with pytest.raises(error):
        next(train(state, DATA, broken, until=3, batch_size=16))
    assert same(state, whole)
    run(state, until=4), run(whole, until=4)
    assert same(state, whole)


@pytest.mark.parametrize("method", ["simclr", "vicreg", "barlow twins", "byol"])
def test_the_loss_is_computed_in_float32_under_autocast(method):
    state = fresh(method)
    with torch.autocast("cpu", torch.bfloat16):
        terms = OBJECTIVES[method](state, batch(DATA, 0, batch_size=16), rng(0))
    assert {t.dtype for t in terms.values()} == {torch.float32}
    # sums over products that had been rounded to bfloat16 have few significant bits
    assert any(t.item() != t.bfloat16().item() for t in terms.values())


@pytest.mark.parametrize("method", OBJECTIVES)
def test_a_run_that_was_saved_killed_and_loaded_equals_one_that_was_not(method, tmp_path):
    whole, first = fresh(method), fresh(method)
    steps = run(whole, method)
    run(first, method, until=3)
    save(first, tmp_path / "run.safetensors")
    torch.rand(17)  # a disturbed global generator must not matter
    second = load(tmp_path / "run.safetensors", fresh(method, lr=0.5, warmup=9, total=99))
    rest = run(second, method)
    assert [s.terms for s in rest] == [s.terms for s in steps[3:]]
    assert [s.lr for s in rest] == [s.lr for s in steps[3:]]
    assert same(whole, second)


def test_the_caller_may_leave_at_any_step_and_come_back():
    whole, left = fresh(), fresh()
    run(whole)
    for step in train(left, DATA, OBJECTIVES["simclr"], until=6, batch_size=16):
        assert step.step == left.step
        if step.step == 2:
            break
    run(left)
    assert same(whole, left)


def test_the_terms_add_up_to_the_loss_and_time_is_told():
    (step,) = run(fresh("vicreg"), "vicreg", until=1)
    assert list(step.terms) == ["invariance", "variance", "covariance"]
    assert step.loss == sum(step.terms.values())
    assert step.seconds > 0


def test_training_lowers_the_loss_on_four_distinct_images():
    easy = Dataset(images=DATA.images[:4].repeat(16, 1, 1, 1), labels=DATA.labels, classes=DATA.classes)
    state = fresh("supervised", lr=3e-3, total=None)
    labels = torch.arange(64) % 4
    easy.labels = labels
    steps = list(train(state, easy, OBJECTIVES["supervised"], until=100, batch_size=32))
    assert steps[-1].loss < 0.5 * steps[0].loss


def test_the_rate_warms_up_and_follows_a_cosine_to_zero():
    state, rates = fresh(lr=1.0, warmup=4, total=20), []
    for state.step in range(21):
        rates.append(learning_rate(state))
    assert rates[:4] == [0.2, 0.4, 0.6, 0.8]
    assert rates[4] == 1.0
    assert rates[12] == pytest.approx(0.5)
    assert rates[20] == 0
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_the_rate_may_be_changed_while_it_runs():
    state = fresh(warmup=0, total=None)
    steps = train(state, DATA, OBJECTIVES["simclr"], until=3, batch_size=16)
    assert next(steps).lr == 1e-3
    state.lr = 2e-3
    assert next(steps).lr == 2e-3


def test_the_teacher_follows_the_student_by_its_momentum():
    state = fresh("byol", total=None)
    before = state.ema.backbone.stem[0].weight.clone()
    run(state, "byol", until=1)
    expected = 0.9 * before + 0.1 * state.model.backbone.stem[0].weight
    assert torch.allclose(state.ema.backbone.stem[0].weight, expected, atol=1e-7)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_value_that_is_not_finite_stops_training_and_keeps_the_last_good_state(where):
    def poisoned(state, batch, generator):
        terms = OBJECTIVES["simclr"](state, batch, generator)
        if state.step == 3 and where == "loss":
            state.model(torch.full_like(batch.images, torch.nan))  # BatchNorm's averages are poisoned too
            return {**terms, "uniformity": terms["uniformity"] * torch.nan}
        if state.step == 3:
            p = next(state.model.parameters())
            return {**terms, "bent": (p - p.detach()).abs().sum().sqrt()}  # 0, with an infinite slope
        return terms

    bad, good = fresh(), fresh()
    run(good, until=3)
    with pytest.raises(NonFiniteError, match="step 4") as caught:
        list(train(bad, DATA, poisoned, until=6, batch_size=16))
    assert caught.value.step == 4
    assert caught.value.term == ("uniformity" if where == "loss" else "gradient norm")
    assert bad.step == 3
    assert same(good, bad)


def header_of(path) -> tuple[dict, bytes]:
    raw = path.read_bytes()
    (n,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + n]), raw[8 + n :]


def rewritten(path, header: dict, body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def newer(path):
    header, body = header_of(path)
    note = json.loads(header["__metadata__"]["ssl_toolkit"])
    header["__metadata__"]["ssl_toolkit"] = json.dumps({**note, "format": 99})
    rewritten(path, header, body)


def foreign(path):
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, path)


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda p: p.write_bytes(p.read_bytes()[:1000]), "truncated or no checkpoint"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "truncated or no checkpoint"),
        (lambda p: p.write_bytes(b""), "truncated or no checkpoint"),
        (lambda p: torch.save({"model": 1}, p), "truncated or no checkpoint"),
        (foreign, "was not written by"),
        (newer, "format 99.*update"),
    ],
)
def test_a_bad_file_is_one_clear_error_and_changes_nothing(damage, words, tmp_path):
    path = tmp_path / "run.safetensors"
    state = fresh()
    run(state, until=2)
    save(state, path)
    damage(path)
    target, untouched = fresh(), fresh()
    with pytest.raises(CheckpointError, match=words):
        load(path, target)
    assert target.step == 0
    assert same(target, untouched)


def test_another_architecture_is_refused_with_the_first_difference(tmp_path):
    save(fresh(), tmp_path / "run.safetensors")
    with pytest.raises(CheckpointError, match=r"another architecture: model\.backbone\.stage3"):
        load(tmp_path / "run.safetensors", fresh(width=48))
    with pytest.raises(CheckpointError, match=r"another architecture: ema"):
        load(tmp_path / "run.safetensors", fresh(ema=0.9))
    with pytest.raises(CheckpointError, match="trained with AdamW, the state has SGD"):
        load(tmp_path / "run.safetensors", fresh(optimizer=torch.optim.SGD))
    with pytest.raises(FileNotFoundError, match="no such file"):
        load(tmp_path / "none.safetensors", fresh())


def flat(optimizer, **settings):
    """Optimizers that take one group of parameters only."""
    return lambda groups, lr: optimizer([p for group in groups for p in group["params"]], lr=lr, **settings)


class Odd(torch.optim.Adam):
    """Keeps what no optimizer of PyTorch does: texts, lists, float64 beside float32, and what is of no parameter."""

    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            group["d"] = group.get("d", 1.0) * 2
            group["rule"] = lambda d: d
            for p in group["params"]:
                kept = {"main": p.detach().double(), "word": "up", "past": [torch.ones(3), None, (1, float("inf"))]}
                self.state[p].update(kept, nested={"a": {1: torch.arange(3), "1": torch.arange(2)}})
        self.state["all"] = {"k": 3}


OPTIMIZERS = {
    **{name: getattr(torch.optim, name) for name in ("Adafactor", "Adagrad", "NAdam", "RAdam", "Rprop", "ASGD")},
    "SGD": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "AMSGrad": partial(torch.optim.Adam, amsgrad=True),
    "RMSprop": partial(torch.optim.RMSprop, momentum=0.9, centered=True),
    "LBFGS": flat(torch.optim.LBFGS),
    "LARS": LARS,
    "Odd": Odd,
}


def equal(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return callable(a) or a == b


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_any_optimizer_keeps_is_saved_and_goes_on_bit_for_bit(name, tmp_path):
    def made() -> TrainState:
        with seeded(0, "init"):
            network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        return start(network, optimizer=OPTIMIZERS[name], lr=1e-2, device="cpu")

    def steps(state: TrainState) -> None:
        for scale in (1, 2, 3):

            def closure(scale=scale):
                state.optimizer.zero_grad()
                loss = (state.model(scale * torch.ones(2, 3)) - 2).square().mean()
                loss.backward()
                return loss

            state.optimizer.step(closure)

    one, path = made(), tmp_path / "run.safetensors"
    steps(one)
    save(one, path)
    other = load(path, made())
    assert equal(one.optimizer.state_dict()["state"], other.optimizer.state_dict()["state"])
    for state in (one, other):
        steps(state)
    assert equal(one.optimizer.state_dict(), other.optimizer.state_dict())
    assert equal(one.model.state_dict(), other.model.state_dict())


def test_what_cannot_be_loaded_is_refused_when_it_is_saved(tmp_path):
    for value in (object(), torch.eye(2).to_sparse(), {1, 2}, {(1, 2): 3}):
        state = fresh()
        state.optimizer.state[next(state.model.parameters())] = {"odd": value}
        with pytest.raises(TypeError, match=r"optimizer\.state\.0\.odd is"):
            save(state, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


class Counting(torch.nn.Linear):
    """A module with extra state, as PyTorch calls what is neither parameter nor buffer."""

    def __init__(self, *sizes: int):
        super().__init__(*sizes)
        self.seen: dict[str, int] = {}

    def get_extra_state(self):
        return self.seen

    def set_extra_state(self, seen):
        self.seen = seen


def test_extra_state_of_a_module_is_kept(tmp_path):
    state, other = (start(Counting(2, 2), ema=0.9, device="cpu") for _ in range(2))
    state.model.seen, state.lr = {"a": 3}, torch.tensor(0.25)
    save(state, tmp_path / "run")
    assert load(tmp_path / "run", other).model.seen == {"a": 3}
    assert (other.ema.seen, other.lr) == ({}, 0.25)
    with pytest.raises(CheckpointError, match=r"ema\._extra_state is of any shape in the file and absent"):
        load(tmp_path / "run", start(torch.nn.Linear(2, 2), ema=0.9, device="cpu"))


def test_a_batch_of_one_image_says_that_batch_norm_needs_two():
    with pytest.raises(ValueError, match=r"batch_size is 1: the network's BatchNorm .* at least 2"):
        next(train(fresh(), DATA, OBJECTIVES["supervised"], until=1, batch_size=1))


def test_another_choice_of_what_is_trained_is_refused(tmp_path):
    save(fresh(), tmp_path / "run")
    model = fresh().model
    next(model.parameters()).requires_grad_(False)
    with pytest.raises(CheckpointError, match="another choice of parameters"):
        load(tmp_path / "run", start(model, device="cpu"))


@pytest.mark.skipif(sys.platform == "win32", reason="no signal can be raised there")
def test_ctrl_c_within_an_update_waits_until_it_is_whole():
    class Pressed(torch.optim.SGD):
        def step(self, closure=None):
            first, *_ = self.param_groups[0]["params"]
            with torch.no_grad():
                first.add_(1)
            signal.raise_signal(signal.SIGINT)
            super().step(closure)

    state, whole = fresh(optimizer=Pressed), fresh(optimizer=torch.optim.SGD)
    with pytest.raises(KeyboardInterrupt):
        run(state, until=3)
    run(whole, until=1)
    assert state.step == 1
    first, other = (next(s.model.parameters()) for s in (state, whole))
    assert torch.allclose(first, other + 1)


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path, state = tmp_path / "run.safetensors", fresh()
    save(state, path)
    before = path.read_bytes()

    def full_disk(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    run(state, until=1)
    with pytest.raises(OSError, match="No space left"):
        save(state, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_generator_of_an_unfinished_run_holds_no_state_of_its_own():
    state = fresh()
    steps = train(state, DATA, OBJECTIVES["simclr"], until=6, batch_size=16)
    next(steps)
    with torch.no_grad():
        embedded = state.model.eval()(DATA.images[:2] / 255)  # a probe between two steps
    assert embedded.shape == (2, 8)
    state.model.train()
    steps.close()
    other = fresh()
    run(other, until=1)
    assert same(state, other)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: fresh(lr=0.0), "lr is 0.0"),
        (lambda: fresh(ema=1.5), "ema is 1.5"),
        (lambda: fresh(total=0), "total=0"),
        (
            lambda: next(inspect.unwrap(train)(fresh(), DATA, OBJECTIVES["simclr"], until=1, precision="fp8")),
            "precision is 'fp8'",
        ),
        (lambda: run(fresh(), "byol"), "predictor"),
        (lambda: list(train(fresh(), DATA, OBJECTIVES["simclr"], until=1, batch_size=65)), "batch_size is 65"),
        (
            lambda: list(train(start(small_conv(1, projector=(2,))), DATA, supervised(VIEWS), until=1, batch_size=8)),
            "2 dimensions and a label is 3",
        ),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_optimizer_is_any_of_pytorchs_and_decays_no_bias():
    state = fresh(optimizer=partial(torch.optim.SGD, momentum=0.9), weight_decay=0.1)
    decayed, free = state.optimizer.param_groups
    assert {p.ndim for p in free["params"]} == {1}
    assert decayed["weight_decay"] == 0.1
    assert free["weight_decay"] == 0
    assert isinstance(state.model, nn.Module)
    run(state, until=2)


def test_training_past_the_total_warns_once_that_nothing_changes():
    state = start(small_conv(1, width=8, projector=(4,)), lr=1e-3, warmup=0, total=1)
    data = Dataset(torch.zeros(8, 1, 8, 8, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64), ("a",))
    objective = joint_embedding(nt_xent, simclr_views(8))
    with pytest.warns(UserWarning, match="until is 3 and the learning rate reaches 0 at step 1") as told:
        list(train(state, data, objective, until=3, batch_size=4))
    assert len(told) == 1
