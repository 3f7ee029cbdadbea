"""A small generative model of the representations themselves, so that RCDM can sample without an image to start from.

    prior = fit_prior(bank)
    for step in sample(rcdm, prior.sample(16, rng(0))): ...          # `sample` from rcdm

RCG (Li et al., 2023) trains a diffusion model of h for this. Here it is a mixture of Gaussians on the leading principal
axes and one Gaussian on the others. It fits in a second and matches the bank's mean and covariance by construction. It
knows no bounds: if h is the output of a ReLU, samples may fall a little below 0.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite
from ssl_toolkit.encoders.statistics import principal_axes


class Prior(NamedTuple):
    """h = mean + axes u, where u is a mixture of k Gaussians on the first q axes and independent normal on the rest."""

    mean: Float[Tensor, " d"]
    axes: Float[Tensor, "d r"]
    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k q"]
    roots: Float[Tensor, "k q q"]  # L of the covariances L L^T
    rest: Float[Tensor, " r-q"]  # standard deviations along the axes after the first q

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        """n representations, in the units of the bank."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.axes.shape[1], generator=generator, dtype=self.axes.dtype)
        q = self.means.shape[1]
        u = self.means[which] + (self.roots[which] @ noise[:, :q, None])[:, :, 0]
        return self.mean + torch.cat([u, self.rest * noise[:, q:]], dim=1) @ self.axes.T


@checked_finite
def fit_prior(h: Float[Tensor, "n d"], *, components: int = 10, rank: int = 32, seed: int = 0) -> Prior:
    """Fit a `Prior` to a bank by expectation maximization (scikit-learn) on its first `rank` principal axes.

    Each component has about rank^2 / 2 parameters, so a bank should hold a few hundred h per component. Raises
    ValueError for a rank outside 1 ... min(n, d), for components outside 1 ... n, and for features that are not finite.
    """
    from sklearn.mixture import GaussianMixture

    if not 1 <= rank <= min(h.shape):
        raise ValueError(f"rank is {rank}: {h.shape[0]} h of {h.shape[1]} dimensions have 1 ... {min(h.shape)} axes.")
    if not 1 <= components <= len(h):
        raise ValueError(f"components is {components}: for {len(h)} representations it must lie in 1 ... {len(h)}.")
    mean = h.mean(dim=0)
    axes, variance = principal_axes(h - mean)
    scale = variance[0].sqrt().clamp_min(1e-12)  # the mixture adds 1e-6 to variances: make that relative to the largest
    u = ((h - mean) @ axes[:, :rank] / scale).double().numpy()
    mixture = GaussianMixture(components, random_state=seed).fit(u)
    weights, means, covariances = (
        torch.from_numpy(array).to(h.dtype) for array in (mixture.weights_, mixture.means_, mixture.covariances_)
    )
    roots = torch.linalg.cholesky(covariances)
    return Prior(mean, axes, weights, scale * means, scale * roots, variance[rank:].sqrt())
