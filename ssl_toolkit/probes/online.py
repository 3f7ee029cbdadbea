"""Linear probes that learn while the encoder trains: what each depth knows about the labels, at any time in a run.

    probes = LinearProbes(state.model, data)
    for step in train(state, data, objective, until=500, batch_size=64):
        probes.follow(state, data, batch_size=64, seed=0)
    *_, reading = read(state.model, probes, test, step=state.step)

FFCV-SSL (Bordes et al., 2023) keeps one linear layer at the representation and one after every layer of the projector.
So do we, without affecting the run: features come from the encoder in eval mode without gradients, and the probes draw
no number from the run's generators. The run equals the run without probes bit for bit.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ssl_toolkit.data import Dataset, as_float, batch, seeded
from ssl_toolkit.encoders import Depths, features_at, to_device_of
from ssl_toolkit.encoders.statistics import share_of_commonest
from ssl_toolkit.training import TrainState


class Reading(NamedTuple):
    """Test accuracy of the probes after `step` updates of the encoder."""

    step: int
    accuracy: dict[str, float]  # by depth, in order
    chance: float  # the share of the commonest test class


class LinearProbes(nn.Module):
    """A linear classifier at each of `depths` of a model (None: the representation and all depths after it).

    One optimizer trains them on the features of the last `memory` images, standardized by their own mean and variance.
    More images make each step less noisy, and the window is short enough that features barely lag behind the encoder.
    Adam moves every weight by about its learning rate, so rates of `lr` / sqrt(d) let wide and narrow depths learn at
    the same pace.
    Raises ValueError for a model that is not an `Encoder`, an unknown depth, fewer than two classes, or numbers out of
    range.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        *,
        depths: Sequence[str] | None = None,
        lr: float = 0.2,
        memory: int = 1024,
        seed: int = 0,
    ):
        super().__init__()
        classes, least, largest = len(data.classes), int(data.labels.min()), int(data.labels.max())
        if classes < 2 or least < 0 or largest >= classes:
            raise ValueError(
                f"the data name {classes} classes and have labels {least} ... {largest}: "
                "probes need at least two classes, and labels from 0 to the number of classes minus 1."
            )
        if not lr > 0 or memory < 2:
            raise ValueError(f"lr={lr} must be positive (0.05 to 0.5 are usual), and memory={memory} at least 2.")
        device = next(model.parameters()).device
        features = features_at(model, as_float(data.images[:1].to(device)), depths)
        if depths is None:
            names = list(features)
            depths = names[names.index("representation") :]
        self.depths, self.memory = tuple(depths), memory
        widths = [features[depth].shape[1] for depth in depths]
        with seeded(seed, "probes"):
            # with momentum 1 the running statistics are those of the latest images
            layers = [
                nn.Sequential(nn.BatchNorm1d(d, affine=False, momentum=1.0), nn.Linear(d, classes)) for d in widths
            ]
        self.layers = nn.ModuleList(layers).to(device)
        self.optimizer = torch.optim.AdamW(
            [{"params": layer.parameters(), "lr": lr / d**0.5} for layer, d in zip(layers, widths, strict=True)]
        )
        self.recent: Depths = {depth: torch.empty(0, d, device=device) for depth, d in zip(depths, widths, strict=True)}
        self.labels = torch.empty(0, dtype=torch.int64, device=device)

    def forward(self, features: Depths) -> Depths:
        """The class scores (b, c) at each depth."""
        return {depth: layer(features[depth]) for depth, layer in zip(self.depths, self.layers, strict=True)}

    def learn(self, features: Depths, labels: Int64[Tensor, " b"]) -> None:
        """Store these features, and make one step on the cross-entropy of all stored features."""
        self.recent = {depth: torch.cat([z, features[depth]])[-self.memory :] for depth, z in self.recent.items()}
        self.labels = torch.cat([self.labels, labels])[-self.memory :]
        self.train()
        self.optimizer.zero_grad()
        with torch.enable_grad():
            losses = [F.cross_entropy(scores, self.labels) for scores in self(self.recent).values()]
            torch.stack(losses).sum().backward()
        self.optimizer.step()

    def follow(self, state: TrainState, data: Dataset, *, batch_size: int, seed: int) -> None:
        """`learn` from the latest training batch of `state`, without augmentation."""
        images, labels, _ = batch(data, state.step - 1, batch_size=batch_size, seed=seed)
        self.learn(features_at(state.model, images.to(state.device), self.depths), labels.to(state.device))

    def correct(self, features: Depths, labels: Int64[Tensor, " b"]) -> Float[Tensor, " k"]:
        """How many images are classified correctly at each depth."""
        self.eval()
        with torch.no_grad():
            return torch.stack([(scores.argmax(dim=1) == labels).sum() for scores in self(features).values()]).float()


def read(
    model: nn.Module, probes: LinearProbes, test: Dataset, *, step: int, portion: int = 128
) -> Iterator[Reading | None]:
    """Classify the test images a portion at a time: yields None in between, then the `Reading`."""
    correct = torch.zeros(len(probes.depths))
    for images, labels in zip(test.images.split(portion), test.labels.split(portion), strict=True):
        features = features_at(model, as_float(to_device_of(model, images)), probes.depths)
        correct += probes.correct(features, to_device_of(model, labels)).cpu()
        yield None
    accuracy = dict(zip(probes.depths, (correct / len(test)).tolist(), strict=True))
    yield Reading(step, accuracy, share_of_commonest(test.labels))
