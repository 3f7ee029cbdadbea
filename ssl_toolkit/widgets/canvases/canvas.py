"""Pictures that live in the browser: a grid of small images, drawn pixel by pixel, that can be hovered and picked."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as w
import traitlets
from jaxtyping import Shaped
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.widgets.pictures import Pictured, Pixels, as_pixels, tile

STATIC = Path(__file__).parents[1] / "static"
MARK = (230, 159, 0)  # of pixels that are pointed out: Okabe and Ito's orange


def script(*names: str) -> str:
    """The JavaScript of a canvas, after what all of them share."""
    return "".join((STATIC / f"{file}.js").read_text(encoding="utf-8") for file in ("shared", *names))


def style(*names: str) -> str:
    """The CSS of a canvas, after what all of them share: as text, since of a Path, anywidget would watch the file and
    keep every canvas for ever."""
    return "".join((STATIC / f"{file}.css").read_text(encoding="utf-8") for file in ("panel", *names))


def packed(x: Tensor) -> bytes:
    """The numbers of a tensor as they travel to the browser."""
    return x.detach().cpu().contiguous().numpy().tobytes()


def caption(data: Dataset, i: int) -> str:
    """What an image shows, in words: its name, if it has one, and its class."""
    label = int(data.labels[i])
    if label < 0 and data.names:
        return data.names[i]
    kind = class_name(data, label)
    return f"{data.names[i]} ({kind})" if data.names else kind


def class_name(data: Dataset, label: int) -> str:
    """The name of a class; a split need not know those that only others have."""
    return "unlabeled" if label < 0 else data.classes[label] if label < len(data.classes) else f"class {label}"


class Canvas(Pictured, anywidget.AnyWidget):
    """What the browser draws, and in which a person picks something: the callbacks of `on_pick` are told what."""

    _picked = traitlets.Instance(w.CallbackDispatcher, ())

    def on_pick(self, callback: Callable[..., None]) -> None:
        """Call it with what was picked, whenever something is."""
        self._picked.register_callback(callback)

    def _handle_custom_msg(self, content: dict[str, Any], buffers: Any) -> None:
        super()._handle_custom_msg(content, buffers)
        self._on_message(content)

    def _on_message(self, content: dict[str, Any]) -> None:
        if content.get("type") == "pick":
            self._picked(int(content["index"]))


class ImageGrid(Canvas):
    """A grid of images (n, c, h, w), uint8 or floats in [0, 1], with one or three channels.

    The images grow with the page until each is `largest` pixels wide (None: 72, or what `scale` makes of it), and
    shrink so that all are seen. In its picture, `scale` pixels show one pixel (None: about 48 a tile); `frames` are CSS
    colors, one per tile, "" for none; `captions` are read out below while a tile is hovered; `rows` are words to the
    left of each row. A click, or Enter after arrow keys, sets `selected` and calls what was given to
    `on_pick(callback)` with the index.

    >>> data = stk.load_data("digits")
    >>> grid = stk.ImageGrid(data.images[:16], columns=8)
    >>> grid.picture().shape
    (100, 400, 3)
    """

    _esm = script("image_grid")
    _css = style("image_grid")

    pixels = traitlets.Bytes(b"").tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    columns = traitlets.Int(8).tag(sync=True)
    scale = traitlets.Int(1).tag(sync=True)
    frames = traitlets.List(traitlets.Unicode()).tag(sync=True)
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    largest = traitlets.Int(0).tag(sync=True)  # 0: as much as is usual
    label = traitlets.Unicode("images").tag(sync=True)

    def __init__(
        self,
        images: Shaped[Tensor, "n c h w"],
        *,
        columns: int = 8,
        scale: int | None = None,
        frames: Sequence[str] = (),
        captions: Sequence[str] = (),
        rows: Sequence[str] = (),
        largest: int | None = None,
        label: str = "images",
    ):
        if len(images) == 0 or images.shape[1] not in (1, 3):
            raise ValueError(f"images has shape {tuple(images.shape)}: a grid shows n > 0 images of 1 or 3 channels.")
        scale = scale or max(1, round(48 / images.shape[-1]))
        super().__init__(columns=columns, scale=scale, rows=list(rows), largest=largest or 0, label=label)
        self.show(images, frames=frames, captions=captions)

    def show(
        self, images: Shaped[Tensor, "n c h w"], *, frames: Sequence[str] = (), captions: Sequence[str] = ()
    ) -> None:
        """Other images in the same grid, in one message and without a flicker."""
        self.images = images = as_pixels(images)
        with self.hold_sync():
            self.shape, self.pixels = list(images.shape), packed(images)
            self.frames, self.captions = list(frames), list(captions)

    def picture(self) -> Pixels:
        """The images on one sheet, as pixels."""
        return tile(self.images, self.columns, self.scale)
