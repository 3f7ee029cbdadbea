"""Rows of images with words under each, as HTML: sharp pixels, and both themes' own text color."""

import base64
from collections.abc import Sequence
from html import escape

from jaxtyping import Shaped
from torch import Tensor

from ssl_toolkit.widgets.pictures import png, tile


def image_strip(
    images: Shaped[Tensor, "n c h w"],
    captions: Sequence[str],
    *,
    title: str,
    size: int = 96,
    columns: int | None = None,
) -> str:
    """One row: `size` screen pixels an image, or as much as there is room for, its caption under it, the title above.

    Strips of the same `columns` have images of the same size (None: as many as there are images).
    """
    cells = []
    for image, caption in zip(images, captions, strict=True):
        data = base64.b64encode(png(tile(image[None], 1, gap=0))).decode()
        picture = f"<img alt='{escape(caption)}' src='data:image/png;base64,{data}'>"
        cells.append(f"<figure>{picture}<figcaption title='{escape(caption)}'>{escape(caption)}</figcaption></figure>")
    widths = f"grid-template-columns:repeat({columns or len(cells)},minmax(0,{size}px))"
    row = f"<div class='ssl-images' style='{widths}'>{''.join(cells)}</div>"
    return f"<div class='ssl-strip'><div>{title}</div>{row}</div>"
