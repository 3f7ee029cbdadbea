"""LARS by numbers and laws, other optimizers through `start`, and views that grow."""

from functools import partial

import pytest
import torch
from torch import nn

from ssl_toolkit.augment import simclr_views
from ssl_toolkit.data import Dataset, rng, seeded
from ssl_toolkit.joint import joint_embedding, progressive, ramp
from ssl_toolkit.losses import nt_xent
from ssl_toolkit.training import LARS, load, save, scaled_lr, start, train

DATA = Dataset(
    images=torch.randint(0, 256, (64, 1, 28, 28), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(64) % 4,
    classes=("a", "b", "c", "d"),
)
SGD = partial(torch.optim.SGD, momentum=0.9)


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [*model.state_dict().values()]


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(weights(a), weights(b), strict=True))


def fresh(optimizer, **settings):
    with seeded(0, "init"):
        convolution, embedding = nn.Conv2d(1, 8, 5, stride=2), nn.Linear(8, 8)
    model = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), embedding)
    return start(model, **{"lr": 0.5, "optimizer": optimizer, **settings})


def test_two_updates_of_lars_are_those_computed_by_hand():
    w = nn.Parameter(torch.tensor([[3.0, 4.0]]))  # |w| = 5
    b = nn.Parameter(torch.tensor([1.0]))
    lars = LARS([w, b], lr=2.0, momentum=0.5, weight_decay=0.1, eta=0.01)
    w.grad, b.grad = torch.tensor([[0.0, 1.5]]), torch.tensor([0.25])
    lars.step()
    # trust = 0.01 * 5 / (1.5 + 0.1 * 5) = 0.025;  v = 2 * 0.025 * ([0, 1.5] + 0.1 [3, 4]) = [0.015, 0.095]
    assert torch.allclose(w, torch.tensor([[2.985, 3.905]]))
    assert torch.allclose(b, torch.tensor([0.5]))  # 1 - 2 * 0.25: neither adapted nor decayed
    for group in lars.param_groups:
        group["lr"] = 1.0
    w.grad, b.grad = torch.zeros(1, 2), torch.zeros(1)
    size = (2.985**2 + 3.905**2) ** 0.5
    trust = 0.01 * size / (0.1 * size)  # = 0.1
    lars.step()
    v = [0.5 * 0.015 + trust * 0.1 * 2.985, 0.5 * 0.095 + trust * 0.1 * 3.905]
    assert torch.allclose(w, torch.tensor([[2.985 - v[0], 3.905 - v[1]]]))
    assert torch.allclose(b, torch.tensor([0.25]))  # half of the last move goes on


def test_an_update_of_lars_does_not_depend_on_the_scale_of_the_loss():
    def moved(scale: float) -> torch.Tensor:
        w = nn.Parameter(torch.rand(4, 3, generator=rng(0)))
        w.grad = scale * torch.rand(4, 3, generator=rng(1))
        LARS([w], lr=1.0).step()
        return w.detach()

    assert torch.allclose(moved(1.0), moved(1e4))


def test_weights_or_gradients_of_zero_are_moved_as_by_sgd():
    w = nn.Parameter(torch.zeros(2, 2))
    w.grad = torch.ones(2, 2)
    LARS([w], lr=0.1).step()
    assert torch.allclose(w, torch.full((2, 2), -0.1))
    still = nn.Parameter(torch.ones(2, 2))
    still.grad = torch.zeros(2, 2)
    LARS([still], lr=0.1).step()
    assert torch.equal(still, torch.ones(2, 2))


def test_a_parameter_without_a_gradient_stays_and_a_closure_gives_its_loss():
    w, idle = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    lars = LARS([w, idle], lr=1.0)

    def closure() -> torch.Tensor:
        lars.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss

    assert lars.step(closure).item() == 4.0
    assert torch.equal(idle, torch.ones(2, 2))
    assert (w < 1).all()


@pytest.mark.parametrize("optimizer", [LARS, SGD], ids=["lars", "sgd"])
def test_a_run_that_was_saved_and_loaded_equals_one_that_was_not(optimizer, tmp_path):
    objective = joint_embedding(nt_xent, simclr_views(28))

    def run(state, until):
        return [s.terms for s in train(state, DATA, objective, until=until, batch_size=16)]

    whole, first = fresh(optimizer, total=12), fresh(optimizer, total=12)
    terms = run(whole, 6)
    run(first, 3)
    save(first, tmp_path / "run.safetensors")
    second = load(tmp_path / "run.safetensors", fresh(optimizer, lr=1.0))
    assert run(second, 6) == terms[3:]
    assert same(whole.model, second.model)


def test_lars_finds_the_answer_of_a_linear_problem():
    x, answer = torch.randn(64, 5, generator=rng(0)), torch.randn(3, 5, generator=rng(1))
    w = nn.Parameter(torch.randn(3, 5, generator=rng(2)))
    lars = LARS([w], lr=scaled_lr(40.0, 64))  # a step is 1 % of |w|
    losses = []
    for _ in range(300):
        loss = (x @ w.T - x @ answer.T).square().mean()
        lars.zero_grad()
        loss.backward()
        lars.step()
        losses.append(loss.item())
    assert min(losses) < 0.01 * losses[0]


def test_the_rate_is_proportional_to_the_batch():
    assert scaled_lr(0.5, 256) == 0.5
    assert scaled_lr(0.5, 2048) == 4.0
    assert scaled_lr(1.5, 64) == 0.375


def test_the_ramp_is_flat_straight_and_flat_again():
    size = ramp(16, 32, begin=100, end=300, multiple=4)
    sizes = [size(step) for step in range(400)]
    assert set(sizes[:101]) == {16}
    assert set(sizes[300:]) == {32}
    assert sizes == sorted(sizes)
    assert sorted(set(sizes)) == [16, 20, 24, 28, 32]
    assert (size(149), size(150)) == (16, 20)  # a quarter of the way
    assert ramp(18, 30, begin=0, end=0)(0) == 30  # a ramp of no length is a step
    assert ramp(18, 30, begin=1, end=9, multiple=16)(5) == 18  # never below the smaller size


def test_views_grow_with_the_step_and_a_loaded_run_goes_on_with_the_size_it_had(tmp_path):
    seen, made = [], []

    def make(size: int):
        made.append(size)
        inner = joint_embedding(nt_xent, simclr_views(size))

        def objective(state, batch, generator):
            seen.append(size)
            return inner(state, batch, generator)

        return objective

    objective = progressive(make, ramp(12, 20, begin=1, end=4))

    def run(state, until):
        return [s.terms for s in train(state, DATA, objective, until=until, batch_size=16)]

    whole, first = fresh(torch.optim.AdamW), fresh(torch.optim.AdamW)
    terms = run(whole, 6)
    assert seen == [12, 12, 12, 16, 20, 20]
    assert made == [12, 16, 20]
    run(first, 3)
    save(first, tmp_path / "run.safetensors")
    assert run(load(tmp_path / "run.safetensors", fresh(torch.optim.AdamW)), 6) == terms[3:]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: fresh(LARS, lr=-1.0), "lr is -1"),
        (lambda: LARS([nn.Parameter(torch.ones(1))], momentum=1.0), r"momentum is 1.0: it lies in \[0, 1\)"),
        (lambda: LARS([nn.Parameter(torch.ones(1))], eta=0.0), "eta=0.0 positive"),
        (lambda: LARS([nn.Parameter(torch.ones(1))], weight_decay=-1.0), "weight_decay=-1.0"),
        (lambda: scaled_lr(0.5, 0), "batch_size is 0"),
        (lambda: ramp(32, 16, begin=0, end=9), "low=32 and high=16"),
        (lambda: ramp(16, 32, begin=9, end=0), "begin=9 and end=0"),
        (lambda: ramp(16, 32, begin=0, end=9, multiple=0), "multiple is 0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
