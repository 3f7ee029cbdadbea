"""Linear CKA: how similar two representations of the same images are (Kornblith, Norouzi, Lee and Hinton, 2019).

It compares which images are near each other, not what each dimension means: rotating or scaling the features changes
nothing, and the two may have different dimensions.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite


@checked_finite
def linear_cka(x: Float[Tensor, "n d"], y: Float[Tensor, "m k"]) -> float:
    """Centered kernel alignment with linear kernels, from 0 (nothing in common) to 1 (equal up to rotation and scale).

        |Y^T X|^2 / (|X^T X| |Y^T Y|)   =   tr(K L) / (|K| |L|),   K = X X^T, L = Y Y^T, columns centered

    in Frobenius norms, computed on the smaller side. For unrelated features it is about sqrt(d k) / n if n is large,
    and near 1 if n is smaller than d and k: use several images per dimension. Raises ValueError for different n,
    n < 2, features that are not finite, and features that are the same for all images.
    """
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} rows and y has {len(y)}: both must be features of the same images.")
    return _aligned(_unit("x", x), _unit("y", y))


def _aligned(x: Float[Tensor, "n d"], y: Float[Tensor, "n k"]) -> float:
    if len(x) < min(x.shape[1], y.shape[1]):
        return ((x @ x.T) * (y @ y.T)).sum().item()
    return (y.T @ x).square().sum().item()


@checked_finite
def cka_matrix(
    a: Mapping[str, Float[Tensor, "n _"]], b: Mapping[str, Float[Tensor, "n _"]] | None = None
) -> Float[Tensor, "r c"]:
    """`linear_cka` of every depth of `a` (rows) with every depth of `b` (columns; None: those of `a`).

    >>> images = torch.rand(20, 3, 32, 32, generator=stk.rng(0))
    >>> a, b = (stk.embed(stk.small_conv(3, seed=seed), images, depth=None) for seed in (0, 1))
    >>> stk.probes.cka_matrix(a, b).shape
    torch.Size([6, 6])
    """
    rows, columns = ({name: _unit(f"{what}[{name!r}]", z) for name, z in depths.items()}
                     for what, depths in (("a", a), ("b", a if b is None else b)))  # fmt: skip
    if len(lengths := {len(z) for z in (*rows.values(), *columns.values())}) > 1:
        raise ValueError(f"a and b have {' and '.join(map(str, sorted(lengths)))} rows: all are of the same images.")
    return torch.tensor([[_aligned(x, y) for y in columns.values()] for x in rows.values()])


def _unit(name: str, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Center z and scale it so that |Z^T Z| = 1, in float64, so that rounding of large means does no harm."""
    if len(z) < 2:
        raise ValueError(f"{name} has shape {tuple(z.shape)}: it must hold features of at least 2 images.")
    x = z.double() - z.double().mean(dim=0)
    x = x.masked_fill((x.std(dim=0) <= 1e-6 * z.double().abs().mean(dim=0)), 0.0)  # constant up to rounding
    gram = x @ x.T if len(x) < x.shape[1] else x.T @ x
    if not (norm := gram.norm()) > 0:
        raise ValueError(f"{name} holds the same features for all images: the encoder has collapsed.")
    return x / norm.sqrt()
