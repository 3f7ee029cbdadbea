"""The computations of the probe panel, step by step: features, projections, and scores at every depth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ssl_toolkit.data import Dataset, rng
from ssl_toolkit.encoders import AnyEncoder, embed_steps
from ssl_toolkit.encoders.statistics import neighbors
from ssl_toolkit.probes.cka import linear_cka
from ssl_toolkit.probes.layerwise import Score, read_depths, small_pixels
from ssl_toolkit.probes.tsne import pca, tsne

PIXELS = "pixels"
TRAIN, TEST = 1500, 500  # images that the probes by depth are trained and tested on
COMPARED = 1000  # images between which CKA compares depths


class Near(NamedTuple):
    """The k nearest of one image, by cosine."""

    index: Int64[Tensor, " k"]  # type: ignore[assignment]  # hides tuple.index, of no use here
    cosine: Float[Tensor, " k"]


def nearest(z: Float[Tensor, "n d"], i: int, k: int) -> Near:
    """The k nearest others of image i among all; fewer where there are fewer."""
    cosine, index = neighbors(z, z[i : i + 1], k=min(k + 1, len(z)))
    other = index[0] != i
    return Near(index[0][other][:k], cosine[0][other][:k])


class Work(NamedTuple):
    """The progress so far."""

    unit: str
    done: int
    total: int


@dataclass
class Probed:
    """One encoder and its results so far."""

    name: str
    model: AnyEncoder
    depth: str  # which of its depths is shown
    features: dict[str, Tensor] = field(default_factory=dict)
    planes: dict[tuple[str, str], Float[Tensor, "n 2"]] = field(default_factory=dict)  # by projection and depth
    scores: list[Score] = field(default_factory=list)
    measured: bool = False
    error: Exception | None = None

    @property
    def z(self) -> Float[Tensor, "n d"]:
        """Its features at the depth that is shown."""
        return self.features[self.depth]

    def plane(self, projection: str) -> Float[Tensor, "n 2"]:
        """The points at the shown depth; PCA until the projection has run."""
        if ("PCA", self.depth) not in self.planes:
            self.planes["PCA", self.depth] = pca(self.z)
        return self.planes.get((projection, self.depth), self.planes["PCA", self.depth])


def embed_all(probed: Sequence[Probed], images: UInt8[Tensor, "n c h w"], batch_size: int) -> Iterator[Work]:
    """Embed the images with each new encoder; one that fails stores its error, and the next one goes on."""
    for p in probed:
        if p.features or p.error is not None:
            continue
        try:
            for embedded in embed_steps(p.model, images, depth=None, batch_size=batch_size):
                yield Work("image", embedded.done, embedded.total)
            p.features = embedded.features
        except (TypeError, ValueError, RuntimeError) as error:
            p.error = type(error)(f"{p.name}: {error}")


def spread_out(probed: Sequence[Probed]) -> Iterator[Work | None]:
    """Run t-SNE for each encoder without one at its shown depth; you can watch its progress."""
    for k, p in enumerate(probed):
        key = ("t-SNE", p.depth)
        if key in p.planes:
            continue
        try:
            for layout in tsne(p.z, perplexity=min(30.0, (len(p.z) - 1) / 3)):
                p.planes[key] = layout.points
                done, total = layout.iteration + k * layout.iterations, layout.iterations * len(probed)
                yield Work("iteration", done, total) if layout.iteration else None
        except GeneratorExit:  # an unfinished layout does not represent the features
            del p.planes[key]
            raise


def read_all(probed: Sequence[Probed], data: Dataset, seed: int) -> Iterator[Work]:
    """Score each encoder that has no scores yet, along with raw pixels."""
    order = torch.randperm(len(data), generator=rng(seed, 0, "probe panel"))
    test, train = order.tensor_split([min(TEST, len(order) // 4)])
    train = train[:TRAIN]
    for p in probed:
        if p.measured:
            continue
        p.scores, features = [], {PIXELS: small_pixels(data.images), **p.features}
        a, b = ({depth: z[part] for depth, z in features.items()} for part in (train, test))
        for score in read_depths(a, data[train], b, data[test], seed=seed):
            p.scores.append(score)
            yield Work("score", len(p.scores), len(features) * (2 + len(data.factors)))
        p.measured = True


def compare(a: Probed, b: Probed, known: dict[tuple[str, str], float]) -> Iterator[Work]:
    """Fill `known` with the CKA of every depth of one encoder and every depth of the other."""
    for i, (row, x) in enumerate(a.features.items()):
        for j, (column, y) in enumerate(b.features.items()):
            if (row, column) not in known:
                known[row, column] = linear_cka(x[:COMPARED], y[:COMPARED])
            yield Work("score", i * len(b.features) + j + 1, len(a.features) * len(b.features))
