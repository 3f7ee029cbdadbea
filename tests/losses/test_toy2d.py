"""Points of the plane under a loss: gradients, what each term keeps from collapsing, determinism."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.losses import barlow_twins, byol, nt_xent, vicreg
from ssl_toolkit.losses.toy2d import Points, descend, drag, look, predict_both_ways, scatter, spread, weighted

SIMCLR = partial(nt_xent, temperature=0.5)
BARLOW = partial(barlow_twins, lambd=1.0)
PLAIN_BYOL = partial(predict_both_ways, predictor=False, stop_gradient=False)
RATES = {SIMCLR: 1.0, vicreg: 0.1, BARLOW: 5.0, PLAIN_BYOL: 1.0}


def last(loss, *, lr, seed=8, shared=True, until=200, directions=False):
    *_, moment = descend(scatter(seed=seed, shared=shared), loss, lr=lr, until=until)
    return spread(moment.za, moment.zb, directions=directions)


def views_of(points):
    """Some X whose X X^T is the kernel."""
    values, vectors = torch.linalg.eigh(points.kernel)
    return vectors * values.clamp_min(0).sqrt()


@pytest.mark.parametrize("loss", RATES)
def test_each_terms_gradient_is_that_of_finite_differences(loss):
    points = scatter(6, seed=1)
    points.z = points.z.double()
    moment, h = look(points, loss), 1e-6
    for index in [(0, 0, 0), (1, 3, 1), (1, 5, 0)]:
        there, back = points.z.clone(), points.z.clone()
        there[index] += h
        back[index] -= h
        for name, gradient in moment.gradients.items():
            slope = (loss(*there)[name] - loss(*back)[name]).item() / (2 * h)
            assert gradient[index].item() == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("loss", RATES)
def test_descent_lowers_the_loss_at_every_one_of_its_first_steps(loss, shared):
    points = scatter(seed=2, shared=shared)
    losses = [look(points, loss).loss]
    losses += [moment.loss for moment in descend(points, loss, lr=RATES[loss] / 10, until=10)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_a_step_with_shared_points_is_a_step_of_the_weights_of_a_linear_encoder():
    points = scatter(seed=3)
    x = views_of(points)
    weights = torch.linalg.lstsq(x, points.z.flatten(0, 1), driver="gelsd").solution.requires_grad_()
    assert torch.allclose(x @ weights, points.z.flatten(0, 1), atol=1e-4)
    for moment in descend(points, SIMCLR, lr=1.0, until=3):
        (gradient,) = torch.autograd.grad(sum(SIMCLR(*(x @ weights).view_as(points.z)).values()), weights)
        weights = (weights - gradient).detach().requires_grad_()
        assert torch.allclose((x @ weights).view_as(points.z), torch.stack([moment.za, moment.zb]), atol=1e-3)


def test_every_moment_says_where_the_points_are_after_its_step():
    points = scatter(seed=0)
    for step, moment in enumerate(descend(points, vicreg, lr=0.1, until=3), start=1):
        assert moment.step == points.step == step
        assert torch.equal(torch.stack([moment.za, moment.zb]), points.z)
        assert moment.terms == {name: term.item() for name, term in vicreg(*points.z).items()}
        assert moment.loss == sum(moment.terms.values())


def test_a_descent_that_is_taken_up_again_is_one_that_never_stopped():
    whole, halves = scatter(seed=5), scatter(seed=5)
    list(descend(whole, vicreg, lr=0.1, until=10))
    list(descend(halves, vicreg, lr=0.1, until=4))
    list(descend(halves, vicreg, lr=0.1, until=10))
    assert torch.equal(whole.z, halves.z)


def test_the_seed_decides_where_the_points_begin_and_nothing_else_does():
    a, free, other = scatter(seed=4), scatter(seed=4, shared=False), scatter(seed=5)
    torch.manual_seed(1)
    assert torch.equal(a.z, scatter(seed=4).z)
    assert torch.equal(a.z, free.z)
    assert not torch.equal(a.z, other.z)


@given(weights=st.dictionaries(st.sampled_from(["invariance", "variance", "covariance"]), st.floats(0, 5)))
def test_weights_multiply_their_terms_and_their_gradients(weights):
    points = scatter(seed=1)
    plain, weighed = look(points, vicreg), look(points, weighted(vicreg, weights))
    for name in plain.terms:
        factor = weights.get(name, 1.0)
        assert weighed.terms[name] == pytest.approx(factor * plain.terms[name], rel=1e-5)
        assert torch.allclose(weighed.gradients[name], factor * plain.gradients[name], atol=1e-5)


def test_vicreg_needs_each_of_its_terms():
    whole = last(vicreg, lr=0.1)
    assert whole.word == "spread"
    without_variance = last(weighted(vicreg, {"variance": 0.0}), lr=0.1)
    assert without_variance.long < 0.05
    assert without_variance.word == "collapsed to a point"
    without_covariance = last(weighted(vicreg, {"covariance": 0.0}), lr=0.1)
    assert without_covariance.long > 1
    assert without_covariance.word == "collapsed onto a line"
    assert last(weighted(vicreg, {"invariance": 0.0}), lr=0.1).pairs > whole.pairs


def test_simclr_and_barlow_twins_collapse_without_the_term_that_repels():
    assert last(SIMCLR, lr=1.0, directions=True).word == "spread"
    alignment = weighted(SIMCLR, {"uniformity": 0.0})
    assert last(alignment, lr=5.0, seed=0, directions=True).word == "collapsed to a point"
    assert last(alignment, lr=5.0, seed=8, directions=True).word == "collapsed onto a line"  # two opposite directions
    assert last(BARLOW, lr=5.0).word == "spread"
    assert last(weighted(BARLOW, {"redundancy": 0.0}), lr=5.0).word == "collapsed onto a line"


def test_free_points_only_meet_their_pair():
    for loss, directions in (
        (weighted(vicreg, {"variance": 0.0}), False),
        (weighted(SIMCLR, {"uniformity": 0.0}), True),
    ):
        end = last(loss, lr=5.0 if directions else 0.1, shared=False, directions=directions)
        assert end.pairs < 1e-3
        assert end.word == "spread"


@pytest.mark.parametrize("seed", [1, 8])
def test_byol_holds_with_predictor_and_stop_gradient_where_it_collapses_without_either(seed):
    assert last(predict_both_ways, lr=2.0, seed=seed, directions=True).word == "spread"
    for options, lr in (({"predictor": False}, 2.0), ({"stop_gradient": False}, 1.0)):  # twice the gradient
        end = last(partial(predict_both_ways, **options), lr=lr, seed=seed, directions=True, until=300)
        assert end.word.startswith("collapsed")


def test_without_a_predictor_the_stop_gradient_only_halves_the_gradient():
    points = scatter(seed=6)
    stopped = look(points, partial(predict_both_ways, predictor=False))
    both = look(points, PLAIN_BYOL)
    assert stopped.terms == both.terms
    assert torch.allclose(2 * stopped.gradients["prediction"], both.gradients["prediction"], atol=1e-6)
    za, zb = points.z
    assert stopped.loss == pytest.approx(sum(byol(p, z)["prediction"].item() for p, z in ((za, zb), (zb, za))))


def test_the_predictor_predicts_any_rotation_of_the_plane():
    za = scatter(seed=7).z[0]
    turn = torch.tensor([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
    assert predict_both_ways(za, za @ turn)["prediction"] < 1e-5
    assert predict_both_ways(za, za @ turn, predictor=False)["prediction"] > 0.5


def test_a_dragged_point_goes_where_it_is_put_and_takes_along_those_that_share_its_encoder():
    for shared in (True, False):
        points = scatter(seed=1, shared=shared)
        before = points.z.clone()
        drag(points, 11, (0.5, -2.0))
        assert torch.allclose(points.z[1, 3], torch.tensor([0.5, -2.0]), atol=1e-6)
        others = torch.arange(16) != 11
        moved = (points.z - before).flatten(0, 1)[others].norm(dim=1)
        assert (moved > 0).all() if shared else (moved == 0).all()


def test_a_drag_is_the_least_change_of_the_weights_that_brings_the_point_there():
    points = scatter(seed=3)
    x, before = views_of(points), points.z.flatten(0, 1).clone()
    drag(points, 5, (1.0, 1.0))
    least = torch.linalg.pinv(x[5:6]) @ (torch.tensor([[1.0, 1.0]]) - before[5:6])
    assert torch.allclose(points.z.flatten(0, 1), before + x @ least, atol=1e-4)


def test_the_shape_of_the_points_is_said_in_words():
    t = torch.linspace(-1, 1, 8)[:, None]
    line = torch.cat([t, 2 * t], dim=1)
    assert spread(line, line).word == "collapsed onto a line"
    assert spread(line, line).pairs == 0
    assert spread(line * 0.01 + 3, line * 0.01 + 3).word == "collapsed to a point"
    assert spread(line.abs() + 0.1, line.abs() + 0.1, directions=True).word == "collapsed to a point"
    round_ = torch.cat([torch.cos(9 * t), torch.sin(9 * t)], dim=1)
    assert spread(round_, round_).word == "spread"


def test_what_cannot_be_done_is_said():
    with pytest.raises(ValueError, match="n is 3: at least 4"):
        scatter(3)
    with pytest.raises(ValueError, match="names variances: the terms are invariance, variance, covariance"):
        look(scatter(), weighted(vicreg, {"variances": 0.0}))
    with pytest.raises(ValueError, match="index is 16: there are points 0 to 15"):
        drag(scatter(), 16, (0.0, 0.0))
    points = Points(torch.full((2, 4, 2), 1e20), torch.eye(8))
    points.z[0] *= -1
    with pytest.raises(FloatingPointError, match=r"step 1: .* lr is 1e\+30, try a lower one"):
        list(descend(points, weighted(vicreg, {"variance": 0.0, "covariance": 0.0}), lr=1e30, until=5))
    assert points.step == 0
    assert points.z.isfinite().all()
