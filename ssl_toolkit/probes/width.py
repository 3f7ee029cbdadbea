"""Expand or narrow the representation (Bordes, Lavoie, Balestriero, Ballas and Vincent, 2023): measures of its width.

`encoders.set_last_block_width` changes D, the dimension of h = f(x), and nothing else. What that does to h is read
here: how many of its directions the loss can push, how much of it is exactly zero, what its signs alone know, and what
it tells of tasks it was not trained for. Two controls say how much of a gain is the width's alone: `random_relu` widens
features without learning, `narrowed` takes the width away again.
"""

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ssl_toolkit.data import Dataset, long_tail, rng
from ssl_toolkit.encoders import Encoder, embed, features_at, to_device_of
from ssl_toolkit.encoders.statistics import mean_and_std, principal_axes
from ssl_toolkit.losses import Terms
from ssl_toolkit.probes.factors import Reading, read_factors
from ssl_toolkit.probes.linear import few_labels, linear_probe

# What the loss can push.


def gradient(
    encoder: Encoder, x: Float[Tensor, "n c h w"], loss: Callable[[Float[Tensor, "n k"]], Terms]
) -> Float[Tensor, "n d"]:
    """dL/dh of each image's representation, in float64, on the CPU; `loss` takes the embeddings of all of `x`.

    With a linear projector z = W h, dL/dh = W^T dL/dz lies in the row space of W, whose dimension is at most
    min(D, K). With more layers W is the first of them. The encoder stays as it is: its projector is copied, and
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


def gradient_rank(encoder: Encoder, x: Float[Tensor, "n c h w"], loss: Callable[[Float[Tensor, "n k"]], Terms]) -> int:
    """In how many of the D directions the loss pushes representations: the rank of all `gradient`s, at most n."""
    return int(torch.linalg.matrix_rank(gradient(encoder, x, loss)))


# Sparse and binary representations.


def zero_fraction(z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The share of each image's features that is exactly 0.

    A feature that ends in a ReLU and a mean over positions is 0 where its channel is silent everywhere.
    """
    return (z == 0).float().mean(dim=1)


def binary_codes(z: Float[Tensor, "n d"]) -> Bool[Tensor, "n d"]:
    """1[h > 0]: of every feature, whether it is there at all. A probe reads `binary_codes(z).float()`."""
    return z > 0


# Controls: width without learning, learning without width.


def random_relu(
    train_z: Float[Tensor, "n d"], test_z: Float[Tensor, "m d"], *, width: int, seed: int = 0
) -> tuple[Float[Tensor, "n w"], Float[Tensor, "m w"]]:
    """relu(W z) of features standardized on `train_z`, with W of (width, d) drawn from N(0, 1 / d).

    It knows nothing that z does not know, but a linear probe can say more with it: what a trained representation of the
    same width gains beyond this is the training's. Raises ValueError for a width below 1.
    """
    if width < 1:
        raise ValueError(f"width is {width}: it must be at least 1.")
    (mean, std), d = mean_and_std(train_z), train_z.shape[1]
    w = torch.randn(d, width, generator=rng(seed, width, "random relu")).to(train_z) / d**0.5
    return F.relu((train_z - mean) / std @ w), F.relu((test_z - mean) / std @ w)


def narrowed(
    train_z: Float[Tensor, "n d"], test_z: Float[Tensor, "m d"], *, width: int
) -> tuple[Float[Tensor, "n w"], Float[Tensor, "m w"]]:
    """The features along the `width` first principal components of `train_z`.

    Raises ValueError for a width outside 1 ... min(n, d).
    """
    if not 1 <= width <= (most := min(train_z.shape)):
        raise ValueError(f"width is {width}: {len(train_z)} features of {train_z.shape[1]} have 1 ... {most}.")
    mean = train_z.mean(dim=0)
    first = principal_axes(train_z - mean)[0][:, :width]
    return (train_z - mean) @ first, (test_z - mean) @ first


# Tasks it was not trained for.


class Domain(NamedTuple):
    """Labeled images to train a probe on, and others to test it."""

    train: Dataset
    test: Dataset


def transfer_suite(
    encoder: nn.Module | Callable[[Tensor], Tensor],
    home: Domain,
    *,
    others: Mapping[str, Domain] | None = None,
    seed: int = 0,
) -> dict[str, Reading]:
    """What the representation tells, by name: of the classes at home, of every factor, of classes elsewhere.

        "classes"            all labels, by a linear probe whose weight decay a validation split chooses
        "ten labels"         ten of each class
        "long tail"          the classes of the training set thinned out geometrically, a hundred to one
        "new texture"        a probe that never saw the last texture, tested on it (where there is that factor)
        each factor          as `factors.read_factors` reads it, but the one that is the label
        each of `others`     its classes; its images are brought to the size and the channels of those at home

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
    """Images in the size and the channels of those at home: resized, gray made color, color made gray."""
    channels, size = home.shape[1], home.shape[2:]
    if images.shape[2:] != size:
        images = F.interpolate(images, tuple(size), mode="bilinear", antialias=True)
    if images.shape[1] == channels:
        return images
    gray = images.float().mean(dim=1, keepdim=True).to(images.dtype) if images.shape[1] > 1 else images
    return gray.expand(-1, channels, -1, -1)


def _tasks(data: Dataset) -> dict[str, Tensor]:
    """The factors, but for the one that the labels are."""
    return {name: values for name, values in data.factors.items() if not torch.equal(values, data.labels)}
