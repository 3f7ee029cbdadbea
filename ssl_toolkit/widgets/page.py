"""Pages that live without a kernel: what widgets are, gathered from them or from a notebook, and a host to show them.

`static/host.js` takes the part of Jupyter: it gives our canvases a model, and shows the controls of ipywidgets as they
were left. Nothing is fetched, so that a page lives wherever it lies.
"""

import base64
import gzip
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as w
import numpy as np
from ipywidgets.embed import dependency_state

from ssl_toolkit.widgets.life import parts_of

State = dict[str, dict[str, Any]]  # by model id: model_name, state, buffers, as notebooks store it

STATIC = Path(__file__).parent / "static"
PLOTLY = STATIC / "plotly" / "plotly-basic.min.js.gz"
VIEW = "application/vnd.jupyter.widget-view+json"
SHEET = 900_000  # bytes of the thumbnails of a map; where they take more, they are made smaller
CHAIN = 800_000  # bytes of the pixels of a chain, compressed; of a longer one fewer frames are on the page
DIGITS = 5  # of the numbers of a chart
OF_KERNEL = re.compile("_(model|view|anywidget)_")  # names in a state that no browser reads


def gather(widgets: Sequence[w.Widget]) -> State:
    """All that a browser needs to show these widgets, as notebooks store it: also what it would have asked for."""
    if not widgets:
        return {}
    parts = {part for widget in widgets for part in (widget, *parts_of(widget))}
    for part in parts:
        if hasattr(part, "before_page"):
            part.before_page()
    state = dependency_state(list(widgets), drop_defaults=False)
    for part in parts:
        for canvas, chart, places in part.page_cursors() if hasattr(part, "page_cursors") else ():
            state[chart.model_id]["state"]["ssl_cursor"] = {"of": canvas.model_id, "places": places}
    return state


def write_state(ids: Iterable[str], path: str) -> None:
    """In a kernel: let the widgets of these model ids end what they do, then gather them into a file of JSON."""
    known = getattr(w.widgets.widget, "_instances", None) or w.Widget.widgets
    widgets = [known[i] for i in ids if i in known]
    for player in [part for widget in widgets for part in (widget, *parts_of(widget))]:
        if getattr(player, "state", "") == "running":
            player.wait()
    Path(path).write_text(json.dumps(gather(widgets)), encoding="utf-8")


class Content(NamedTuple):
    """What a page holds of its widgets, and the code of canvases, which pages may share."""

    models: dict[str, dict[str, Any]]  # by id: kind, state, bytes (base64 of gzip), esm and css by their names
    modules: dict[str, str]
    styles: dict[str, str]
    charts: bool  # whether plotly.js is needed


def content(state: State, shown: Iterable[str]) -> Content:
    """Of what a notebook stores, what the widgets of these model ids need, made small."""
    models: dict[str, dict[str, Any]] = {}
    modules: dict[str, str] = {}
    styles: dict[str, str] = {}
    left: dict[str, list[int]] = {}  # of chains that are too long, the frames that stay
    for i in _needed(state, shown):
        kept = {name: _plain(value) for name, value in state[i]["state"].items() if value is not None}
        raw = {b["path"][0]: _bytes_of(b) for b in state[i].get("buffers", ()) if len(b["path"]) == 1}
        models[i] = made = {"kind": state[i]["model_name"].removesuffix("Model")}
        for kind, texts in (("esm", modules), ("css", styles)):
            if text := kept.pop(f"_{kind}", ""):
                made[kind] = blake2b(text.encode(), digest_size=6).hexdigest()
                texts[made[kind]] = text
        if kept.get("_anywidget_id", "").startswith("ssl_toolkit."):
            if len(kept.get("shape", ())) == 6 and (frames := _fewer_frames(kept, raw)):
                left[i] = frames
            _thin(kept, raw)
        made["state"] = {n: v for n, v in kept.items() if not OF_KERNEL.match(n) and n not in raw}
        made["bytes"] = {
            n: base64.b64encode(gzip.compress(b, 9, mtime=0)).decode() if b else "" for n, b in raw.items()
        }
    for cursor in [made["state"]["ssl_cursor"] for made in models.values() if "ssl_cursor" in made["state"]]:
        if (canvas := cursor["of"]) in left:
            cursor["places"] = [cursor["places"][j] for j in left[canvas]]
    return Content(models, modules, styles, any("shown" in made["state"] for made in models.values()))


def _needed(state: State, shown: Iterable[str]) -> Iterator[str]:
    """These models, and all that they refer to."""
    open_, seen = [i for i in shown if i in state], set()
    while open_:
        i = open_.pop()
        if i not in seen and i in state:
            seen.add(i)
            yield i
            open_ += re.findall(r"IPY_MODEL_(\w+)", json.dumps(state[i]["state"]))


def _bytes_of(buffer: dict[str, Any]) -> bytes:
    data = buffer["data"]
    return base64.b64decode(data) if buffer["encoding"] == "base64" else bytes.fromhex(data)


def _thin(state: dict[str, Any], raw: dict[str, bytes]) -> None:
    """Leave out what nobody sees: digits of curves, and pixels of thumbnails where there are thousands of them."""
    if "shown" in state:
        state["shown"] = _plain(state["shown"], DIGITS)
    if len(raw.get("sheet", b"")) > SHEET:
        state["tile"], state["pitch"], raw["sheet"] = _smaller(raw["sheet"], state["tile"], state["pitch"])


def _fewer_frames(state: dict[str, Any], raw: dict[str, bytes]) -> list[int]:
    """Leave as many frames of a chain, evenly taken, as its bytes allow, and tell which; none where all may stay."""
    count, frames, *_ = state["shape"]
    if (size := len(gzip.compress(raw["pixels"], 6))) <= CHAIN:
        return []
    left = np.linspace(0, frames - 1, max(2, frames * CHAIN // size)).round().astype(int)
    for name in ("pixels", "marks"):
        if raw[name]:
            raw[name] = np.frombuffer(raw[name], np.uint8).reshape(count, frames, -1)[:, left].tobytes()
    captions = state["captions"] or [f"step {i} of {frames - 1}" for i in range(frames)]
    state["captions"] = [captions[j] for j in left]
    state["value"] = int(np.abs(left - state["value"]).argmin())
    state["shape"] = [count, len(left), *state["shape"][2:]]
    return left.tolist()


def _plain(thing: Any, digits: int = 17) -> Any:
    """As JSON has it: without NaN and infinities, and floats to so many digits."""
    if isinstance(thing, float):
        return float(f"{thing:.{digits}g}") if math.isfinite(thing) else None
    if isinstance(thing, dict):
        return {name: _plain(value, digits) for name, value in thing.items()}
    return [_plain(value, digits) for value in thing] if isinstance(thing, list | tuple) else thing


def _smaller(sheet: bytes, tile: list[int], pitch: list[int]) -> tuple[list[int], list[int], bytes]:
    """A sheet of thumbnails in fewer bytes: with less of a JPEG's quality, then of half the size, and so on."""
    from PIL import Image

    image: Image.Image = Image.open(io.BytesIO(sheet))
    (width, height, columns), (across, down) = tile, pitch
    while True:
        for quality in (75, 50):
            image.save(buffer := io.BytesIO(), "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= SHEET or min(across, down) <= 8:
                return [width, height, columns], [across, down], buffer.getvalue()
        width, height, across, down = width // 2, height // 2, across // 2, down // 2
        image = image.reduce(2)  # of squares of two pixels, none of which belongs to two thumbnails


def host(*parts: Content) -> str:
    """The script that shows the widgets of pages, with the code of all canvases that are on them."""
    modules = {key: text for part in parts for key, text in part.modules.items()}
    styles = {key: text for part in parts for key, text in part.styles.items()}
    own = (STATIC / "host.js").read_text(encoding="utf-8")
    return f"{own}sslToolkit.add({in_script({'modules': modules, 'styles': styles})});"


def plotly() -> str:
    """The script that brings what charts are drawn with."""
    return f'sslToolkit.add({{"plotly":"{base64.b64encode(PLOTLY.read_bytes()).decode()}"}});'


def stored(part: Content) -> str:
    """The element of a page that holds the state of its widgets."""
    return f'<script class="ssl-state" type="application/json">{in_script(part.models)}</script>'


def in_script(thing: Any) -> str:
    """As JSON that no text within it can end: not even one that says </script>."""
    return json.dumps(thing, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def page_of(widget: w.Widget, title: str) -> str:
    """A page with this widget and everything that it needs.

    >>> "<script src" in page_of(stk.ImageGrid(torch.zeros(4, 1, 8, 8)), "four images")
    False
    """
    part = content(gather([widget]), [widget.model_id])
    scripts = f"{host(part)}{plotly() if part.charts else ''}"
    style = (STATIC / "host.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{style}</style></head>
<body class="ssl-single"><script type="{VIEW}">{in_script({"model_id": widget.model_id})}</script>
{stored(part)}<script>{scripts}</script></body></html>
"""
