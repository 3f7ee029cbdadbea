"""What to look at first in a set of images: labels that may be wrong, duplicates, outliers, impure classes, confusions.

All of it is read from the nearest neighbors of each image in a representation, its kNN graph, which is computed once,
block by block: the memory grows with n, the time with n^2. What takes seconds for many images is a generator, too.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ssl_toolkit.data import checked_finite, rng
from ssl_toolkit.encoders.statistics import at_least, mean_and_std, neighbor_portions, principal_axes, unit_rows
from ssl_toolkit.probes.logistic import Fit, logistic

BLOCK = 1 << 22  # similarities in one step: some ten milliseconds for features of a few hundred numbers
FOLDS = 5
MOST = 10_000  # rows that a logistic regression is fitted on; it predicts all others
ROUNDS, ITERATIONS = 4, 6  # of one fit
DECAYS = (1e-1, 1e-2, 1e-3)  # weight decays of the logistic regression; the one that predicts best is taken


class KnnGraph(NamedTuple):
    """The k nearest others of each row, nearest first, and their Euclidean distance on the unit sphere."""

    index: Int64[Tensor, "n k"]  # type: ignore[assignment]  # hides tuple.index, of no use here
    distance: Float[Tensor, "n k"]

    def nearest(self, k: int) -> "KnnGraph":
        """The graph of the first k of them, or of all where there are fewer."""
        return KnnGraph(self.index[:, :k], self.distance[:, :k])


class GraphPart(NamedTuple):
    """How many rows are done, and at the end the graph."""

    done: int
    total: int
    graph: KnnGraph | None  # until done == total


@checked_finite
def knn_graph_steps(
    z: Float[Tensor, "n d"], other: Float[Tensor, "m d"] | None = None, *, k: int = 20
) -> Iterator[GraphPart]:
    """Find the k nearest others of each row of `z` by cosine, block by block; or its k nearest rows of `other`.

    Distances are |u - v| of rows scaled to length 1, taken from differences, so that copies have distance 0. Where
    there are fewer than k others, k is their number. Raises ValueError for k < 1 and where there is no other.
    """
    bank = z if other is None else other
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1; 10 to 50 are usual.")
    at_least(2 if other is None else 1, bank, "z" if other is None else "other")
    k = min(k, len(bank) - (other is None))
    z, bank = unit_rows(at_least(1, z)), unit_rows(bank)
    indices, distances, done = [], [], 0
    portion = max(32, min(1024, BLOCK // len(bank)))
    blocks = neighbor_portions(bank, z, k=k + (other is None), portion=portion)
    for rows, (_, index) in zip(z.split(portion), blocks, strict=True):
        if other is None:
            itself = index == torch.arange(done, done + len(rows))[:, None]
            itself[:, -1] |= ~itself.any(dim=1)  # of more than k copies: one of them
            index = index[~itself].view(len(rows), k)
        distance = torch.stack([(rows - bank[column]).norm(dim=1) for column in index.T], dim=1)
        distance, order = distance.sort(dim=1, stable=True)  # cosines of near copies are rounded
        indices.append(index.gather(1, order))
        distances.append(distance)
        done += len(rows)
        whole = KnnGraph(torch.cat(indices), torch.cat(distances)) if done == len(z) else None
        yield GraphPart(done, len(z), whole)


def knn_graph(z: Float[Tensor, "n d"], other: Float[Tensor, "m d"] | None = None, *, k: int = 20) -> KnnGraph:
    """The k nearest others of each row by cosine, or its k nearest in `other`. Runs `knn_graph_steps`.

    >>> graph = stk.probes.knn_graph(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), k=1)
    >>> graph.index.flatten()
    tensor([1, 0, 1])
    """
    *_, last = knn_graph_steps(z, other, k=k)
    assert last.graph is not None
    return last.graph


class LabelErrors(NamedTuple):
    """Rows whose label is doubtful, the most doubtful first, of those that have a label."""

    index: Int64[Tensor, " m"]  # type: ignore[assignment]
    score: Float[Tensor, " m"]  # the probability that the label is wrong
    suggested: Int64[Tensor, " m"]  # the most probable other label
    false_discovery: Float[Tensor, " m"]  # of the rows up to here, the estimated share whose label is right
    noise: float  # the estimated share of wrong labels in all


class ErrorsPart(NamedTuple):
    """How many images or fits are done, and at the end what was found."""

    unit: str  # "image", then "fit"
    done: int
    total: int
    found: LabelErrors | None


@checked_finite
def label_error_steps(
    z: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    *,
    graph: KnnGraph | None = None,
    temperature: float = 0.1,
    seed: int = 0,
) -> Iterator[ErrorsPart]:
    """`label_errors` step by step; `graph` is the kNN graph of z, if it is there already."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive; 0.1 is usual.")
    known = (labels >= 0).nonzero().squeeze(1)
    classes, y = labels[known].unique(return_inverse=True)
    if len(classes) < 2 or len(known) < 2 * FOLDS:
        raise ValueError(f"labels has {len(known)} labeled rows of {len(classes)} classes: give ten of two at least.")
    if graph is None or len(known) < len(z):  # only neighbors with a label can vote
        for part in knn_graph_steps(z[known], k=30):
            graph = part.graph
            yield ErrorsPart("image", part.done, part.total, None)
    assert graph is not None
    votes = torch.zeros(len(y), len(classes))
    similarity = 1 - graph.distance.square() / 2
    weight = ((similarity - similarity[:, :1]) / temperature).exp().float()
    votes.scatter_add_(1, y[graph.index], weight)
    votes = ((votes + 0.1) / (votes + 0.1).sum(dim=1, keepdim=True)).log()
    linear, fits = torch.empty_like(votes), FOLDS * len(DECAYS)
    for done in _out_of_fold(z[known].float(), y, linear, seed):
        yield ErrorsPart("fit", done, fits, None)
    yield ErrorsPart("fit", fits, fits, _posterior(known, classes, y, votes, linear))


def label_errors(
    z: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], *, temperature: float = 0.1, seed: int = 0
) -> LabelErrors:
    """Rank the labeled rows by the probability that their label is wrong; negative labels are left out.

    Two predictions of each label that did not see it, the votes of the 30 nearest neighbors and a logistic regression
    on the other four fifths, are multiplied to p(y | z) = softmax(a log p_votes + b log p_linear). A label is wrong
    with probability e, and then any other with equal chance:

        p(given y | z) = (1 - e) p(y | z) + e (1 - p(y | z)) / (c - 1)

    a, b and e maximize this likelihood. The score is the second term's share of the sum; 1 - score, averaged over the
    first m rows, estimates how many of these m labels are right: the false-discovery rate. Images that their label
    fits badly by nature count as wrong, too. Raises ValueError for fewer than ten labeled rows or two classes.

    >>> data = stk.load_data("digits")
    >>> labels = data.labels.clone()
    >>> labels[7] = (labels[7] + 1) % 10
    >>> found = stk.probes.label_errors(stk.pixels(data.images), labels)
    >>> 7 in found.index[:10]
    True
    """
    *_, last = label_error_steps(z, labels, temperature=temperature, seed=seed)
    assert last.found is not None
    return last.found


def _out_of_fold(z: Tensor, y: Tensor, out: Tensor, seed: int) -> Iterator[int]:
    """Fill `out` with log p(y | z) of logistic regressions that did not see the row; yields how many fits are done."""
    folds = torch.randperm(len(y), generator=rng(seed, 0, "label errors")).tensor_split(FOLDS)
    some = z[torch.cat(folds)[:MOST]]
    mean, std = mean_and_std(some)
    axes, variance = principal_axes((some - mean) / std)
    x = torch.cat([(part - mean) / std @ axes for part in z.split(1 << 14)]).T
    yield 0
    start = Fit(x.new_zeros(out.shape[1], len(x)), x.new_zeros(out.shape[1]))
    fits = [start] * FOLDS
    best, done = -math.inf, 0
    for decay in DECAYS:  # from the strongest to the weakest, each from the last
        log_p = torch.empty_like(out)
        for i, fold in enumerate(folds):
            rest = torch.cat([other for j, other in enumerate(folds) if j != i])[:MOST]
            part, of_part, fit = x[:, rest], y[rest], fits[i]
            for _ in range(ROUNDS):  # so that no step takes long
                fit = logistic(part, of_part, fit, weight_decay=decay, variance=variance, iterations=ITERATIONS)
                yield done
            fits[i] = fit
            log_p[fold] = torch.addmm(fit.bias[:, None], fit.weight, x[:, fold]).T.log_softmax(dim=1)
            done += 1
            yield done
        likelihood = log_p.gather(1, y[:, None]).mean().item()
        if likelihood > best:
            best = likelihood
            out.copy_(log_p)


def _posterior(known: Tensor, classes: Tensor, y: Tensor, votes: Tensor, linear: Tensor) -> LabelErrors:
    """Fit the two weights and the noise, and rank."""
    others = max(1, len(classes) - 1)
    free = torch.tensor([0.5, 0.5, -3.0], dtype=torch.float64, requires_grad=True)  # a, b, and e as a logit
    v, w = votes.double(), linear.double()

    def of_label(rows: slice) -> Tensor:
        return (free[0] * v[rows] + free[1] * w[rows]).log_softmax(dim=1)

    def terms(log_p: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        p = log_p.gather(1, y[rows, None])[:, 0].exp()
        noise = free[2].sigmoid()
        return (1 - noise) * p, noise * (1 - p) / others

    solver = torch.optim.LBFGS([free], max_iter=100, line_search_fn="strong_wolfe")
    some = slice(None, None, -(-len(y) // MOST))  # of very many rows, evenly taken: there are but three numbers

    def closure() -> Tensor:
        solver.zero_grad()
        right, wrong = terms(of_label(some), some)
        loss = -(right + wrong).clamp_min(1e-12).log().mean()
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        everything = slice(None)
        log_p = of_label(everything)
        right, wrong = terms(log_p, everything)
        score = wrong / (right + wrong).clamp_min(1e-300)
        log_p.scatter_(1, y[:, None], -torch.inf)
        order = score.argsort(descending=True, stable=True)
        false = (1 - score[order]).cumsum(0) / torch.arange(1, len(y) + 1)
    return LabelErrors(
        known[order], score[order].float(), classes[log_p.argmax(dim=1)][order], false.float(), score.mean().item()
    )


class Duplicates(NamedTuple):
    """Pairs of rows that are much nearer to each other than to what is around them, the nearest pair first."""

    pairs: Int64[Tensor, "m 2"]  # of one set: the smaller row first; of two: the row of each
    distance: Float[Tensor, " m"]  # on the unit sphere
    ratio: Float[Tensor, " m"]  # to the distance of the k-th neighbor
    threshold: float  # of the ratio
    dimension: float  # of the data around a point, on which the threshold rests


@checked_finite
def duplicates(
    z: Float[Tensor, "n d"],
    other: Float[Tensor, "m d"] | None = None,
    *,
    expected: float = 0.5,
    graph: KnnGraph | None = None,
) -> Duplicates:
    """Find the copies and near copies within one set, or of rows of `z` in `other`, such as test images in training.

    A pair counts if its distance is below a share `threshold` of that to the k-th neighbor of one of the two. In data
    that spread evenly over D dimensions around a point, the share r of its nearest neighbor has

        P(r < t) = 1 - (1 - t^D)^(k - 1)        (Facco et al., 2017, for k = 2)

    D comes from the second nearest, whose share to the power of D is Beta(2, k - 2), since the nearest may be a copy
    everywhere. `threshold` is the t at which `expected` of all n rows would have such a neighbor by chance.

    `graph` is `knn_graph(z, other, k=10)`, if it is there already: k must be 3 or more. A group of more than k copies
    is linked, but not each to each. Raises ValueError for fewer than four rows to compare with.

    >>> z = torch.randn(500, 16, generator=stk.rng(0))
    >>> stk.probes.duplicates(torch.cat([z, z[:1] + 1e-3])).pairs
    tensor([[  0, 500]])
    """
    if not expected > 0:
        raise ValueError(f"expected is {expected}: it must be positive; 0.5 marks about one chance pair in two sets.")
    if len(z if other is None else other) < 4:
        raise ValueError(f"there are {len(z if other is None else other)} rows to compare with: give at least 4.")
    graph = graph or knn_graph(z, other, k=10)
    n, k = graph.index.shape
    farthest = graph.distance[:, -1:].double()
    ratio = torch.where(farthest > 0, graph.distance.double() / farthest.clamp_min(1e-300), 0.0)
    if k < 3:
        raise ValueError(f"graph has {k} neighbors a row: it needs at least 3; 10 are usual.")
    second = ratio[:, 1][ratio[:, 1] > 1e-4]
    middle = second.median().item() if len(second) else 1e-4
    dimension = math.log(_median_of_second(k)) / min(-1e-3, math.log(middle))
    by_chance = -math.expm1(math.log1p(-min(0.5, expected / n)) / (k - 1))
    threshold = by_chance ** (1 / dimension)
    i, column = (ratio < threshold).nonzero().T
    pairs = torch.stack([i, graph.index[i, column]], dim=1)
    distance, share = graph.distance[i, column], ratio[i, column].float()
    if other is None and len(pairs):
        pairs, where = pairs.sort(dim=1).values.unique(dim=0, return_inverse=True)
        share = share.new_full((len(pairs),), torch.inf).scatter_reduce_(0, where, share, "amin")
        distance = distance.new_zeros(len(pairs)).scatter_(0, where, distance)
    order = distance.argsort(stable=True)
    return Duplicates(pairs[order], distance[order], share[order], threshold, dimension)


def _median_of_second(k: int) -> float:
    """The median of the second smallest of k - 1 uniform numbers, Beta(2, k - 2): half of 1 - (1 - x)^b (1 + b x)."""
    low, high, b = 0.0, 1.0, k - 2
    for _ in range(60):
        x = (low + high) / 2
        low, high = (x, high) if (1 - x) ** b * (1 + b * x) > 0.5 else (low, x)
    return low


class Outliers(NamedTuple):
    """All rows, the loneliest first."""

    index: Int64[Tensor, " n"]  # type: ignore[assignment]
    score: Float[Tensor, " n"]  # distance to the k-th nearest neighbor, on the unit sphere
    threshold: float  # of the score, above which a row is far out

    @property
    def far(self) -> Int64[Tensor, " m"]:
        """The rows above the threshold."""
        return self.index[self.score > self.threshold]


@checked_finite
def outliers(z: Float[Tensor, "n d"], *, k: int = 10, graph: KnnGraph | None = None) -> Outliers:
    """Rank rows by the distance to their k-th nearest neighbor (Ramaswamy et al., 2000), the farthest first.

    Far out is what lies above Tukey's fence, the third quartile and 1.5 times the range between the quartiles. Raises
    ValueError as `knn_graph_steps` does; `graph` may hold more neighbors than k.

    >>> z = torch.cat([torch.tensor([[5.0, 0.0]]).repeat(40, 1), torch.tensor([[0.0, 5.0]])])
    >>> stk.probes.outliers(z + 0.1 * torch.randn(41, 2, generator=stk.rng(0))).index[0]
    tensor(40)
    """
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1; 10 is usual.")
    graph = graph or knn_graph(z, k=k)
    far = graph.distance[:, min(k, graph.distance.shape[1]) - 1]
    low, high = (far.kthvalue(1 + round(q * (len(far) - 1))).values.item() for q in (0.25, 0.75))
    score, index = far.sort(descending=True, stable=True)
    return Outliers(index, score, high + 1.5 * (high - low))


class Purity(NamedTuple):
    """How many of the neighbors of a class are of it."""

    label: int
    share: float
    interval: tuple[float, float]  # 95 %
    chance: float  # the share of the class among all others
    rows: int  # of the class


@checked_finite
def purity(
    z: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], *, k: int = 10, graph: KnnGraph | None = None
) -> list[Purity]:
    """The share of a row's k nearest neighbors that have its label, class by class; rows with label -1 are left out.

    The interval is that of a mean of the rows' shares (1.96 standard errors), as if rows were independent. `graph`
    must be of the labeled rows alone. Raises ValueError for fewer than two labeled rows.

    >>> data = stk.load_data("digits")
    >>> zero = stk.probes.purity(stk.pixels(data.images), data.labels)[0]
    >>> zero.share > 0.9 > zero.chance
    True
    """
    known = labels >= 0
    z, labels = z[known], labels[known]
    if graph is not None and len(graph.index) != len(labels):
        raise ValueError(f"graph has {len(graph.index)} rows, and {len(labels)} have a label: they must be the same.")
    graph = graph or knn_graph(z, k=k)
    same = (labels[graph.index[:, :k]] == labels[:, None]).double().mean(dim=1)
    found = []
    for label in labels.unique().tolist():
        shares = same[labels == label]
        m, mean = len(shares), shares.mean().item()
        half = 1.96 * shares.std().item() / m**0.5 if m > 1 else 1.0
        interval = (max(0.0, mean - half), min(1.0, mean + half))
        found.append(Purity(label, mean, interval, (m - 1) / max(1, len(labels) - 1), m))
    return found


class Confusion(NamedTuple):
    """Rows of one label that were taken for another."""

    label: int
    predicted: int
    share: float  # of the rows with this label
    index: Int64[Tensor, " m"]  # type: ignore[assignment]


@checked_finite
def confusions(labels: Int64[Tensor, " n"], predicted: Int64[Tensor, " n"]) -> list[Confusion]:
    """What is taken for what, the most frequent confusion first, with the rows to look at. Label -1 is left out.

    >>> first = stk.probes.confusions(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 1]))[0]
    >>> (first.label, first.predicted, first.index.tolist())
    (0, 1, [1, 2])
    """
    wrong = ((labels != predicted) & (labels >= 0)).nonzero().squeeze(1)
    if not len(wrong):
        return []
    pairs, where, counts = torch.stack([labels[wrong], predicted[wrong]], dim=1).unique(
        dim=0, return_inverse=True, return_counts=True
    )
    of_class = {label: int((labels == label).sum()) for label in pairs[:, 0].unique().tolist()}
    parts = wrong[where.argsort(stable=True)].split(counts.tolist())
    found = [Confusion(a, b, len(rows) / of_class[a], rows) for (a, b), rows in zip(pairs.tolist(), parts, strict=True)]
    return sorted(found, key=lambda c: -len(c.index))
