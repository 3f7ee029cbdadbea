"""The colors of points and tables: the eight of Okabe and Ito for kinds, cividis for numbers."""

from collections.abc import Iterable

from plotly.colors import sample_colorscale, unlabel_rgb

from ssl_toolkit.widgets.figures.plots import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILION

COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GRAY, "#000000")  # the browser draws black as the text's color


def in_hex(rgb: Iterable[float]) -> str:
    """Red, green and blue up to 255 as CSS writes them."""
    return "#{:02x}{:02x}{:02x}".format(*(round(c) for c in rgb))


def cividis(shares: Iterable[float]) -> list[str]:
    """The scale's colors at these shares of it, between 0 and 1."""
    return [in_hex(unlabel_rgb(color)) for color in sample_colorscale("Cividis", list(shares))]
