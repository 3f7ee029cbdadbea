"""What a representation knows, read off without touching it: neighbours, linear probes, rank and spread.

Every score comes with its chance level, and `baselines` gives the two others that a number needs to mean anything:
raw pixels and the same network untrained.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from ssl_toolkit.data import as_float
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.seeds import rng, seeded


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every submodule's own mode is restored on leaving."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def embed(
    model: nn.Module | Callable[[Tensor], Tensor],
    images: Shaped[Tensor, "n c h w"],
    *,
    depth: str = "representation",
    batch_size: int = 1024,
) -> Float[Tensor, "n d"]:
    """The features of `images` (uint8, or float in [0, 1]) at one depth of an `Encoder`, on the CPU.

    Any other module or function (b, c, h, w) -> (b, d) is called as it is, and `depth` must be left alone.
    The model's train or eval mode is restored. Raises ValueError for a depth that the model does not have.
    """
    if not isinstance(model, Encoder):
        if depth != "representation":
            raise ValueError(f"depth is {depth!r}: only an Encoder has named depths; wrap the module (encoders.wrap).")
        call: Callable[[Tensor], Tensor] = model
    else:

        def call(x: Tensor) -> Tensor:
            features = model.features(x)
            if depth not in features:
                raise ValueError(f"depth is {depth!r}: this encoder has {', '.join(features)}.")
            return features[depth]

    device = next(model.parameters(), torch.empty(0)).device if isinstance(model, nn.Module) else images.device
    with evaluating(model) if isinstance(model, nn.Module) else torch.no_grad():
        parts = [call(as_float(x.to(device))).float().cpu() for x in images.split(batch_size)]
    return torch.cat(parts)


def pixels(images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """The baseline that knows nothing: each image as the vector of its pixels in [0, 1]."""
    return as_float(images).flatten(1)


def knn_predict(
    bank: Float[Tensor, "n d"],
    bank_labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "q d"],
    *,
    k: int = 20,
    temperature: float = 0.1,
) -> Int64[Tensor, "q c"]:
    """Labels ranked for each query, best first, by a weighted vote of its k nearest neighbours (Wu et al., 2018).

    A neighbour at cosine similarity s votes for its label with weight exp(s / temperature). Raises ValueError for k
    outside 1 ... n or a temperature that is not positive.
    """
    if not 1 <= k <= len(bank):
        raise ValueError(f"k is {k}: it must lie in 1 ... {len(bank)}, the size of the bank.")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive; 0.07 to 0.2 are usual.")
    classes = int(bank_labels.max()) + 1
    keys = F.normalize(bank, dim=1).T.contiguous()
    ranked = []
    for q in F.normalize(queries, dim=1).split(1024):  # (1024, n) similarities at a time
        similarity, nearest = (q @ keys).topk(k, dim=1)
        votes = torch.zeros(len(q), classes, device=q.device)
        # the largest similarity is 1, so subtracting it changes no ranking and cannot overflow
        votes.scatter_add_(1, bank_labels[nearest], ((similarity - 1) / temperature).exp())
        ranked.append(votes.argsort(dim=1, descending=True, stable=True))
    return torch.cat(ranked)


def knn_accuracy(
    bank: Float[Tensor, "n d"],
    bank_labels: Int64[Tensor, " n"],
    queries: Float[Tensor, "q d"],
    labels: Int64[Tensor, " q"],
    *,
    k: int = 20,
    temperature: float = 0.1,
) -> float:
    """The share of queries whose best label by `knn_predict` is right."""
    ranked = knn_predict(bank, bank_labels, queries, k=k, temperature=temperature)
    return (ranked[:, 0] == labels).float().mean().item()


def neighbours(
    bank: Float[Tensor, "n d"], queries: Float[Tensor, "q d"], *, k: int = 8
) -> tuple[Float[Tensor, "q k"], Int64[Tensor, "q k"]]:
    """Cosine similarity and index of the k nearest of the bank, nearest first."""
    similarity, index = (F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T).topk(k, dim=1)
    return similarity, index


class Probe(NamedTuple):
    """What a linear classifier on frozen features reads; `chance` is the share of the commonest test class."""

    accuracy: float
    chance: float
    train_accuracy: float
    weight_decay: float  # the one chosen on the validation split
    weight: Float[Tensor, "c d"]  # for features standardised by `mean` and `std`
    bias: Float[Tensor, " c"]
    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]

    def predict(self, z: Float[Tensor, "n d"]) -> Int64[Tensor, " n"]:
        return F.linear((z - self.mean) / self.std, self.weight, self.bias).argmax(dim=1)


def linear_probe(
    train_z: Float[Tensor, "n d"],
    train_y: Int64[Tensor, " n"],
    test_z: Float[Tensor, "m d"],
    test_y: Int64[Tensor, " m"],
    *,
    weight_decays: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2),
    validation: float = 0.1,
    iterations: int = 100,
    seed: int = 0,
) -> Probe:
    """Multinomial logistic regression on standardised features, by L-BFGS until it converges or `iterations` are made.

        min over W, b of   mean cross-entropy + weight_decay / 2 * |W|^2

    The weight decay is the one with the best accuracy on a share `validation` of the training set; the probe is then
    fitted on all of it. Nothing looks at the test set before the end. Raises ValueError for unequal lengths, features
    that are not finite, or fewer than two classes.
    """
    if len(train_z) != len(train_y) or len(test_z) != len(test_y):
        raise ValueError(
            f"features and labels differ in length: {len(train_z)} and {len(train_y)} to train, "
            f"{len(test_z)} and {len(test_y)} to test."
        )
    if not (train_z.isfinite().all() and test_z.isfinite().all()):
        raise ValueError("the features hold NaN or infinite values: the encoder has diverged.")
    classes = int(max(train_y.max(), test_y.max())) + 1
    if train_y.unique().numel() < 2:
        raise ValueError("train_y holds one class only: a probe needs at least two.")
    mean, std = train_z.mean(dim=0), train_z.std(dim=0).clamp_min(1e-6)
    axes, variance = _principal_axes((train_z - mean) / std)
    x = ((train_z - mean) / std) @ axes
    best = weight_decays[0]
    fit = Fit(x.new_zeros(classes, x.shape[1]), x.new_zeros(classes))
    if len(weight_decays) > 1:
        held_out, rest = _validation_split(train_y, validation, seed)
        kept, kept_y = x.index_select(0, rest), train_y[rest]
        # from the strongest to the weakest, each starting where the last one ended
        scores = {}
        for decay in sorted(weight_decays, reverse=True):
            fit = _logistic(kept, kept_y, fit, decay, variance, iterations // 2)
            scores[decay] = _accuracy(fit, x[held_out], train_y[held_out])
        best = max(scores, key=lambda decay: (scores[decay], decay))
    fit = _logistic(x, train_y, fit, best, variance, iterations)
    train_accuracy = _accuracy(fit, x, train_y)
    fit = Fit(fit.weight @ axes.T, fit.bias)
    chance = test_y.bincount().max().item() / len(test_y)
    return Probe(_accuracy(fit, (test_z - mean) / std, test_y), chance, train_accuracy, best, *fit, mean, std)


def _principal_axes(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "d r"], Float[Tensor, " r"]]:
    """The principal axes of centred features and the variance along each, r = min(n, d)."""
    n, d = x.shape
    if n < d:
        _, s, axes = torch.linalg.svd(x, full_matrices=False)
        return axes.T, s.square() / n
    variance, axes = torch.linalg.eigh(x.T @ x / n)
    return axes, variance.clamp_min(0)


def _validation_split(y: Int64[Tensor, " n"], share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices held out and kept, the share taken of every class so that few labels stay balanced."""
    order = torch.randperm(len(y), generator=rng(seed, 0, "validation")).to(y.device)
    by_class = [order[y[order] == c] for c in y.unique()]
    held_out = torch.cat([index[: max(1, round(share * len(index)))] for index in by_class if len(index) > 1])
    kept = torch.ones(len(y), dtype=torch.bool, device=y.device)
    kept[held_out] = False
    return held_out, kept.nonzero().squeeze(1)


class Fit(NamedTuple):
    weight: Float[Tensor, "c r"]
    bias: Float[Tensor, " c"]


def _logistic(
    x: Float[Tensor, "n r"],
    y: Int64[Tensor, " n"],
    start: Fit,
    weight_decay: float,
    variance: Float[Tensor, " r"],
    iterations: int,
) -> Fit:
    """The minimum for features along their principal axes, each weight in units of its own curvature.

    The Hessian of the cross-entropy is at most 1/2 (I - 11^T/c) kron cov(x) (Boehning, 1992), so on principal axes
    the units 1 / sqrt(variance / 2 + weight_decay) make it rounder: L-BFGS needs a third to a quarter of the steps.
    """
    unit = (variance / 2 + weight_decay).rsqrt()
    v, bias = (start.weight / unit).requires_grad_(True), start.bias.clone().requires_grad_(True)
    solver = torch.optim.LBFGS(
        [v, bias], max_iter=iterations, history_size=20, tolerance_grad=1e-5, tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        solver.zero_grad()
        w = v * unit
        loss = F.cross_entropy(F.linear(x, w, bias), y) + weight_decay / 2 * w.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
    return Fit((v * unit).detach(), bias.detach())


def _accuracy(fit: Fit, x: Tensor, y: Tensor) -> float:
    return (F.linear(x, fit.weight, fit.bias).argmax(dim=1) == y).float().mean().item()


def few_labels(labels: Int64[Tensor, " n"], per_class: int, *, seed: int = 0) -> Int64[Tensor, " m"]:
    """Indices of `per_class` examples of every class, drawn by `seed`.

    Raises ValueError where a class has fewer.
    """
    counts = labels.bincount()
    if not 1 <= per_class <= int(counts[counts > 0].min()):
        raise ValueError(f"per_class is {per_class}: it must lie in 1 ... {int(counts[counts > 0].min())}.")
    order = torch.randperm(len(labels), generator=rng(seed, per_class, "few labels")).to(labels.device)
    return torch.cat([order[labels[order] == c][:per_class] for c in labels.unique()])


def spectrum(z: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """Singular values of the centred features over sqrt(n - 1), largest first: standard deviations along PCA axes."""
    covariance = torch.cov(z.double().T).reshape(z.shape[1], z.shape[1])
    return torch.linalg.eigvalsh(covariance).flip(0).clamp_min(0).sqrt().float()


def rankme(z: Float[Tensor, "n d"], *, eps: float = 1e-7) -> float:
    """RankMe (Garrido et al., 2023): exp of the entropy of p_k = sigma_k / |sigma|_1 + eps, from 1 to min(n, d).

    sigma are the singular values of z, not centred, as in the paper. A collapsed representation has a rank near 1.
    """
    if len(z) < z.shape[1]:
        sigma = torch.linalg.svdvals(z.double())
    else:  # the same values, from the small Gram matrix
        sigma = torch.linalg.eigvalsh(z.double().T @ z.double()).clamp_min(0).sqrt()
    p = sigma / sigma.sum().clamp_min(torch.finfo(torch.float64).tiny) + eps
    return (-(p * p.log()).sum()).exp().item()


def feature_std(z: Float[Tensor, "n d"]) -> float:
    """Mean over dimensions of the standard deviation of z / |z|: 1 / sqrt(d) when spread evenly, 0 when collapsed."""
    return F.normalize(z, dim=1).std(dim=0).mean().item()


def alignment(za: Float[Tensor, "n d"], zb: Float[Tensor, "n d"]) -> float:
    """Mean squared distance of the normalised embeddings of two views (Wang and Isola, 2020): 0 is perfect."""
    return (F.normalize(za, dim=1) - F.normalize(zb, dim=1)).square().sum(dim=1).mean().item()


def uniformity(z: Float[Tensor, "n d"]) -> float:
    """log mean exp(-2 |z_i - z_j|^2) over pairs of normalised embeddings (Wang and Isola, 2020): low is well spread."""
    return torch.pdist(F.normalize(z, dim=1)).square().mul(-2).exp().mean().log().item()


def untrained(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of the model with fresh weights: what the architecture alone knows."""
    fresh = copy.deepcopy(model)
    with seeded(seed, "init"):
        for module in fresh.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return fresh
