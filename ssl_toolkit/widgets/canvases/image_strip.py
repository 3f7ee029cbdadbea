"""Rows of images with words under each, as HTML: sharp pixels, and both themes' own text color."""

import base64
from collections.abc import Sequence
from html import escape

from jaxtyping import Shaped
from torch import Tensor

from ssl_toolkit.widgets.pictures import png, tile


def image_strip(images: Shaped[Tensor, "n c h w"], captions: Sequence[str], *, title: str, size: int = 64) -> str:
    """One row: `size` screen pixels an image, its caption under it, the title above."""
    cells = []
    for image, caption in zip(images, captions, strict=True):
        data = base64.b64encode(png(tile(image[None], 1, gap=0))).decode()
        look = f"width:{size}px;height:{size}px;image-rendering:pixelated;display:block"
        picture = f"<img alt='{escape(caption)}' style='{look}' src='data:image/png;base64,{data}'>"
        cells.append(
            f"<figure style='margin:0;text-align:center'>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
        )
    row = f"<div style='display:flex;flex-wrap:wrap;gap:4px;font-size:12px'>{''.join(cells)}</div>"
    return f"<div class='ssl-strip' style='line-height:1.4;margin-bottom:6px'><div>{title}</div>{row}</div>"
