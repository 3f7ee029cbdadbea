"""The computations of the probe panel, step by step: features, projections, and scores at every depth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ssl_toolkit.data import Dataset, rng
from ssl_toolkit.encoders import AnyEncoder, embed_steps
from ssl_toolkit.encoders.statistics import neighbors, principal_axes
from ssl_toolkit.probes import review
from ssl_toolkit.probes.cka import linear_cka
from ssl_toolkit.probes.layerwise import Score, read_depths, small_pixels
from ssl_toolkit.probes.tsne import pca, pca_steps, tsne

PIXELS = "pixels"
LABELS, DUPLICATES, OUTLIERS = REVIEWS = ("labels that may be wrong", "duplicates", "outliers")
Found = review.LabelErrors | review.Duplicates | review.Outliers
TRAIN, TEST = 1500, 500  # images that the probes by depth are trained and tested on
COMPARED = 1000  # images between which CKA compares depths
SAMPLE = 10_000  # images of which t-SNE makes a map; each of the others lies where its nearest three of these do
REDUCED = 50  # principal axes along which these three are found


class Near(NamedTuple):
    """The k nearest of one image, by cosine."""

    index: Int64[Tensor, " k"]  # type: ignore[assignment]  # hides tuple.index, of no use here
    cosine: Float[Tensor, " k"]


def nearest(z: Float[Tensor, "n d"], i: int, k: int) -> Near:
    """The k nearest others of image i among all; fewer where there are fewer."""
    length = z.norm(dim=1)
    cosines = (z @ z[i]) / (length * length[i])
    if bool(cosines.isfinite().all()):  # in one product; the general way makes a copy of all features
        cosine, index = cosines.topk(min(k + 1, len(z)))
    else:
        cosine, index = (found[0] for found in neighbors(z, z[i : i + 1], k=min(k + 1, len(z))))
    other = index != i
    return Near(index[other][:k], cosine[other][:k])


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
    graphs: dict[str, review.KnnGraph] = field(default_factory=dict)  # by depth
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


def flatten_out(probed: Sequence[Probed], projection: str) -> Iterator[None]:
    """Find the principal plane of each encoder without this projection at its shown depth, block by block."""
    for p in probed:
        if not {("PCA", p.depth), (projection, p.depth)} & p.planes.keys():
            for points in pca_steps(p.z):
                if points is None:
                    yield None
                else:
                    p.planes["PCA", p.depth] = points


def spread_out(probed: Sequence[Probed]) -> Iterator[Work | None]:
    """Run t-SNE for each encoder without one at its shown depth; you can watch its progress."""
    for k, p in enumerate(probed):
        key = ("t-SNE", p.depth)
        if key in p.planes:
            continue
        try:
            z, others = p.z, None
            if len(z) > SAMPLE:
                sample = torch.randperm(len(z), generator=rng(0, 0, "t-SNE"))[:SAMPLE]
                for others in _nearest_of_sample(z, sample):
                    yield Work("image", others.done, len(z))
                z = z[sample]
            for layout in tsne(z, perplexity=min(30.0, (len(z) - 1) / 3)):
                p.planes[key] = layout.points if others is None else others.place(layout.points)
                done, total = layout.iteration + k * layout.iterations, layout.iterations * len(probed)
                yield Work("iteration", done, total) if layout.iteration else None
        except GeneratorExit:  # an unfinished layout does not represent the features
            p.planes.pop(key, None)
            raise


class _Others(NamedTuple):
    """The nearest three in a sample of each row, and their weights; how many rows are done."""

    done: int
    near: Int64[Tensor, "n 3"]
    weight: Float[Tensor, "n 3"]

    def place(self, points: Float[Tensor, "s 2"]) -> Float[Tensor, "n 2"]:
        """All rows in a map of the sample."""
        return (points[self.near] * self.weight[:, :, None]).sum(dim=1)


def _nearest_of_sample(z: Float[Tensor, "n d"], sample: Int64[Tensor, " s"]) -> Iterator[_Others]:
    """Find them along the principal axes; a row of the sample is its own."""
    some = z[sample].float()
    mean = some.mean(dim=0)
    axes = principal_axes(some - mean)[0][:, :REDUCED]
    some = (some - mean) @ axes
    half = some.square().sum(dim=1) / 2
    near, weight = torch.zeros(len(z), 3, dtype=torch.int64), torch.zeros(len(z), 3)
    for rows in torch.arange(len(z)).split(512):
        x = (z[rows].float() - mean) @ axes
        near[rows] = (x @ some.T - half).topk(3, dim=1).indices  # |x - s|^2 = |x|^2 - 2 (x s - |s|^2 / 2)
        far = (x[:, None] - some[near[rows]]).square().sum(dim=2)
        share = 1 / (far / far[:, 1:2].clamp_min(1e-12)).clamp_min(1e-3)
        weight[rows] = share / share.sum(dim=1, keepdim=True)
        yield _Others(int(rows[-1]) + 1, near, weight)
    near[sample, 0], weight[sample] = torch.arange(len(sample)), torch.tensor([1.0, 0.0, 0.0])
    yield _Others(len(z), near, weight)


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


def look_for(
    what: str, p: Probed, labels: Int64[Tensor, " n"], named: str, known: dict[tuple[str, ...], Found]
) -> Iterator[Work]:
    """Fill `known` with what of REVIEWS is asked for, at the shown depth; of labels, for those that are `named` so."""
    key = (what, p.depth, named)
    if key in known:
        return
    if p.depth not in p.graphs:
        for part in review.knn_graph_steps(p.z, k=30):
            yield Work("image", part.done, part.total)
        assert part.graph is not None
        p.graphs[p.depth] = part.graph
    graph = p.graphs[p.depth]
    if what == LABELS:
        for errors in review.label_error_steps(p.z, labels, graph=graph):
            yield Work(errors.unit, errors.done, errors.total)
        assert errors.found is not None
        known[key] = errors.found
    elif what == DUPLICATES:
        known[key] = review.duplicates(p.z, graph=graph.nearest(10))
    else:
        known[key] = review.outliers(p.z, graph=graph)


def compare(a: Probed, b: Probed, known: dict[tuple[str, str], float]) -> Iterator[Work]:
    """Fill `known` with the CKA of every depth of one encoder and every depth of the other."""
    for i, (row, x) in enumerate(a.features.items()):
        for j, (column, y) in enumerate(b.features.items()):
            if (row, column) not in known:
                known[row, column] = linear_cka(x[:COMPARED], y[:COMPARED])
            yield Work("score", i * len(b.features) + j + 1, len(a.features) * len(b.features))
