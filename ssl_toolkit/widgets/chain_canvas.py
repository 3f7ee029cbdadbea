"""A chain to be scrubbed and played in the browser: rows of images that change together from frame to frame."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets
from jaxtyping import Bool, UInt8
from torch import Tensor

from ssl_toolkit.widgets.canvas import MARK, STATIC, png, with_png

LARGEST = 16384  # pixels of a side that browsers draw


class ChainCanvas(anywidget.AnyWidget):
    """Named rows of n images over t frames: several chains beside each other, at the same step.

    All frames travel once, as one PNG; sliding and playing them needs no kernel. `show` fills it, `frame` is the one
    that is seen (it follows the slider), and a click on an image calls what was given to `on_pick(callback)` with the
    row's name and the image's index. `seconds` is how long playing takes, `scale` the screen's pixels for
    one of theirs.
    """

    _esm = STATIC / "chain.js"
    _css = STATIC / "chain.css"

    sprite = traitlets.Bytes(b"").tag(sync=True)  # frame by frame, in each row by row
    marks = traitlets.Bytes(b"").tag(sync=True)  # the same, transparent but where a pixel is marked
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # t, n, h, w
    columns = traitlets.Int(1).tag(sync=True)  # of frames on the sprite
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    marked = traitlets.Bool(True).tag(sync=True)
    scale = traitlets.Int(2).tag(sync=True)
    seconds = traitlets.Float(2.0).tag(sync=True)
    label = traitlets.Unicode("chain").tag(sync=True)

    def __init__(self, *, scale: int = 2, seconds: float = 2.0, label: str = "chain"):
        super().__init__(scale=scale, seconds=seconds, label=label)
        self.rows: dict[str, Tensor] = {}
        self._picked: list[Callable[[str, int], None]] = []
        self.on_msg(self._on_message)

    def show(
        self,
        rows: Mapping[str, UInt8[Tensor, "t n c h w"]],
        *,
        marks: Mapping[str, Bool[Tensor, "t n h w"]] | None = None,
        captions: Sequence[str] = (),
    ) -> None:
        """These chains, by name, at the frame that is seen now or the last there is.

        `marks` are pixels of some rows to be coloured, `captions` one line for each frame. Raises ValueError for
        rows of different shapes and for more than a browser can draw.
        """
        shapes = {name: tuple(images.shape) for name, images in rows.items()}
        if not rows or len({(t, n, h, w) for t, n, _, h, w in shapes.values()}) != 1:
            raise ValueError(f"rows have shapes {shapes}: there must be some, all with the same t, n, h and w.")
        t, n, _, h, w = next(iter(shapes.values()))
        columns = math.ceil(t * len(rows) * h / LARGEST)
        if n * w * columns > LARGEST:
            raise ValueError(f"rows have shapes {shapes}: more than a browser draws; leave out frames or images.")
        c = max(images.shape[2] for images in rows.values())  # grey takes a third of the time to pack and to send
        pixels = [images.expand(-1, -1, c, -1, -1).cpu().numpy().transpose(0, 3, 1, 4, 2) for images in rows.values()]
        self.rows = dict(rows)
        with self.hold_sync():
            self.names, self.shape, self.columns = list(rows), [t, n, h, w], columns
            self.captions, self.frame = list(captions), min(self.frame, t - 1)
            self.marks = png(_sheet(self._coloured(marks), columns)) if marks else b""
            self.sprite = png(_sheet(pixels, columns))

    def _coloured(self, marks: Mapping[str, Bool[Tensor, "t n h w"]]) -> list[np.ndarray]:
        t, n, h, w = self.shape
        sheets = []
        for name in self.names:
            rgba = np.zeros((t, h, n, w, 4), np.uint8)
            if name in marks:
                rgba[marks[name].cpu().numpy().transpose(0, 2, 1, 3)] = (*MARK, 200)
            sheets.append(rgba)
        return sheets

    def on_pick(self, callback: Callable[[str, int], None]) -> None:
        self._picked.append(callback)

    def _on_message(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("type") == "pick":
            for callback in self._picked:
                callback(str(content["row"]), int(content["index"]))

    def picture(self) -> UInt8[np.ndarray, "H W 3"]:
        """The rows at the last frame, one below the other."""
        last = [images[-1].expand(-1, 3, -1, -1).cpu().numpy().transpose(2, 0, 3, 1) for images in self.rows.values()]
        sheet = np.concatenate([row.reshape(row.shape[0], -1, 3) for row in last]) if last else np.zeros((1, 1, 3))
        return sheet.astype(np.uint8).repeat(self.scale, 0).repeat(self.scale, 1)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return with_png(super()._repr_mimebundle_(**options), png(self.picture()))


def _sheet(rows: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Rows (t, h, n, w, c) as one image: each frame's rows below one another, the frames in columns."""
    t, h, n, w, c = rows[0].shape
    frames = np.stack(rows, axis=1).reshape(t, len(rows) * h, n * w, c)
    down = -(-t // columns)
    padded = np.concatenate([frames, np.zeros((down * columns - t, *frames.shape[1:]), np.uint8)])
    return padded.reshape(columns, down * len(rows) * h, n * w, c).transpose(1, 0, 2, 3).reshape(-1, columns * n * w, c)
