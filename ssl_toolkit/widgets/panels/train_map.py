"""The map of `TrainPanel`: how images that were never trained on lie on four principal axes, snapshot by snapshot."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

import torch

from ssl_toolkit.data import Dataset
from ssl_toolkit.probes.monitor import Snapshot
from ssl_toolkit.widgets.canvases.history import History, spread
from ssl_toolkit.widgets.canvases.scatter import color_by

SIDE = 400  # pixels of a plane, or less where the page is narrow
KEPT = 40  # snapshots: those of a longer run are thinned out evenly


class TrainMap(History):
    """A `History` of snapshots; `look_back` is called with the one that a person moves to."""

    def __init__(self, look_back: Callable[[Snapshot], None]):
        titles = ("principal axes 1 and 2", "principal axes 3 and 4")
        super().__init__(titles, side=SIDE, label="queries", empty="The map appears with the first snapshot")
        self.snapshots: list[Snapshot] = []
        self.on_scrub(lambda i: look_back(self.snapshots[i]))

    def begin_with(self, queries: Dataset) -> None:
        """Forget all snapshots; those to come are of these images."""
        self.snapshots = []
        self.begin(queries.images, color_by("class", queries.labels, queries.classes))

    def show_until(self, step: int, snapshots: Sequence[Snapshot]) -> None:
        """The map as it was at this step, and a way to all others."""
        kept = spread(snapshots, KEPT)
        value = max(0, bisect_right(kept, step, key=lambda snapshot: snapshot.step) - 1)
        if len(kept) == len(self.snapshots) and kept[-1] is self.snapshots[-1]:
            self.value = value
            return
        self.snapshots = kept
        scores = ["" if snapshot.knn is None else f" · kNN {snapshot.knn:.0%}" for snapshot in kept]
        captions = [f"step {snapshot.step:,}{score}" for snapshot, score in zip(kept, scores, strict=True)]
        self.show_moments(torch.stack([snapshot.planes for snapshot in kept]), captions, value=value)
