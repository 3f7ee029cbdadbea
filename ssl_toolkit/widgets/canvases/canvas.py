"""Pictures that live in the browser: a grid of small images, drawn pixel by pixel, that can be hovered and picked."""

import base64
import io
from collections.abc import Callable, Sequence, Sized
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as w
import numpy as np
import traitlets
from jaxtyping import UInt8
from torch import Tensor

STATIC = Path(__file__).parents[1] / "static"
Pixels = UInt8[np.ndarray, "H W 3"]  # a picture, in RGB
MARK = (230, 159, 0)  # of pixels that are pointed out: Okabe and Ito's orange


def script(name: str) -> str:
    """The JavaScript of a canvas, after what all of them share."""
    return "".join((STATIC / f"{file}.js").read_text(encoding="utf-8") for file in ("shared", name))


def tile(images: UInt8[Tensor, "n c h w"], columns: int, scale: int = 1, gap: int = 2) -> Pixels:
    """One sheet of the images, row by row, each enlarged `scale` times; the gaps are white."""
    n, c, h, w = images.shape
    columns = max(1, min(columns, n))
    rows = -(-n // columns)
    sheet = np.full((rows * (h * scale + gap), columns * (w * scale + gap), 3), 255, np.uint8)
    pixels = images.expand(-1, 3, -1, -1) if c == 1 else images
    for i, image in enumerate(pixels.permute(0, 2, 3, 1).cpu().numpy()):
        y, x = (i // columns) * (h * scale + gap), (i % columns) * (w * scale + gap)
        sheet[y : y + h * scale, x : x + w * scale] = image.repeat(scale, 0).repeat(scale, 1)
    return sheet


def png(sheet: UInt8[np.ndarray, "H W _"]) -> bytes:
    """A sheet of pixels, gray or RGB, as a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(sheet.squeeze(2) if sheet.shape[2] == 1 else sheet).save(buffer, "PNG")
    return buffer.getvalue()


def check_index(index: int, images: Sized) -> None:
    """Raises ValueError where there is no such test image."""
    if not 0 <= index < len(images):
        raise ValueError(f"index is {index}: the test images are 0 ... {len(images) - 1}.")


class Pictured:
    """A widget that saved and exported notebooks show as a PNG of its `picture()`, where no kernel draws it."""

    picture: Callable[[], Pixels]  # what is seen of it, as pixels

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)  # type: ignore[misc]  # that of the widget it is mixed into
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(data or {}), "image/png": base64.b64encode(png(self.picture())).decode()}, metadata


class ImageGrid(Pictured, anywidget.AnyWidget):
    """A grid of images, uint8 (n, c, h, w) with one or three channels.

    `scale` screen pixels show one pixel (None: about 48 a tile); `frames` are CSS colors, one per tile, "" for none;
    `captions` are read out below while a tile is hovered. A click, or Enter after arrow keys, sets `selected` and calls
    what was given to `on_pick(callback)` with the index.
    """

    _esm = script("image_grid")
    _css = STATIC / "image_grid.css"

    pixels = traitlets.Bytes(b"").tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    columns = traitlets.Int(8).tag(sync=True)
    scale = traitlets.Int(1).tag(sync=True)
    frames = traitlets.List(traitlets.Unicode()).tag(sync=True)
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    label = traitlets.Unicode("images").tag(sync=True)

    def __init__(
        self,
        images: UInt8[Tensor, "n c h w"],
        *,
        columns: int = 8,
        scale: int | None = None,
        frames: Sequence[str] = (),
        captions: Sequence[str] = (),
        label: str = "images",
    ):
        if len(images) == 0 or images.shape[1] not in (1, 3):
            raise ValueError(f"images has shape {tuple(images.shape)}: a grid shows n > 0 images of 1 or 3 channels.")
        scale = scale or max(1, round(48 / images.shape[-1]))
        super().__init__(columns=columns, scale=scale, label=label)
        self._picked = w.CallbackDispatcher()
        self.on_msg(self._on_message)
        self.show(images, frames=frames, captions=captions)

    def show(
        self, images: UInt8[Tensor, "n c h w"], *, frames: Sequence[str] = (), captions: Sequence[str] = ()
    ) -> None:
        """Other images in the same grid, in one message and without a flicker."""
        self.images = images
        with self.hold_sync():
            self.shape, self.pixels = list(images.shape), images.contiguous().cpu().numpy().tobytes()
            self.frames, self.captions = list(frames), list(captions)

    def on_pick(self, callback: Callable[[int], None]) -> None:
        self._picked.register_callback(callback)

    def _on_message(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("type") == "pick":
            self._picked(int(content["index"]))

    def picture(self) -> Pixels:
        """The images on one sheet, as pixels."""
        return tile(self.images, self.columns, self.scale)
