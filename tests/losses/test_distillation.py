"""Losses with a target that gets no gradient, prototypes, and their objectives: formulas, laws, oracles, resumption."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ssl_toolkit.augment import simclr_views
from ssl_toolkit.data import Dataset, batch, rng
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import Prototypes, self_distillation, siamese, swapped_prediction
from ssl_toolkit.joint.clustering import Center
from ssl_toolkit.losses import byol, dino, simsiam, sinkhorn, swav
from ssl_toolkit.training import NonFiniteError, load, save, start, train

K = 6
DATA = Dataset(
    images=torch.randint(0, 256, (64, 1, 28, 28), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(64) % 4,
    classes=("a", "b", "c", "d"),
)
VIEWS = simclr_views(28)
OBJECTIVES = {
    "simsiam": siamese(VIEWS),
    "dino": self_distillation(VIEWS),
    "dino, 3 views": self_distillation(VIEWS, views=3),
    "swav": swapped_prediction(VIEWS),
    "swav, 3 views": swapped_prediction(VIEWS, views=3),
}


def cosines(seed: int, v: int = 2, b: int = 5, k: int = K) -> Tensor:
    return torch.rand(v, b, k, generator=rng(seed), dtype=torch.float64) * 2 - 1


def total(terms: dict[str, Tensor]) -> Tensor:
    return sum(terms.values())


def fresh(**settings):
    encoder = small_conv(1, width=32, projector=(16, 8), predictor=(4, 8))
    encoder.prototypes, encoder.center = Prototypes(8, K), Center(K)
    return start(encoder, **{"lr": 1e-3, "warmup": 2, "total": 12, "ema": 0.9, **settings})


def run(state, method: str, until: int = 6):
    return list(train(state, DATA, OBJECTIVES[method], until=until, batch_size=16))


def dino_by_loops(student: Tensor, teacher: Tensor, center: Tensor) -> Tensor:
    losses = []
    for i in range(len(teacher)):
        for j in range(len(student)):
            if i != j:
                for t, s in zip(teacher[i], student[j], strict=True):
                    q = torch.exp((t - center) / 0.04) / torch.exp((t - center) / 0.04).sum()
                    losses.append(-(q * torch.log(torch.exp(s / 0.1) / torch.exp(s / 0.1).sum())).sum())
    return torch.stack(losses).mean()


def sinkhorn_by_the_paper(scores: Tensor, iterations: int) -> Tensor:
    q = torch.exp(scores / 0.05).T  # (k, b)
    k, b = q.shape
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(dim=1, keepdim=True) / k
        q = q / q.sum(dim=0, keepdim=True) / b
    return (b * q).T


def swav_by_loops(scores: Tensor) -> Tensor:
    losses = []
    for i in range(len(scores)):
        q = sinkhorn_by_the_paper(scores[i], 3)
        for j in range(len(scores)):
            if i != j:
                p = torch.exp(scores[j] / 0.1) / torch.exp(scores[j] / 0.1).sum(dim=1, keepdim=True)
                losses.append(-(q * p.log()).sum(dim=1).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("seed", range(5))
def test_each_loss_equals_its_formula_written_out(seed):
    student, center = cosines(seed, v=3), cosines(seed, v=1, b=1).flatten()
    teacher = cosines(seed + 100, v=2)
    assert torch.allclose(total(dino(student, teacher, center)), dino_by_loops(student, teacher, center))
    assert torch.allclose(total(swav(student)), swav_by_loops(student))
    assert torch.allclose(sinkhorn(student[0]), sinkhorn_by_the_paper(student[0], 3))
    p, z = student[0], teacher[0]
    assert torch.allclose(
        total(simsiam(p, z)), -sum(a @ b / (a.norm() * b.norm()) for a, b in zip(p, z, strict=True)) / 5
    )
    assert torch.allclose(total(byol(p, z)), 2 + 2 * total(simsiam(p, z)))


def test_gradients_are_those_of_the_value_and_targets_get_none():
    student, teacher = cosines(1).requires_grad_(), cosines(2).requires_grad_()
    center = torch.zeros(K, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: total(dino(s, teacher, center)), (student,))
    assert torch.autograd.gradcheck(lambda p: total(simsiam(p, teacher[0])), (student[0].detach().requires_grad_(),))
    codes = torch.stack([sinkhorn(s) for s in student])
    predicted = torch.log_softmax(student / 0.1, dim=2)
    (expected,) = torch.autograd.grad(-(codes.flip(0) * predicted).sum(dim=2).mean(), student)  # codes are constants
    (found,) = torch.autograd.grad(total(swav(student)), student)
    assert torch.allclose(found, expected)
    (total(dino(student, teacher, center)) + total(simsiam(student[0], teacher[0]))).backward()
    assert teacher.grad is None


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_images_of_views_and_of_prototypes_does_not_matter(seed):
    s, t, c = cosines(seed), cosines(seed + 1), cosines(seed + 2, v=1, b=1).flatten()
    images, prototypes = torch.randperm(5, generator=rng(seed, 1)), torch.randperm(K, generator=rng(seed, 2))
    assert torch.allclose(total(dino(s[:, images], t[:, images], c)), total(dino(s, t, c)))
    assert torch.allclose(total(dino(s.flip(0), t.flip(0), c)), total(dino(s, t, c)))
    permuted = dino(s[..., prototypes], t[..., prototypes], c[prototypes])
    assert torch.allclose(total(permuted), total(dino(s, t, c)))
    assert torch.allclose(total(swav(s[:, images][..., prototypes].flip(0))), total(swav(s)))


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), shift=st.floats(-3, 3))
def test_dino_sees_the_teacher_relative_to_its_center(seed, shift):
    s, t, c = cosines(seed), cosines(seed + 1), cosines(seed + 2, v=1, b=1).flatten()
    assert torch.allclose(total(dino(s, t + shift * c, c + shift * c)), total(dino(s, t, c)))


def test_the_terms_of_dino_tell_both_ways_to_collapse_from_agreement():
    nothing, center = torch.zeros(2, 5, K), torch.zeros(K)
    uniform = dino(nothing, nothing, center)
    assert uniform["entropy"].item() == pytest.approx(math.log(K))
    assert uniform["divergence"].item() == pytest.approx(0, abs=1e-6)
    one_hot = 10 * F.one_hot(torch.arange(5) % K, K).float().repeat(2, 1, 1)
    assert [t.item() for t in dino(one_hot, one_hot, center).values()] == [0, 0]
    # sure, and of opposite opinions
    assert dino(one_hot, one_hot.roll(1, dims=2), center)["divergence"] > 90


def test_view_i_is_never_predicted_from_itself():
    s, t, center = cosines(1, v=3), cosines(2, v=2), torch.zeros(K, dtype=torch.float64)
    s = s.requires_grad_()
    # without images whose other views differ, view 0 only meets the teacher's view 1
    (grad,) = torch.autograd.grad(total(dino(s, t, center)), s)
    moved = t.clone()
    moved[0] = cosines(3)[0]
    (other,) = torch.autograd.grad(total(dino(s, moved, center)), s)
    assert torch.equal(grad[0], other[0])
    assert not torch.equal(grad[1], other[1])
    assert not torch.equal(grad[2], other[2])


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), b=st.integers(2, 9), k=st.integers(2, 9))
def test_codes_use_all_prototypes_equally_and_sort_every_image_once(seed, b, k):
    q = sinkhorn(cosines(seed, b=b, k=k)[0], eps=0.2, iterations=300)
    assert torch.allclose(q.sum(dim=1), torch.ones(b, dtype=q.dtype))
    assert torch.allclose(q.sum(dim=0), torch.full((k,), b / k, dtype=q.dtype), rtol=1e-3)
    few = sinkhorn(cosines(seed, b=b, k=k)[0])
    assert torch.allclose(few.sum(dim=1), torch.ones(b, dtype=q.dtype))


@pytest.mark.parametrize("seed", range(5))
def test_codes_are_the_best_assignment_up_to_their_entropy(seed):
    scores, eps = cosines(seed, b=7, k=7)[0], 0.05
    q = sinkhorn(scores, eps=eps, iterations=2000)
    best = scores[linear_sum_assignment(scores, maximize=True)].sum()
    # q maximizes <q, s> + eps H(q) over the polytope that holds the permutation: H = 0 there
    assert best - eps * torch.special.entr(q).sum() <= (q * scores).sum() + 1e-3
    assert (q * scores).sum() <= best + 1e-3


def test_no_eps_overflows():
    assert sinkhorn(cosines(0)[0].float(), eps=1e-4).isfinite().all()
    assert total(swav(cosines(0).float() * 1e3)).isfinite()


def test_prototypes_are_compared_by_direction():
    prototypes, z = Prototypes(8, K), torch.randn(3, 5, 8, generator=rng(0))
    by_hand = torch.stack([F.cosine_similarity(z, c, dim=-1) for c in prototypes.linear.weight], dim=-1)
    assert torch.allclose(prototypes(z), by_hand, atol=1e-6)
    before = prototypes(z)
    with torch.no_grad():
        prototypes.linear.weight.mul_(torch.rand(K, 1, generator=rng(1)) + 0.5)
    assert torch.allclose(prototypes(2 * z), before, atol=1e-6)
    assert torch.equal(Prototypes(8, K).linear.weight, Prototypes(8, K).linear.weight)
    assert not torch.equal(Prototypes(8, K, seed=1).linear.weight, Prototypes(8, K).linear.weight)


def test_the_center_is_a_moving_average_of_the_scores():
    center, scores = Center(K, momentum=0.8), cosines(0, v=3).float()
    for s in scores:
        center.update(s[None])
    expected = sum(0.2 * 0.8 ** (2 - i) * scores[i].mean(0) for i in range(3))
    assert torch.allclose(center.value, expected)


@pytest.mark.parametrize("seed", range(50))
def test_lightly_agrees_on_random_scores(seed):
    lightly = pytest.importorskip("lightly.loss", reason="lightly is in the extra `bench`")
    student, teacher, center = cosines(seed, v=4).float(), cosines(seed + 100).float(), Center(K)
    peer = lightly.DINOLoss(output_dim=K)
    for _ in range(2):  # its loss moves the center, so the second call has another
        found = total(dino(student, teacher, center.value)).item()
        center.update(teacher)
        assert found == pytest.approx(peer(list(teacher), list(student)).item(), rel=1e-4)
    assert torch.allclose(center.value, peer.center.flatten())
    assert total(swav(student)).item() == pytest.approx(lightly.SwaVLoss()(list(student), []).item(), rel=1e-4)
    cosine = lightly.NegativeCosineSimilarity()
    assert total(simsiam(student[0], teacher[0])).item() == pytest.approx(cosine(student[0], teacher[0]).item())


@pytest.mark.parametrize("method", OBJECTIVES)
def test_a_run_that_was_saved_killed_and_loaded_equals_one_that_was_not(method, tmp_path):
    whole, first = fresh(), fresh()
    steps = run(whole, method)
    run(first, method, until=3)
    save(first, tmp_path / "half.safetensors")
    second = load(tmp_path / "half.safetensors", fresh(lr=0.5))
    assert [s.terms for s in run(second, method)] == [s.terms for s in steps[3:]]
    save(whole, tmp_path / "whole.safetensors")
    save(second, tmp_path / "resumed.safetensors")
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "resumed.safetensors").read_bytes()


@pytest.mark.parametrize("method", OBJECTIVES)
def test_the_loss_is_computed_in_float32_under_autocast(method):
    state = fresh()
    with torch.autocast("cpu", torch.bfloat16):
        terms = OBJECTIVES[method](state, batch(DATA, 0, batch_size=16), rng(0))
    assert {t.dtype for t in terms.values()} == {torch.float32}
    assert state.ema.center.value.dtype == torch.float32
    assert any(t.item() != t.bfloat16().item() for t in terms.values())


def test_the_objective_of_simsiam_is_its_loss_both_ways():
    state, images = fresh(ema=None), batch(DATA, 0, batch_size=16)
    terms = OBJECTIVES["simsiam"](state, images, rng(0))
    generator = rng(0)
    x = torch.cat([VIEWS(images.images, generator).x, VIEWS(images.images, generator).x])
    z = fresh(ema=None).model(x)
    p = fresh(ema=None).model.predictor(z)
    by_hand = (simsiam(p[:16], z[16:])["prediction"] + simsiam(p[16:], z[:16])["prediction"]) / 2
    assert terms["prediction"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert -1 <= terms["prediction"] <= 1


def test_the_center_of_the_teacher_follows_its_scores_and_the_students_stays():
    state = fresh()
    (step,) = run(state, "dino", until=1)
    assert set(step.terms) == {"entropy", "divergence"}
    teacher = fresh().ema.train()
    images, generator = batch(DATA, 0, batch_size=16), rng(0, 0, "views")
    x = torch.cat([VIEWS(images.images, generator).x for _ in range(2)])
    expected = 0.1 * teacher.prototypes(teacher(x)).mean(dim=0)
    assert torch.allclose(state.ema.center.value, expected, atol=1e-5)
    assert not state.model.center.value.any()
    assert not torch.equal(state.model.prototypes.linear.weight, fresh().model.prototypes.linear.weight)


def test_a_value_that_is_not_finite_leaves_the_center_as_it_was():
    def poisoned(state, batch, generator):
        terms = OBJECTIVES["dino"](state, batch, generator)
        return {**terms, "divergence": terms["divergence"] * torch.nan} if state.step == 2 else terms

    bad, good = fresh(), fresh()
    run(good, "dino", until=2)
    with pytest.raises(NonFiniteError, match="step 3"):
        list(train(bad, DATA, poisoned, until=6, batch_size=16))
    assert torch.equal(bad.ema.center.value, good.ema.center.value)


def without(name: str, **settings):
    state = fresh(**settings)
    for module in (state.model, state.ema):
        if module is not None:
            setattr(module, name, None)
    return state


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: run(without("predictor"), "simsiam"), "predictor"),
        (lambda: run(fresh(ema=None), "dino"), "ema=0.99"),
        (lambda: run(without("center"), "dino"), "encoder.center"),
        (lambda: run(without("prototypes"), "dino"), "encoder.prototypes"),
        (lambda: run(without("prototypes"), "swav"), "encoder.prototypes"),
        (lambda: self_distillation(VIEWS, views=1), "views is 1"),
        (lambda: swapped_prediction(VIEWS, views=1), "views is 1"),
        (lambda: simsiam(torch.ones(4, 3), torch.ones(4, 2)), r"z has shape \(4, 2\): .* d = 3, as p has"),
        (lambda: dino(cosines(0, v=1), cosines(0, v=1), torch.zeros(K)), "student has 1 view.* needs at least 2"),
        (
            lambda: dino(cosines(0), cosines(0, k=4), torch.zeros(K)),
            r"teacher has shape .* k = 6, as student",
        ),
        (lambda: dino(cosines(0), cosines(0), torch.zeros(4)), r"center has shape \(4,\): .* k = 6"),
        (lambda: swav(cosines(0, v=1)), "scores has 1 view"),
        (lambda: dino(cosines(0), cosines(0, v=3), torch.zeros(K)), "student has 2 view.* and teacher 3"),
        (lambda: dino(cosines(0), cosines(0), torch.zeros(K), teacher_temperature=0.0), "teacher_temperature is 0.0"),
        (lambda: dino(cosines(0), cosines(0), torch.zeros(K), student_temperature=-1.0), "student_temperature is -1"),
        (lambda: swav(cosines(0), temperature=0.0), "temperature is 0.0"),
        (lambda: swav(cosines(0), eps=0.0), "eps is 0.0"),
        (lambda: sinkhorn(cosines(0)[0], iterations=0), "iterations is 0"),
        (lambda: simsiam(torch.ones(4, 3), torch.full((4, 3), torch.nan)), "z holds 12 values"),
        (lambda: dino(cosines(0), cosines(0) * torch.inf, torch.zeros(K)), "teacher holds 60 values"),
        (lambda: swav(cosines(0) * torch.nan), "scores holds 60 values"),
        (lambda: Prototypes(8, 1), "k is 1"),
        (lambda: Center(8, momentum=1.0), "momentum is 1.0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
