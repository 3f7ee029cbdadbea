"""DejaVu (Meehan et al., 2023): does an encoder memorize its training images, or only learn what goes with what?

A crop that shows only the background of a training image should not reveal the object. An encoder trained on that image
may still reveal it: its embedding of the crop lies among other images of the class. Part of this is honest correlation
(ships are in water), which an encoder trained on *other* images learns too. The difference between the two is
memorization.
"""

from typing import NamedTuple

from jaxtyping import Int64, Shaped
from torch import Tensor

from ssl_toolkit.data import checked
from ssl_toolkit.encoders import Encoder, embed
from ssl_toolkit.encoders.statistics import share_of_commonest
from ssl_toolkit.probes.knn import knn_accuracy


class DejaVu(NamedTuple):
    """Class accuracy from crops: by an encoder that was trained on the images, and by one that was not."""

    target: float
    reference: float
    chance: float  # the share of the commonest class

    @property
    def memory(self) -> float:
        """What the target knows beyond what the crops reveal to any encoder."""
        return self.target - self.reference


@checked
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
    """Predict each crop's class from its k nearest public images, with both encoders.

    `crops` come from images that only `target` was trained on. `reference` was trained the same way on as many other
    images; neither encoder has seen the `public` ones. `augment.resized_crop` makes crops: use boxes that do not touch
    the object. Raises ValueError as `knn_accuracy` does, and unless there is one label per crop.
    """

    def accuracy(model: Encoder) -> float:
        bank, queries = embed(model, public, depth=depth), embed(model, crops, depth=depth)
        return knn_accuracy(bank, public_labels, queries, labels, k=k)

    return DejaVu(accuracy(target), accuracy(reference), share_of_commonest(labels))
