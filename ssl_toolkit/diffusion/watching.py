"""RCDMs of several depths while they learn: their steps side by side, and how faithful their samples are.

    *_, subjects = prepare(encoder, data, test, recipe=recipe)
    for record in watch(encoder, subjects, data, recipe=recipe):
        if record is not None and record.faithful: print(record.step, record.faithful["representation"].mrr)

Each depth has a model of its own, and all see the same images with the same noise. None is yielded between portions of
longer work, so that a panel stays awake.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.diffusion.rcdm import RCDM, Recipe, conditions, sample
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.features import embed_depths
from ssl_toolkit.generative import Faithfulness, faithfulness, pixel_variation
from ssl_toolkit.train import TrainState, train

DEPTHS = ("representation", "embedding")
PORTION = 256  # images embedded between two yields


class Subject(NamedTuple):
    """A depth under study: its model in training, and h of the images it learns from and of those it never sees."""

    state: TrainState
    h: Float[Tensor, "n d"]
    test: Float[Tensor, "m d"]

    @property
    def model(self) -> RCDM:
        """What samples come from: the moving average."""
        model = self.state.ema
        assert isinstance(model, RCDM)
        return model


class Progress(NamedTuple):
    """Where the models stand after `step` updates each; `faithful` where that was measured."""

    step: int
    loss: dict[str, float]
    faithful: dict[str, Faithfulness]


def prepare(
    encoder: Encoder, data: Dataset, test: Dataset, *, depths: Sequence[str] = DEPTHS, recipe: Recipe
) -> Iterator[dict[str, Subject] | None]:
    """Embed all images once, a portion at a time: None in between, then the untrained subjects by depth."""
    parts = []
    for images in (*data.images.split(PORTION), *test.images.split(PORTION)):
        parts.append(embed_depths(encoder, images, depths=depths))
        yield None
    known = {depth: torch.cat([part[depth] for part in parts]) for depth in parts[0]}
    split = len(data)
    yield {depth: Subject(recipe.start(data, h[:split]), h[:split], h[split:]) for depth, h in known.items()}


def watch(
    encoder: Encoder,
    subjects: Mapping[str, Subject],
    data: Dataset,
    *,
    recipe: Recipe,
    every: int = 50,
    queries: int = 64,
) -> Iterator[Progress | None]:
    """Train all subjects, one step of each in turn, to the recipe's end; measure after each multiple of `every`."""
    runs = {
        depth: train(
            subject.state, data, recipe.objective(subject.h),
            until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed,
        )
        for depth, subject in subjects.items()
    }  # fmt: skip
    while (step := min(subject.state.step for subject in subjects.values())) < recipe.steps:
        # without a yield in between, so that all stand at the same step wherever a panel is paused
        loss, faithful = {depth: next(run).loss for depth, run in runs.items()}, {}
        if (step := step + 1) % every == 0 or step == recipe.steps:
            for depth, subject in subjects.items():
                for measured in measure(encoder, subject, depth=depth, queries=queries):
                    yield None
                    if measured is not None:
                        faithful[depth] = measured
        yield Progress(step, loss, faithful)


def measure(
    encoder: Encoder, subject: Subject, *, depth: str, queries: int = 64, steps: int = 10, seed: int = 0
) -> Iterator[Faithfulness | None]:
    """One sample for each of the first test images: which of them all has the h that is closest to the sample's?"""
    h = subject.test[:queries]
    x = None
    for step in sample(subject.model, h, steps=steps, seed=seed):
        x = step.x
        yield None
    assert x is not None
    # seen by the encoder as an image would be
    z = conditions(encoder, as_images(x), depth=depth)
    yield faithfulness(z, subject.test, torch.arange(len(h)))


class Painted(NamedTuple):
    """k samples for one h, how much each pixel varies over them, and how far each is from h by the encoder's eye."""

    images: UInt8[Tensor, "k c h w"]
    variation: Float[Tensor, "h w"]
    distance: Float[Tensor, " k"]  # of features, in units of the distance between two test images (root mean square)


def as_images(x: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """Samples in [0, 1] as images are stored."""
    return (255 * x).round().clamp(0, 255).byte().cpu()


def paint(
    encoder: Encoder,
    subject: Subject,
    h: Float[Tensor, " d"],
    *,
    depth: str,
    k: int = 6,
    steps: int = 20,
    guidance: float = 1.0,
    seed: int = 0,
) -> Iterator[Painted | None]:
    """k samples of one h from the noise of `seed`, which is the same at every depth; None between steps.

    Raises ValueError for k < 2, of which nothing varies.
    """
    if k < 2:
        raise ValueError(f"k is {k}: what varies is seen from 2 samples on; 6 are usual.")
    x = None
    for step in sample(subject.model, h.expand(k, -1), steps=steps, guidance=guidance, seed=seed):
        x = step.x
        yield None
    assert x is not None
    images = as_images(x)
    z = conditions(encoder, images, depth=depth)
    typical = (2 * subject.test.var(dim=0).sum()).sqrt()  # of two images drawn at random
    yield Painted(images, pixel_variation(x.cpu()), (z - h).norm(dim=1) / typical)
