"""What the probing workbench shows of a review: ranked images and words, from what `probes.review` found."""

from collections.abc import Sequence
from html import escape

import torch
from jaxtyping import Int64
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.probes.review import Duplicates, LabelErrors
from ssl_toolkit.probes.workbench import Found
from ssl_toolkit.widgets.canvases.canvas import caption, class_name
from ssl_toolkit.widgets.controls import paragraph, table
from ssl_toolkit.widgets.figures.plots import BLUE, ORANGE, VERMILION
from ssl_toolkit.widgets.panels.probe_views import Tiles


def rows_found(found: Found) -> Int64[Tensor, " m"]:
    """The rows that a review brings out, the first one first: more likely wrong than right, copies, far out."""
    if isinstance(found, LabelErrors):
        return found.index[found.score > 0.5]
    if isinstance(found, Duplicates):
        return torch.tensor(list(dict.fromkeys(found.pairs.flatten().tolist())), dtype=torch.int64)
    return found.far


def review_tiles(data: Dataset, found: Found, most: int) -> Tiles:
    """At most `most` images, ranked; of duplicates the two of a pair side by side, framed alike."""
    if isinstance(found, LabelErrors):
        index = found.index[:most]
        frames = [VERMILION if score > 0.5 else "" for score in found.score[:most].tolist()]
    elif isinstance(found, Duplicates):
        index = found.pairs[: most // 2].flatten()
        frames = [(BLUE, ORANGE)[k // 2 % 2] for k in range(len(index))]
    else:
        index = found.index[:most]
        frames = [VERMILION if score > found.threshold else "" for score in found.score[:most].tolist()]
    notes = zip(index.tolist(), _notes(data, found), strict=False)
    told = [f"image {i}: {caption(data, i)}, {note}" for i, note in notes]
    return Tiles(index, data.images[index], frames, told)


def review_words(data: Dataset, found: Found) -> str:
    """How many there are, and how sure that is."""
    rows = len(rows_found(found))
    if isinstance(found, LabelErrors):
        right = f", of which about {found.false_discovery[rows - 1]:.0%} are right after all" if rows else ""
        return (
            f"<b>Labels that may be wrong</b>, the most doubtful first: {rows:,} more likely wrong than right{right}. "
            f"About {found.noise:.1%} of all {len(found.index):,} labels are wrong, or fit their image badly."
        )
    if isinstance(found, Duplicates):
        of = f"{len(found.pairs):,} pairs among {rows:,} images" if len(found.pairs) else "no pair"
        return (
            f"<b>Duplicates</b>, the nearest pair first, side by side: {of}, nearer to each other than "
            f"{found.threshold:.2f} of the way to the tenth neighbor."
        )
    return (
        f"<b>Outliers</b>, by the distance to the tenth neighbor, the loneliest first: {rows:,} of "
        f"{len(found.index):,} are farther than one expects from the others (framed)."
    )


def review_rows(data: Dataset, told: Sequence[str], found: Found, most: int) -> str:
    """The same of rows that have no picture, as a table."""
    index = found.pairs[: most // 2].flatten() if isinstance(found, Duplicates) else found.index[:most]
    rows = [[escape(told[i]), escape(note)] for i, note in zip(index.tolist(), _notes(data, found), strict=False)]
    return paragraph(review_words(data, found)) + table([["", ""], *rows], "ssl-rows")


def _notes(data: Dataset, found: Found) -> list[str]:
    """What is said of each, in the order in which it is shown; of far more rows than are."""
    if isinstance(found, LabelErrors):
        pairs = zip(found.suggested[:1000].tolist(), found.score[:1000].tolist(), strict=True)
        return [f"rather {class_name(data, label)}: wrong with {score:.0%}" for label, score in pairs]
    if isinstance(found, Duplicates):
        pairs = zip(found.pairs[:500].tolist(), found.distance[:500].tolist(), strict=True)
        return [f"{d:.2g} from image {other}" for (a, b), d in pairs for other in (b, a)]
    return [f"{far:.2g} from its tenth neighbor" for far in found.score[:1000].tolist()]
