"""What the probing workbench shows beside its points: neighbors, groups, curves by depth and tables, from records."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.probes.enrichment import Enrichment
from ssl_toolkit.probes.layerwise import KNN, LINEAR, Score
from ssl_toolkit.probes.workbench import PIXELS, Near
from ssl_toolkit.widgets.canvases.canvas import caption
from ssl_toolkit.widgets.canvases.heat_map import Tile
from ssl_toolkit.widgets.canvases.neighbor_grid import frame_of
from ssl_toolkit.widgets.controls import table, word
from ssl_toolkit.widgets.figures.plots import BLUE, GREEN, VERMILION, Curve

LINES = 8  # of what a group shares


class Tiles(NamedTuple):
    """What an `ImageGrid` is given, and where its images are in the data."""

    index: Int64[Tensor, " m"]  # type: ignore[assignment]
    images: UInt8[Tensor, "m c h w"]
    frames: list[str]
    captions: list[str]


def neighbor_tiles(data: Dataset, i: int, found: Mapping[str, Near]) -> Tiles:
    """A row for each encoder: the image, then its neighbors; green of the same class, vermilion of another."""
    index, frames, captions = [], [], []
    for name, near in found.items():
        index += [i, *near.index.tolist()]
        frames += [BLUE, *(frame_of(int(data.labels[i]), int(data.labels[j])) for j in near.index.tolist())]
        captions.append(f"image {i}: {caption(data, i)}")
        captions += [
            f"{name}: image {j}, {caption(data, j)}, cosine {cosine:.3f}"
            for j, cosine in zip(near.index.tolist(), near.cosine.tolist(), strict=True)
        ]
    chosen = torch.tensor(index)
    return Tiles(chosen, data.images[chosen], frames, captions)


def neighbor_words(data: Dataset, i: int, found: Mapping[str, Near]) -> str:
    """In words, encoder by encoder, how many are of its class and how near; each cosine is told on hovering."""
    colors = f", {_colors()}" if int(data.labels[i]) >= 0 else ""
    lines = [f"Image {i}, {escape(caption(data, i))} (blue frame), and its nearest{colors}:"]
    for name, near in found.items():
        same = int((data.labels[near.index] == data.labels[i]).sum())
        far = f"cosines down to {float(near.cosine.min()):.2f}"
        right = f"{same} of {len(near.index)} of its class, " if int(data.labels[i]) >= 0 else ""
        lines.append(f"<b>{escape(name)}</b>: {right}{far}")
    return "<br>".join(lines)


def row_table(told: Sequence[str], i: int, found: Mapping[str, Near]) -> str:
    """A row and its nearest, in words: what is known of each."""
    lines = [["", "cosine"], [f"<b>{escape(told[i])}</b>", ""]]
    for name, near in found.items():
        if len(found) > 1:
            lines.append([f"<i>{escape(name)}</i>", ""])
        for j, cosine in zip(near.index.tolist(), near.cosine.tolist(), strict=True):
            lines.append([escape(told[j]), f"{cosine:.3f}"])
    return table(lines, "ssl-rows")


def _colors() -> str:
    return f"{word('green', GREEN)} of its class, {word('orange', VERMILION)} of another"


def group_tiles(data: Dataset, index: Int64[Tensor, " m"], most: int) -> Tiles:
    """At most `most` images of the group, evenly taken."""
    shown = index[torch.linspace(0, len(index) - 1, min(most, len(index))).long()]
    return Tiles(shown, data.images[shown], [], [f"image {i}: {caption(data, i)}" for i in shown.tolist()])


def group_words(index: Int64[Tensor, " m"], shares: Sequence[Enrichment], what: str = "images") -> str:
    """What a group shares, as a table: the share of the group beside that of all images."""
    head = f"<b>{len(index):,} {what}</b>"
    if not shares:
        return f"{head}, which share nothing more than {what} drawn at random would."
    rows = [["", "of the group", "of all"]]
    for share in shares[:LINES]:
        value = f"{escape(share.name)} <b>{escape(share.value)}</b>"
        rows.append([value, f"{share.group:.0%}", f"{share.everywhere:.0%}"])
    return f"{head} share:{table(rows)}"


def depth_curves(scores: Mapping[str, Sequence[Score]]) -> tuple[list[Curve], float | None]:
    """For each encoder, the linear probe and kNN over its depths; then the pixels' probe. And the level of chance."""
    curves, chance, level = [], None, None
    for name, found in scores.items():
        prefix = f"{name}: " if len(scores) > 1 else ""
        for what in (LINEAR, KNN):
            points = [s for s in found if s.what == what and s.depth != PIXELS]
            if points:
                curves.append(Curve(f"{prefix}{what}", [s.depth for s in points], [s.score for s in points]))
        for s in found:
            chance = s.chance if s.what == LINEAR else chance
            level = s if s.depth == PIXELS and s.what == LINEAR else level
    if level is not None and curves:
        depths = list(dict.fromkeys(str(depth) for curve in curves for depth in curve.x))
        curves.append(Curve("pixels: linear probe", depths, [level.score] * len(depths)))
    return curves, chance


def skill(score: Score) -> float:
    """How far from chance (0) to perfect (1): accuracies and R2 on one scale."""
    return (score.score - score.chance) / (1 - score.chance) if score.chance < 1 else 0.0


def factor_tiles(
    scores: Sequence[Score], depths: Sequence[str], factors: Sequence[str]
) -> tuple[list[Tile], list[str], list[str]]:
    """`HeatMap` tiles of what is linearly readable, factors by depths with the pixels first, its rows and columns."""
    known = {(s.what, s.depth): s for s in scores}
    rows, columns = [LINEAR, *factors], [PIXELS, *depths]
    tiles = []
    for what in rows:
        for depth in columns:
            s = known.get((what, depth))
            if s is None:
                tiles.append(Tile(None, "empty", "not yet read"))
                continue
            kind = f"accuracy {s.score:.3f}, chance {s.chance:.3f}" if s.chance else f"R² {s.score:.3f}"
            tiles.append(Tile(round(max(0.0, skill(s)), 2), "done", f"{_row(what)} at {depth}: {kind}"))
    return tiles, [_row(what) for what in rows], columns


def _row(what: str) -> str:
    return "class" if what == LINEAR else what


def cka_tiles(matrix: Mapping[tuple[str, str], float], rows: Sequence[str], columns: Sequence[str]) -> list[Tile]:
    """`HeatMap` tiles of CKA between depths; a place not yet computed is empty."""
    return [
        Tile(round(matrix[r, c], 2), "done", f"{r} and {c}: CKA {matrix[r, c]:.3f}")
        if (r, c) in matrix
        else Tile(None, "empty", "not yet compared")
        for r in rows
        for c in columns
    ]
