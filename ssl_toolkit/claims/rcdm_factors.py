"""Which of the shapes' factors an RCDM's samples show, according to a network trained to read them from images.

    {"data": "shapes", "method": "simclr", "depth": "embedding", "steps": 400, "painting": 2500, "seed": 0, ...}

Samples start at the same noise if they are compared with each other, after augmenting the image or editing h.
"""

from collections.abc import Generator, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ssl_toolkit.augment import hue, resized_crop
from ssl_toolkit.claims.common import Parts
from ssl_toolkit.claims.rcdm_training import images_of, paint, painter, trained_encoder
from ssl_toolkit.claims.study import Values, rank_correlation
from ssl_toolkit.data import Batch, Dataset, as_float
from ssl_toolkit.data.shapes import PERIODS, RANGES, SHAPES
from ssl_toolkit.diffusion.edit import common_dimensions, interpolate, remove, transplant
from ssl_toolkit.diffusion.metrics import retention
from ssl_toolkit.diffusion.rcdm import RCDM, conditions
from ssl_toolkit.encoders import Encoder, embed, small_conv
from ssl_toolkit.encoders.statistics import neighbors
from ssl_toolkit.losses import Terms
from ssl_toolkit.probes import read_factors
from ssl_toolkit.training import TrainState, last_of, start, train
from ssl_toolkit.training.sweep import Setting

READ = ("hue", "background", "x", "y", "scale")  # the factors that a reader predicts, besides the shape
EACH = 4  # samples per condition
FEW = 16  # one condition in FEW is also augmented and edited


def code(factors: dict[str, Tensor]) -> Float[Tensor, "n 7"]:
    """Targets for a reader: cosine and sine of circular factors, and the others scaled to -1 ... 1 over their range."""
    columns = []
    for name in READ:
        v = factors[name]
        if name in PERIODS:
            angle = 2 * torch.pi / PERIODS[name] * v
            columns += [angle.cos(), angle.sin()]
        else:
            low, high = RANGES[name]
            columns.append((2 * v - low - high) / (high - low))
    return torch.stack(columns, dim=1)


def decode(said: Float[Tensor, "n 7"]) -> dict[str, Float[Tensor, " n"]]:
    """Turn a code back into factors."""
    values, columns = {}, iter(said.unbind(dim=1))
    for name in READ:
        first = next(columns)
        if name in PERIODS:
            values[name] = torch.atan2(next(columns), first) * (PERIODS[name] / (2 * torch.pi))
        else:
            low, high = RANGES[name]
            values[name] = (low + high + (high - low) * first) / 2
    return values


class Seen(NamedTuple):
    """What the reader predicts for images."""

    code: Float[Tensor, "n 7"]
    shape: Int64[Tensor, " n"]


class Scene(NamedTuple):
    """The models trained for one setting, and h of the images."""

    images: Parts
    encoder: Encoder
    reader: Encoder
    model: RCDM
    h: Float[Tensor, "n d"]
    test_h: Float[Tensor, "m d"]

    def see(self, x: Shaped[Tensor, "n 3 h w"]) -> Seen:
        """The reader's predictions for these images."""
        said = embed(self.reader, x, depth="embedding")
        return Seen(said[:, : -len(SHAPES)], said[:, -len(SHAPES) :].argmax(dim=1))


def _reader(setting: Setting) -> Generator[None, None, Encoder]:
    """Train a network on real images to read the factors and the shape."""
    data, steps = images_of(setting).train, 2 * setting["steps"]
    wanted = code(data.factors)

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        said = state.model(batch.images).float()
        target = wanted[batch.index.to(wanted.device)].to(said.device)
        return {
            "squared error": F.mse_loss(said[:, : target.shape[1]], target),
            "shape": F.cross_entropy(said[:, target.shape[1] :], batch.labels),
        }

    reader = small_conv(3, projector=(128, wanted.shape[1] + len(SHAPES)), seed=setting["seed"])
    state = start(reader, lr=setting["lr"], total=steps)
    yield from last_of(
        train(state, data, objective, until=steps, batch_size=setting["batch_size"], seed=setting["seed"])
    )
    return reader


def _scene(setting: Setting) -> Generator[None, None, Scene]:
    images, depth = images_of(setting), setting["depth"]
    encoder = yield from trained_encoder(setting, setting["method"])
    reader = yield from _reader(setting)
    h, test_h = (conditions(encoder, part.images, depth=depth) for part in (images.train, images.test))
    model = yield from painter(setting, h)
    return Scene(images, encoder, reader, model, h, test_h)


def shown(setting: Setting) -> Iterator[Values | None]:
    """Measure what samples of one h have in common, and how they change after augmenting the image or editing h."""
    scene = yield from _scene(setting)
    values: Values = {}
    for part in (_retained, _followed, _edited, _walked):
        values |= yield from part(setting, scene)
    yield values


def _retained(setting: Setting, scene: Scene) -> Generator[None, None, Values]:
    data, test = scene.images.train, scene.images.test
    asked = scene.test_h[: setting["conditions"] // EACH].repeat_interleave(EACH, dim=0)
    x = yield from paint(scene.model, asked, setting["seed"])
    real = scene.see(test.images)
    in_samples, in_images = decode(scene.see(x).code), decode(real.code)
    known, wanted = ({name: part.factors[name] for name in READ} for part in (data, test))
    read = read_factors(scene.h, known, scene.test_h, wanted)
    values = {"reader's shape": (real.shape == test.labels).float().mean().item()}
    for name in READ:
        values[f"kept {name}"] = retention(in_samples[name].view(-1, EACH), in_images[name], period=PERIODS.get(name))
        values[f"read {name}"] = read[name].score
    return values


HUES, ZOOMS = (-0.2, -0.1, 0.1, 0.2), (1.1, 1.2, 1.3)  # turns, within SimCLR's range, and the zoom factors of a crop


def _followed(setting: Setting, scene: Scene) -> Generator[None, None, Values]:
    """The slopes of the factors read from samples on their true changes, by which the images were augmented.

    Only images that the reader can read are used: even enlarged, their factors stay in the ranges it was trained on.
    """
    test = _enlargeable(scene.images.test, ZOOMS[-1])[: setting["conditions"] // FEW]
    x, n = as_float(test.images), len(test)
    views = [x, *(hue(x, torch.full((n,), turn)) for turn in HUES), *(_zoomed(x, zoom) for zoom in ZOOMS)]
    images = torch.stack(views, dim=1).flatten(0, 1)
    h = conditions(scene.encoder, images, depth=setting["depth"])
    samples = yield from paint(scene.model, h, setting["seed"], same=len(views))
    by_hue = torch.tensor(HUES).expand(n, -1)
    by_zoom = test.factors["scale"][:, None] * (torch.tensor(ZOOMS) - 1)
    values: Values = {}
    for what, some in (("", samples), (" in the image", images)):
        said = decode(scene.see(some).code)
        turned, grown = (said[name].view(n, -1)[:, 1:] - said[name].view(n, -1)[:, :1] for name in ("hue", "scale"))
        turned = (turned[:, : len(HUES)] + 0.5) % 1 - 0.5  # the shorter way around the circle
        values[f"hue follows{what}"] = _slope(by_hue, turned)
        values[f"scale follows{what}"] = _slope(by_zoom, grown[:, len(HUES) :])
    return values


def _enlargeable(data: Dataset, zoom: float) -> Dataset:
    factors = data.factors
    inside = factors["scale"] * zoom <= RANGES["scale"][1]
    for name in ("x", "y"):
        inside &= (factors[name] - 0.5).abs() * zoom <= RANGES[name][1] - 0.5
    return data[inside.nonzero()[:, 0]]


def _zoomed(x: Float[Tensor, "n c s s"], zoom: float) -> Float[Tensor, "n c s s"]:
    """Enlarge the middle of the image."""
    size = x.shape[-1]
    side = size / zoom
    corner = (size - side) / 2
    return resized_crop(x, torch.tensor([corner, corner, side, side]).expand(len(x), -1), size)


def _slope(a: Float[Tensor, "n k"], b: Float[Tensor, "n k"]) -> float:
    """The least-squares slope of b on a, through the origin."""
    return ((a * b).sum() / a.square().sum()).item()


def _edited(setting: Setting, scene: Scene) -> Generator[None, None, Values]:
    """Shares of samples with a shape: for h, for h with the common dimensions at 0, or with another image's there."""
    n, labels = setting["conditions"] // FEW, scene.images.test.labels
    others = torch.tensor([next(j for j in range(i + 1, len(labels)) if labels[j] != labels[i]) for i in range(n)])
    usual = scene.h.abs().median(dim=0).values
    edits, share = [], []
    for h, source, near in zip(
        scene.test_h[:n], scene.test_h[others], neighbors(scene.h, scene.test_h[:n], k=20)[1], strict=True
    ):
        common = common_dimensions(scene.h[near], above=usual)
        edits.append(torch.stack([h, remove(h, common), transplant(h, common, source)]))
        share.append(common.float().mean())
    told = torch.stack(edits).repeat_interleave(EACH, dim=0)  # (n EACH, 3, d)
    x = yield from paint(scene.model, told.flatten(0, 1), setting["seed"], same=3)
    seen = scene.see(x)
    shape, said = seen.shape.view(n, EACH, 3), seen.code.view(n, EACH, 3, -1)
    own, target = ((shape == labels[which][:, None, None]).float().mean(dim=(0, 1)) for which in (slice(n), others))
    spread = 2 * code(scene.images.test.factors).var(dim=0).sum()  # the mean squared difference between two images
    return {
        "common": torch.stack(share).mean().item(),
        "own shape": own[0].item(),
        "own shape, removed": own[1].item(),
        "target's shape": target[0].item(),
        "target's shape, transplanted": target[2].item(),
        # 1 is as large a change as from one image to another
        "shape changed": (shape[..., 1] != shape[..., 0]).float().mean().item() / (1 - 1 / len(SHAPES)),
        "others changed": ((said[:, :, 1] - said[:, :, 0]).square().sum(dim=-1).mean() / spread).item(),
    }


PLACES = 9  # points on the path from one h to another, including both ends


def _walked(setting: Setting, scene: Scene) -> Generator[None, None, Values]:
    """How steadily the factors change from one image's to another's as h moves straight from a to b.

    Progress is how far the samples are along the line between the two images' true codes, projected onto it.
    """
    n, weights = max(2, setting["conditions"] // (4 * FEW)), torch.linspace(0, 1, PLACES)
    pairs = zip(scene.test_h[:n], scene.test_h[n : 2 * n], strict=True)
    path = torch.stack([interpolate(a, b, weights) for a, b in pairs]).repeat_interleave(EACH, dim=0)
    x = yield from paint(scene.model, path.flatten(0, 1), setting["seed"], same=PLACES)
    said = scene.see(x).code.view(n, EACH, PLACES, -1).mean(dim=1)
    begin, end = code(scene.images.test.factors)[: 2 * n].split(n)
    return _progress(said, begin, end, weights)


def _progress(
    said: Float[Tensor, "n k 7"], begin: Float[Tensor, "n 7"], end: Float[Tensor, "n 7"], weights: Float[Tensor, " k"]
) -> Values:
    way = (end - begin)[:, None]
    progress = ((said - begin[:, None]) * way).sum(dim=-1) / way.square().sum(dim=-1)  # (n, k)
    covered = progress.amax(dim=1) - progress.amin(dim=1)
    return {
        "progress by weight": sum(rank_correlation(weights.tolist(), p.tolist()) for p in progress) / len(progress),
        "largest jump": (progress.diff(dim=1).abs().amax(dim=1) / covered.clamp_min(1e-9)).mean().item(),
        "covered": covered.mean().item(),
    }
