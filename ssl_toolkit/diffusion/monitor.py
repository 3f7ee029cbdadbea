"""Watch RCDMs at several depths while they learn: train them in step, and measure how faithful their samples are.

    *_, subjects = prepare({depth: (encoder, depth) for depth in DEPTHS}, data, test, recipe=recipe)
    for record in watch(subjects, data, recipe=recipe):
        if record is not None and record.faithful: print(record.step, record.faithful["representation"].mrr)

Each depth, of one encoder or several, has its own model, and all models see the same images with the same noise. During
longer work, None is yielded now and then so that a panel stays responsive.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ssl_toolkit.data import Dataset, as_bytes
from ssl_toolkit.diffusion.metrics import Faithfulness, faithfulness, pixel_variation
from ssl_toolkit.diffusion.rcdm import RCDM, RCDMRecipe, conditions, sample
from ssl_toolkit.encoders import Encoder, embed_steps
from ssl_toolkit.encoders.statistics import typical_distance
from ssl_toolkit.training import TrainState, last_of, train

DEPTHS = ("representation", "embedding")
PORTION = 256  # images embedded between two yields
Retain = Callable[[UInt8[Tensor, "m k c h w"]], dict[str, float]]  # measures what a condition's samples have in common


class Subject(NamedTuple):
    """A depth under study: its model, and h of test images. In training, it also has a state and h to train on."""

    encoder: Encoder
    depth: str
    model: RCDM  # the model to sample from: during training, the moving average
    test: Float[Tensor, "m d"]
    h: Float[Tensor, "n d"]
    state: TrainState | None = None

    def going_on(self, state: TrainState) -> "Subject":
        """The same subject with the model of this training state."""
        return self._replace(model=_average(state), state=state)


def _average(state: TrainState) -> RCDM:
    assert isinstance(state.ema, RCDM)
    return state.ema


class Progress(NamedTuple):
    """The models after `step` updates each; `faithful` and `kept` are filled only when measured."""

    step: int
    loss: dict[str, float]
    faithful: dict[str, Faithfulness]
    kept: dict[str, dict[str, float]]


def prepare(
    depths: Mapping[str, tuple[Encoder, str]],
    data: Dataset,
    test: Dataset,
    *,
    recipe: RCDMRecipe,
    models: Mapping[str, RCDM] | None = None,
) -> Iterator[dict[str, Subject] | None]:
    """Embed all images once: yield None after each portion, then the subjects by the names of `depths`.

    Subjects named in `models` are already trained; the others start at step 0.
    """
    models, subjects = models or {}, {}
    h_test: dict[str, Tensor] = {}
    h: dict[str, Tensor] = {}
    for encoder in dict.fromkeys(encoder for encoder, _ in depths.values()):  # one pass for all of its depths
        mine = {name: depth for name, (of, depth) in depths.items() if of is encoder}
        learning = {name: depth for name, depth in mine.items() if name not in models}
        for part, wanted, known in ((test, mine, h_test), (data, learning, h)):
            if not wanted:
                continue
            steps = embed_steps(encoder, part.images, depth=tuple(wanted.values()), batch_size=PORTION)
            embedded = yield from last_of(steps)
            known |= {name: embedded.features[depth] for name, depth in wanted.items()}
    for name, (encoder, depth) in depths.items():
        if name in models:
            subjects[name] = Subject(encoder, depth, models[name], h_test[name], h_test[name][:0])
        else:
            state = recipe.start(data, h[name])
            subjects[name] = Subject(encoder, depth, _average(state), h_test[name], h[name], state)
    yield subjects


def monitor(
    subjects: Mapping[str, Subject],
    data: Dataset,
    *,
    recipe: RCDMRecipe,
    every: int = 50,
    queries: int = 64,
    kept: Retain | None = None,
) -> Iterator[Progress | None]:
    """Train all subjects to the recipe's end, one step of each in turn, and measure after every `every` steps.

    Subjects that are behind catch up first. Subjects that are already trained are measured once, before the first step.
    """
    if every < 1:
        raise ValueError(f"every is {every}: it counts the steps between two measurements and must be at least 1.")
    done = {name: subject for name, subject in subjects.items() if subject.state is None}
    states = {name: subject.state for name, subject in subjects.items() if subject.state is not None}
    runs = {
        name: train(
            state, data, recipe.objective(subjects[name].h),
            until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed,
        )
        for name, state in states.items()
    }  # fmt: skip
    if done:
        yield from _progress(0, {}, done, queries, kept)
    while (step := min([state.step for state in states.values()], default=recipe.steps)) < recipe.steps:
        # no yield in between, so that all are at the same step whenever a panel is paused
        behind = {name: subjects[name] for name, state in states.items() if state.step == step}
        loss, step = {name: next(runs[name]).loss for name in behind}, step + 1
        if step % every and step < recipe.steps:
            yield Progress(step, loss, {}, {})
        else:
            yield from _progress(step, loss, behind, queries, kept)


def _progress(
    step: int, loss: dict[str, float], subjects: Mapping[str, Subject], queries: int, kept: Retain | None
) -> Iterator[Progress | None]:
    measured = {}
    for name, subject in subjects.items():
        for result in measure(subject, queries=queries, kept=kept):
            yield None
            if result is not None:
                measured[name] = result
    yield Progress(step, loss, {name: m[0] for name, m in measured.items()}, {n: m[1] for n, m in measured.items()})


def measure(
    subject: Subject, *, queries: int = 64, steps: int = 10, seed: int = 0, kept: Retain | None = None
) -> Iterator[tuple[Faithfulness, dict[str, float]] | None]:
    """Paint the first test images from their h, embed the samples, and rank each image's h by distance to its sample's.

    There is one sample of each image. With `kept` there are two, to measure what they have in common; without it, that
    dict is empty.
    """
    each = 1 if kept is None else 2
    h = subject.test[:queries].repeat_interleave(each, dim=0)
    done = yield from last_of(sample(subject.model, h, steps=steps, seed=seed))
    images = as_bytes(done.x)  # so that the encoder sees them as it sees real images
    z = conditions(subject.encoder, images, depth=subject.depth)
    yield (
        faithfulness(z, subject.test, torch.arange(len(h)) // each),
        {} if kept is None else kept(images.unflatten(0, (-1, each))),
    )


class Painted(NamedTuple):
    """k samples for one h, how much each pixel varies over them, and how far each sample's features are from h."""

    images: UInt8[Tensor, "k c h w"]
    variation: Float[Tensor, "h w"]
    distance: Float[Tensor, " k"]  # of features, in units of the distance between two test images (root mean square)


def paint(
    subject: Subject, h: Float[Tensor, " d"], *, k: int = 6, steps: int = 20, guidance: float = 1.0, seed: int = 0
) -> Iterator[Painted | None]:
    """Paint k samples of one h from the noise of `seed`, the same at every depth; yield None between steps.

    Raises ValueError for k < 2, since a single sample shows no variation.
    """
    if k < 2:
        raise ValueError(f"k is {k}: it takes at least 2 samples to see what varies; 6 is usual.")
    done = yield from last_of(sample(subject.model, h.expand(k, -1), steps=steps, guidance=guidance, seed=seed))
    images = as_bytes(done.x)
    z = conditions(subject.encoder, images, depth=subject.depth)
    yield Painted(images, pixel_variation(done.x.cpu()), (z - h).norm(dim=1) / typical_distance(subject.test))
