"""Samples of RCDMs as rows of pictures: the image, what was painted of its features alone, and what varies."""

from collections.abc import Mapping, Sequence
from html import escape

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from ssl_toolkit.diffusion.monitor import Painted, Subject
from ssl_toolkit.widgets.canvases.image_strip import image_strip
from ssl_toolkit.widgets.controls import paragraph, word
from ssl_toolkit.widgets.figures.plots import BLUE, ORANGE
from ssl_toolkit.widgets.pictures import as_pixels

SIZE = 112  # screen pixels of an image where there is room
BRIGHT = 4.0  # a pixel that varies by a quarter of its range is white in the map of variation
LEGEND = paragraph(
    "Under each sample: how far its features are from those of the image; two images at "
    "random are 1 apart. Last: what varies from sample to sample."
)


def sample_images(image: Shaped[Tensor, "c h w"], painted: Painted) -> UInt8[Tensor, "n c h w"]:
    """The image, its samples, and a map of their variation."""
    varies = (255 * BRIGHT * painted.variation).clamp(0, 255).byte().expand_as(image)
    return torch.cat([as_pixels(image)[None], painted.images, varies[None]])


def sample_rows(
    image: Shaped[Tensor, "c h w"],
    depths: Sequence[str],
    painted: Mapping[str, Painted],
    subjects: Mapping[str, Subject],
) -> str:
    """One row for each depth that was painted: its name, the pictures, and under each its distance."""
    if not painted:
        hint = "Press Play: models learn to paint from the encoder's features alone."
        return image_strip(image[None], ["given"], title=hint, size=SIZE)
    html = ""
    for depth, color in zip(depths, (BLUE, ORANGE), strict=False):
        title = word(escape(depth), color)
        if (result := painted.get(depth)) is None:
            html += f"<div class='ssl-strip'>{title}: press Play, and its model learns to paint.</div>"
            continue
        subject = subjects[depth]
        learned = "trained" if subject.state is None else f"after {subject.state.step:,} steps"
        title += f", {subject.test.shape[1]:,} numbers, {learned}"
        captions = ["given", *(f"{d:.2f}" for d in result.distance.tolist()), f"± {result.variation.mean():.3f}"]
        html += image_strip(sample_images(image, result), captions, title=title, size=SIZE)
    return html + LEGEND
