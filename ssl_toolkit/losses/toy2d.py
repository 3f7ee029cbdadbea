"""Losses in the plane: a few points instead of an encoder show what each term of a loss pulls on.

    points = scatter(seed=0)
    for moment in descend(points, weighted(vicreg, {"variance": 0.0}), lr=0.1, until=300):
        print(moment.step, moment.terms, spread(moment.za, moment.zb).word)

A point is an encoder's output for one view of one image. If the points are free, each moves by its own gradient, and no
loss collapses them: the two views of an image meet, and nothing else moves. An *encoder* collapses because one set of
weights moves all images. The smallest encoder is linear, z = W x: a step W <- W - lr G^T X moves the points by

    Z <- Z - lr X X^T G,      X (2n, k): the views,      G (2n, d): the gradient at the points,

so `kernel` = X X^T says how much each point drags the others along; for free points it is the identity.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked_finite, rng
from ssl_toolkit.losses.checks import Terms

Loss = Callable[..., Terms]  # of the two views, (n, d) each

# An image has three features of size 1; each differs by this much between the two views of the image.
CHANGE = (0.2, 0.4, 0.6)
AWAY = 0.6  # distance of the points' mean from the origin: an encoder has a bias


@dataclass
class Points:
    """The positions of the views of n images, and how each point's step moves the others. `descend` moves them."""

    z: Float[Tensor, "2 n d"]
    kernel: Float[Tensor, "m m"]  # m = 2n: the first view of every image, then the second
    step: int = 0


class Moment(NamedTuple):
    """The points after `step` updates, the loss terms, and the gradient of each term at each point."""

    step: int
    za: Float[Tensor, "n d"]
    zb: Float[Tensor, "n d"]
    terms: dict[str, float]
    gradients: dict[str, Float[Tensor, "2 n d"]]

    @property
    def loss(self) -> float:
        return sum(self.terms.values())


@checked_finite
def scatter(n: int = 8, *, seed: int = 0, shared: bool = True) -> Points:
    """Scatter two views each of n images in the plane, with mean variance 1 and a mean slightly off the origin.

    `shared` points are outputs of one linear encoder with a bias, others are free; both start at the same positions.
    Raises ValueError for fewer than 4 images, since an encoder with three features could fit any of them.
    """
    if n < 4:
        raise ValueError(f"n is {n}: at least 4 images are needed; 6 to 8 are easy to follow by eye.")
    generator, k = rng(seed, 0, "points"), len(CHANGE)

    def features() -> Tensor:  # (n, k), uncorrelated, so that each collapses at its own pace
        return torch.linalg.qr(torch.randn(n, k, generator=generator)).Q * math.sqrt(n)

    content, change = features(), features() * torch.tensor(CHANGE)
    x = torch.stack([content + change / 2, content - change / 2])
    z = x @ torch.randn(k, 2, generator=generator)
    z = z - z.mean(dim=(0, 1))
    angle = 2 * math.pi * torch.rand((), generator=generator)
    z = z / z.square().mean().sqrt() + AWAY * torch.stack([angle.cos(), angle.sin()])
    if not shared:
        return Points(z, torch.eye(2 * n))
    x = torch.cat([x, torch.ones(2, n, 1)], dim=2).flatten(0, 1)  # the bias is a feature that is 1 for every view
    return Points(z, x @ x.T / (k + 1))  # about 1 on the diagonal, as for free points


def weighted(loss: Loss, weights: Mapping[str, float]) -> Loss:
    """The loss with each named term multiplied by its weight; other terms keep weight 1.

    Calling the loss raises ValueError for a name that is not one of its terms.
    """

    def weighed(za: Tensor, zb: Tensor) -> Terms:
        terms = loss(za, zb)
        if unknown := set(weights) - set(terms):
            raise ValueError(f"weights names {', '.join(sorted(unknown))}: the terms are {', '.join(terms)}.")
        return {name: weights.get(name, 1.0) * term for name, term in terms.items()}

    return weighed


@checked_finite
def predict_both_ways(
    za: Float[Tensor, "b d"], zb: Float[Tensor, "b d"], *, predictor: bool = True, stop_gradient: bool = True
) -> Terms:
    """BYOL (Grill et al., 2020) without a network, on points: each view predicts the other.

        prediction = mean_i 2 - 2 cos(P za_i, zb_i)  +  mean_i 2 - 2 cos(Q zb_i, za_i)

    P is the linear map that best predicts the directions of zb from those of za (least squares), and Q the reverse.
    Both get no gradient; without `predictor` they are the identity. The target gets a gradient only without
    `stop_gradient`. BYOL's moving average of the weights has no counterpart here: the target is the current view.
    """

    there, back = _predicted(za, zb, predictor), _predicted(zb, za, predictor)
    if stop_gradient:
        za, zb = za.detach(), zb.detach()
    return {"prediction": 4 - 2 * F.cosine_similarity(there, zb).mean() - 2 * F.cosine_similarity(back, za).mean()}


def _predicted(z: Float[Tensor, "b d"], target: Float[Tensor, "b d"], predictor: bool) -> Float[Tensor, "b d"]:
    if not predictor:
        return z
    z, target = F.normalize(z), F.normalize(target)
    return z @ torch.linalg.lstsq(z.detach(), target.detach()).solution


def look(points: Points, loss: Loss) -> Moment:
    """The loss terms and their gradients at the current points."""
    z = points.z.detach().requires_grad_()
    terms = loss(*z)
    gradients = {name: torch.autograd.grad(term, z, retain_graph=True)[0] for name, term in terms.items()}
    return Moment(points.step, points.z[0], points.z[1], {name: term.item() for name, term in terms.items()}, gradients)


def descend(points: Points, loss: Loss, *, lr: float, until: int) -> Iterator[Moment]:
    """Run gradient descent in place until `points.step` is `until`; yields the `Moment` after each update.

    You may drag points between two steps. Raises FloatingPointError if a step would overflow, and keeps the points of
    the step before.
    """
    while points.step < until:
        gradient = sum(look(points, loss).gradients.values(), torch.zeros_like(points.z))
        z = points.z - lr * (points.kernel @ gradient.flatten(0, 1)).view_as(points.z)
        if not z.isfinite().all():
            raise FloatingPointError(f"step {points.step + 1}: a point left the plane; lr is {lr}, try a lower one.")
        points.z, points.step = z, points.step + 1
        yield look(points, loss)


def drag(points: Points, index: int, to: tuple[float, float]) -> None:
    """Move one point to a new position; the others follow by the smallest change of the encoder's weights.

    `index` counts the first views 0 ... n-1, then the second ones. Under the smallest weight change that moves point i
    by m, point j moves by m K_ji / K_ii; other free points stay.
    """
    z = points.z.flatten(0, 1)
    if not 0 <= index < len(z):
        raise ValueError(f"index is {index}: there are points 0 to {len(z) - 1}.")
    share = points.kernel[:, index] / points.kernel[index, index]
    points.z = (z + share[:, None] * (torch.tensor(to) - z[index])).view_as(points.z)


class Spread(NamedTuple):
    """Standard deviations along the points' long and short axes, and the mean distance of an image's two views."""

    long: float
    short: float
    pairs: float

    @property
    def word(self) -> str:
        if self.long < 0.1:
            return "collapsed to a point"
        return "collapsed onto a line" if self.short < 0.15 * self.long else "spread"


@checked_finite
def spread(za: Float[Tensor, "n d"], zb: Float[Tensor, "n d"], *, directions: bool = False) -> Spread:
    """Measure the spread of the points; with `directions` only their angles count, as in losses of cosines."""
    if len(za) < 2:
        raise ValueError(f"za and zb hold {len(za)} points: a spread needs at least 2.")
    z = torch.stack([za, zb]).double()
    if directions:
        z = F.normalize(z, dim=2)
    flat = z.flatten(0, 1)
    long, short = (torch.linalg.svdvals(flat - flat.mean(dim=0)) / len(flat) ** 0.5)[:2].tolist()
    return Spread(long, short, (z[0] - z[1]).norm(dim=1).mean().item())
