"""A hundred thousand images as points of the plane, on a canvas in the browser: hover, pan, zoom, pick, lasso."""

import io
import math
from collections.abc import Callable, Sequence
from colorsys import hsv_to_rgb
from typing import Any, NamedTuple

import ipywidgets as w
import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from einops import rearrange
from jaxtyping import Float, Float32, Shaped, UInt8
from torch import Tensor

from ssl_toolkit.data.shapes import PERIODS
from ssl_toolkit.probes.enrichment import group_index
from ssl_toolkit.widgets.canvases.canvas import Canvas, packed, script, style
from ssl_toolkit.widgets.canvases.colors import COLORS, cividis, in_hex
from ssl_toolkit.widgets.figures.plots import BLUE, GRAY
from ssl_toolkit.widgets.pictures import Pixels, as_pixels

MOST = 3 * len(COLORS)  # values that colors and three marker shapes tell apart
STEPS = 64  # of a scale
HINT = "Hover to see an image, click for its neighbors, drag to move or to select."
THUMBNAIL = 32  # pixels a side, at most
SHEET = 4_000_000  # bytes that all thumbnails may have to travel at once; of more, those travel that are looked at
TOLD = 10_000  # points up to which the words of all of them travel
LOOKED = 64  # images in one answer, at most
POINTS = ("dots", "density", "thumbnails", "points")  # the scripts of a plane of points


class Coloring(NamedTuple):
    """A color for each point, and its legend: words of the values, or the ends of a scale."""

    name: str
    index: UInt8[np.ndarray, " n"]  # type: ignore[assignment]  # into the palette; hides tuple.index
    palette: list[str]
    words: list[str]  # of a scale: none
    ends: tuple[str, str]
    values: Float32[np.ndarray, " n"]


def color_by(name: str, values: Shaped[Tensor, " n"], words: Sequence[str] = ()) -> Coloring:
    """Named values by color and marker, the first 24 of them, and measured ones on a scale.

    Integers are names if there are `words`, or 24 of them at most. What is negative has no name: it is gray, as are all
    beyond the first 24, which the legend finds by their names. A scale is cividis, from the first to the 99th
    percentile, or the hue itself where the factor is one. Values that are no number are gray.
    """
    used = int(values.max()) + 1 if not values.is_floating_point() and len(values) else 0
    if not values.is_floating_point() and used <= max(MOST, len(words)):
        named = [words[i] if i < len(words) else str(i) for i in range(max(used, len(words)))]
        palette = [COLORS[i % len(COLORS)] for i in range(min(MOST, len(named)))]
        raw = values.cpu().numpy()
        index = np.where((raw >= 0) & (raw < MOST), raw, 255).astype(np.uint8)
        return Coloring(name, index, palette, named, ("", ""), raw.astype(np.float32))
    v = values.double().cpu().numpy()
    known = v[np.isfinite(v)]
    turn = PERIODS.get(name)
    low, high = (0.0, turn) if turn else np.percentile(known, (1, 99)).tolist() if len(known) else (0.0, 1.0)
    share = np.nan_to_num((v - low) / ((high - low) or 1.0), nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    index = np.where(np.isfinite(v), share * (STEPS - 1) + 0.5, 255).astype(np.uint8)
    steps = [i / (STEPS - 1) for i in range(STEPS)]
    hues = [in_hex(255 * c for c in hsv_to_rgb(step, 0.75, 0.85)) for step in steps]
    palette = hues if turn else cividis(steps)  # the factors on a circle are hues
    digits = next((d for d in (3, 6) if f"{low:.{d}g}" != f"{high:.{d}g}"), 12)
    ends = f"{low:.{digits}g}", f"{high:.{digits}g}"
    return Coloring(name, index, palette, [], ends, v.astype(np.float32))


def thumbnails(images: Shaped[Tensor, "n c h w"]) -> tuple[bytes, tuple[int, int, int], tuple[int, int]]:
    """One JPEG of all images, at most 32 pixels a side each: its bytes, (width, height, columns) and the pitch.

    The pitch, from one image to the next, is a multiple of 8, so that no block of the JPEG belongs to two images.
    """
    from PIL import Image

    images = as_pixels(images)
    n, c, h, w = images.shape
    if (larger := max(h, w)) > THUMBNAIL:
        to = (max(1, h * THUMBNAIL // larger), max(1, w * THUMBNAIL // larger))
        images = torch.cat([F.interpolate(x.float(), to, mode="area").round().byte() for x in images.split(256)])
        h, w = to
    across, down = -(-w // 8) * 8, -(-h // 8) * 8
    images = (
        F.pad(images.float(), (0, across - w, 0, down - h), mode="replicate").byte()
        if across - w + down - h
        else images
    )
    columns = math.ceil(math.sqrt(n))
    rows = -(-n // columns)
    tiles = torch.zeros(rows * columns, c, down, across, dtype=torch.uint8)
    tiles[:n] = images.cpu()
    sheet = rearrange(tiles, "(rows columns) c h w -> (rows h) (columns w) c", rows=rows)
    buffer = io.BytesIO()
    Image.fromarray(sheet.squeeze(2).numpy()).save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue(), (w, h, columns), (across, down)


class Scatter(Canvas):
    """Images as points: hovering shows one, a click picks it, a lasso (or Shift) selects a group.

    From a zoom of four, images stand in place of dots; where dots cover the plane, contours say where most of them are.
    `show(points)` takes (n, 2), or (p, n, 2) for planes side by side, in which hovering and selection are linked.
    `on_pick(callback)` gets the index of an image, `on_select(callback)` the list of all that were selected,
    `on_find(callback)` what was searched for. Drag to move; the wheel zooms once the plane was clicked. Shift adds what
    a lasso holds to the selection, Alt takes it away, Control and Z undoes. By keys: arrows go from point to point,
    Enter picks, Space selects one and V all in view, + - 0 zoom, Shift with arrows moves, L is the lasso, I shows
    images, C contours, Escape clears.
    """

    _esm = script(*POINTS, "scatter")
    _css = style("scatter")

    points = traitlets.Bytes(b"").tag(sync=True)  # float32 (p, n, 2), in [-1, 1]
    titles = traitlets.List(traitlets.Unicode()).tag(sync=True)  # one per plane
    color = traitlets.Bytes(b"").tag(sync=True)  # uint8 (n,): place in the palette
    values = traitlets.Bytes(b"").tag(sync=True)  # float32 (n,): what is read out
    palette = traitlets.List(traitlets.Unicode()).tag(sync=True)
    legend = traitlets.Dict().tag(sync=True)  # name, words, low, high
    sheet = traitlets.Bytes(b"").tag(sync=True)
    tile = traitlets.List(traitlets.Int(), [0, 0, 1]).tag(sync=True)  # width, height, columns
    pitch = traitlets.List(traitlets.Int(), [0, 0]).tag(sync=True)
    selected = traitlets.Bytes(b"").tag(sync=True)  # uint32 indices
    picked = traitlets.Int(-1).tag(sync=True)
    marks = traitlets.List().tag(sync=True)  # per plane, the indices that are ringed
    side = traitlets.Int(440).tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    told = traitlets.List(traitlets.Unicode()).tag(sync=True)  # what is read out for each point; empty: its value
    hint = traitlets.Unicode(HINT).tag(sync=True)
    asks = traitlets.Bool(False).tag(sync=True)  # whether thumbnails and words come only for what is looked at
    findable = traitlets.Bool(False).tag(sync=True)  # whether there is a callback that finds
    _selected = traitlets.Instance(w.CallbackDispatcher, ())
    _looked = traitlets.Instance(w.CallbackDispatcher, ())
    _found = traitlets.Instance(w.CallbackDispatcher, ())

    def __init__(
        self, images: Shaped[Tensor, "n c h w"] | None = None, *, side: int = 440, label: str = "images in the plane"
    ):
        if images is not None and (len(images) == 0 or images.shape[1] not in (1, 3)):
            raise ValueError(f"images has shape {tuple(images.shape)}: a sheet holds n > 0 images of 1 or 3 channels.")
        super().__init__(side=side, label=label)
        self.images = images
        self._words: list[str] = []

    def tell(self, words: Sequence[str]) -> None:
        """What is read out for each point; of very many points, when it is looked at."""
        self._words = list(words)
        self.told = self._words if len(words) <= TOLD else []
        self.asks = self.asks or len(words) > TOLD

    def show(self, points: Float[Tensor, "*p n 2"], titles: Sequence[str] = ()) -> None:
        """Draw these points, each plane centered and scaled to fill its frame."""
        planes = points.detach().float().cpu().reshape(-1, *points.shape[-2:])
        low, high = planes.amin(dim=1, keepdim=True), planes.amax(dim=1, keepdim=True)
        half = (high - low).amax(dim=2, keepdim=True).clamp_min(1e-12) / 2
        scaled = (planes - (low + high) / 2) / half
        if not scaled.isfinite().all():
            raise ValueError("points hold NaN or infinite values: there is no place to draw them.")
        n, had = scaled.shape[1], len(self.color)
        with self.hold_sync():
            if n != had:
                self.color, self.values = bytes(n), bytes(4 * n)
                self.palette, self.legend = [BLUE], {}
            self.titles = list(titles) or [""] * len(planes)
            self.points = packed(scaled)

    def paint(self, coloring: Coloring) -> None:
        """Color the points, and draw the legend."""
        low, high = coloring.ends
        with self.hold_sync():
            self.color, self.values = coloring.index.tobytes(), coloring.values.tobytes()
            self.palette = coloring.palette
            self.legend = {"name": coloring.name, "words": coloring.words, "low": low, "high": high}

    def mark(self, picked: int, marks: Sequence[Sequence[int]] = ()) -> None:
        """Ring one image and, plane by plane, others such as its neighbors."""
        with self.hold_sync():
            self.picked, self.marks = picked, [[int(i) for i in plane] for plane in marks]

    def select(self, index: Any) -> None:
        """Bring these images out, by indices or by a mask; none: all. Before `show`, by indices, taken as they are."""
        index = group_index(index, len(self.color)) if self.color else torch.as_tensor(index)
        self.selected = index.cpu().numpy().astype(np.uint32).tobytes()

    def on_select(self, callback: Callable[[list[int]], None]) -> None:
        """Call it with the indices of the images that were selected, whenever some are."""
        self._selected.register_callback(callback)

    def on_look(self, callback: Callable[[list[int]], None]) -> None:
        """Call it with the indices of images before they travel, so that they may be loaded; others do not travel."""
        self._looked.register_callback(callback)
        self.asks = True

    def on_find(self, callback: Callable[[str], None]) -> None:
        """Call it with the text that a person searches for; the canvas then has a field for it."""
        self._found.register_callback(callback)
        self.findable = True

    def _on_message(self, content: dict[str, Any]) -> None:
        super()._on_message(content)
        kind = content.get("type")
        if kind == "sheet" and self.images is not None and not self.sheet:
            self._send_sheet()  # asked for when the points are drawn, which must not wait
        elif kind == "look":
            self._answer([int(i) for i in content["indices"]][:LOOKED])
        elif kind == "find":
            self._found(str(content["text"]))
        elif kind == "select":
            self._selected([int(i) for i in content["indices"]])

    def before_page(self) -> None:
        """Have the thumbnails, which a browser asks for: of a page that is to live without a kernel."""
        self._on_message({"type": "sheet"})

    def _send_sheet(self) -> None:
        assert self.images is not None
        n = len(self.images)
        every = -(-n // LOOKED)
        self._looked(list(range(0, n, every)))
        some = self.images[::every]
        sample, tile, pitch = thumbnails(some)
        if self.asks or len(sample) * n / len(some) > SHEET:
            with self.hold_sync():
                self.tile, self.pitch, self.asks = list(tile), list(pitch), True
            return
        sheet, tile, pitch = thumbnails(self.images)
        with self.hold_sync():
            self.tile, self.pitch, self.sheet = list(tile), list(pitch), sheet

    def _answer(self, indices: list[int]) -> None:
        """The thumbnails and the words of what is looked at."""
        n = len(self.images) if self.images is not None else len(self._words)
        indices = [i for i in indices if 0 <= i < n]
        told = [self._words[i] for i in indices] if self._words else [None] * len(indices)
        sheet, columns = [], 1
        if indices and self.images is not None:
            self._looked(indices)
            raw, (_, _, columns), _ = thumbnails(self.images[torch.tensor(indices)])
            sheet = [raw]
        self.send({"type": "look", "indices": indices, "told": told, "columns": columns}, sheet)

    def picture(self) -> Pixels:
        """The planes side by side as pixels, for notebooks that are read without a kernel."""
        return self._drawn(np.frombuffer(self.points, np.float32).reshape(max(1, len(self.titles)), -1, 2))

    def _drawn(self, planes: Float32[np.ndarray, "p n 2"]) -> Pixels:
        color = np.frombuffer(self.color, np.uint8)
        rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in [*self.palette, *[GRAY] * 256]], np.uint8)
        side, gap = self.side, 8
        sheet = np.full((side, len(planes) * (side + gap) - gap, 3), 255, np.uint8)
        for k, plane in enumerate(planes):
            x = (side / 2 + plane[:, 0] * (side / 2 - 8)).astype(int) + k * (side + gap)
            y = (side / 2 - plane[:, 1] * (side / 2 - 8)).astype(int)
            for dx in range(-1, 2):
                for dy in range(-1, 2):
                    sheet[y + dy, x + dx] = rgb[color]
        return sheet
