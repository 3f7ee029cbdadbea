"""Chains of images that live in the browser: they travel once, and are played, scrubbed and stepped there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from jaxtyping import Bool, Shaped
from torch import Tensor

from ssl_toolkit.widgets.canvases.canvas import MARK, Canvas, packed, script, style
from ssl_toolkit.widgets.pictures import Pixels, as_pixels, tile


class ChainCanvas(Canvas):
    """Named chains below one another, in step: of each, n images at every frame, uint8 (frames, n, c, h, w).

    Playing and scrubbing need no kernel. `value` is the frame that is shown: it follows the browser at most ten times
    a second, and setting it shows that frame. `captions` are read below, one a frame. A click on an image, or Enter
    after arrow keys, calls what was given to `on_pick(callback)` with the chain's name and the image's index.
    """

    _esm = script("chain")
    _css = style("chain")

    pixels = traitlets.Bytes(b"").tag(sync=True)
    marks = traitlets.Bytes(b"").tag(sync=True)  # 1 where a pixel is marked, for every chain; empty for none
    shape = traitlets.List(traitlets.Int(), [0, 0, 0, 1, 0, 0]).tag(sync=True)  # chains, frames, n, c, h, w
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    columns = traitlets.Int(8).tag(sync=True)
    scale = traitlets.Int(2).tag(sync=True)
    value = traitlets.Int(0).tag(sync=True)
    label = traitlets.Unicode("chain").tag(sync=True)
    tint = traitlets.List(traitlets.Int(), list(MARK)).tag(sync=True)
    marked = traitlets.Bool(True).tag(sync=True)  # whether marks are shown
    pickable = traitlets.Bool(False).tag(sync=True)

    def __init__(self, *, columns: int = 8, scale: int = 2, label: str = "chain"):
        super().__init__(columns=columns, scale=scale, label=label)
        self.chains: dict[str, Tensor] = {}

    def show(
        self,
        chains: Mapping[str, Shaped[Tensor, "f n c h w"]],
        *,
        captions: Sequence[str] = (),
        marks: Mapping[str, Bool[Tensor, "f n h w"]] | None = None,
        value: int | None = None,
    ) -> None:
        """Other chains in one message, at the frame `value` (None: the one that is shown now); `marks` are tinted.

        Raises ValueError for no chain, chains of unequal shapes, channels that are neither 1 nor 3, a frame that there
        is not.
        """
        shapes = {tuple(chain.shape) for chain in chains.values()}
        if len(shapes) != 1:
            raise ValueError(f"chains has shapes {sorted(shapes)}: chains that go in step have one shape.")
        (shape,) = shapes
        if len(shape) != 5 or shape[2] not in (1, 3) or 0 in shape:
            raise ValueError(f"a chain has shape {shape}: it must be (frames, n, c, h, w) with c of 1 or 3.")
        value = min(self.value, shape[0] - 1) if value is None else value
        if not 0 <= value < shape[0]:
            raise ValueError(f"value is {value}: there are frames 0 ... {shape[0] - 1}.")
        self.chains = chains = {name: as_pixels(chain) for name, chain in chains.items()}
        tinted = b""
        if marks:
            none = torch.zeros(shape[0], shape[1], *shape[3:], dtype=torch.bool)
            tinted = packed(torch.stack([marks.get(name, none).byte() for name in chains]))
        with self.hold_sync():
            self.names, self.shape, self.captions = list(chains), [len(chains), *shape], list(captions)
            self.pixels, self.marks, self.value = packed(torch.stack(list(chains.values()))), tinted, value

    def on_pick(self, callback: Callable[[str, int], None]) -> None:
        """Call it with the chain's name and the image's index, whenever an image is picked."""
        super().on_pick(callback)
        self.pickable = True

    def _on_message(self, content: dict[str, Any]) -> None:
        if content.get("type") == "pick":
            self._picked(self.names[int(content["row"])], int(content["index"]))

    def picture(self) -> Pixels:
        """The shown frame as pixels, one chain below the other, for notebooks that are read without a kernel."""
        return self._frame(self.value)

    def pictures(self) -> list[Pixels]:
        """All frames as pixels."""
        return [self._frame(i) for i in range(max(1, self.shape[1]))]

    def _frame(self, i: int) -> Pixels:
        shown = [chain[i] for chain in self.chains.values()] or [torch.zeros(1, 1, 1, 1, dtype=torch.uint8)]
        return np.concatenate([tile(images.cpu(), self.columns, self.scale) for images in shown])
