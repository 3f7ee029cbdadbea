"""An image on which one paints a mask: what is to be completed, edited or left out."""

import numpy as np
import torch
import traitlets
from jaxtyping import Bool, Shaped
from torch import Tensor

from ssl_toolkit.widgets.canvases.canvas import MARK, Canvas, packed, script, style
from ssl_toolkit.widgets.pictures import Pixels, as_pixels


class MaskCanvas(Canvas):
    """One image (c, h, w) and `mask`, true where it was painted; observe `painted`, which counts the strokes.

    Dragging paints, with the shift key it wipes; arrow keys move a cursor and the space bar paints there. Assign `mask`
    to set it, `brush` for another width in pixels.
    """

    _esm = script("mask")
    _css = style("mask")

    pixels = traitlets.Bytes(b"").tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # c, h, w
    bits = traitlets.CBytes(b"").tag(sync=True)  # the mask, one byte for each pixel; the browser sends a view of them
    painted = traitlets.Int(0).tag(sync=True)
    brush = traitlets.Int(3).tag(sync=True)
    scale = traitlets.Int(6).tag(sync=True)
    tint = traitlets.List(traitlets.Int(), list(MARK)).tag(sync=True)  # of what is painted over
    label = traitlets.Unicode("image to paint on").tag(sync=True)

    def __init__(self, image: Shaped[Tensor, "c h w"], *, scale: int | None = None, brush: int = 3):
        super().__init__(scale=scale or max(1, round(168 / image.shape[-1])), brush=brush)
        self.show(image)

    def show(self, image: Shaped[Tensor, "c h w"]) -> None:
        """Another image; the mask stays where the size is the same."""
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"image has shape {tuple(image.shape)}: it must be (c, h, w) with 1 or 3 channels.")
        image = as_pixels(image)
        with self.hold_sync():
            if list(image.shape[1:]) != self.shape[1:]:
                self.bits = bytes(image[0].numel())
            self.shape, self.pixels = list(image.shape), packed(image)

    @property
    def mask(self) -> Bool[Tensor, "h w"]:
        """Where it is painted."""
        return torch.frombuffer(bytearray(self.bits), dtype=torch.uint8).view(self.shape[1:]).bool()

    @mask.setter
    def mask(self, mask: Bool[Tensor, "..."]) -> None:
        if list(mask.shape) != self.shape[1:]:
            raise ValueError(f"mask has shape {tuple(mask.shape)}: the image has {tuple(self.shape[1:])} pixels.")
        with self.hold_sync():
            self.bits = packed(mask.to(torch.uint8))
            self.painted += 1

    def picture(self) -> Pixels:
        """The image, what is painted in orange."""
        image = np.frombuffer(self.pixels, np.uint8).reshape(self.shape).transpose(1, 2, 0)
        sheet = np.where(self.mask.numpy()[..., None], np.array(self.tint), image).astype(np.uint8)
        return sheet.repeat(self.scale, 0).repeat(self.scale, 1)
