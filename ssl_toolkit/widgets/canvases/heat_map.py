"""A table of numbers in color that lives in the browser: it can be hovered, walked by keys and picked."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import traitlets

from ssl_toolkit.widgets.canvases.canvas import Canvas, script, style
from ssl_toolkit.widgets.canvases.colors import cividis
from ssl_toolkit.widgets.pictures import Pixels

STOPS = 9  # of the color scale below the table
DARK, LIGHT = "#000000", "#ffffff"  # of numbers on color


class Tile(NamedTuple):
    """One place of the table: its number, where it has one, how far it is, and what is read out for it."""

    value: float | None
    state: Literal["empty", "running", "done", "failed"]
    caption: str


class HeatMap(Canvas):
    """Numbers in rows and columns on the color scale cividis, which the color-blind see as others do.

    A place without a number is hatched. The best finished one, by `goal` (None: none), is marked, and the scale below
    the table says where `chance` is. A click, or Enter after arrow keys, picks a place: the callbacks of `on_pick` get
    its row and column. Picked again, or with Escape, it is let go: they get (-1, -1).
    """

    _esm = script("heat_map")
    _css = style("heat_map")

    rows = traitlets.List(traitlets.Unicode()).tag(sync=True)
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode(), ["", ""]).tag(sync=True)
    tiles = traitlets.List(traitlets.Dict()).tag(sync=True)  # row by row: text, color, ink, state, caption
    best = traitlets.Int(-1).tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    scale = traitlets.Dict().tag(sync=True)  # the ends in words, the colors between them, chance's place and words
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, label: str = "heat map"):
        super().__init__(label=label)

    def show(
        self,
        tiles: Sequence[Tile],
        *,
        rows: Sequence[str],
        columns: Sequence[str],
        names: tuple[str, str],
        goal: Literal["max", "min"] | None = "max",
        chance: float | None = None,
    ) -> None:
        """Draw `tiles`, row by row, in one message."""
        if len(tiles) != len(rows) * len(columns):
            raise ValueError(f"tiles has {len(tiles)} places: {len(rows)} rows x {len(columns)} columns need one each.")
        known = {i: float(t.value) for i, t in enumerate(tiles) if t.value is not None and math.isfinite(t.value)}
        done = [i for i in known if tiles[i].state == "done"]
        ends = [*known.values(), *([] if chance is None else [chance])] if known else []
        low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
        span = high - low or 1.0
        with self.hold_sync():
            self.rows, self.columns, self.names = list(rows), list(columns), list(names)
            self.tiles = [_drawn(tile, low, span) for tile in tiles]
            self.best = {"max": max, "min": min}[goal](done, key=known.__getitem__, default=-1) if goal else -1
            self.scale = {
                "low": f"{low:.3g}" if known else "",
                "high": f"{high:.3g}" if known else "",
                "colors": cividis(i / (STOPS - 1) for i in range(STOPS)) if known else [],
                "chance": (chance - low) / span if known and chance is not None else None,
                "words": f"chance {chance:.3g}" if chance is not None else "",
            }

    def _on_message(self, content: dict[str, Any]) -> None:
        if content.get("type") == "pick":
            self._picked(int(content["row"]), int(content["column"]))

    def picture(self) -> Pixels:
        """The table as pixels, for notebooks that are read without a kernel."""
        from PIL import Image, ImageDraw, ImageFont

        font, w, h, left, top = ImageFont.load_default(13), 84, 40, 110, 46
        image = Image.new("RGB", (left + w * len(self.columns) + 8, top + h * len(self.rows) + 8), LIGHT)
        pen = ImageDraw.Draw(image)

        def text(x: int, y: int, words: str, color: str, anchor: Literal["mm", "rm"] = "mm") -> None:
            pen.text((x, y), words, color, font, anchor)

        text(left + w * len(self.columns) // 2, 12, self.names[1], DARK)
        text(left - 8, 32, self.names[0], DARK, "rm")
        for j, word in enumerate(self.columns):
            text(left + j * w + w // 2, 32, word, DARK)
        for i, word in enumerate(self.rows):
            text(left - 8, top + i * h + h // 2, word, DARK, "rm")
        for k, tile in enumerate(self.tiles):
            x, y = left + k % len(self.columns) * w, top + k // len(self.columns) * h
            ring = DARK if k == self.best else None
            pen.rectangle((x, y, x + w - 3, y + h - 3), tile["color"] or "#eeeeee", ring, width=3)
            text(x + w // 2, y + h // 2, tile["text"], tile["ink"] or DARK)
        return np.asarray(image)


def _drawn(tile: Tile, low: float, span: float) -> dict[str, str]:
    text = f"{tile.value:.3g}" if tile.value is not None else {"failed": "failed", "running": "…"}.get(tile.state, "")
    color = ink = ""
    if tile.value is not None and math.isfinite(tile.value):
        (color,) = cividis([(tile.value - low) / span])
        r, g, b = (_linear(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5))
        ink = DARK if 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 else LIGHT  # the greater contrast by WCAG 2.1
    return {"text": text, "color": color, "ink": ink, "state": tile.state, "caption": tile.caption}


def _linear(c: float) -> float:
    """sRGB to linear light."""
    return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
