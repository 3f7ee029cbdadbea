"""A network that reads known factors from an image, to measure which of them the samples kept from their condition.

    recipe = Recipe()
    state, objective = recipe.start(data), recipe.objective(data)
    for step in train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size): ...
    factor_retention(state.model, samples, test.images)["hue"]     # samples: k of each of m conditions, (m, k, c, h, w)
    factor_accuracy(state.model, samples, truth)["hue"]   # truth: encode_factors(test)[:m]

A linear probe shows what is in a representation; the reader shows what is in a picture.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from ssl_toolkit.data import Batch, Dataset, checked_finite
from ssl_toolkit.data.shapes import PERIODS
from ssl_toolkit.diffusion.metrics import retention
from ssl_toolkit.encoders import Encoder, embed, small_conv
from ssl_toolkit.losses import Terms
from ssl_toolkit.training import Objective, TrainState, start

FACTORS = ("hue", "background", "x", "y", "scale")  # what every picture of `shapes` shows


@dataclass(frozen=True)
class ReaderRecipe:
    """The settings of one reader, whose embedding encodes the `FACTORS`. Change them with `dataclasses.replace`."""

    steps: int = 1000
    batch_size: int = 128
    lr: float = 2e-3
    warmup: int = 20
    weight_decay: float = 1e-4
    width: int = 128
    seed: int = 0

    def model(self, data: Dataset) -> Encoder:
        """An untrained reader for images of this shape."""
        outputs = sum(2 if name in PERIODS else 1 for name in FACTORS)
        return small_conv(data.shape[0], width=self.width, projector=(self.width, outputs), seed=self.seed)

    def start(self, data: Dataset) -> TrainState:
        """An untrained reader for these images and its optimizer, at step 0."""
        return start(self.model(data), lr=self.lr, weight_decay=self.weight_decay, warmup=self.warmup, total=self.steps)

    def objective(self, data: Dataset) -> Objective:
        """The mean squared error of the predicted code of these images' factors."""
        target = encode_factors(data)

        def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
            t = target[batch.index.to(target.device)].to(batch.images.device)
            return {"squared error": F.mse_loss(state.model(batch.images).float(), t)}

        return objective


def encode_factors(data: Dataset) -> Float[Tensor, "n k"]:
    """The `FACTORS` of each image as targets for a network: cosine and sine for circular ones, others standardized.

    Raises ValueError if the data lack one of them.
    """
    columns = []
    for name in FACTORS:
        if name not in data.factors:
            raise ValueError(f"{data!r} does not know the {name!r} of its images: take load_data('shapes').")
        v = data.factors[name].float()
        angle = 2 * torch.pi * v / PERIODS.get(name, 1.0)
        columns += [angle.cos(), angle.sin()] if name in PERIODS else [(v - v.mean()) / v.std()]
    return torch.stack(columns, dim=1)


@checked_finite
def predict_factors(reader: Encoder, images: Shaped[Tensor, "n c h w"]) -> dict[str, Float[Tensor, " n"]]:
    """Each factor as the reader sees it: circular ones from -1/2 to 1/2 turn, the others in standard deviations."""
    columns = iter(embed(reader, images, depth="embedding").unbind(dim=1))
    values = {}
    for name in FACTORS:
        first = next(columns)
        values[name] = PERIODS[name] * torch.atan2(next(columns), first) / (2 * torch.pi) if name in PERIODS else first
    return values


@checked_finite
def factor_retention(
    reader: Encoder, samples: Shaped[Tensor, "m k c h w"], images: Shaped[Tensor, "n c h w"]
) -> dict[str, float]:
    """`metrics.retention` of each factor in k samples of each of m conditions, with real images as the reference.

    It says how far the samples of a condition agree with each other, as the reader sees them; for the truth, see
    `factor_accuracy`.
    """
    seen, real = predict_factors(reader, samples.flatten(0, 1)), predict_factors(reader, images)
    return {
        name: retention(seen[name].view(samples.shape[:2]), real[name], period=PERIODS.get(name)) for name in FACTORS
    }


@checked_finite
def factor_accuracy(
    reader: Encoder, samples: Shaped[Tensor, "m k c h w"], truth: Float[Tensor, "m e"]
) -> dict[str, float]:
    """R2 of each factor: how near k samples of each of m images come to the true factors of these images.

    `truth` holds rows of `encode_factors`. 1 if all are right; 0 is what the mean over `truth` would get, and wrong
    values give less. The reader's own errors count too.
    """
    code = _as_code(predict_factors(reader, samples.flatten(0, 1))).unflatten(0, samples.shape[:2])
    error = (code - truth.to(code.device)[:, None]).square().mean(dim=(0, 1))
    variance, scores, first = truth.var(dim=0, correction=0).to(code.device), {}, 0
    for name in FACTORS:
        columns = slice(first, first := first + (2 if name in PERIODS else 1))
        scores[name] = 1 - (error[columns].sum() / variance[columns].sum()).item()
    return scores


def _as_code(values: dict[str, Float[Tensor, " n"]]) -> Float[Tensor, "n e"]:
    columns = []
    for name, v in values.items():
        angle = 2 * torch.pi * v / PERIODS.get(name, 1.0)
        columns += [angle.cos(), angle.sin()] if name in PERIODS else [v]
    return torch.stack(columns, dim=1)
