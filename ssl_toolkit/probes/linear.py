"""What a representation knows about labels: linear and MLP probes on features at any depth.

Every score comes with its chance level. `pixels` and `untrained` give the two other baselines that make a score
meaningful: raw pixels and the same network untrained. Features come from `encoders`, neighbors from `knn`, label-free
metrics from `metrics`.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ssl_toolkit.data import Dataset, by_class, checked, checked_finite, rng, seeded
from ssl_toolkit.encoders import Encoder, embed
from ssl_toolkit.encoders.features import SomeDepths
from ssl_toolkit.encoders.statistics import at_least, mean_and_std, principal_axes, share_of_commonest
from ssl_toolkit.probes.logistic import Fit, logistic


class Probe(NamedTuple):
    """A linear classifier on frozen features and its scores; `chance` is the share of the commonest test class."""

    accuracy: float
    chance: float
    train_accuracy: float
    weight_decay: float  # chosen on the validation split
    weight: Float[Tensor, "c d"]  # for features standardized by `mean` and `std`
    bias: Float[Tensor, " c"]
    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]
    classes: Int64[Tensor, " c"]  # the label of each row of `weight`: 0 ... c - 1, unless the labels are large ids

    @checked_finite
    def logits(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        if z.shape[1] != len(self.mean):
            raise ValueError(f"z has {z.shape[1]} dimensions: this probe was fitted on {len(self.mean)}.")
        return F.linear((z.to(self.mean) - self.mean) / self.std, self.weight, self.bias)

    def predict(self, z: Float[Tensor, "n d"]) -> Int64[Tensor, " n"]:
        return self.classes[self.logits(z).argmax(dim=1)]

    @checked
    def columns(self, labels: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """The column of `logits` for each label. Raises ValueError for a label that the probe does not know."""
        column = torch.searchsorted(self.classes, labels.to(self.classes)).clamp_max(len(self.classes) - 1)
        if bool((unknown := self.classes[column] != labels.to(self.classes)).any()):
            raise ValueError(f"labels holds {labels[unknown.to(labels.device)][0]}: the probe was not fitted on it.")
        return column.to(labels.device)


@checked_finite
def linear_probe(
    train_z: Float[Tensor, "n d"],
    train_y: Int64[Tensor, " n"],
    test_z: Float[Tensor, "m d"],
    test_y: Int64[Tensor, " m"],
    *,
    weight_decays: Sequence[float] = (1e-5, 1e-4, 1e-3, 1e-2),
    validation: float = 0.1,
    iterations: int = 100,
    seed: int = 0,
) -> Probe:
    """Multinomial logistic regression on standardized features, by L-BFGS with at most `iterations` steps.

        min over W, b of   mean cross-entropy + weight_decay / 2 * |W|^2

    We hold out a share `validation` of the training set and choose the weight decay with the best accuracy there, after
    a quarter of the iterations for each; then we fit the probe on the whole training set. If no class can spare an
    example, we use the strongest weight decay. The test set is only used at the end. Raises ValueError for unequal
    lengths, features that are not finite, fewer than two classes, or weight decays that are not positive.

    >>> data, test = stk.load_data("digits"), stk.load_data("digits", split="test")
    >>> probe = stk.linear_probe(stk.pixels(data.images), data.labels, stk.pixels(test.images), test.labels)
    >>> round(probe.accuracy, 1), round(probe.chance, 1)
    (0.9, 0.1)
    """
    _check(train_z, train_y, test_z, test_y, validation)
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}: it must be at least 1; 100 is usual.")
    if not weight_decays or not min(weight_decays) > 0:
        raise ValueError(
            f"weight_decays is {tuple(weight_decays)}: it must hold positive numbers; 1e-5 to 1e-2 are usual."
        )
    train_z, test_z = train_z.detach(), test_z.detach()
    if train_z.dtype != torch.float64:
        train_z = train_z.float()
    test_z = test_z.to(train_z)
    classes, train_y, test_y = _columns(train_y, test_y)
    mean, std = mean_and_std(train_z)
    z = (train_z - mean) / std
    axes, variance = principal_axes(z)
    x = axes.T @ z.T  # (r, n)
    best = max(weight_decays)
    fit = Fit(x.new_zeros(len(classes), len(x)), x.new_zeros(len(classes)))
    held_out, rest = _validation_split(train_y, validation, seed)
    if len(weight_decays) > 1 and len(held_out):
        kept, kept_y = x.index_select(1, rest), train_y[rest]
        # from the strongest to the weakest, each fit starting from the last one
        fits: dict[float, Fit] = {}
        for decay in sorted(weight_decays, reverse=True):
            fits[decay] = fit = logistic(
                kept, kept_y, fit, weight_decay=decay, variance=variance, iterations=max(1, iterations // 4)
            )
        scores = {decay: fits[decay].accuracy(x[:, held_out], train_y[held_out]) for decay in fits}
        best = max(scores, key=lambda decay: (scores[decay], decay))
        fit = fits[best]
    fit = logistic(x, train_y, fit, weight_decay=best, variance=variance, iterations=iterations)
    weight = fit.weight @ axes.T
    accuracy = Fit(weight, fit.bias).accuracy(((test_z - mean) / std).T, test_y)
    chance = share_of_commonest(test_y)
    return Probe(accuracy, chance, fit.accuracy(x, train_y), best, weight, fit.bias, mean, std, classes)


def probe_depths(
    model: Encoder,
    train: Dataset,
    test: Dataset,
    *,
    depths: SomeDepths = None,
    weight_decays: Sequence[float] = (1e-5, 1e-4, 1e-3, 1e-2),
    seed: int = 0,
) -> dict[str, Probe]:
    """Fit a `linear_probe` at each of `depths` (None: all depths of the model), in one pass over the images.

    >>> data, test = (stk.load_data("digits", split=split, size=28, limit=300) for split in ("train", "test"))
    >>> probes = stk.probes.probe_depths(stk.small_conv(1), data, test, depths=("stage1", "embedding"))
    >>> list(probes)
    ['stage1', 'embedding']
    """
    train, test = train.labeled(), test.labeled()
    train_z, test_z = embed(model, train.images, depth=depths), embed(model, test.images, depth=depths)
    train_y, test_y = train.labels.cpu(), test.labels.cpu()
    return {
        depth: linear_probe(z, train_y, test_z[depth], test_y, weight_decays=weight_decays, seed=seed)
        for depth, z in train_z.items()
    }


class MLPProbe(NamedTuple):
    """The scores so far of a small network on frozen features; it can overfit, so the epoch matters."""

    accuracy: float  # on the test set, after the best epoch
    last_accuracy: float  # on the test set, after the last one
    chance: float
    best: int  # the best epoch on the validation split, from 1
    validation: tuple[float, ...]  # accuracy on that split after each epoch


@checked_finite
def mlp_probe(
    train_z: Float[Tensor, "n d"],
    train_y: Int64[Tensor, " n"],
    test_z: Float[Tensor, "m d"],
    test_y: Int64[Tensor, " m"],
    *,
    hidden: Sequence[int] = (512,),
    epochs: int = 50,
    patience: int | None = 10,
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    batch_size: int = 256,
    validation: float = 0.1,
    seed: int = 0,
) -> Iterator[MLPProbe]:
    """Train Linear-ReLU layers of `hidden` units on standardized features with AdamW; yields a probe after each epoch.

    The best epoch is the first with the highest accuracy on a held-out share `validation` of the training set;
    nothing is chosen on the test set. Training stops after `patience` epochs without improvement (None: never), or
    after `epochs`. Raises ValueError as `linear_probe` does, and if no class can spare an example.

    >>> z, y = torch.randn(300, 8, generator=stk.rng(0)), torch.arange(300) % 3
    >>> *_, probe = stk.probes.mlp_probe(z[:200], y[:200], z[200:], y[200:], epochs=3)
    >>> len(probe.validation)
    3
    """
    _check(train_z, train_y, test_z, test_y, validation)
    if epochs < 1 or (patience is not None and patience < 1):
        raise ValueError(
            f"epochs={epochs} and patience={patience} count epochs: at least 1; patience=None never stops."
        )
    if not (lr > 0 and weight_decay >= 0) or batch_size < 1 or min(hidden, default=1) < 1:
        raise ValueError(
            f"lr={lr} must be positive, weight_decay={weight_decay} at least 0, and batch_size={batch_size} and the "
            f"hidden={tuple(hidden)} at least 1."
        )
    train_z, test_z = train_z.detach(), test_z.detach().to(train_z)
    classes, train_y, test_y = _columns(train_y, test_y)
    held_out, rest = _validation_split(train_y, validation, seed)
    if not len(held_out):
        raise ValueError("every class of train_y has a single example: none can be held out for validation.")
    with torch.inference_mode(False), seeded(seed, "mlp"):  # what learns cannot be made in inference mode
        mean, std = mean_and_std(train_z)
        x, x_test = ((train_z - mean) / std).float(), ((test_z - mean) / std).float()
        widths = [x.shape[1], *hidden, len(classes)]
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        net = nn.Sequential(*layers[:-1]).to(x.device)  # the last one is linear
        optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=weight_decay)

    def accuracy(z: Tensor, y: Tensor) -> float:
        with torch.no_grad():
            return (net(z).argmax(dim=1) == y).float().mean().item()

    curve: list[float] = []
    at_best, best = 0.0, 0
    for epoch in range(1, epochs + 1):
        order = rest[torch.randperm(len(rest), generator=rng(seed, epoch, "mlp")).to(rest.device)]
        for index in order.split(batch_size):
            with torch.inference_mode(False), torch.enable_grad():
                optimizer.zero_grad()
                F.cross_entropy(net(x[index]), train_y[index].clone()).backward()
                optimizer.step()
        curve.append(accuracy(x[held_out], train_y[held_out]))
        last = accuracy(x_test, test_y)
        if not best or curve[-1] > curve[best - 1]:
            at_best, best = last, epoch
        yield MLPProbe(at_best, last, share_of_commonest(test_y), best, tuple(curve))
        if patience is not None and epoch - best >= patience:
            return


def _check(train_z: Tensor, train_y: Tensor, test_z: Tensor, test_y: Tensor, validation: float) -> None:
    at_least(2, train_z, "train_z"), at_least(1, test_z, "test_z")
    if train_y.unique().numel() < 2:
        raise ValueError("train_y holds one class only: a probe needs at least two.")
    for name, y in (("train_y", train_y), ("test_y", test_y)):
        if (least := int(y.min())) < 0:
            raise ValueError(f"{name}: a label is {least}: labels start at 0; leave out images without one.")
    if not 0 < validation < 1:
        raise ValueError(f"validation is {validation}: it is a share of the training set, in (0, 1); 0.1 is usual.")


def _columns(train_y: Tensor, test_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The label of each column of the logits, and the columns of the labels.

    Labels are columns themselves, so that a class without an example keeps its place, unless they are ids, far more
    than there are classes.
    """
    classes = torch.cat([train_y, test_y]).unique()
    largest = int(classes[-1])
    if largest < max(1024, 2 * len(classes)):
        return torch.arange(largest + 1, device=classes.device), train_y, test_y
    return classes, torch.searchsorted(classes, train_y), torch.searchsorted(classes, test_y)


def _validation_split(y: Int64[Tensor, " n"], share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Held-out and kept indices; the share is taken from every class, so few labels stay balanced."""
    order = torch.randperm(len(y), generator=rng(seed, 0, "validation")).to(y.device)
    index, place, counts = by_class(y, order)
    # every class keeps at least one example
    sizes = (share * counts.double()).round().long().clamp_min(1).minimum(counts - 1)
    held_out = index[place < sizes.repeat_interleave(counts)]
    kept = torch.ones(len(y), dtype=torch.bool, device=y.device)
    kept[held_out] = False
    return held_out, kept.nonzero().squeeze(1)


@checked_finite
def few_labels(labels: Int64[Tensor, " n"], per_class: int, *, seed: int = 0) -> Int64[Tensor, " m"]:
    """Draw the indices of `per_class` examples of every class, by `seed`.

    Raises ValueError if a class has fewer.

    >>> data = stk.load_data("digits")
    >>> data[stk.few_labels(data.labels, 5)].labels.bincount().tolist()
    [5, 5, 5, 5, 5, 5, 5, 5, 5, 5]
    """
    if not len(labels):
        raise ValueError("labels is empty: there is nothing to draw from.")
    if (least := int(labels.min())) < 0:
        raise ValueError(f"labels holds {least}: labels start at 0; leave out images without one.")
    order = torch.randperm(len(labels), generator=rng(seed, per_class, "few labels")).to(labels.device)
    index, place, counts = by_class(labels, order)
    if not 1 <= per_class <= int(counts.min()):
        raise ValueError(f"per_class is {per_class}: it must lie in 1 ... {int(counts.min())}.")
    return index[place < per_class]
