"""DejaVu (Meehan et al., 2023): does an encoder remember its training images, or only know what goes with what?

A crop of a training image that shows nothing but background should not tell what stood before it. An encoder that
trained on the image may tell all the same: its embedding of the crop lies among other images of that class. Part of
this is honest correlation (ships are in water), which an encoder that trained on *other* images has learned, too. The
difference of the two is memory.
"""

from typing import NamedTuple

from jaxtyping import Int64, Shaped
from torch import Tensor

from ssl_toolkit.encoders import Encoder, embed
from ssl_toolkit.probes.knn import knn_accuracy


class DejaVu(NamedTuple):
    """Accuracies of the class inferred from crops: by the encoder that has seen the images, and by one that has not."""

    target: float
    reference: float
    chance: float  # the share of the commonest class

    @property
    def memory(self) -> float:
        """What the target knows beyond what the crops tell anyone."""
        return self.target - self.reference


def dejavu(
    target: Encoder,
    reference: Encoder,
    crops: Shaped[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    public: Shaped[Tensor, "m c h2 w2"],
    public_labels: Int64[Tensor, " m"],
    *,
    k: int = 20,
    depth: str = "representation",
) -> DejaVu:
    """Predict each crop's class by a vote of its k neighbors among the public images, with either encoder.

    `crops` are of images that only `target` was trained on; `reference` was trained alike on as many others; neither
    has seen the `public` ones. `augment.resized_crop` makes crops: take boxes that do not touch the object. Raises
    ValueError as `knn_accuracy` does, and for crops without one label each.
    """
    if len(crops) != len(labels):
        raise ValueError(f"there are {len(crops)} crops and {len(labels)} labels: each crop needs one.")

    def accuracy(model: Encoder) -> float:
        bank, queries = embed(model, public, depth=depth), embed(model, crops, depth=depth)
        return knn_accuracy(bank, public_labels, queries, labels, k=k)

    return DejaVu(accuracy(target), accuracy(reference), labels.bincount().max().item() / len(labels))
