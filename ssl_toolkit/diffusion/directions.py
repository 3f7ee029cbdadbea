"""Directions in representation space to use as sliders: principal axes of a bank, or the atoms of a dictionary for it.

    axes = principal_directions(bank, 8)
    move(h, axes[0], 2.0)                                       # from `edit`: two standard deviations along the first

*Principal* directions are orthogonal, and each explains as much of the variance as it can. *Sparse* directions are the
atoms of a dictionary (Olshausen and Field, 1996): an image is a sum of a few atoms, so an atom is more likely to be one
thing that is there or not. To see what a direction means, sample from RCDM; its numbers won't tell you.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import batch_index, checked_finite, rng
from ssl_toolkit.encoders.statistics import at_least, exponent, mean_and_std, principal_axes, times_power


@checked_finite
def principal_directions(h: Float[Tensor, "n d"], k: int) -> Float[Tensor, "k d"]:
    """The first k principal axes of a bank, each scaled to the bank's standard deviation along it.

    Signs are chosen so that the entry of largest magnitude is positive. Raises ValueError for k outside
    1 ... min(n, d).
    """
    if not 1 <= k <= min(h.shape):
        raise ValueError(f"k is {k}: {h.shape[0]} representations of {h.shape[1]} dimensions have {min(h.shape)} axes.")
    power = exponent(h.abs().amax())
    h = times_power(h, -power)
    axes, variance = principal_axes(h - h.mean(dim=0))
    variance, axes = variance[:k], axes.T[:k]
    sign = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).sign()
    return times_power(sign * variance.sqrt()[:, None] * axes, power)


class Atoms(NamedTuple):
    """A dictionary after `step` batches."""

    step: int
    directions: Float[Tensor, "k d"]  # each scaled by its mean coefficient in the images that use it
    used: Float[Tensor, " k"]  # the share of the last batch's images that use it
    error: float  # the share of that batch's variance that the dictionary leaves unexplained


@checked_finite
def sparse_directions(
    h: Float[Tensor, "n d"], k: int, *, penalty: float = 0.25, steps: int = 50, batch_size: int = 256, seed: int = 0
) -> Iterator[Atoms]:
    """Learn a dictionary of k atoms online (Mairal et al., 2010, in scikit-learn); yield `Atoms` after each batch.

        min over D, |d_j| <= 1, and c >= 0 of   |x - c D|^2 / 2 + penalty sqrt(d) |c|_1

    with x = h standardized in each dimension. Codes are not negative, so an atom is something to add to an image. It
    is returned in the units of h. Raises ValueError for k below 1, for a penalty that is not positive, and for a
    batch_size outside 1 ... n.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning

    if k < 1 or not penalty > 0:
        raise ValueError(f"k is {k} and penalty is {penalty}: k must be at least 1 and the penalty positive.")
    n, d = at_least(2, h, "h").shape
    h = h.detach() if h.dtype == torch.float64 else h.detach().float()
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
        error = ((part - code @ atoms).square().sum() / part.square().sum().clamp_min(1e-300)).item()
        yield Atoms(step + 1, (typical[:, None] * atoms).to(h.dtype) * units, used.double().mean(dim=0), error)
