"""The same images as points at many moments of a training, run through in the browser: how a map came to be."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ipywidgets as w
import numpy as np
import torch
import traitlets
from jaxtyping import Float, Shaped
from torch import Tensor

from ssl_toolkit.widgets.canvases.canvas import packed, script, style
from ssl_toolkit.widgets.canvases.scatter import POINTS, Coloring, Scatter, thumbnails
from ssl_toolkit.widgets.pictures import Pixels

T = TypeVar("T")
UNIT = 8192  # of int16, which holds four times as much: from the middle of a plane to its edge
WITHIN = 0.995  # of the points, over all moments, lie inside the frame


def spread(things: Sequence[T], most: int) -> list[T]:
    """At most this many of them, evenly taken: the first and the last are among them.

    >>> spread(range(9), 5)
    [0, 2, 4, 6, 8]
    """
    if len(things) <= most:
        return list(things)
    return [things[round(i * (len(things) - 1) / (most - 1))] for i in range(most)]


class History(Scatter):
    """A `Scatter` of many moments with a slider below: its points move from one to the next, and Play runs through all.

    All moments travel, two bytes a coordinate, so that sliding and playing need no kernel. `value` is the moment that
    is shown: it follows the browser, and setting it shows that moment. A point that is hovered or picked trails the way
    that it has come. While `live`, the slider rests. `empty` is said while there is no moment.
    """

    _esm = script(*POINTS, "history")
    _css = style("scatter", "history")

    history = traitlets.Bytes(b"").tag(sync=True)  # int16 (t, p, n, 2)
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)  # one a moment
    value = traitlets.Int(0).tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)
    empty = traitlets.Unicode("").tag(sync=True)

    _scrubbed = traitlets.Instance(w.CallbackDispatcher, ())

    def __init__(self, titles: Sequence[str], *, side: int = 440, label: str = "images in the plane", empty: str = ""):
        super().__init__(side=side, label=label)
        self.titles, self.empty = list(titles), empty
        self.hint = "Hover to see an image and its way, click to follow it, or select a group."

    def begin(self, images: Shaped[Tensor, "n c h w"], coloring: Coloring) -> None:
        """Forget all moments; those to come are of these images."""
        self.images = images
        sheet, tile, pitch = thumbnails(images)
        with self.hold_sync():
            self.history, self.captions, self.value, self.picked, self.selected = b"", [], 0, -1, b""
            self.tile, self.pitch, self.sheet = list(tile), list(pitch), sheet
            self.paint(coloring)

    def show_moments(self, moments: Float[Tensor, "t p n 2"], captions: Sequence[str], *, value: int) -> None:
        """Other moments in one message, at the one of place `value`; a plane has one scale in all of them."""
        if not moments.isfinite().all():
            raise ValueError("moments hold NaN or infinite values: there is no place to draw them.")
        far = moments.abs().amax(dim=3).transpose(0, 1).flatten(1)  # (p, t n)
        edge = far.quantile(WITHIN, dim=1).clamp_min(1e-12)[:, None, None]
        units = (moments / edge * UNIT).round().clamp(-4 * UNIT, 4 * UNIT - 1)
        with self.hold_sync():
            self.captions, self.history, self.value = list(captions), packed(units.to(torch.int16)), value

    def on_scrub(self, callback: Callable[[int], None]) -> None:
        """Call it with the place of the moment that a person moves to."""
        self._scrubbed.register_callback(callback)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """What the browser says."""
        super().set_state(sync_data)
        if "value" in sync_data and 0 <= self.value < len(self.captions):
            self._scrubbed(self.value)

    def picture(self) -> Pixels:
        """The moment that is shown as pixels, for notebooks that are read without a kernel."""
        return self._moment(self.value)

    def pictures(self) -> list[Pixels]:
        """All moments as pixels."""
        return [self._moment(i) for i in range(max(1, len(self.captions)))]

    def _moment(self, i: int) -> Pixels:
        shape = max(1, len(self.captions)), len(self.titles), -1, 2
        moments = np.frombuffer(self.history, np.int16).astype(np.float32).reshape(shape) / UNIT
        return self._drawn(moments[i].clip(-1, 1))
