"""Losses that push embeddings toward an isotropic Gaussian along random directions.

A distribution is Gaussian in d dimensions if and only if each one-dimensional projection is (Cramer and Wold).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.losses.checks import Terms, in_full_precision, must_be_a_share, several_views


@in_full_precision
def lejepa(z: Float[Tensor, "v b d"], *, lambd: float = 0.02, slices: int = 256, generator: torch.Generator) -> Terms:
    """LeJEPA (Balestriero and LeCun, 2025): the views of an image agree, and each view's batch follows N(0, I).

        invariance = (1 - lambd) * mean (z_v - mean_v z)^2,   sigreg = lambd * SIGReg(z)

    No teacher, no predictor, no stop-gradient. SIGReg grows with b, so `lambd` suits one batch size.
    Raises ValueError for fewer than two views or images, a `lambd` outside [0, 1], or `slices` below 1.
    """
    several_views(z)
    must_be_a_share("lambd", lambd)
    return {
        "invariance": (1 - lambd) * _spread_of_views(z),
        "sigreg": lambd * sigreg(z, slices=slices, generator=generator),
    }


@in_full_precision
def sigreg(z: Float[Tensor, "*v b d"], *, slices: int = 256, generator: torch.Generator) -> Float[Tensor, ""]:
    """SIGReg (Balestriero and LeCun, 2025): the mean over random unit directions u, and views, of Epps and Pulley's

        T(u) = b * int |mean_i e^{i t u.z_i} - e^{-t^2 / 2}|^2  e^{-t^2 / 2} dt,   t from -3 to 3

    the distance between the characteristic functions of the b projections and of N(0, 1). The integrand is even, so we
    take twice the trapezoid rule on 17 points of [0, 3]. For samples of N(0, I) the mean of T is 1.05 for any b.
    """
    u = _directions(z, slices, generator)
    t = torch.linspace(0, 3, 17, dtype=z.dtype, device=z.device)
    gaussian = torch.exp(-t.square() / 2)
    phase = (z @ u).unsqueeze(-1) * t  # (v, b, slices, 17)
    error = (phase.cos().mean(dim=-3) - gaussian).square() + phase.sin().mean(dim=-3).square()
    return z.shape[-2] * 2 * torch.trapezoid(error * gaussian, t).mean()


@in_full_precision
def visreg(z: Float[Tensor, "v b d"], *, lambd: float = 0.6, slices: int = 256, generator: torch.Generator) -> Terms:
    """VISReg (Wu, Balestriero and Levine, 2026): like LeJEPA, but location, scale and shape are regularized separately.

        invariance = (1 - lambd) * mean (z_v - mean_v z)^2
        center = lambd * mean_d (mean_b z)^2,   scale = lambd * mean_d (1 - std_b z)^2
        shape = lambd * mean_i (y_(i) - Phi^-1(i / (b + 1)))^2,   y = u . (z - mean_b z) / sg(std_b z + 1e-4)

    Statistics are over each view's batch, std is biased, and y_(i) are the sorted projections on random unit directions
    u (the sliced Wasserstein distance to N(0, 1)). sg stops the gradient, so shape cannot shrink the scale; the scale
    term keeps its slope when embeddings collapse. The paper recommends lambd = 0.9 for ImageNet with 4096 slices, and
    0.6 for small data. Raises ValueError for fewer than two views or images, a `lambd` outside [0, 1], or `slices`
    below 1.
    """
    _, b = several_views(z)
    must_be_a_share("lambd", lambd)
    mean, std = z.mean(dim=1, keepdim=True), z.std(dim=1, correction=0, keepdim=True)
    y = ((z - mean) / (std.detach() + 1e-4)) @ _directions(z, slices, generator)
    quantiles = torch.special.ndtri(torch.arange(1, b + 1, dtype=z.dtype, device=z.device) / (b + 1))
    return {
        "invariance": (1 - lambd) * _spread_of_views(z),
        "center": lambd * mean.square().mean(),
        "scale": lambd * (1 - std).square().mean(),
        "shape": lambd * (y.sort(dim=1).values - quantiles.unsqueeze(1)).square().mean(),
    }


def _spread_of_views(z: Float[Tensor, "v b d"]) -> Float[Tensor, ""]:
    return (z - z.mean(dim=0)).square().mean()


def _directions(z: Float[Tensor, "*n d"], slices: int, generator: torch.Generator) -> Float[Tensor, "d slices"]:
    """Random directions, uniform on the sphere, one per column."""
    if slices < 1:
        raise ValueError(f"slices is {slices}: it must be at least 1; 256 to 4096 are usual.")
    return F.normalize(torch.randn(z.shape[-1], slices, generator=generator), dim=0).to(z)
