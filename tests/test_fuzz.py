"""Whatever a public function is given, it gives a right answer, or a ValueError or TypeError that names the argument.

Each function has a call that is right. One or two of its arguments are then changed: to arrays and other types that
mean the same, and must give the same numbers; or to what a person gets wrong, such as labels of another length, NaN, no
row, one class or a string. SSL_TOOLKIT_FUZZ sets how many examples each group tries; 1,000 are for the night.
"""

import inspect
import itertools
import math
import os
import re
import warnings
from collections.abc import Callable, Mapping

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

import ssl_toolkit as stk
from ssl_toolkit import augment, diffusion, infusion, losses, probes, rng
from ssl_toolkit.diffusion import edit, metrics
from ssl_toolkit.encoders import feature_function
from ssl_toolkit.encoders.statistics import neighbors, typical_distance
from ssl_toolkit.probes import adversarial, invariance, layerwise, width
from ssl_toolkit.probes.tsne import repulsion
from ssl_toolkit.training.intervals import mean_interval, paired_interval

EXAMPLES = int(os.environ.get("SSL_TOOLKIT_FUZZ", "50"))


@pytest.fixture(autouse=True, scope="module")
def as_users_call():
    """Without the hook by which the tests check shapes inside the library."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed, 0, str(shape)))


Z, OTHER, TEST, Y = normal(24, 6), normal(24, 6, seed=1), normal(12, 6), torch.arange(24) % 3
X = torch.rand(4, 3, 12, 12, generator=rng(2))
PER_IMAGE, VIEWS, SCORES = torch.linspace(0.1, 0.4, 4), normal(2, 8, 3), normal(2, 8, 5).tanh()
HALVES = torch.arange(4) % 2 == 0
ENCODER = stk.small_conv(3, width=6, projector=(4,), planes=(4, 4, 4))
PROBE = probes.linear_probe(stk.embed(ENCODER, X), torch.arange(4) % 2, stk.embed(ENCODER, X), torch.arange(4) % 2)
OPERATOR, PRIOR = infusion.mlp((1, 4, 4), steps=3, hidden=(5,)), infusion.fit_prior(torch.rand(9, 1, 4, 4))
STATES = torch.rand(5, 1, 4, 4, generator=rng(3))
SCHEDULE = diffusion.linear_schedule(20)
F = feature_function(ENCODER)


class Call:
    """A right call of a function; an `endless` result may be infinite, as its docstring says, but never NaN."""

    def __init__(self, function: Callable, *, endless: bool = False, **arguments):
        self.function, self.arguments, self.endless = function, arguments, endless
        self.name = getattr(function, "__name__", type(function).__name__)

    def __call__(self, **changed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = {**self.arguments, **changed}  # each call draws the same numbers
            given = {name: rng(0) if isinstance(v, torch.Generator) else v for name, v in given.items()}
            result = self.function(**given)
            return list(itertools.islice(result, 40)) if inspect.isgenerator(result) else result


def sampler(function, **more):
    return Call(function, denoise=lambda x, t: 0.5 * x, x=normal(3, 1, 4, 4), schedule=SCHEDULE,
                timesteps=SCHEDULE.timesteps(3), **more)  # fmt: skip


BLOCKS = {"prior": PRIOR, "operator": OPERATOR}
GROUPS: dict[str, list[Call]] = {
    "losses": [
        Call(losses.nt_xent, za=Z, zb=OTHER, temperature=0.2),
        Call(losses.nt_xent, za=Z, zb=OTHER, negatives=3, generator=rng(0)),
        Call(losses.nt_xent, za=Z, zb=OTHER, block=5),
        Call(losses.dcl, za=Z, zb=OTHER, temperature=0.2),
        Call(losses.patch_negative, za=Z, zb=OTHER, zn=Z[:1], temperature=0.2),
        Call(losses.supcon, z=VIEWS, labels=torch.arange(8) % 3, temperature=0.2),
        Call(losses.moco, q=Z, k=OTHER, queue=TEST, temperature=0.2),
        Call(losses.nnclr, nn=Z, p=OTHER, temperature=0.2),
        Call(losses.byol, p=Z, z=OTHER),
        Call(losses.simsiam, p=Z, z=OTHER),
        Call(losses.dino, student=SCORES, teacher=SCORES, center=torch.zeros(5), teacher_temperature=0.04),
        Call(losses.swav, scores=SCORES, temperature=0.1, eps=0.05, iterations=3),
        Call(losses.sinkhorn, scores=SCORES[0], eps=0.05, iterations=3),
        Call(losses.vicreg, za=Z, zb=OTHER, sim=25.0, std=25.0, cov=1.0),
        Call(losses.barlow_twins, za=Z, zb=OTHER, lambd=5e-3),
        Call(losses.w_mse, za=Z, zb=OTHER, w_size=12, iterations=1, eps=1e-3, generator=rng(0)),
        Call(losses.mmcr, z=VIEWS, lambd=5e-3),
        Call(losses.lejepa, z=VIEWS, lambd=0.02, slices=9, generator=rng(0)),
        Call(losses.sigreg, z=VIEWS, slices=9, generator=rng(0)),
        Call(losses.visreg, z=VIEWS, lambd=0.6, slices=9, generator=rng(0)),
        Call(losses.toy2d.spread, za=Z[:, :2], zb=OTHER[:, :2]),
    ],
    "probes of labels": [
        Call(probes.linear_probe, train_z=Z, train_y=Y, test_z=TEST, test_y=Y[:12], iterations=4, validation=0.2,
             weight_decays=(1e-3, 1e-2), seed=0, endless=True),
        Call(probes.mlp_probe, train_z=Z, train_y=Y, test_z=TEST, test_y=Y[:12], epochs=2, hidden=(5,), patience=1,
             lr=1e-3, weight_decay=1e-4, batch_size=8, validation=0.2),
        Call(probes.knn_predict, bank=Z, bank_labels=Y, queries=TEST, k=3, temperature=0.1),
        Call(probes.knn_accuracy, bank=Z, bank_labels=Y, queries=TEST, labels=Y[:12], k=3, temperature=0.1),
        Call(probes.few_labels, labels=Y, per_class=2, seed=0),
        Call(probes.ridge_r2, train_z=Z, train_t=OTHER[:, :2], test_z=TEST, test_t=TEST[:, :2], validation=0.2),
        Call(probes.read_factors, train_z=Z, train={"a": Y, "hue": Z[:, 0]}, test_z=TEST,
             test={"a": Y[:12], "hue": TEST[:, 0]}),
        Call(probes.enrichment, data=stk.Dataset((255 * X).byte(), torch.arange(4) % 2, ("a", "b")),
             index=torch.tensor([0, 2]), least=1.0),
        Call(PROBE.logits, z=stk.embed(ENCODER, X)),
        Call(PROBE.predict, z=stk.embed(ENCODER, X)),
        Call(mean_interval, values=[1.0, 2.0, 4.0], level=0.95),
        Call(paired_interval, a=[1.0, 2.0, 4.0], b=[1.0, 3.0, 4.0], level=0.95),
    ],
    "measures of features": [
        Call(probes.rankme, z=Z, eps=1e-7),
        Call(probes.spectrum, z=Z),
        Call(probes.lidar, z=normal(5, 3, 4), delta=1e-4),
        Call(probes.alpha_req, z=Z, first=1, last=4, endless=True),
        Call(probes.feature_std, z=Z),
        Call(probes.alignment, za=Z, zb=OTHER),
        Call(probes.uniformity, z=Z),
        Call(probes.describe_rank, rank=3.0, most=6),
        Call(probes.linear_cka, x=Z, y=OTHER),
        Call(probes.cka_matrix, a={"one": Z, "two": OTHER}),
        Call(probes.pca, z=Z),
        Call(probes.tsne, z=Z, perplexity=3.0, iterations=3, exaggeration=12.0, exaggerated=1, lr=50.0),
        Call(repulsion, y=Z[:, :2]),
        Call(probes.principal_planes, z=Z, planes=2),
        Call(probes.align, points=Z.view(2, -1, 2), to=OTHER.view(2, -1, 2)),
        Call(invariance.moved, z=Z, z_t=OTHER, changed=Y == 0),
        Call(width.random_relu, train_z=Z, test_z=TEST, width=8, seed=0),
        Call(width.narrowed, train_z=Z, test_z=TEST, width=3),
        Call(width.zero_fraction, z=Z),
        Call(width.binary_codes, z=Z),
        Call(neighbors, bank=Z, queries=TEST, k=3),
        Call(typical_distance, z=Z),
    ],
    "encoders and attacks": [
        Call(stk.embed, model=ENCODER, images=X, depth="representation", batch_size=3),
        Call(stk.pixels, images=X),
        Call(layerwise.small_pixels, images=X, side=5),
        Call(adversarial.pgd, loss=adversarial.representation_loss(F, X), images=X, strength=4.0, steps=2, rate=1.0,
             generator=rng(0)),
        Call(adversarial.fgsm, loss=adversarial.representation_loss(F, 0.9 * X), images=X, strength=4.0),
        Call(probes.attack, encoder=ENCODER, probe=PROBE, images=X, labels=torch.arange(4) % 2, target="head",
             strength=4.0, steps=2, seed=0),
        Call(probes.attack_curve, encoder=ENCODER, probe=PROBE, images=X, labels=torch.arange(4) % 2, target="head",
             strengths=(2.0, 4.0), steps=1),
        Call(diffusion.invert, f=F, h=F(X).detach(), start=X, steps=2, lr=0.05, tv=0.1, l2=0.0),
    ],
    "augmentations": [
        *(Call(op, x=X, f=PER_IMAGE) for op in (augment.brightness, augment.contrast, augment.saturation, augment.hue)),
        *(Call(op, x=X, mask=HALVES) for op in (augment.grayscale, augment.hflip)),
        Call(augment.solarize, x=X, threshold=PER_IMAGE),
        Call(augment.gaussian_blur, x=X, sigma=PER_IMAGE, kernel_size=3),
        Call(augment.resized_crop, x=X, boxes=torch.tensor([[1, 1, 6, 6]] * 4), size=8),
        Call(augment.rotate, x=X, angle=PER_IMAGE),
        Call(augment.translate, x=X, shift=torch.ones(4, 2)),
        Call(lambda x, size, generator: stk.simclr_views(size)(x, generator).x, x=X, size=8, generator=rng(0)),
        Call(lambda x, sigma: augment.compose(augment.gaussian_noise(sigma))(x, rng(0)).x, x=X, sigma=0.1),
        Call(lambda x, pixels: augment.compose(augment.random_translate(pixels))(x, rng(0)).x, x=X, pixels=2.0),
        Call(lambda x, degrees: augment.compose(augment.random_rotate(degrees))(x, rng(0)).x, x=X, degrees=9.0),
        Call(lambda x, p, sigma: augment.compose(augment.random_blur(p, sigma=sigma))(x, rng(0)).x, x=X, p=0.5,
             sigma=(0.1, 2.0)),
        Call(lambda x, scale, ratio: augment.compose(augment.random_resized_crop(8, scale=scale, ratio=ratio))(
            x, rng(0)).x, x=X, scale=(0.2, 1.0), ratio=(0.75, 1.3)),
        Call(lambda x, brightness, hue, p: augment.compose(augment.color_jitter(brightness, hue=hue, p=p))(
            x, rng(0)).x, x=X, brightness=0.4, hue=0.1, p=0.8),
    ],
    "metrics of diffusion": [
        Call(metrics.frechet_distance, real=Z, fake=OTHER),
        Call(lambda real, fake, block: metrics.kid(real, fake, block=block).mean, real=Z, fake=OTHER, block=12),
        Call(metrics.kid_in_units, real=Z, fake=OTHER),
        Call(metrics.prdc, real=Z, fake=OTHER, k=3),
        Call(metrics.ranks, queries=TEST, candidates=Z, truth=torch.arange(12)),
        Call(metrics.faithfulness, queries=TEST, candidates=Z, truth=torch.arange(12)),
        Call(metrics.pixel_variation, samples=torch.rand(2, 3, 1, 4, 4)),
        Call(metrics.retention, values=torch.rand(4, 3), reference=torch.rand(9), period=1.0),
        Call(metrics.retention, values=torch.arange(12).view(4, 3) % 3, reference=Y),
        Call(metrics.recognition, logits=Z),
        Call(metrics.nearest, samples=TEST, bank=Z),
        Call(metrics.memorization, samples=TEST, held_out=OTHER, train=Z),
        Call(edit.interpolate, a=Z[0], b=Z[1], weights=torch.linspace(0, 1, 3), spherical=True),
        Call(edit.between, a=Z[0], b=Z[1], stops=3),
        Call(edit.common_dimensions, h=Z, more_than=4, above=0.1),
        Call(edit.transplant, h=Z, dims=torch.arange(6) < 2, source=OTHER),
        Call(edit.remove, h=Z, dims=torch.arange(6) < 2),
        Call(edit.move, h=Z, direction=Z[0], amount=2.0),
        Call(edit.along, h=Z[0], directions=Z[:2], amounts=(1.0, 2.0)),
        Call(edit.without_common, h=Z[0], other=Z[1], bank=Z, k=5, more_than=3),
        Call(edit.mask_patches, x=X, share=0.5, patch=4, fill=0.0, generator=rng(0)),
        Call(edit.hidden, image=X[0], shares=(0.2, 0.5), patch=4, seed=0),
        Call(diffusion.principal_directions, h=Z, k=3),
    ],
    "samplers": [
        *(sampler(f, clip=1.0) for f in (diffusion.euler, diffusion.dpmpp_2m)),
        sampler(diffusion.ddpm, variance="small", clip=1.0, seed=0),
        sampler(diffusion.ddim, eta=0.5, clip=1.0, seed=0),
        sampler(diffusion.ddim_invert, refine=1),
        Call(diffusion.heun, denoise=lambda x, t: 0.5 * x, x=normal(3, 1, 4, 4), sigmas=diffusion.karras_sigmas(3),
             churn=1.0, clip=1.0),
        Call(diffusion.karras_sigmas, n=4, sigma_min=0.1, sigma_max=9.0, rho=7.0),
        Call(diffusion.spaced_timesteps, T=20, n=4),
        Call(lambda steps: diffusion.linear_schedule(steps).alpha_bar, steps=4),
        Call(lambda steps: diffusion.cosine_schedule(steps).alpha_bar, steps=4),
        Call(lambda images: diffusion.exact_denoiser(images, SCHEDULE)(X, torch.tensor(3)), images=X),
        Call(diffusion.cold, restore=lambda x, t: x, x=X, timesteps=torch.tensor([1.0, 0.5]),
             degrade=diffusion.covering(torch.rand_like(X), torch.rand(4, 1, 12, 12))),
    ],
    "infusion": [
        Call(stk.chain, operator=OPERATOR, z=STATES, steps=3, target=STATES.flip(0), rate=0.3, seed=0),
        Call(infusion.fit_prior, data=STATES),
        Call(infusion.first, prior=PRIOR, target=STATES, rate=0.3, seed=0),
        Call(infusion.complete, operator=OPERATOR, image=STATES[0], hidden=torch.eye(4).bool(), prior=PRIOR, steps=3,
             n=2),
        Call(infusion.vary, operator=OPERATOR, image=STATES[0], prior=PRIOR, steps=3, keep=0.2, n=2),
        Call(infusion.lower_bound, x=STATES, rate=0.3, **BLOCKS),
        Call(infusion.importance_estimate, x=STATES, k=2, rate=0.3, **BLOCKS),
        Call(infusion.parzen, samples=Z, test=TEST, sigma=0.3, batch_size=5, endless=True),
        Call(infusion.choose_sigma, samples=Z, validation=TEST, sigmas=(0.1, 0.5)),
        Call(lambda var: infusion.Mixture(var).var, var=1e-4),
        Call(lambda omega: infusion.increasing(omega)(2), omega=0.1),
    ],
}  # fmt: skip

OF_ONE = ("kernel_size", "strength")  # of an operation inside, or one of `strengths`

# the same numbers in another form: the answer must not change
SAME: dict[str, Callable[[Tensor], object]] = {
    "an array": lambda t: t.numpy(),
    "an array that may not be written": lambda t: np.frombuffer(t.numpy().tobytes(), t.numpy().dtype).reshape(t.shape),
    "an array of another machine": lambda t: t.numpy().astype(t.numpy().dtype.newbyteorder(">")),
    "an array seen backward": lambda t: t.flip(0).numpy()[::-1],
    "strided": lambda t: t.repeat_interleave(2, dim=0)[::2],
    "double": lambda t: t.double() if t.is_floating_point() else t.int() if t.dtype == torch.int64 else t,
}
WRONG: dict[str, Callable[[Tensor], object]] = {
    "with a gradient": lambda t: t.clone().requires_grad_() if t.is_floating_point() else t,
    "with a graph": lambda t: t.clone().requires_grad_() * 1 if t.is_floating_point() else t,
    "half": lambda t: t.half() if t.is_floating_point() else t.short(),
    "bfloat16": lambda t: t.bfloat16() if t.is_floating_point() else t.byte(),
    "whole": lambda t: t.long(),
    "bool": lambda t: t > 0,
    "bytes": lambda t: (255 * t).byte() if t.is_floating_point() else t.byte(),
    "complex": lambda t: t + 0j,
    "one NaN": lambda t: t.double().index_fill(0, torch.tensor([0]), math.nan).to(t) if t.is_floating_point() else t,
    "infinite": lambda t: t / 0,
    "no row": lambda t: t[:0],
    "one row": lambda t: t[:1],
    "a row less": lambda t: t[:-1],
    "two rows": lambda t: t[:2],
    "no column": lambda t: t[..., :0],
    "one column": lambda t: t[..., :1],
    "a dimension more": lambda t: t[:, None],
    "a dimension more in front": lambda t: t[None],
    "a dimension less": lambda t: t[0],
    "constant": lambda t: torch.ones_like(t),
    "zero": lambda t: torch.zeros_like(t),
    "one row, many times": lambda t: t[:1].expand_as(t),
    "tiny": lambda t: t * 1e-13 if t.is_floating_point() else t,
    "huge": lambda t: t * 1e19 if t.is_floating_point() else t + 10**9,
    "negative": lambda t: -t.to(torch.int64) - 1 if not t.is_floating_point() else -t,
    "of 0 to 255": lambda t: 255 * t,
    "a list": lambda t: t.tolist(),
    "words": lambda t: np.full(tuple(t.shape), "word"),
    "objects": lambda t: np.full(tuple(t.shape), None),
}
NOTHING = [None, "word", object()]
NUMBERS = [0, -1, 1, 2, 7, 0.0, 0.5, -0.5, 2.5, 1e-30, 1e30, math.nan, math.inf, -math.inf, True, np.float32(0.3), [1]]
LISTS = [(), (0.0,), (-1.0, 1.0), (math.nan, 1.0), "word", 1.0, np.array([0.2, 0.5]), (0.5, 0.2), ("a", "b"), (0, 1)]


def variants(value: object) -> list[tuple[str, bool, object]]:
    """What to try in place of an argument: in words, whether the answer must stay the same, and the value."""
    match value:
        case Tensor():
            made = [(word, True, change) for word, change in SAME.items()]
            made += [(word, False, change) for word, change in WRONG.items()]
            return [(word, same, lambda c=change: c(value)) for word, same, change in made] + plain(NOTHING)
        case bool() | torch.Generator():
            return plain([None, 3, "word"])
        case int() | float():
            return plain([*NUMBERS, *NOTHING])
        case tuple() | list():
            return plain([*LISTS, *NOTHING])
        case Mapping():
            return plain([{}, None, "word", *({k: change(v) for k, v in value.items()} for change in WRONG.values())])
        case str():
            return plain(["nothing", None, 3, ""])
    return []


def plain(values: list) -> list[tuple[str, bool, Callable[[], object]]]:
    return [(f"{value!r:.60}", False, lambda v=value: v) for value in values]


def leaves(result: object) -> list:
    """All tensors and numbers in a result, in order."""
    match result:
        case Tensor() | float() | int():
            return [result]
        case Mapping():
            return leaves(list(result.values()))
        case tuple() | list():
            return [leaf for item in result for leaf in leaves(item)]
    return []


def number(leaf: object) -> Tensor:
    return leaf.detach() if isinstance(leaf, Tensor) else torch.tensor(leaf, dtype=torch.float64)


def check(call: Call, changed: dict[str, tuple[str, bool, object]]) -> None:
    said = f"{call.name}({', '.join(f'{name} is {word}' for name, (word, _, _) in changed.items())})"
    try:
        result = call(**{name: value for name, (_, _, value) in changed.items()})
    except (ValueError, TypeError, IndexError, FloatingPointError) as error:
        names = "|".join(map(re.escape, [*inspect.signature(call.function).parameters, *OF_ONE]))
        if not re.search(rf"\b({names})\b", str(error)):
            pytest.fail(f"{said} names no argument: {type(error).__name__}: {error}")
        if all(same for _, same, _ in changed.values()):
            pytest.fail(f"{said} is refused: {error}")
        return
    except Exception as error:
        pytest.fail(f"{said} fails inside: {type(error).__name__}: {error}")
    found = [number(leaf) for leaf in leaves(result)]
    sound = (lambda leaf: ~leaf.isnan()) if call.endless else torch.isfinite
    assert all(bool(sound(leaf).all()) for leaf in found), f"{said} gives {result}"
    if all(same for _, same, _ in changed.values()):
        expected = [number(leaf) for leaf in leaves(call())]
        assert [leaf.shape for leaf in found] == [leaf.shape for leaf in expected], f"{said} has other shapes"


@pytest.mark.parametrize("group", GROUPS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_a_right_answer_or_an_error_that_names_the_argument(group, data):
    call = data.draw(st.sampled_from(GROUPS[group]), label="function")
    names = [name for name, value in call.arguments.items() if variants(value)]
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True), label="arguments")
    changed = {}
    for name in chosen:
        word, same, make = data.draw(st.sampled_from(variants(call.arguments[name])), label=name)
        try:
            changed[name] = (word, same, make())
        except Exception:  # the variant does not exist for this tensor
            return
    check(call, changed)


@pytest.mark.parametrize("group", GROUPS)
def test_the_right_calls_are_right(group):
    for call in GROUPS[group]:
        assert call() is not None, call.name
        check(call, {})


CLOSE = {"linear_probe", "mlp_probe", "knn_accuracy", "rankme", "nt_xent", "vicreg", "prdc", "frechet_distance", "pca"}


@pytest.mark.parametrize(
    "call", [c for group in GROUPS.values() for c in group if c.name in CLOSE], ids=lambda c: c.name
)
@pytest.mark.parametrize("form", SAME)
def test_the_form_of_the_numbers_does_not_change_the_answer(call, form):
    changed = {name: SAME[form](value) for name, value in call.arguments.items() if isinstance(value, Tensor)}
    for found, expected in zip(leaves(call(**changed)), leaves(call()), strict=True):
        assert torch.allclose(number(found).double(), number(expected).double(), rtol=1e-3, atol=1e-4)


def test_a_dataset_and_its_views_may_be_made_of_arrays():
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 16, 16), dtype=np.uint8)
    data = stk.Dataset(images, np.arange(8) % 2, ("a", "b"))
    assert torch.equal(stk.data.batch(data, 0, batch_size=8).stored.sort(dim=0).values, data.images.sort(dim=0).values)
    assert torch.equal(stk.simclr_views(8)(images, rng(0)).x, stk.simclr_views(8)(data.images, rng(0)).x)
    assert torch.equal(stk.embed(ENCODER, images), stk.embed(ENCODER, data.images))
