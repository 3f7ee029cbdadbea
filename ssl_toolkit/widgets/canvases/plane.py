"""Points of the plane that can be dragged: pairs, arrows and trails on one canvas, which lives in the browser."""

import math
from collections.abc import Callable
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.widgets.canvases.canvas import Canvas, packed, script, style
from ssl_toolkit.widgets.canvases.colors import COLORS
from ssl_toolkit.widgets.pictures import Pixels

SIDE = 600  # pixels, or less where the page is narrow
LONGEST = 1.2  # arrow, in units of the plane
SMALLEST = 2.5  # half a side, in units of the plane, however close the points are


class PlaneCanvas(Canvas):
    """n pairs of points, numbered and colored by image; the first view is filled, the second a ring.

    A point that is dragged, or moved by arrow keys, is drawn at once and reaches what was given to
    `on_drag(callback)` as (index, x, y); index counts the first views, then the second.
    """

    _esm = script("plane")
    _css = style("plane")

    points = traitlets.Bytes(b"").tag(sync=True)  # float32: (2, n, 2)
    arrows = traitlets.Bytes(b"").tag(sync=True)  # the same
    trail = traitlets.Bytes(b"").tag(sync=True)  # (steps, 2, n, 2), oldest first
    circle = traitlets.Bool(False).tag(sync=True)  # draw the unit circle and each point's direction on it
    reach = traitlets.Float(SMALLEST).tag(sync=True)  # half a side
    side = traitlets.Int(SIDE).tag(sync=True)
    colors = traitlets.List(traitlets.Unicode(), list(COLORS)).tag(sync=True)

    _dragged = traitlets.Instance(w.CallbackDispatcher, ())

    def show(
        self, z: Float[Tensor, "2 n 2"], arrows: Float[Tensor, "2 n 2"], trail: Float[Tensor, "t 2 n 2"], circle: bool
    ) -> None:
        """Draw the points, an arrow from each, and where they were before."""
        length = arrows.norm(dim=2, keepdim=True)
        arrows = arrows * (LONGEST / length.clamp_min(LONGEST))
        reach = max(SMALLEST, math.ceil(2.3 * float(z.abs().max())) / 2)
        with self.hold_sync():
            self.circle, self.reach = circle, reach
            self.trail, self.arrows, self.points = (packed(x.float()) for x in (trail, arrows, z))

    def on_drag(self, callback: Callable[[int, float, float], None]) -> None:
        """Call it with (index, x, y), whenever a point is moved."""
        self._dragged.register_callback(callback)

    def _on_message(self, content: dict[str, Any]) -> None:
        if content.get("type") == "drag":
            self._dragged(int(content["index"]), float(content["x"]), float(content["y"]))

    def picture(self) -> Pixels:
        """What the browser shows, drawn without it."""
        from PIL import Image, ImageDraw

        fine = 2  # drawn twice as large, then made smaller: Pillow's lines are not smooth
        unit = fine * SIDE / 2 / self.reach
        image = Image.new("RGB", (fine * SIDE, fine * SIDE), "white")
        pen = ImageDraw.Draw(image)

        def at(z: np.ndarray) -> list[tuple[float, float]]:
            return [(x, y) for x, y in (z * (1, -1) * unit + fine * SIDE / 2).tolist()]

        z, arrows = (np.frombuffer(raw, np.float32).reshape(-1, 2) for raw in (self.points, self.arrows))
        n = len(z) // 2
        if self.circle:
            pen.ellipse([*at(np.array([[-1, 1]]))[0], *at(np.array([[1, -1]]))[0]], outline="#bbbbbb", width=fine)
        for a, b in zip(at(z[:n]), at(z[n:]), strict=True):
            pen.line([a, b], fill="#999999", width=fine)
        for start, end in zip(at(z), at(z + arrows), strict=True):
            _arrow(pen, np.array(start), np.array(end), fine)
        for i, (x, y) in enumerate(at(z)):
            color, r = COLORS[i % n % len(COLORS)], 8 * fine
            box = [x - r, y - r, x + r, y + r]
            pen.ellipse(box, fill=color if i < n else "white", outline=color, width=2 * fine)
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _arrow(pen: Any, start: np.ndarray, end: np.ndarray, fine: int) -> None:
    """From the edge of the dot at `start`, as long as from start to end."""
    if (length := float(np.hypot(*(end - start)))) < 2 * fine:
        return
    along = (end - start) / length
    start, end = start + 9 * fine * along, end + 9 * fine * along
    across = np.array([-along[1], along[0]])
    head = [end, end - 6 * fine * along + 3 * fine * across, end - 6 * fine * along - 3 * fine * across]
    pen.line([tuple(start), tuple(end - 4 * fine * along)], fill="#333333", width=int(1.5 * fine))
    pen.polygon([tuple(p) for p in head], fill="#333333")
