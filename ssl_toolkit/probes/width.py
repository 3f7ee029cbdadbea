"""Measure what width does to a representation (Bordes, Lavoie, Balestriero, Ballas and Vincent, 2023).

`encoders.set_last_block_width` changes D, the dimension of h = f(x), and nothing else. This module measures the effect
on h: how many of its directions the loss can push, how much of it is exactly zero, how much its signs alone carry, and
how well it transfers to other tasks. Two controls isolate the effect of width itself: `random_relu` widens features
without learning, `narrowed` removes the width again.
"""

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ssl_toolkit.data import Dataset, checked, checked_finite, long_tail, rng
from ssl_toolkit.encoders import Encoder, embed, features_at, to_device_of
from ssl_toolkit.encoders.statistics import at_least, mean_and_std, principal_axes
from ssl_toolkit.losses import Terms
from ssl_toolkit.probes.factors import Reading, read_factors
from ssl_toolkit.probes.linear import few_labels, linear_probe

# The directions that the loss can push.


@checked
def gradient(
    encoder: Encoder, x: Float[Tensor, "n c h w"], loss: Callable[[Float[Tensor, "n k"]], Terms]
) -> Float[Tensor, "n d"]:
    """dL/dh for each image's representation, in float64 on the CPU; `loss` takes the embeddings of all of `x`.

    With a linear projector z = W h, dL/dh = W^T dL/dz lies in the row space of W, whose dimension is at most
    min(D, K). With more layers, W is the first one. The encoder is not changed: its projector is copied, and the copy
    normalizes by the batch as in training.

    >>> g = gradient(stk.small_conv(3, width=64), torch.rand(8, 3, 32, 32), lambda z: stk.losses.nt_xent(*z.chunk(2)))
    >>> g.shape
    torch.Size([8, 64])
    """
    h = features_at(encoder, to_device_of(encoder, x), ("representation",))["representation"].double().requires_grad_()
    projector = copy.deepcopy(encoder.projector).double().train()
    with torch.enable_grad():
        total = torch.stack(list(loss(projector(h)).values())).sum()
        (g,) = torch.autograd.grad(total, h)
    return g.cpu()


@checked
def gradient_rank(encoder: Encoder, x: Float[Tensor, "n c h w"], loss: Callable[[Float[Tensor, "n k"]], Terms]) -> int:
    """The number of the D directions in which the loss pushes representations: the rank of `gradient`, at most n."""
    return int(torch.linalg.matrix_rank(gradient(encoder, x, loss)))


# Sparse and binary representations.


@checked_finite
def zero_fraction(z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The share of each image's features that is exactly 0.

    After a ReLU and a mean over positions, a feature is 0 if its channel is silent everywhere.
    """
    return (at_least(0, z) == 0).float().mean(dim=1)


@checked_finite
def binary_codes(z: Float[Tensor, "n d"]) -> Bool[Tensor, "n d"]:
    """1[h > 0]: whether each feature is present at all. To probe them, use `binary_codes(z).float()`."""
    return z > 0


# Controls: width without learning, learning without width.


@checked_finite
def random_relu(
    train_z: Float[Tensor, "n d"], test_z: Float[Tensor, "m d"], *, width: int, seed: int = 0
) -> tuple[Float[Tensor, "n w"], Float[Tensor, "m w"]]:
    """relu(W z) of features standardized on `train_z`, with W, (width, d), drawn from N(0, 1 / d).

    It adds no information to z, but a linear probe can read more from it. Only what a trained representation of the
    same width gains beyond this comes from training. Raises ValueError for a width below 1.
    """
    if width < 1:
        raise ValueError(f"width is {width}: it must be at least 1.")
    (mean, std), d = mean_and_std(at_least(1, train_z, "train_z")), train_z.shape[1]
    w = torch.randn(d, width, generator=rng(seed, width, "random relu")).to(train_z) / d**0.5
    return F.relu((train_z - mean) / std @ w), F.relu((test_z - mean) / std @ w)


@checked_finite
def narrowed(
    train_z: Float[Tensor, "n d"], test_z: Float[Tensor, "m d"], *, width: int
) -> tuple[Float[Tensor, "n w"], Float[Tensor, "m w"]]:
    """Project the features on the first `width` principal components of `train_z`.

    Raises ValueError for a width outside 1 ... min(n, d).
    """
    most = min(train_z.shape)
    if not 1 <= width <= most:
        raise ValueError(f"width is {width}: {len(train_z)} features of {train_z.shape[1]} allow 1 ... {most}.")
    mean = train_z.mean(dim=0)
    first = principal_axes(train_z - mean)[0][:, :width]
    return (train_z - mean) @ first, (test_z - mean) @ first


# Tasks that the encoder was not trained for.


class Domain(NamedTuple):
    """Labeled images to train a probe on, and images to test it on."""

    train: Dataset
    test: Dataset


def transfer_suite(
    encoder: nn.Module | Callable[[Tensor], Tensor],
    home: Domain,
    *,
    others: Mapping[str, Domain] | None = None,
    seed: int = 0,
) -> dict[str, Reading]:
    """Probe the representation on many tasks: the home classes, every factor, and the classes of other data sets.

        "classes"            all labels, by a linear probe with the weight decay chosen on a validation split
        "ten labels"         ten labels per class
        "long tail"          class sizes of the training set reduced geometrically, with a ratio of 100
        "new texture"        train without the last texture, test on it (if there is such a factor)
        each factor          as in `factors.read_factors`, except the factor that is the label
        each of `others`     its classes; its images are converted to the size and channels of the home images

    Raises ValueError as the probes do.
    """
    z, test_z = embed(encoder, home.train.images), embed(encoder, home.test.images)
    y, test_y = home.train.labels, home.test.labels

    def probed(index: Tensor | slice = slice(None), tested: Tensor | slice = slice(None)) -> Reading:
        probe = linear_probe(z[index], y[index], test_z[tested], test_y[tested], seed=seed)
        return Reading(probe.accuracy, probe.chance)

    readings = {"classes": probed(), "ten labels": probed(few_labels(y, 10, seed=seed))}
    rows = Dataset(home.train.images, y, home.train.classes, {"row": torch.arange(len(y))})
    readings["long tail"] = probed(long_tail(rows, seed=seed).factors["row"])
    if (texture := home.train.factors.get("texture")) is not None:
        last = texture.max()
        readings["new texture"] = probed(texture != last, home.test.factors["texture"] == last)
    readings |= read_factors(z, _tasks(home.train), test_z, _tasks(home.test))
    for name, (train, test) in (others or {}).items():
        features = [embed(encoder, _in_the_form_of(home.train.images, part.images)) for part in (train, test)]
        probe = linear_probe(features[0], train.labels, features[1], test.labels, seed=seed)
        readings[name] = Reading(probe.accuracy, probe.chance)
    return readings


def _in_the_form_of(home: Shaped[Tensor, "m c h w"], images: Shaped[Tensor, "n _ _ _"]) -> Shaped[Tensor, "n c h w"]:
    """Convert images to the size and channels of the home images: resize, gray to color, color to gray."""
    channels, size = home.shape[1], home.shape[2:]
    if images.shape[2:] != size:
        images = F.interpolate(images, tuple(size), mode="bilinear", antialias=True)
    if images.shape[1] == channels:
        return images
    gray = images.float().mean(dim=1, keepdim=True).to(images.dtype) if images.shape[1] > 1 else images
    return gray.expand(-1, channels, -1, -1)


def _tasks(data: Dataset) -> dict[str, Tensor]:
    """All factors except the one that is the label."""
    return {name: values for name, values in data.factors.items() if not torch.equal(values, data.labels)}
