"""RCDMs of several depths while they learn: their steps side by side, and how faithful their samples are.

    *_, subjects = prepare({depth: (encoder, depth) for depth in DEPTHS}, data, test, recipe=recipe)
    for record in watch(subjects, data, recipe=recipe):
        if record is not None and record.faithful: print(record.step, record.faithful["representation"].mrr)

Each depth, of one encoder or of several, has a model of its own, and all see the same images with the same noise. None
is yielded between portions of longer work, so that a panel stays awake.
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
Retain = Callable[[UInt8[Tensor, "m k c h w"]], dict[str, float]]  # what k samples of each condition have in common


class Subject(NamedTuple):
    """A depth under study: its model, and h of images it never sees; in training it has a state, and h to learn."""

    encoder: Encoder
    depth: str
    model: RCDM  # what samples come from: the moving average, where it is in training
    test: Float[Tensor, "m d"]
    h: Float[Tensor, "n d"]
    state: TrainState | None = None

    def going_on(self, state: TrainState) -> "Subject":
        """With its model in this state of training."""
        return self._replace(model=_average(state), state=state)


def _average(state: TrainState) -> RCDM:
    assert isinstance(state.ema, RCDM)
    return state.ema


class Progress(NamedTuple):
    """Where the models stand after `step` updates each; `faithful` and `kept` where that was measured."""

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
    """Embed all images once, a portion at a time: None in between, then the subjects by the names of `depths`.

    Those whose names `models` has are trained already; the others are at step 0.
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
    """Train all subjects, one step of each in turn, to the recipe's end; measure after each multiple of `every`.

    Those that are behind catch up first. What is trained already is measured once, before the first step.
    """
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
        # without a yield in between, so that all stand at the same step wherever a panel is paused
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
    """Samples for the first test images, seen by the encoder: which of all has the h that is closest to a sample's?

    There is one of each, or two with `kept`, what the two have in common; its dict is empty without.
    """
    each = 1 if kept is None else 2
    h = subject.test[:queries].repeat_interleave(each, dim=0)
    done = yield from last_of(sample(subject.model, h, steps=steps, seed=seed))
    images = as_bytes(done.x)  # seen by the encoder as an image would be
    z = conditions(subject.encoder, images, depth=subject.depth)
    yield (
        faithfulness(z, subject.test, torch.arange(len(h)) // each),
        {} if kept is None else kept(images.unflatten(0, (-1, each))),
    )


class Painted(NamedTuple):
    """k samples for one h, how much each pixel varies over them, and how far each is from h by the encoder's eye."""

    images: UInt8[Tensor, "k c h w"]
    variation: Float[Tensor, "h w"]
    distance: Float[Tensor, " k"]  # of features, in units of the distance between two test images (root mean square)


def paint(
    subject: Subject, h: Float[Tensor, " d"], *, k: int = 6, steps: int = 20, guidance: float = 1.0, seed: int = 0
) -> Iterator[Painted | None]:
    """k samples of one h from the noise of `seed`, which is the same at every depth; None between steps.

    Raises ValueError for k < 2, of which nothing varies.
    """
    if k < 2:
        raise ValueError(f"k is {k}: what varies is seen from 2 samples on; 6 are usual.")
    done = yield from last_of(sample(subject.model, h.expand(k, -1), steps=steps, guidance=guidance, seed=seed))
    images = as_bytes(done.x)
    z = conditions(subject.encoder, images, depth=subject.depth)
    yield Painted(images, pixel_variation(done.x.cpu()), (z - h).norm(dim=1) / typical_distance(subject.test))
