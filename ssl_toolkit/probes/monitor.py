"""Watch a representation grow: short snapshots of a model between training steps, as records to plot.

    for record in monitor(state, data, objective, until=500, bank=data[:2000], queries=data[-500:]):
        if isinstance(record, Snapshot): print(record.step, record.knn, record.rankme)

A snapshot never changes the run: it draws no random number of the run and moves no BatchNorm average.
"""

from collections.abc import Generator, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ssl_toolkit.augment import Augment
from ssl_toolkit.data import Dataset, as_float, rng
from ssl_toolkit.encoders import embed, embed_steps, pixels, untrained
from ssl_toolkit.encoders.statistics import neighbors, share_of_commonest
from ssl_toolkit.probes.knn import knn_accuracy
from ssl_toolkit.probes.maps import align, principal_planes
from ssl_toolkit.probes.metrics import alpha_req, describe_rank, feature_std, lidar, rankme, spectrum
from ssl_toolkit.probes.online import LinearProbes, Reading, read
from ssl_toolkit.training import Objective, Step, TrainState, last_of, train

PORTION = 128  # images embedded between two yields, so that a snapshot never blocks a notebook's kernel for long
SAMPLES, VIEWS = 64, 8  # for LiDAR
STEEPNESS = 50  # dimensions in the alpha-ReQ fit: there are too few queries to estimate the later ones
LEARN = 5  # training steps per step of the probes


class Snapshot(NamedTuple):
    """Metrics of the representation of `queries` after `step` updates."""

    step: int
    knn: float | None  # kNN accuracy on the labeled queries, with neighbors from the bank; None without labels
    rankme: float  # of at most `most`
    std: float  # mean standard deviation of the normalized features, times sqrt(width): 1 when spread evenly
    most: int  # largest possible rank: the width or the number of queries, whichever is smaller
    spectrum: Float[Tensor, " d"]
    alpha: float  # alpha-ReQ: the j-th eigenvalue of the covariance falls like j^-alpha
    lidar: float | None  # at most `samples` - 1 and the width; None without views
    samples: int
    right: float | None  # how many of the k nearest in the bank are of the query's class, on average; None as above
    similarity: Float[Tensor, "s k"]
    neighbors: Int64[Tensor, "s k"]  # of the queries that are shown, in the bank
    planes: Float[Tensor, "2 n 2"]  # the queries on four principal axes, turned to lie as in the snapshot before

    @property
    def verdict(self) -> str:
        """The rank in words."""
        return describe_rank(self.rankme, self.most)


class Baselines(NamedTuple):
    """kNN accuracies that a trained representation must beat to have learned anything, and what they rest on.

    They are of the labeled images, and None where no image of the bank or of the queries has a label.
    """

    chance: float | None
    pixels: float | None
    untrained: float | None
    neighbors: dict[str, Int64[Tensor, "s k"]]  # as in a `Snapshot`, by "raw pixels" and "untrained"
    right: dict[str, float | None]


def baselines(
    model: nn.Module, bank: Dataset, queries: Dataset, *, shown: int = 2, k: int = 7, portion: int = PORTION
) -> Iterator[Baselines | None]:
    """Chance (the commonest class), raw pixels, and the same network untrained: yields None while it works, then the
    `Baselines`."""
    known = queries.labels[queries.labels >= 0]
    chance = share_of_commonest(known) if len(known) else None
    k = min(k, len(bank))

    def score(zb: Tensor, zq: Tensor) -> float | None:
        return _accuracy(zb, zq, bank, queries)

    raw = pixels(bank.images), pixels(queries.images)
    by_pixels = score(*raw)
    yield None
    z = yield from _embedded(untrained(model), bank, queries, portion)
    found = {name: neighbors(zb, zq, k=k)[1] for name, (zb, zq) in {"raw pixels": raw, "untrained": z}.items()}
    right = {name: _right(index, bank, queries) for name, index in found.items()}
    yield Baselines(chance, by_pixels, score(*z), {name: index[:shown] for name, index in found.items()}, right)


def snapshot(
    state: TrainState,
    bank: Dataset,
    queries: Dataset,
    *,
    augment: Augment | None = None,
    shown: int = 2,
    k: int = 7,
    portion: int = PORTION,
    before: Snapshot | None = None,
) -> Generator[Snapshot | None, None, Snapshot]:
    """Embed both sets a portion at a time: yields None in between, then the `Snapshot`, which it returns as well.

    With `augment`, it also measures LiDAR, on eight views of each of 64 queries, the same views in every snapshot.
    Its planes lie as those of the snapshot `before`, which must be of the same queries.
    """
    zb, zq = yield from _embedded(state.model, bank, queries, portion)
    apart, samples = None, min(SAMPLES, len(queries))
    if augment is not None:
        images, views = as_float(queries.images[:samples]), []
        for i in range(VIEWS):
            views.append(embed(state.model, augment(images, rng(0, i, "lidar")).x))
            yield None
        apart = lidar(torch.stack(views, dim=1))
        yield None
    width, most = zq.shape[1], min(zq.shape[1], len(zq))
    similarity, index = neighbors(zb, zq, k=min(k, len(zb)))
    right = _right(index, bank, queries)
    knn = _accuracy(zb, zq, bank, queries)
    std = feature_std(zq) * width**0.5
    deviations, alpha = spectrum(zq)[:most], alpha_req(zq, last=min(STEEPNESS, width))
    yield None
    planes = principal_planes(zq).cpu()
    if before is not None:
        planes = align(planes, before.planes)
    now = Snapshot(
        state.step, knn, rankme(zq), std, most, deviations, alpha, apart, samples, right,
        similarity[:shown], index[:shown], planes,
    )  # fmt: skip
    yield now
    return now


def _accuracy(zb: Float[Tensor, "n d"], zq: Float[Tensor, "q d"], bank: Dataset, queries: Dataset) -> float | None:
    """kNN accuracy of the labeled queries, with the 20 nearest of the labeled bank, or all of a smaller one."""
    a, b = (data.labels.cpu() for data in (bank, queries))
    in_bank, asked = a >= 0, b >= 0
    if not (in_bank.any() and asked.any()):
        return None
    return knn_accuracy(zb[in_bank], a[in_bank], zq[asked], b[asked], k=min(20, int(in_bank.sum())))


def _right(index: Int64[Tensor, "q k"], bank: Dataset, queries: Dataset) -> float | None:
    """How many of the k neighbors are of the query's class, on average over the labeled queries."""
    asked = queries.labels.cpu()
    if not (asked >= 0).any() or not (bank.labels >= 0).any():
        return None
    same = (bank.labels.cpu()[index.cpu()] == asked[:, None])[asked >= 0]
    return same.float().sum(dim=1).mean().item()


def _embedded(
    model: nn.Module, bank: Dataset, queries: Dataset, portion: int
) -> Generator[None, None, tuple[Tensor, Tensor]]:
    in_bank = yield from last_of(embed_steps(model, bank.images, batch_size=portion))
    asked = yield from last_of(embed_steps(model, queries.images, batch_size=portion))
    return in_bank.features["representation"], asked.features["representation"]


def monitor(
    state: TrainState,
    data: Dataset,
    objective: Objective,
    *,
    until: int,
    bank: Dataset,
    queries: Dataset,
    augment: Augment | None = None,
    probes: LinearProbes | None = None,
    every: int = 25,
    batch_size: int = 256,
    seed: int = 0,
) -> Iterator[Step | Snapshot | Reading | None]:
    """Run `train` with a `Snapshot` before the first step, after every `every` steps, and at the end.

    `augment` makes the views for LiDAR. `probes` learn after every fifth training step, which adds 5 % to the time;
    their `Reading` of the queries then follows each later snapshot.
    """
    if every < 1:
        raise ValueError(f"every is {every}: it counts the steps between two snapshots and must be at least 1.")
    last = yield from snapshot(state, bank, queries, augment=augment)
    for step in train(state, data, objective, until=until, batch_size=batch_size, seed=seed):
        yield step
        if probes is not None and step.step % LEARN == 0:
            probes.follow(state, data, batch_size=batch_size, seed=seed)
        if step.step % every == 0 or step.step == until:
            last = yield from snapshot(state, bank, queries, augment=augment, before=last)
            if probes is not None:
                yield from read(state.model, probes, queries, step=step.step)
