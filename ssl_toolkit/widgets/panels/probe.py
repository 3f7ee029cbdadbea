"""ProbePanel: what a representation knows. Its images in the plane, neighbors, groups, probes at every depth."""

from collections.abc import Iterator, Mapping
from functools import partial
from html import escape
from typing import Any

import ipywidgets as w
import torch
from jaxtyping import Int64
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.encoders import AnyEncoder, Encoder
from ssl_toolkit.probes import enrichment
from ssl_toolkit.probes.enrichment import NAMES, group_index
from ssl_toolkit.probes.workbench import Probed, Work, compare, embed_all, nearest, read_all, spread_out
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.canvas import ImageGrid
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.heat_map import HeatMap
from ssl_toolkit.widgets.canvases.scatter import Scatter, color_by
from ssl_toolkit.widgets.figures.plots import runs_figure, show_runs
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.panels.probe_views import (
    Tiles,
    cka_tiles,
    depth_curves,
    factor_tiles,
    group_tiles,
    group_words,
    neighbor_tiles,
    neighbor_words,
)
from ssl_toolkit.widgets.player import Player

PROJECTIONS = ("PCA", "t-SNE")
IMAGES, PROBES, FACTORS, CKA = VIEWS = ("Images", "Probes", "Factors", "CKA")
TIPS = (
    "Images in the plane, their neighbors, and what a group shares",
    "The class, read by a linear probe and by kNN at every depth",
    "Every factor, read linearly at every depth",
    "How alike two depths are",
)
REDRAW = 0.3  # seconds; the browser that draws needs a core, too
NEIGHBORS, SHOWN = 7, 40
HINT = (
    "Hover over a point to see its image, click it for its nearest neighbors. <b>Lasso</b> a group to see what it "
    "shares; <code>panel.selection</code> holds its indices."
)


class ProbePanel(Panel):
    """Any depth of an encoder, or of two beside each other: points to hover, pick and lasso, and probes by depth.

    `encoders` is an `Encoder`, any module or function (b, c, h, w) -> (b, d), or two of these by name. `data` are
    images that it was not trained on, of which the first `limit` are used. `panel.selection` holds the indices of the
    group, or of the picked image and its neighbors: `data[panel.selection]`. Controls are attributes (`panel.depth`,
    `panel.projection`, `panel.color`, `panel.view`) or methods (`panel.pick(i)`, `panel.select(indices)`), and what it
    shows comes from plain functions: `embed_steps`, `pca`, `tsne`, `neighbors`, `what_they_share`, `read_depths`,
    `linear_cka`. `panel.wait()` ends the work and raises what went wrong. Raises ValueError for more than two encoders
    and for a projection, color or view that there is not.

    >>> data = stk.load_data("shapes", limit=60)
    >>> panel = stk.ProbePanel({"trained": stk.zoo.load("shapes-simclr"), "pixels": stk.pixels}, data)
    """

    def __init__(
        self,
        encoders: AnyEncoder | Mapping[str, AnyEncoder],
        data: Dataset,
        *,
        depth: str = "representation",
        projection: str = "PCA",
        color: str = "class",
        view: str = IMAGES,
        limit: int = 10_000,
        batch_size: int = 64,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__("probe", "What a representation knows")
        models = dict(encoders) if isinstance(encoders, Mapping) else {"encoder": encoders}
        data = data[:limit]
        # the labels under another name are left out
        factors = {k: v for k, v in data.factors.items() if v.ndim == 1 and not torch.equal(v, data.labels)}
        self.data = data = Dataset(data.images, data.labels, data.classes, factors, data.name, data.names)
        self._colors = {"class": (data.labels, data.classes)} | {
            factor: (values, NAMES.get(factor, ())) for factor, values in factors.items()
        }
        if not 1 <= len(models) <= 2:
            raise ValueError(
                f"encoders are {len(models)}: show one, or two by name, as {{'SimCLR': a, 'untrained': b}}."
            )
        for argument, value, known in (
            ("projection", projection, PROJECTIONS), ("color", color, self._colors), ("view", view, VIEWS)
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{argument} is {value!r}: it must be one of {', '.join(known)}.")
        self.batch_size, self.seed = batch_size, seed
        self._asked = depth
        self._selection = torch.empty(0, dtype=torch.int64)
        self._shown = torch.empty(0, dtype=torch.int64)
        self._cka: dict[tuple[str, str], float] = {}
        self._drawn: list[Tensor] = []  # the planes that are shown

        self._make_controls(models, depth, projection, color, view)
        self._make_views(two=len(models) == 2)
        self.player: Player[Any] = Player(
            self._work, self._draw, progress=lambda r: (r.done, r.total), history=1, redraw=REDRAW, name=name
        )
        self.player.toolbar.children = [self.player.play_button, self.player.bar, self.player.status]
        self.player.toolbar.layout.flex, self.player.bar.layout.width = "1 1 0", "80px"
        self.body = ui.two_columns([self.scatter], [self.words], least="300px", wrap=True)
        self.beside = self.body.children[1]
        self.below = w.VBox()  # the other views, in the place of the points
        tools = ui.beside(self.view, self.player.toolbar)
        self._place(
            ui.row(*self.depths, self.projection, self.color), tools, self.body, self.below, pictured=self.scatter
        )
        ui.on_change([self.color], self._paint)
        ui.on_change((self.projection, self.view, *self.depths), self._again)
        self._arrange()
        self.play()

    def _make_controls(
        self, models: Mapping[str, AnyEncoder], depth: str, projection: str, color: str, view: str
    ) -> None:
        make = ui.Controls("probe")
        self.probed = [Probed(name, model, depth) for name, model in models.items()]
        texts = [f"Depth of {p.name}" for p in self.probed] if len(models) == 2 else ["Depth"]
        tips = [p.model.describe() if isinstance(p.model, Encoder) else "Where to look" for p in self.probed]
        both = zip(texts, tips, strict=True)
        self.depths = [make.dropdown(text, [depth], depth, tip, name="depth") for text, tip in both]
        self.depth = self.depths[0]
        tip = "How to bring the features into the plane"
        self.projection = make.dropdown("Projection", PROJECTIONS, projection, tip)
        self.color = make.dropdown("Color", list(self._colors), color, "What the colors of the points mean")
        self.view = make.toggle(VIEWS, view, "What is shown of the representation", "view", tooltips=TIPS)

    def _make_views(self, *, two: bool) -> None:
        self.scatter = Scatter(self.data.images, side=300 if two else 430, label="features of images in the plane")
        self.scatter.on_pick(lambda i: self._soon(lambda: self.pick(i)))
        self.scatter.on_select(lambda index: self._soon(lambda: self.select(torch.tensor(index).long())))
        self.words = w.HTML(ui.paragraph(HINT))
        self.words.add_class("ssl-probe-words")
        self.grid: ImageGrid | None = None
        self.maps = [HeatMap(f"what can be read from {p.name}") for p in self.probed]
        self.similarity = HeatMap("CKA between depths")
        for p, heat in zip(self.probed, self.maps, strict=True):
            heat.on_pick(partial(self._go_column, p))
        self.similarity.on_pick(self._go_both)
        self._factors = [w.HTML(ui.paragraph(_SKILL)), *self._titled(self.maps)]
        self._alike = w.HTML(ui.paragraph(_ALIKE))
        self.figure = runs_figure(height=400)
        self.chart = Chart(self.figure)

    # what a person may call --------------------------------------------------------------------------------------
    @property
    def selection(self) -> Int64[Tensor, " m"]:
        """Indices into the data: the group that was selected, or the image that was picked and its neighbors."""
        return self._selection

    def pick(self, i: int) -> None:
        """Show the nearest neighbors of an image, at the depth of each encoder."""
        if not 0 <= i < len(self.data):
            raise IndexError(f"image {i} is not there: the panel shows {len(self.data)} images, from 0.")
        found = {p.name: nearest(p.z, i, NEIGHBORS) for p in self.probed if p.features}
        if not found:
            return
        near = torch.cat([torch.tensor([i]), *(f.index for f in found.values())])
        self._selection = torch.tensor(list(dict.fromkeys(near.tolist())))
        self.scatter.mark(i, [found[p.name].index.tolist() if p.name in found else [] for p in self._seen])
        self._show_images(neighbor_tiles(self.data, i, found), neighbor_words(self.data, i, found), 8)

    def select(self, index: Any) -> None:
        """Make these images the selection, by indices or by a mask, and show what they share; none: let go of it."""
        index = group_index(index, len(self.data))
        shares = enrichment(self.data, index)
        self._selection = index
        self.scatter.select(index)
        self.scatter.mark(-1)
        if len(index):
            self._show_images(group_tiles(self.data, index, SHOWN), group_words(index, shares), 10)
        else:
            self.words.value = ui.paragraph(HINT)

    # the work: whatever the controls ask for and is not known yet -------------------------------------------------
    def _work(self) -> Iterator[Work | None]:
        yield from embed_all(self.probed, self.data.images, self.batch_size)
        for p in self._seen:
            self._offer(p)
        if self._seen:
            self._show_points()  # at once: what comes next may fail, or be over before the next drawing
            yield Work("image", len(self.data), len(self.data))
            if self.view.value in (PROBES, FACTORS):
                yield from read_all(self._seen, self.data, self.seed)
            elif self.view.value == CKA:
                yield from compare(self._seen[0], self._seen[-1], self._cka)
            elif self.projection.value == "t-SNE":
                yield from spread_out(self._seen)
        for p in self.probed:
            if p.error is not None:
                raise p.error

    @property
    def _seen(self) -> list[Probed]:
        return [p for p in self.probed if p.features]

    def _offer(self, p: Probed) -> None:
        """The depths that the encoder turned out to have."""
        menu, known = self._menu(p), tuple(p.features)
        if menu.options == known:
            return
        with self._muted:
            menu.options = known
            menu.value = p.depth = self._asked if self._asked in known else known[-1]
        if self._asked not in (*known, "representation"):
            p.error = ValueError(f"depth is {self._asked!r}: {p.name} has {', '.join(known)}.")

    def _menu(self, p: Probed) -> w.Dropdown:
        return self.depths[self.probed.index(p)]

    def _again(self) -> None:
        """Begin the work anew: what is known already takes no time."""
        if not self._muted:
            for p, menu in zip(self.probed, self.depths, strict=True):
                p.depth = menu.value
                p.error = None if p.features else p.error  # of a depth that was asked for; another may be there
            self.reset()
            self._soon(self._arrange)
            self.play()

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, record: Work) -> None:
        self.player.unit = record.unit
        if self._seen:
            self._show_points()
        if record.unit == "score":
            self._show_scores()

    def _show_points(self) -> None:
        planes = [p.plane(self.projection.value) for p in self._seen]
        if [id(plane) for plane in planes] != [id(plane) for plane in self._drawn]:
            first, self._drawn = not self._drawn, planes
            self.scatter.show(torch.stack(planes), [p.name for p in self._seen] if len(self.probed) > 1 else ())
            if first:
                self._paint()

    def _paint(self) -> None:
        values, words = self._colors[self.color.value]
        if self._drawn:
            self.scatter.paint(color_by(self.color.value, values, words))

    def _arrange(self) -> None:
        """Put what the open view needs beside the points."""
        shown = {
            IMAGES: [],
            PROBES: [self.chart],
            FACTORS: self._factors,
            CKA: [self._alike, self.similarity],
        }
        self.below.children = shown[self.view.value]
        self.body.layout.display = "" if self.view.value == IMAGES else "none"  # where it was is not forgotten
        if self._seen:
            self._show_scores()

    def _titled(self, maps: list[HeatMap]) -> list[w.Widget]:
        if len(maps) == 1:
            return list(maps)
        titled = [w.VBox([w.HTML(f"<b>{escape(p.name)}</b>"), heat]) for p, heat in zip(self.probed, maps, strict=True)]
        return [w.HBox(titled, layout=w.Layout(flex_flow="row wrap", grid_gap="16px"))]

    def _show_scores(self) -> None:
        if self.view.value == PROBES:
            curves, chance = depth_curves({p.name: p.scores for p in self._seen})
            level = ("chance", chance) if chance is not None else None
            show_runs(self.figure, curves, title="Class accuracy by depth", axes=("", "accuracy"), level=level)
            self.chart.draw()
        elif self.view.value == FACTORS:
            for p, heat in zip(self.probed, self.maps, strict=True):
                tiles, rows, columns = factor_tiles(p.scores, list(p.features), list(self.data.factors))
                heat.show(tiles, rows=rows, columns=columns, names=("", "depth"), goal=None, chance=0.0)
        elif self.view.value == CKA:
            rows, columns = list(self._seen[0].features), list(self._seen[-1].features)
            names = (self._seen[0].name, self._seen[-1].name) if len(self._seen) > 1 else ("", "depth")
            tiles = cka_tiles(self._cka, rows, columns)
            self.similarity.show(tiles, rows=rows, columns=columns, names=names, goal=None)

    def _show_images(self, tiles: Tiles, told: str, columns: int) -> None:
        self._shown = tiles.index
        if self.grid is None:
            self.grid = ImageGrid(tiles.images, columns=columns, scale=_scale(self.data), label="images")
            self.grid.on_pick(lambda i: self._soon(partial(self._pick_shown, i)))
        self.grid.columns, self.grid.selected = columns, -1
        self.grid.show(tiles.images, frames=tiles.frames, captions=tiles.captions)
        self.words.value = ui.paragraph(told)
        self.beside.children = [self.words, self.grid]
        self.view.value = IMAGES

    def _pick_shown(self, i: int) -> None:
        if i < len(self._shown):
            self.pick(int(self._shown[i]))

    def _go_column(self, p: Probed, _: int, column: int) -> None:
        self._go(p, column - 1)  # the first column holds the pixels

    def _go(self, p: Probed, column: int) -> None:
        """To a depth, by its place."""
        menu = self._menu(p)
        if 0 <= column < len(menu.options):
            self._soon(lambda: setattr(menu, "value", menu.options[column]))

    def _go_both(self, row: int, column: int) -> None:
        self._go(self._seen[-1], column)
        if len(self._seen) > 1:
            self._go(self._seen[0], row)


_SKILL = "How much of each factor a linear probe reads: 0 is chance, 1 is all of it. Click a place to go to its depth."
_ALIKE = "How alike two depths are: 1 means equal up to rotation and scale. Click a place to go there."


def _scale(data: Dataset) -> int:
    return max(1, round(44 / data.images.shape[-1]))
