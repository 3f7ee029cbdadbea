"""The head to head of IN-9: equal weights, updates and calls, and what each method asks of the network."""

import pytest
import torch
from torch import nn

from ssl_toolkit.claims import CLAIMS
from ssl_toolkit.claims.infusion_baselines import METHODS, objective, samples
from ssl_toolkit.claims.infusion_training import operator_of, started
from ssl_toolkit.data import Batch, rng
from ssl_toolkit.infusion import Operator, Prior
from ssl_toolkit.training import TrainState


def test_all_methods_start_from_the_same_weights_and_make_as_many_updates_and_calls():
    settings = CLAIMS["IN-9"].settings("standard")
    for T in {s["T"] for s in settings}:
        of_seed = [s for s in settings if (s["T"], s["seed"]) == (T, 0)]
        assert [s["method"] for s in of_seed] == list(METHODS)
        assert len({(s["steps"], s["batch_size"], s["lr"]) for s in of_seed}) == 1
    states = [started(s | {"T": 2}).model.state_dict() for s in of_seed]
    for other in states[1:]:
        assert all(torch.equal(a, b) for a, b in zip(states[0].values(), other.values(), strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_each_method_calls_every_step_once_and_in_order(method):
    operator, asked = operator_of(started(CLAIMS["IN-9"].settings("smoke")[0] | {"T": 4})), []
    operator.net.register_forward_pre_hook(lambda net, args: asked.append(args[1]))
    x = samples(method, operator, Prior(torch.full((1, 14, 14), 0.5), torch.full((1, 14, 14), 0.1)), seed=0)
    assert asked == [1, 2, 3, 4]
    assert x.shape == (1000, 1, 14, 14)
    assert 0 <= x.min() <= x.max() <= 1


class Answer(nn.Module):
    """A network that knows the answer: logits of a mean, or a velocity."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, z, t):
        return torch.cat([self.answer, self.answer], dim=1)


def knowing(answer, steps=3) -> TrainState:
    operator = Operator(Answer(answer), (1, 2, 2), steps, None, False)
    return TrainState(operator, torch.optim.SGD([torch.zeros(1)]), None, 1.0, 0, None, 0.0, lambda state: 0.0)


x = torch.rand(60, 1, 2, 2, generator=rng(0)) * 0.8 + 0.1
batch, prior = Batch(x, torch.zeros(60).long(), torch.arange(60)), Prior(torch.zeros(1, 2, 2), torch.ones(1, 2, 2))


@pytest.mark.parametrize("method", ["DDIM", "flow by x0", "cold"])
def test_the_errors_are_those_of_the_guess(method):
    """Off by 0.05 at all of T = 3 steps; diffusion and flow see images twice as wide."""
    expected = {"DDIM": 0.1**2, "flow by x0": 0.1**2 * (1 + 9 / 4 + 9) / 3, "cold": 0.05}[method]
    for guess, error in ((x, 0.0), (x + 0.05, expected)):
        (found,) = objective(method, prior)(knowing(guess.logit()), batch, rng(1)).values()
        assert found.item() == pytest.approx(error, abs=1e-6)


def test_the_velocity_is_what_leads_from_the_image_to_noise():
    """E |e - x0 - v|^2 = 1 + |x0 + v|^2, over e, for any answer v; v = - x0 is the best."""
    x0 = 2 * x - 1
    for v in (torch.zeros_like(x), -x0):
        (error,) = objective("flow", prior)(knowing(v, steps=150), batch, rng(1)).values()
        assert error.item() == pytest.approx(1 + (x0 + v).square().mean().item(), rel=0.03)
