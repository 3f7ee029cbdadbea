"""A table whose rows can be chosen by click or by keys; it lives in the browser."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import traitlets

from ssl_toolkit.widgets.canvases.canvas import Canvas, script, style
from ssl_toolkit.widgets.pictures import Pixels

LETTERS = 56  # of a line in the picture of a table


class ChoiceTable(Canvas):
    """Rows of words. A click, or Enter after arrow keys, chooses one: the callbacks of `on_pick` get its place.

    `colors` are CSS colors, one a row, of the dot before its first word; "" for none.
    """

    _esm = script("choice_table")
    _css = style("choice_table")

    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    colors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, columns: Sequence[str], *, label: str):
        super().__init__(columns=list(columns), label=label)

    def show(self, rows: Sequence[Sequence[str]], *, colors: Sequence[str] = (), selected: int = -1) -> None:
        """Other rows in one message. Raises ValueError for a row that has not one word for each column."""
        if wrong := [row for row in rows if len(row) != len(self.columns)]:
            raise ValueError(f"rows holds {list(wrong[0])}: each row needs {len(self.columns)} words, one a column.")
        with self.hold_sync():
            self.rows, self.colors, self.selected = [list(row) for row in rows], list(colors), selected

    def _on_message(self, content: dict[str, Any]) -> None:
        if 0 <= int(content.get("index", -1)) < len(self.rows):
            super()._on_message(content)

    def picture(self) -> Pixels:
        """The table as pixels, for notebooks that are read without a kernel."""
        from PIL import Image, ImageDraw, ImageFont

        font, line, gap = ImageFont.load_default(13), 18, 16
        rows = [[wrap(word, LETTERS) or [""] for word in row] for row in [list(self.columns), *self.rows]]
        widths = [max(font.getlength(text) for row in rows for text in row[c]) + gap for c in range(len(self.columns))]
        heights = [line * max(len(words) for words in row) + 8 for row in rows]
        image = Image.new("RGB", (int(sum(widths)) + 2 * gap, sum(heights) + 8), "#ffffff")
        pen, y = ImageDraw.Draw(image), 4
        for i, (row, height) in enumerate(zip(rows, heights, strict=True)):
            if i and i <= len(self.colors) and self.colors[i - 1]:
                pen.ellipse((3, y + 8, 11, y + 16), self.colors[i - 1])
            x = float(gap)
            for words, width in zip(row, widths, strict=True):
                pen.multiline_text((x, y + 4), "\n".join(words), "#666666" if i == 0 else "#000000", font)
                x += width
            y += height
            pen.line((0, y, image.width, y), "#dddddd")
        return np.asarray(image)
