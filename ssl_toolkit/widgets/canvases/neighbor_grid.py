"""Nearest neighbors as a picture: the same query asked of several representations, right answers framed in green."""

from collections.abc import Mapping

import torch
from jaxtyping import Int64
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.widgets.canvases.canvas import ImageGrid, caption
from ssl_toolkit.widgets.figures.plots import BLUE, GREEN, VERMILION


def frame_of(label: int, other: int) -> str:
    """The color of a neighbor's frame: of the same class, of another one, or none where one of both has no label."""
    return "" if label < 0 or other < 0 else GREEN if label == other else VERMILION


class NeighborGrid(ImageGrid):
    """One row for each query and each representation: the query, framed in blue, and what lies nearest to it.

    A neighbor of the query's class is framed in green, another one in orange, and the row says how many are right.

    >>> data = stk.load_data("digits")
    >>> bank, queries = data[:1000], data[1000:1002]
    >>> _, index = stk.probes.neighbors(stk.pixels(bank.images), stk.pixels(queries.images), k=5)
    >>> stk.NeighborGrid(bank, queries, {"raw pixels": index}).rows
    ['raw pixels\\n5 of 5 right', 'raw pixels\\n5 of 5 right']
    """

    def __init__(
        self,
        bank: Dataset,
        queries: Dataset,
        found: Mapping[str, Int64[Tensor, "q k"]],
        *,
        scale: int | None = None,
        largest: int | None = None,
        label: str = "queries and their neighbors",
    ):
        super().__init__(queries.images[:1], scale=scale, largest=largest, label=label)
        self.compare(bank, queries, found)

    def compare(self, bank: Dataset, queries: Dataset, found: Mapping[str, Int64[Tensor, "q k"]]) -> None:
        """Show what else was found: by name, the index in the bank of the k nearest to each of the first q queries."""
        images, frames, captions, rows = [], [], [], []
        for query in range(len(next(iter(found.values())))):
            for name, nearest in found.items():
                index = nearest[query].cpu()
                labels, label = bank.labels[index], int(queries.labels[query])
                right = (labels == label).tolist()
                known = [label >= 0 <= other for other in labels.tolist()]
                images += [queries.images[query : query + 1], bank.images[index]]
                frames += [BLUE, *(frame_of(label, other) for other in labels.tolist())]
                captions += [caption(queries, query), *(caption(bank, int(i)) for i in index)]
                rows.append(f"{name}\n{sum(right)} of {len(right)} right" if all(known) else name)
        with self.hold_sync():
            self.columns, self.rows = 1 + len(index), rows
            self.show(torch.cat(images).cpu(), frames=frames, captions=captions)
