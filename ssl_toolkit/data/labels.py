"""Labels as people have them, turned into numbers of classes; -1 is an image without a label."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

NONE = -1  # as in torchvision's STL10
MANY = 1000  # labels below this are numbers of classes, whether or not all of them occur


def number_labels(labels: Any, n: int, classes: Sequence[str]) -> tuple[Int64[Tensor, " n"], tuple[str, ...]]:
    """The label of each of n images as a number from 0, or -1 if it has none, and the names of the classes.

    `labels` are whole numbers of any type, or names, with None or NaN where there is none; None is no label at all. If
    `classes` is empty, the names that occur are taken, in order. Large numbers, such as ids, become names then.
    Raises ValueError for several labels per image, another number of labels than of images, and labels outside
    `classes`.

    >>> number_labels(["cat", None, "ant"], 3, ())
    (tensor([ 1, -1,  0]), ('ant', 'cat'))
    """
    classes = tuple(classes)
    if labels is None:
        return torch.full((n,), NONE), classes
    if not isinstance(labels, Tensor):
        listed = not hasattr(labels, "__array__")
        several = listed and any(isinstance(label, list | tuple | set) for label in labels)
        named = listed and any(isinstance(label, str) for label in labels)  # as objects: NumPy makes a text of NaN
        array = np.asarray(labels, dtype=object if several or named else None)
        if array.dtype.kind in "OUS":
            return _by_name(array, n, classes)
        labels = torch.from_numpy(array.astype(np.int64) if array.dtype.kind in "iu" else array)
    if labels.shape == (n, 1):
        labels = labels.squeeze(1)
    if labels.shape != (n,):
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}, and there are {n} images: give one label for each, (n,). Of "
            "several labels for an image, make one the label and put the others into factors."
        )
    if labels.is_floating_point():
        missing = labels.isnan()
        labels = labels.masked_fill(missing, NONE)
        if bool((labels != labels.round()).any()):
            raise ValueError(
                f"labels hold {labels[labels != labels.round()][0]:g}: a label is a whole number or a name."
            )
    labels = labels.long()
    if labels.is_meta or not n:
        return labels, classes
    least, largest = (int(v) for v in labels.aminmax())
    if least < NONE:
        raise ValueError(f"labels hold {least}: classes are numbered from 0, and -1 is an image without a label.")
    if classes and largest >= len(classes):
        raise ValueError(
            f"labels reach {largest}, and there are {len(classes)} classes: number them from 0 to {len(classes) - 1}, "
            "or leave classes empty."
        )
    if not classes and largest >= max(MANY, n):
        ids, column = labels.unique(return_inverse=True)
        unlabeled = int(least == NONE)
        return column - unlabeled, tuple(map(str, ids[unlabeled:].tolist()))
    return labels, classes or tuple(map(str, range(largest + 1)))


def _by_name(array: np.ndarray, n: int, classes: tuple[str, ...]) -> tuple[Int64[Tensor, " n"], tuple[str, ...]]:
    if array.shape != (n,) or any(isinstance(label, list | tuple | set | np.ndarray) for label in array):
        raise ValueError(f"labels have shape {array.shape}, and there are {n} images: give one name for each, (n,).")
    names = [None if label is None or label != label else str(label) for label in array.tolist()]
    classes = classes or tuple(sorted({name for name in names if name is not None}))
    number: dict[str | None, int] = {name: i for i, name in enumerate(classes)} | {None: NONE}
    if unknown := sorted({str(name) for name in names if name not in number}):
        raise ValueError(f"labels hold {unknown[0]!r}, which is not among the classes {', '.join(classes)}.")
    return torch.tensor([number[name] for name in names], dtype=torch.int64), classes
