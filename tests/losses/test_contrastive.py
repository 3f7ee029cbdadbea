"""The contrastive family against formulas written out, lightly, each other; its memory, and its objectives."""

import inspect
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from torch import Tensor

from ssl_toolkit.augment import compose, gaussian_noise, simclr_views
from ssl_toolkit.data import Batch, Dataset, rng
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import (
    Queue,
    against_a_patch,
    against_own_patch,
    joint_embedding,
    momentum_contrast,
    multi_view,
    nearest_neighbor,
)
from ssl_toolkit.joint.contrastive import _beside
from ssl_toolkit.losses import barlow_twins, dcl, moco, nnclr, nt_xent, patch_negative, supcon, vicreg
from ssl_toolkit.training import CheckpointError, NonFiniteError, load, save, start, train


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=dtype)


def total(terms: dict[str, Tensor]) -> Tensor:
    return sum(terms.values())


def cos(a: Tensor, b: Tensor) -> Tensor:
    return F.cosine_similarity(a, b, dim=0)


# ---- each loss is its formula ----


def dcl_by_loops(za: Tensor, zb: Tensor, temperature: float) -> Tensor:
    z, b, losses = torch.cat([za, zb]), len(za), []
    for i in range(2 * b):
        repelled = sum((cos(z[i], z[j]) / temperature).exp() for j in range(2 * b) if j % b != i % b)
        losses.append(-cos(z[i], z[(i + b) % (2 * b)]) / temperature + repelled.log())
    return torch.stack(losses).mean()


def supcon_by_loops(z: Tensor, labels: list[int], temperature: float) -> Tensor:
    z, labels, losses = z.flatten(0, 1), labels * len(z), []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        denominator = sum((cos(z[i], z[a]) / temperature).exp() for a in others)
        attracted = [p for p in others if labels[p] == labels[i]]
        logs = [((cos(z[i], z[p]) / temperature).exp() / denominator).log() for p in attracted]
        losses.append(-sum(logs) / len(attracted))
    return torch.stack(losses).mean()


def moco_by_loops(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> Tensor:
    losses = []
    for i in range(len(q)):
        logits = torch.stack([cos(q[i], k[i]), *(cos(q[i], n) for n in queue)]) / temperature
        losses.append(-logits.log_softmax(0)[0])
    return torch.stack(losses).mean()


def nnclr_by_loops(nn: Tensor, p: Tensor, temperature: float) -> Tensor:
    rows = [torch.stack([cos(n, each) / temperature for each in p]).log_softmax(0)[i] for i, n in enumerate(nn)]
    return -torch.stack(rows).mean()


@pytest.mark.parametrize("seed", range(3))
def test_each_loss_equals_its_formula_written_out(seed):
    za, zb, zc = normal(seed, 3, 5, 4)
    queue, labels = normal(seed + 10, 7, 4), [0, 1, 0, 2, 1]
    assert torch.allclose(total(dcl(za, zb, temperature=0.3)), dcl_by_loops(za, zb, 0.3))
    z = torch.stack([za, zb, zc])
    assert torch.allclose(total(supcon(z, torch.tensor(labels), temperature=0.3)), supcon_by_loops(z, labels, 0.3))
    assert torch.allclose(total(moco(za, zb, queue, temperature=0.3)), moco_by_loops(za, zb, queue, 0.3))
    assert torch.allclose(total(nnclr(za, zb, temperature=0.3)), nnclr_by_loops(za, zb, 0.3))


@pytest.mark.parametrize("patches", [1, 5])
def test_one_patch_as_the_only_negative_is_a_softplus(patches):
    za, zb = normal(0, 2, 5, 4)
    zn = normal(1, patches, 4)
    each = [F.softplus((cos(z, zn[i % patches]) - cos(za[i], zb[i])) / 0.2) for i in range(5) for z in (za[i], zb[i])]
    assert torch.allclose(total(patch_negative(za, zb, zn)), torch.stack(each).mean())


def test_lightly_agrees_on_50_random_inputs():
    lightly = pytest.importorskip("lightly.loss", reason="lightly is in the extra `bench`")
    for seed in range(50):
        za, zb = normal(seed, 2, 16, 8, dtype=torch.float32)
        for loss, peer in ((nt_xent, lightly.NTXentLoss), (dcl, lightly.DCLLoss)):
            assert total(loss(za, zb, temperature=0.2)).item() == pytest.approx(peer(0.2)(za, zb).item(), rel=1e-5)
        peer = lightly.NTXentLoss(0.2, memory_bank_size=(32, 8))
        expected = peer(za, zb).item()  # za has no gradient, so the bank that this call makes stays as it is
        assert total(moco(za, zb, peer.memory_bank.bank)).item() == pytest.approx(expected, rel=1e-5)


LOSSES = {
    "nt_xent": nt_xent,
    "nt_xent by blocks": partial(nt_xent, block=3),
    "dcl": dcl,
    "dcl by blocks": partial(dcl, block=3),
    "one negative": lambda za, zb: nt_xent(za, zb, negatives=1, generator=rng(0), rescale=True),
    "one patch": lambda za, zb: patch_negative(za, zb, za[:1] + zb[:1]),
    "own patch": lambda za, zb: patch_negative(za, zb, za.flip(0)),
    "supcon": lambda za, zb: supcon(torch.stack([za, zb]), torch.tensor([0, 1, 0, 2])),
    "moco": lambda za, zb: moco(za, normal(2, 4, 3), normal(3, 6, 3)),
    "nnclr": lambda za, zb: nnclr(normal(2, 4, 3), zb),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_value(name):
    za, zb = normal(1, 2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: total(LOSSES[name](a, b)), (za, zb))


def test_keys_queue_and_neighbors_get_no_gradient():
    q, k, queue = normal(1, 3, 4, 3).requires_grad_().unbind()
    for still in (k, queue):
        assert torch.autograd.grad(total(moco(q, k, queue)), still, allow_unused=True) == (None,)
    assert torch.autograd.grad(total(nnclr(k, q)), k, allow_unused=True) == (None,)


# ---- laws ----


@given(seed=st.integers(0, 10**6), b=st.integers(2, 9), block=st.integers(1, 20), temperature=st.floats(0.05, 1.0))
def test_blocks_change_neither_value_nor_gradient(seed, b, block, temperature):
    z = normal(seed, 2, b, 4).requires_grad_()
    for loss in (nt_xent, dcl):
        whole, parts = loss(*z, temperature=temperature), loss(*z, temperature=temperature, block=block)
        assert all(torch.allclose(whole[name], parts[name], rtol=1e-12) for name in whole)
        g, h = (torch.autograd.grad(total(terms), z)[0] for terms in (whole, parts))
        assert torch.allclose(g, h, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 10**6), k=st.integers(1, 10))
def test_rescaled_negatives_that_are_all_alike_stand_for_all(seed, k):
    z = torch.eye(6, dtype=torch.float64)  # images at a right angle to each other
    drawn = nt_xent(z, z, negatives=k, generator=rng(seed), rescale=True)
    assert torch.allclose(total(drawn), total(nt_xent(z, z)))
    assert total(nt_xent(z, z, negatives=k, generator=rng(seed))) <= total(drawn) + 1e-12


def test_one_rescaled_negative_of_two_counts_twice():
    za, zb = normal(4, 2, 2, 3)
    z = torch.cat([za, zb])
    others = [[j for j in range(4) if (i - j) % 2] for i in range(4)]
    possible = [
        torch.stack([F.softplus(math.log(2) + (cos(z[i], z[j]) - cos(z[i], z[i - 2])) / 0.2) for j in others[i]])
        for i in range(4)
    ]
    loss = total(nt_xent(za, zb, negatives=1, generator=rng(0), rescale=True))
    assert torch.isclose(torch.cartesian_prod(*possible).mean(dim=1), loss).any()


def test_decoupling_takes_the_positive_out_of_the_denominator():
    za, zb = normal(5, 2, 6, 4)
    coupled, decoupled = nt_xent(za, zb, temperature=0.1), dcl(za, zb, temperature=0.1)
    assert coupled["alignment"] == decoupled["alignment"]
    assert decoupled["uniformity"] < coupled["uniformity"]


@given(seed=st.integers(0, 10**6))
def test_supcon_of_labels_that_all_differ_is_nt_xent(seed):
    z = normal(seed, 2, 5, 4)
    supervised, alone = supcon(z, torch.arange(5), temperature=0.2), nt_xent(*z)
    assert all(torch.allclose(supervised[name], alone[name]) for name in alone)


@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10))
def test_all_see_directions_only(seed, scale):
    a, b, c = normal(seed, 3, 5, 4)
    labels = torch.tensor([0, 1, 0, 2, 1])
    for loss in (dcl, nnclr, moco, patch_negative):
        rest = (c,) if loss in (moco, patch_negative) else ()
        assert torch.allclose(total(loss(scale * a, b, *rest)), total(loss(a, b, *rest)))
    z = torch.stack([a, b])
    assert torch.allclose(total(supcon(scale * z, labels)), total(supcon(z, labels)))


# ---- bad input ----

NAN = torch.full((4, 3), torch.nan)
ONES = torch.ones(4, 3)


@pytest.mark.parametrize(
    "loss, arguments, settings, words",
    [
        (nt_xent, (NAN, ONES), {}, "za holds 12 values of 12 that are NaN"),
        (nt_xent, (ONES, ONES / 0), {}, "zb holds 12 values of 12 that are NaN or infinite"),
        (vicreg, (NAN.clone().requires_grad_(), ONES), {}, "za holds"),
        (barlow_twins, (ONES, NAN), {}, "zb holds"),
        (nt_xent, (ONES, ONES), {"negatives": 2, "generator": rng(0), "block": 2}, "negatives is 2 and block is 2"),
        (nt_xent, (ONES, ONES), {"negatives": 7, "generator": rng(0), "rescale": True}, "negatives is 7.* 1 to 6"),
        (nt_xent, (ONES, ONES), {"block": 0}, "block is 0"),
        (nt_xent, (ONES, ONES), {"temperature": math.nan}, "temperature is nan"),
        (dcl, (ONES[:1], ONES[:1]), {}, "1 image"),
        (dcl, (ONES, ONES), {"temperature": 0.0}, "temperature is 0.0"),
        (dcl, (ONES, ONES[:3]), {}, r"zb has shape \(3, 3\): .* b = 4, as za has"),
        (patch_negative, (ONES, ONES, ONES[:2]), {}, r"zn has shape \(2, 3\).*\(1, 3\).*\(4, 3\)"),
        (patch_negative, (ONES, ONES, NAN[:1]), {}, "zn holds 3"),
        (patch_negative, (ONES, ONES, ONES), {"temperature": -1.0}, "temperature is -1.0"),
        (supcon, (torch.ones(1, 4, 3), torch.arange(4)), {}, "at least 2 views"),
        (supcon, (torch.ones(2, 1, 3), torch.arange(1)), {}, "1 image"),
        (supcon, (torch.ones(2, 4, 3), torch.arange(3)), {}, r"labels has shape \(3,\): .* b = 4, as z has"),
        (supcon, (torch.stack([ONES, NAN]), torch.arange(4)), {}, "z holds 12 values of 24"),
        (supcon, (torch.ones(2, 4, 3), torch.arange(4)), {"temperature": 0.0}, "temperature is 0.0"),
        (moco, (ONES, ONES[:2], ONES), {}, r"k has shape \(2, 3\): .* b = 4, as q has"),
        (moco, (ONES, ONES, torch.ones(8, 2)), {}, r"queue has shape \(8, 2\)"),
        (moco, (ONES, NAN, ONES), {}, "k holds"),
        (moco, (ONES, ONES, ONES), {"temperature": 0.0}, "temperature is 0.0"),
        (nnclr, (ONES, NAN), {}, "p holds"),
        (nnclr, (ONES[:1], ONES[:1]), {}, "1 image"),
        (nnclr, (ONES, ONES), {"temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_bad_input_is_named(loss, arguments, settings, words):
    with pytest.raises(ValueError, match=words):
        loss(*arguments, **settings)


# ---- the memory ----


def test_a_queue_holds_the_last_embeddings_in_their_order():
    queue, z = Queue(5, 3), normal(0, 9, 3, dtype=torch.float32)
    pushed = F.normalize(z, dim=1)
    before = queue.z.clone()
    queue.push(z[:2])
    assert torch.equal(queue.z, torch.cat([pushed[:2], before[2:]]))
    queue.push(z[2:6])
    assert torch.equal(queue.z, pushed[[5, 1, 2, 3, 4]])
    assert queue.position == 1
    queue.push(z)  # more than it holds
    assert {tuple(row) for row in queue.z.tolist()} == {tuple(row) for row in pushed[-5:].tolist()}
    assert queue.z[queue.position].equal(pushed[4])


def test_the_nearest_has_the_largest_cosine_and_no_gradient():
    queue, z = Queue(20, 3), normal(0, 6, 3, dtype=torch.float32)
    expected = [max(queue.z, key=lambda n, each=each: float(cos(n, each))) for each in z]
    found = queue.nearest(10 * z.requires_grad_())
    assert torch.equal(found, torch.stack(expected))
    assert not found.requires_grad


def test_a_queue_starts_with_directions_of_its_seed_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    assert torch.equal(Queue(4, 3, seed=1).z, Queue(4, 3, seed=1).z)
    assert not torch.equal(Queue(4, 3, seed=1).z, Queue(4, 3, seed=2).z)
    assert torch.allclose(Queue(4, 3).z.norm(dim=1), torch.ones(4))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_queue_of_another_width_says_so():
    with pytest.raises(ValueError, match=r"z has shape \(2, 4\): this queue of 5 takes \(b, 3\)"):
        Queue(5, 3).push(torch.ones(2, 4))
    with pytest.raises(ValueError, match="size is 0"):
        Queue(0, 3)


# ---- objectives ----

DATA = Dataset(
    images=torch.randint(0, 256, (64, 1, 28, 28), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(64) % 4,
    classes=("a", "b", "c", "d"),
)
VIEWS = simclr_views(28)
PATCH = DATA.images[:1, :, 4:14, 4:12] / 255
OBJECTIVES = {
    "moco": momentum_contrast(VIEWS),
    "nnclr": nearest_neighbor(VIEWS),
    "supcon": multi_view(supcon, VIEWS, labels=True),
    "three views": joint_embedding(partial(nt_xent, negatives=1), VIEWS, views=3, stochastic=True),
    "a patch": against_a_patch(VIEWS, PATCH),
    "own patch": against_own_patch(VIEWS),
}


def fresh(seed: int = 0):
    model = small_conv(1, width=32, projector=(16, 8), predictor=(16, 8))
    model.queue = Queue(40, 8, seed=seed)
    return start(model, lr=1e-3, warmup=2, total=12, ema=0.9)


def run(state, method: str, until: int = 4):
    return list(train(state, DATA, OBJECTIVES[method], until=until, batch_size=16))


def state_dict(state) -> dict[str, Tensor]:
    return {**state.model.state_dict(prefix="model."), **state.ema.state_dict(prefix="ema.")}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("method", OBJECTIVES)
def test_a_run_that_was_saved_killed_and_loaded_equals_one_that_was_not(method, tmp_path):
    whole, first = fresh(), fresh()
    steps = run(whole, method)
    run(first, method, until=2)
    save(first, tmp_path / "run.safetensors")
    second = load(tmp_path / "run.safetensors", fresh(seed=1))
    assert [s.terms for s in run(second, method)] == [s.terms for s in steps[2:]]
    assert same(state_dict(whole), state_dict(second))


@pytest.mark.parametrize("method", ["moco", "nnclr"])
def test_each_step_pushes_its_images_once(method):
    state = fresh()
    for step in range(1, 4):
        before = state.model.queue.z.clone()
        run(state, method, until=step)
        assert state.model.queue.position == 16 * step % 40
        assert (state.model.queue.z != before).any(dim=1).sum() == 16


@pytest.mark.parametrize("method", OBJECTIVES)
def test_a_network_that_yields_nan_ends_training_with_the_last_good_state(method):
    state = fresh()
    run(state, method, until=2)
    with torch.no_grad():
        state.model.projector[-1].weight[0, 0] = torch.nan
    before = {name: t.clone() for name, t in state_dict(state).items()}
    with pytest.raises(NonFiniteError, match="step 3: alignment is nan"):
        run(state, method)
    assert all(before[name].equal(t) or "projector" in name for name, t in state_dict(state).items())
    assert state.model.queue.z.isfinite().all()
    assert state.step == 2


def test_a_checkpoint_without_the_queue_is_refused(tmp_path):
    state = fresh()
    del state.model.queue
    save(state, tmp_path / "run.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.queue"):
        load(tmp_path / "run.safetensors", fresh())


def batch_of(n: int = 8) -> Batch:
    return Batch(DATA.images[:n] / 255, DATA.labels[:n], torch.arange(n))


def test_more_views_give_the_mean_over_all_pairs():
    model = small_conv(1, width=32, projector=(16, 8)).eval()  # in eval mode a view's embedding is its own
    views = [VIEWS(batch_of().images, generator).x for generator in [rng(3)] for _ in range(3)]
    za, zb, zc = (model(x).detach() for x in views)
    terms = joint_embedding(nt_xent, VIEWS, views=3)(start(model), batch_of(), rng(3))
    for name, value in terms.items():
        pairs = [nt_xent(*pair)[name] for pair in ((za, zb), (za, zc), (zb, zc))]
        assert torch.allclose(value, torch.stack(pairs).mean(), rtol=1e-4)


def test_a_loss_of_many_views_sees_them_image_by_image():
    seen = {}

    def loss(z, labels, *, generator):
        seen.update(z=z, labels=labels, drawn=torch.rand(1, generator=generator))
        return {"none": z.sum()}

    identity = compose(gaussian_noise(0.0))  # every view of an image is the image
    state = start(small_conv(1, width=32, projector=(16, 8)).eval())
    multi_view(loss, identity, views=4, labels=True, stochastic=True)(state, batch_of(), rng(0))
    assert seen["z"].shape == (4, 8, 8)
    assert seen["z"].dtype == torch.float32
    assert torch.allclose(seen["z"][0], seen["z"][3], atol=1e-6)
    assert torch.equal(seen["labels"], DATA.labels[:8])


def test_the_patch_that_repels_all_gets_a_gradient_through_the_same_network():
    state, patch = start(small_conv(1, width=32, projector=(16, 8))), PATCH.clone().requires_grad_()
    total(against_a_patch(VIEWS, patch)(state, batch_of(), rng(0))).backward()
    assert patch.grad.abs().sum() > 0


@given(
    seed=st.integers(0, 10**6),
    h=st.integers(6, 40),
    w=st.integers(6, 40),
    smallest=st.floats(0.05, 1.0),
)
def test_a_patch_lies_in_the_image_and_beside_the_crop_where_there_is_room(seed, h, w, smallest):
    g = rng(seed)
    sides = torch.stack([torch.randint(1, h + 1, (32,), generator=g), torch.randint(1, w + 1, (32,), generator=g)], 1)
    corner = (torch.rand(32, 2, generator=g) * (torch.tensor([h, w]) - sides + 1)).floor()
    box = torch.cat([corner, sides], dim=1).float()
    patch = _beside(box, (h, w), smallest, g)
    least = math.ceil(smallest * min(h, w))
    (top, left), (bottom, right) = patch[:, :2].T, (patch[:, :2] + patch[:, 2:]).T
    assert torch.equal(patch[:, 2], patch[:, 3])
    assert (patch[:, 2] >= least).all()
    assert ((top >= 0) & (left >= 0) & (bottom <= h) & (right <= w)).all()
    apart = (bottom <= box[:, 0]) | (top >= box[:, 0] + box[:, 2])
    apart |= (right <= box[:, 1]) | (left >= box[:, 1] + box[:, 3])
    room = torch.stack([box[:, 0], h - box[:, 0] - box[:, 2], box[:, 1], w - box[:, 1] - box[:, 3]]).amax(0)
    assert torch.equal(apart, room >= least)


def plain(**settings):
    return start(small_conv(1, width=32, projector=(16, 8)), **settings)


def with_queue(**settings):
    state = plain(**settings)
    state.model.queue = Queue(40, 9)
    return state


@pytest.mark.parametrize(
    "objective, state, words",
    [
        (OBJECTIVES["moco"], plain, "model.queue = Queue"),
        (OBJECTIVES["moco"], with_queue, r"start\(model, ema=0.99\)"),
        (OBJECTIVES["nnclr"], plain, "model.queue = Queue"),
        (OBJECTIVES["nnclr"], with_queue, "predictor"),
        (against_own_patch(compose(gaussian_noise(0.1))), plain, "begin with random_resized_crop"),
    ],
)
def test_what_an_objective_lacks_is_named(objective, state, words):
    with pytest.raises(ValueError, match=words):
        inspect.unwrap(objective)(state(), batch_of(), rng(0))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: joint_embedding(nt_xent, VIEWS, views=1), "views is 1"),
        (lambda: against_own_patch(VIEWS, smallest=0.0), "smallest is 0.0"),
        (lambda: inspect.unwrap(against_a_patch)(VIEWS, torch.ones(2, 1, 4, 4)), r"patch has shape \(2, 1, 4, 4\)"),
    ],
)
def test_bad_settings_of_an_objective_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
