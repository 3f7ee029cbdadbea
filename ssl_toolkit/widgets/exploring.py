"""One line from a model and images, or from embeddings alone, to a map of what they hold."""

import os
from typing import Any

import torch
from torch import nn

from ssl_toolkit.data import Dataset, load_data
from ssl_toolkit.encoders import Encoder, wrap
from ssl_toolkit.widgets.panels.probe import ProbePanel


def explore(
    model: Any = None,
    images: Any = None,
    *,
    labels: Any = None,
    z: Any = None,
    table: Any = None,
    text: Any = None,
    limit: int | None = None,
) -> ProbePanel:
    """Open a `ProbePanel` of what a model makes of images, or of embeddings `z` (n, d) and what is known of their rows.

    `model` is an `Encoder`, any network, which is wrapped, or a function (b, c, h, w) -> (b, d). `images` are a
    `Dataset`, the name or the folder of one, or arrays (n, c, h, w) or (n, h, w, c), with `labels` if there are some.
    `z` comes from numpy, torch, pandas or lists; `table`, `images` and `text` then say what its rows are, as
    `ProbePanel` takes them. At most `limit` are shown. Raises ValueError for neither of the two, and for both.

    >>> panel = stk.explore(stk.zoo.load("shapes-simclr"), stk.load_data("shapes", limit=60))
    >>> panel = stk.explore(z=torch.randn(9, 4), table={"kind": list("aabbbccca")})
    """
    if (z is None) == (model is None) or (model is not None and images is None):
        raise ValueError("give a model and images, or z, the embeddings: explore(model, images) or explore(z=z).")
    if z is not None:
        if labels is not None and table is not None:
            raise ValueError("labels is a column of table here: give one of the two.")
        table = {"label": labels} if labels is not None else table
        return ProbePanel(z=z, table=table, images=images, text=text, limit=limit)
    if table is not None or text is not None:
        raise ValueError("table and text go with z: for images of a model, give labels, or a Dataset with factors.")
    if isinstance(model, nn.Module) and not isinstance(model, Encoder):
        model = wrap(model)
    return ProbePanel(model, _as_data(images, labels), limit=limit)


def _as_data(images: Any, labels: Any) -> Dataset:
    if isinstance(images, str | os.PathLike):
        images = load_data(images)
    if not isinstance(images, Dataset):
        x = torch.as_tensor(images)
        if x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
            x = x.permute(0, 3, 1, 2)
        return Dataset(x, labels, ())
    if labels is not None:
        raise ValueError("labels is given twice: the Dataset has its own. Give one of the two.")
    return images
