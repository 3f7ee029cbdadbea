"""Pictures as pixels: what saved notebooks show where no kernel runs, and the one way to write them to files."""

import base64
import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from plotly.basedatatypes import BaseFigure
from torch import Tensor

from ssl_toolkit.data import as_bytes, as_float
from ssl_toolkit.data.dataset import check_unit_range
from ssl_toolkit.data.files import atomic_write
from ssl_toolkit.widgets.page import page_of
from ssl_toolkit.widgets.records import Row, as_csv, as_parquet

Pixels = UInt8[np.ndarray, "H W 3"]  # a picture, in RGB
FRAME = 120  # milliseconds of one frame of a chain


def as_pixels(images: Shaped[Tensor, "*n c h w"]) -> UInt8[Tensor, "*n c h w"]:
    """Images as they are seen: uint8 as they are, floats in [0, 1] in 256 levels.

    Raises ValueError for floats beyond [0, 1], as normalized ones, and TypeError for other types.
    """
    if images.dtype == torch.uint8:
        return images
    check_unit_range(images)
    return as_bytes(as_float(images.detach()))


def tile(images: Shaped[Tensor, "n c h w"], columns: int, scale: int = 1, gap: int = 2) -> Pixels:
    """One sheet of the images, row by row, each enlarged `scale` times; the gaps are white."""
    images = as_pixels(images)
    n, c, h, w = images.shape
    columns = max(1, min(columns, n))
    rows = -(-n // columns)
    sheet = np.full((rows * (h * scale + gap), columns * (w * scale + gap), 3), 255, np.uint8)
    pixels = images.expand(-1, 3, -1, -1) if c == 1 else images
    for i, image in enumerate(pixels.permute(0, 2, 3, 1).cpu().numpy()):
        y, x = (i // columns) * (h * scale + gap), (i % columns) * (w * scale + gap)
        sheet[y : y + h * scale, x : x + w * scale] = image.repeat(scale, 0).repeat(scale, 1)
    return sheet


def below(*sheets: UInt8[np.ndarray, "_ _ 3"], gap: int = 8) -> Pixels:
    """Sheets below one another, from the left; what is between and beside them is white."""
    width = max(sheet.shape[1] for sheet in sheets)
    padded = [np.pad(sheet, ((0, gap), (0, width - sheet.shape[1]), (0, 0)), constant_values=255) for sheet in sheets]
    return np.concatenate(padded)[:-gap]


def png(sheet: UInt8[np.ndarray, "H W _"]) -> bytes:
    """A sheet of pixels, gray or RGB, as a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(sheet.squeeze(2) if sheet.shape[2] == 1 else sheet).save(buffer, "PNG")
    return buffer.getvalue()


class Pictured:
    """A widget that saved and exported notebooks show as a PNG of its `picture()`, where no kernel draws it."""

    state_ending = ""  # of the files of states that it saves; "" for none

    def picture(self) -> Pixels:
        """What is seen of it, as pixels."""
        raise NotImplementedError

    def pictures(self) -> list[Pixels]:
        """What is seen of it one after the other: of a chain, all its frames."""
        return [self.picture()]

    def records(self) -> list[Row]:
        """What it is drawn from as a table, a dict for each row; empty where there is none."""
        return []

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write it to a file by the ending of its name, as `export` does, and say so. A .html needs no kernel."""
        export(self, path)
        return f"saved {Path(path).name}"

    _ipython_display_ = None  # ipywidgets 7 displays by this one, which knows no picture

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = (
            _widget_bundle(self) if (make := getattr(super(), "_repr_mimebundle_", None)) is None else make(**options)
        )
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(data or {}), "image/png": base64.b64encode(png(self.picture())).decode()}, metadata


def _widget_bundle(widget: Any) -> dict[str, Any]:
    """What ipywidgets 8 gives for a widget, and 7 does not."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"text/plain": type(widget).__name__, "application/vnd.jupyter.widget-view+json": view}


def export(thing: Pictured | BaseFigure | Pixels, path: str | os.PathLike[str]) -> None:
    """Write a panel, a canvas, a Plotly figure or a sheet of pixels to a file, by the ending of its name.

    .png is for all of them, .svg for figures, and .gif for what has several frames. A .html of a panel or a canvas is
    one file that lives without network and kernel: it is played, hovered and selected from as before. .csv and .parquet
    are the records of a panel that has some. The file appears whole or not at all. Raises ValueError for an ending that
    does not suit the thing, FileNotFoundError for a folder that does not exist, and ImportError where an image of a
    figure needs kaleido or a .parquet needs pyarrow.

    >>> export(tile(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), columns=2), "four.png")          # doctest: +SKIP
    """
    title, ending = Path(path).stem, Path(path).suffix.lower()
    with atomic_write(path) as partial:
        if isinstance(thing, Pictured):
            partial.write_bytes(_as_view(thing, ending, title))
        else:
            partial.write_bytes((_as_figure if isinstance(thing, BaseFigure) else _as_pixels)(thing, ending))


def _as_figure(figure: BaseFigure, ending: str) -> bytes:
    if ending == ".html":
        return figure.to_html().encode()
    if ending not in (".png", ".svg"):
        raise ValueError(f"the ending is {ending!r}: a figure can be .html, .svg or .png.")
    if find_spec("kaleido") is None:
        raise ImportError(f"{ending} of a figure needs the package kaleido: pip install kaleido, or write .html.")
    return figure.to_image(ending[1:])


def _as_pixels(sheet: Pixels, ending: str) -> bytes:
    if ending != ".png":
        raise ValueError(f"the ending is {ending!r}: a sheet of pixels can be .png.")
    return png(sheet)


def _as_view(thing: Pictured, ending: str, title: str) -> bytes:
    if ending == ".html":
        return page_of(thing, title).encode()
    if ending == ".png":
        return png(thing.picture())
    if ending == ".gif" and len(frames := thing.pictures()) > 1:
        return _gif(frames)
    if ending in (".csv", ".parquet") and (rows := thing.records()):
        return as_csv(rows) if ending == ".csv" else as_parquet(rows)
    raise ValueError(f"the ending is {ending!r}: this {type(thing).__name__} can be {', '.join(endings(thing))} now.")


def endings(thing: Pictured) -> list[str]:
    """What a panel or a canvas can be saved as, while it shows what it shows."""
    moving, table = len(thing.pictures()) > 1, bool(thing.records())
    state = [thing.state_ending] if thing.state_ending else []
    return [*state, ".html", ".png", *([".gif"] if moving else []), *([".csv", ".parquet"] if table else [])]


def _gif(frames: list[Pixels]) -> bytes:
    """An animation that begins anew; its last frame stays for a while."""
    from PIL import Image

    buffer = io.BytesIO()
    first, *others = [Image.fromarray(frame) for frame in frames]
    times = [FRAME] * len(others) + [10 * FRAME]
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=times, loop=0)
    return buffer.getvalue()
