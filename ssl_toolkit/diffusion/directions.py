"""Directions in the space of representations, as sliders: those along which a bank varies, and those it is made of.

    axes = principal_directions(bank, 8)
    move(h, axes[0], 2.0)                                            # of edit: two standard deviations along the first

*Principal* ones are orthogonal and each explains as much of the variance as it can. *Sparse* ones are the atoms of a
dictionary (Olshausen and Field, 1996): an image is a sum of few of them, so one is more often one thing that can be
there or not. What a direction means is seen in the samples of RCDM, not in its numbers.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import batch_index, rng
from ssl_toolkit.encoders.statistics import mean_and_std, principal_axes


def principal_directions(h: Float[Tensor, "n d"], k: int) -> Float[Tensor, "k d"]:
    """The first k principal axes of a bank, each as long as the standard deviation of the bank along it.

    Their signs are such that the largest entry is positive. Raises ValueError for k outside 1 ... min(n, d).
    """
    if not 1 <= k <= min(h.shape):
        raise ValueError(f"k is {k}: {h.shape[0]} representations of {h.shape[1]} dimensions have {min(h.shape)} axes.")
    axes, variance = principal_axes(h - h.mean(dim=0))
    variance, axes = variance[:k], axes.T[:k]
    sign = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).sign()
    return sign * variance.sqrt()[:, None] * axes


class Atoms(NamedTuple):
    """A dictionary after `step` batches."""

    step: int
    directions: Float[Tensor, "k d"]  # each as long as its mean part in the images that it has a part in
    used: Float[Tensor, " k"]  # the share of the images of the last batch in which it has one
    error: float  # the share of that batch's variance which the dictionary leaves unexplained


def sparse_directions(
    h: Float[Tensor, "n d"], k: int, *, penalty: float = 0.25, steps: int = 50, batch_size: int = 256, seed: int = 0
) -> Iterator[Atoms]:
    """A dictionary of k atoms, learned online (Mairal et al., 2010; scikit-learn's): the `Atoms` after each batch.

        min over D, |d_j| <= 1, and c >= 0 of   |x - c D|^2 / 2 + penalty sqrt(d) |c|_1

    with x = h standardized in each dimension. As codes are positive, an atom is a thing to add to an image; it is
    returned in the units of h. Raises ValueError for k below 1, for a penalty that is not positive, and for a
    batch_size outside 1 ... n.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning

    if k < 1 or not penalty > 0:
        raise ValueError(f"k is {k} and penalty is {penalty}: k must be at least 1 and the penalty positive.")
    n, d = h.shape
    mean, std = mean_and_std(h)
    x, units = ((h - mean) / std).double(), std.masked_fill(std.isinf(), 0.0)
    start = torch.randn(k, d, generator=rng(seed, 0, "atoms"), dtype=torch.float64)
    options = {"alpha": penalty * d**0.5, "positive_code": True, "fit_algorithm": "cd"}
    learner = MiniBatchDictionaryLearning(
        k, **options, dict_init=(start / start.norm(dim=1, keepdim=True)).numpy(), random_state=seed,
        transform_algorithm="lasso_cd", transform_alpha=options["alpha"],
    )  # fmt: skip
    for step in range(steps):
        part = x[batch_index(n, step, batch_size=batch_size, seed=seed)]
        code = torch.from_numpy(learner.partial_fit(part.numpy()).transform(part.numpy()))
        atoms = torch.from_numpy(learner.components_)
        used = code > 0
        typical = code.sum(dim=0) / used.sum(dim=0).clamp_min(1)
        error = ((part - code @ atoms).square().sum() / part.square().sum()).item()
        yield Atoms(step + 1, (typical[:, None] * atoms).to(h.dtype) * units, used.double().mean(dim=0), error)
