"""Curves over widths as pixels, for notebooks that are read without a kernel."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

WIDE, HIGH, EDGE = 360, 250, 44  # pixels of one plot, and around its curves
DARK, PALE = "#333333", "#dddddd"


class Line(NamedTuple):
    """A named curve in a color: y in [0, 1] at each width."""

    name: str
    color: str
    widths: Sequence[int]
    y: Sequence[float]


def curves_picture(plots: dict[str, list[Line]], widths: Sequence[int]) -> UInt8[np.ndarray, "H W 3"]:
    """Plots side by side, each under its title, over a logarithmic axis of widths; all have one scale from 0."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(12)
    image = Image.new("RGB", (WIDE * len(plots), HIGH), "white")
    pen = ImageDraw.Draw(image)
    top = max([y for lines in plots.values() for line in lines for y in line.y], default=1.0) or 1.0
    low, span = math.log2(min(widths)), math.log2(max(widths) / min(widths)) or 1.0
    for i, (title, lines) in enumerate(plots.items()):
        left, right = i * WIDE + EDGE, (i + 1) * WIDE - EDGE // 2

        def place(width: int, y: float, left: int = left, right: int = right) -> tuple[float, float]:
            across = (math.log2(width) - low) / span
            return left + across * (right - left), HIGH - EDGE - y / top * (HIGH - 2 * EDGE)

        pen.text(((left + right) / 2, 14), title, DARK, font, "mm")
        for y in (0.0, top / 2, top):
            pen.line([place(min(widths), y), (right, place(min(widths), y)[1])], PALE)
            pen.text((left - 6, place(min(widths), y)[1]), f"{y:.0%}", DARK, font, "rm")
        for width in widths:
            pen.text((place(width, 0.0)[0], HIGH - EDGE + 12), str(width), DARK, font, "mm")
        for line in lines:
            points = [place(*point) for point in zip(line.widths, line.y, strict=True)]
            pen.line(points, line.color, 2)
            for x, y in points:
                pen.ellipse((x - 3, y - 3, x + 3, y + 3), line.color)
    at = EDGE
    for name, color in {line.name: line.color for lines in plots.values() for line in lines}.items():
        pen.text((at, HIGH - 12), name, color, font, "lm")
        at += int(pen.textlength(name, font)) + 20
    return np.asarray(image)
