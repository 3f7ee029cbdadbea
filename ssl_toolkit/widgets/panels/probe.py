"""ProbePanel: what a representation knows. Its images in the plane, neighbors, groups, probes at every depth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import ipywidgets as w
import torch
from jaxtyping import Int64
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.encoders import AnyEncoder, Encoder, pixels
from ssl_toolkit.probes import enrichment
from ssl_toolkit.probes.enrichment import NAMES, group_index
from ssl_toolkit.probes.workbench import (
    REVIEWS,
    Found,
    Probed,
    Work,
    compare,
    embed_all,
    flatten_out,
    look_for,
    nearest,
    read_all,
    spread_out,
)
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.canvas import ImageGrid, caption
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.heat_map import HeatMap
from ssl_toolkit.widgets.canvases.scatter import Scatter, color_by
from ssl_toolkit.widgets.figures.plots import runs_figure, show_runs
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.panels.probe_review import review_rows, review_tiles, review_words, rows_found
from ssl_toolkit.widgets.panels.probe_rows import (
    SIDE,
    Lazy,
    as_columns,
    as_embeddings,
    as_pictures,
    as_texts,
    is_lazy,
    load_pictures,
    row_words,
    rows_of,
)
from ssl_toolkit.widgets.panels.probe_views import (
    Tiles,
    cka_tiles,
    depth_curves,
    factor_tiles,
    group_tiles,
    group_words,
    neighbor_tiles,
    neighbor_words,
    row_table,
)
from ssl_toolkit.widgets.player import Player
from ssl_toolkit.widgets.records import Row

LEAD = "Each point is an image. Which images lie together tells what the encoder sees in them, and what it does not."
PROJECTIONS = ("PCA", "t-SNE")
GIVEN = "as given"  # of embeddings that are points of the plane
NOTHING = "nothing"  # to look for
IMAGES, PROBES, FACTORS, CKA = VIEWS = ("Images", "Probes", "Factors", "CKA")
TIPS = (
    "Images in the plane, their neighbors, and what a group shares",
    "The class, read by a linear probe and by kNN at every depth",
    "Every factor, read linearly at every depth",
    "How alike two depths are",
)
REDRAW = 0.3  # seconds; the browser that draws needs a core, too
SCATTER = 560, 420  # pixels of one plane, or of each of two, or less where the page is narrow
NEIGHBORS, SHOWN = 7, 40
EMBEDDED, GIVEN_ROWS = 10_000, 100_000  # images and rows that are shown, where no limit is given
TAG = "tag"  # the column of what a person wrote
HINT = (
    "Hover over a point to see its image, click it for its nearest neighbors. <b>Lasso</b> a group to see what it "
    "shares; <code>panel.selection</code> holds its indices."
)


class ProbePanel(Panel):
    """Any depth of an encoder, or of two beside each other: points to hover, pick and lasso, and probes by depth.

    `encoders` is an `Encoder`, any module or function (b, c, h, w) -> (b, d), or two of these by name. `data` are
    images that it was not trained on, of which the first `limit` are used (None: 10,000; 100,000 rows of `z`).
    `panel.selection` holds the indices of the group, or of the picked image and its neighbors:
    `data[panel.selection]`. Controls are attributes (`panel.depth`, `panel.projection`, `panel.color`, `panel.view`)
    or methods (`panel.pick(i)`, `panel.select(indices)`, `panel.find("coat")`). `panel.review` ranks what to look at
    first, and selects it: "labels that may be wrong", "duplicates" or "outliers". `panel.tag("blurred")` tags the
    picked or selected, and `panel.tags` is the column of all tags.

    What it shows comes from plain functions: `embed_steps`, `pca`, `tsne` (of more than 10,000 images, of a sample,
    near which the others lie), `neighbors`, `enrichment`, `read_depths`, `linear_cka`, `label_errors`, `duplicates`,
    `outliers`. `panel.wait()` ends the work and raises what went wrong. Raises ValueError for more than two encoders
    and for a projection, color, view or review that there is not.

    Embeddings alone are enough: `z` (n, d), or two of the same rows by name, as {"A": a, "B": b}. `table`, a DataFrame,
    a Hugging Face data set or a dict, gives columns to color by; `images`, arrays, paths or addresses, and `text`, a
    list or a column, are shown on hovering. `panel.selected()` are the selected rows, in the kind of table that came.

    >>> data = stk.load_data("shapes", limit=60)
    >>> panel = stk.ProbePanel({"trained": stk.zoo.load("shapes-simclr"), "pixels": stk.pixels}, data)
    >>> rows = stk.ProbePanel(z=torch.randn(9, 4), table={"kind": list("aabbbccca"), "size": list(range(9))})
    >>> rows.select([2, 3])
    >>> rows.selected()
    {'kind': ['b', 'b'], 'size': [2, 3]}
    """

    def __init__(
        self,
        encoders: AnyEncoder | Mapping[str, AnyEncoder] | None = None,
        data: Dataset | None = None,
        *,
        z: Any = None,
        table: Any = None,
        images: Any = None,
        text: Any = None,
        depth: str = "representation",
        projection: str | None = None,
        color: str | None = None,
        view: str = IMAGES,
        review: str = NOTHING,
        limit: int | None = None,
        batch_size: int = 64,
        seed: int = 0,
        name: str | None = None,
    ):
        if (z is None) == (encoders is None) or (z is None) == (data is None):
            raise ValueError("give encoders and data, or z, the embeddings, alone.")
        if z is None and not (table is None and images is None and text is None):
            raise ValueError("table, images and text go with z: data has images and labels of its own.")
        limit = limit or (EMBEDDED if z is None else GIVEN_ROWS)
        super().__init__("probe", "What a representation knows", LEAD)
        self._has_images, self._cut = True, ""
        self.table = table
        self._pending: list[Any] | None = None  # pictures to be loaded
        self._lazy: Lazy | None = None  # pictures that are loaded when they are looked at
        self._words: Mapping[str, Sequence[str]] = NAMES
        self._told: list[str] = []
        if z is not None:
            found, data = self._take(z, table, images, text, limit)
            models: dict[str, AnyEncoder] = dict.fromkeys(found, pixels)  # never asked: its features are there
        else:
            assert encoders is not None
            models, found = dict(encoders) if isinstance(encoders, Mapping) else {"encoder": encoders}, {}
        assert data is not None
        if len(data) > limit:
            self._cut = f"the first {limit:,} of {len(data):,} are shown: limit= shows more"
        data = data[:limit]
        # the labels under another name are left out
        factors = {k: v for k, v in data.factors.items() if v.ndim == 1 and not (z is None and v.equal(data.labels))}
        self.data = data = Dataset(data.images, data.labels, data.classes, factors, data.name, data.names)
        named: dict[str, Any] = {} if z is not None else {"class": (data.labels, data.classes)}
        self._colors = named | {factor: (values, self._words.get(factor, ())) for factor, values in factors.items()}
        if not self._colors:
            self._colors = {"row": (torch.arange(len(data), dtype=torch.float32), ())}
        as_given = z is not None and all(rows.shape[1] == 2 for rows in found.values())
        self._projections = (GIVEN, *PROJECTIONS) if as_given else PROJECTIONS
        projection, color = projection or self._projections[0], color or next(iter(self._colors))
        if not 1 <= len(models) <= 2:
            raise ValueError(
                f"encoders are {len(models)}: show one, or two by name, as {{'SimCLR': a, 'untrained': b}}."
            )
        for argument, value, known in (
            ("projection", projection, self._projections), ("color", color, self._colors), ("view", view, VIEWS),
            ("review", review, (NOTHING, *REVIEWS)),
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{argument} is {value!r}: it must be one of {', '.join(known)}.")
        self.batch_size, self.seed = batch_size, seed
        self._asked = depth
        self._selection = torch.empty(0, dtype=torch.int64)
        self._shown = torch.empty(0, dtype=torch.int64)
        self._to_tag = torch.empty(0, dtype=torch.int64)
        self._cka: dict[tuple[str, str], float] = {}
        self._found: dict[tuple[str, ...], Found] = {}
        self._tags = [""] * len(data)
        self._drawn: list[Tensor] = []  # the planes that are shown

        self._make_controls(models, depth, projection, color, view, review)
        for p, rows in zip(self.probed, found.values(), strict=False):
            p.depth, p.features, p.planes = depth, {depth: rows}, {(GIVEN, depth): rows} if as_given else {}
        self._make_views(two=len(models) == 2)
        self.player: Player[Any] = Player(
            self._work, self._draw, progress=lambda r: (r.done, r.total), history=1, redraw=REDRAW, name=name
        )
        self.player.toolbar.children = [self.player.play_button, self.player.bar, self.player.status]
        self.player.toolbar.layout.flex, self.player.bar.layout.width = "1 1 280px", "80px"
        two = len(models) == 2
        tagging = ui.row(self.tag_text, self.tag_button)
        self.body = ui.two_columns(
            [w.VBox([self.scatter, tagging])],
            [self.words],
            width="520px" if two else "400px",
            least="300px",
            share=3 if two else 1,
            most="860px" if two else "562px",
        )
        self.beside = self.body.children[1]
        self.below = w.VBox()  # the other views, in the place of the points
        tools = ui.beside(self.view, self.player.toolbar)
        menus = [self.projection, self.color, self.review]
        if z is None:
            menus = [*self.depths, *menus]
        else:
            self.view.layout.display = "none"  # there is nothing to read by depth
            self.words.value = ui.paragraph(HINT.replace("its image", "what it is"))
        self._place(ui.row(*menus), tools, self.body, self.below, pictured=self.scatter)
        ui.on_change([self.color], self._paint)
        ui.on_change((self.projection, self.view, self.review, *self.depths), self._again)
        self._arrange()
        self.play()

    def _make_controls(
        self, models: Mapping[str, AnyEncoder], depth: str, projection: str, color: str, view: str, review: str
    ) -> None:
        make = ui.Controls("probe")
        self.probed = [Probed(name, model, depth) for name, model in models.items()]
        texts = [f"Depth of {p.name}" for p in self.probed] if len(models) == 2 else ["Depth"]
        tips = [p.model.describe() if isinstance(p.model, Encoder) else "Where to look" for p in self.probed]
        both = zip(texts, tips, strict=True)
        self.depths = [make.dropdown(text, [depth], depth, tip, name="depth") for text, tip in both]
        self.depth = self.depths[0]
        tip = "How to bring the features into the plane"
        self.projection = make.dropdown("Projection", self._projections, projection, tip)
        self.color = make.dropdown("Color", list(self._colors), color, "What the colors of the points mean")
        tip = "What to look at first: ranked images beside the map"
        self.review = make.dropdown("Look for", (NOTHING, *REVIEWS), review, tip, name="review")
        self.tag_text = make.add(w.Text(placeholder="a word"), "What to call what is picked or selected", name="tag")
        self.tag_text.layout.width = "120px"
        self.tag_button = make.button("Tag", "", "Call them so: panel.tags is the column")
        self.tag_button.on_click(lambda _: self._soon(lambda: self.tag(self.tag_text.value)))
        self.view = make.toggle(VIEWS, view, "What is shown of the representation", "view", tooltips=TIPS)

    def _make_views(self, *, two: bool) -> None:
        shown = None if self._told and not self._has_images else self.data.images
        self.scatter = Scatter(shown, side=SCATTER[two], label="features of images in the plane")
        self.scatter.tell(self._told)
        if self._lazy is not None:
            self.scatter.on_look(self._fetch)
        self.scatter.on_find(lambda text: self._soon(lambda: self.find(text)))
        self.scatter.on_pick(lambda i: self._soon(lambda: self.pick(i)))
        self.scatter.on_select(lambda index: self._soon(lambda: self.select(torch.tensor(index).long())))
        self.words = w.HTML(ui.paragraph(HINT))
        self.words.add_class("ssl-probe-words")
        self.grid: ImageGrid | None = None
        self.ranked: ImageGrid | None = None  # what was looked for
        self.ranked_words = w.HTML()
        self._ranking = torch.empty(0, dtype=torch.int64)
        self.maps = [HeatMap(f"what can be read from {p.name}") for p in self.probed]
        self.similarity = HeatMap("CKA between depths")
        for p, heat in zip(self.probed, self.maps, strict=True):
            heat.on_pick(partial(self._go_column, p))
        self.similarity.on_pick(self._go_both)
        self._factors = [w.HTML(ui.paragraph(_SKILL)), *self._titled(self.maps)]
        self._alike = w.HTML(ui.paragraph(_ALIKE))
        self.figure = runs_figure(height=400)
        self.chart = Chart(self.figure, toolbar=False)

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
        self._offer_tag(torch.tensor([i]))
        self.scatter.mark(i, [found[p.name].index.tolist() if p.name in found else [] for p in self._seen])
        if self._told and not self._has_images:
            self.words.value = row_table(self._told, i, found)
            return
        self._show_images(neighbor_tiles(self.data, i, found), neighbor_words(self.data, i, found), 8)

    def select(self, index: Any) -> None:
        """Make these images the selection, by indices or by a mask, and show what they share; none: let go of it."""
        index = group_index(index, len(self.data))
        shares = enrichment(self.data, index, words=self._words)
        self._selection = index
        self._offer_tag(index)
        self.scatter.select(index)
        self.scatter.mark(-1)
        if len(index) and self._told and not self._has_images:
            some = index[: SHOWN // 2].tolist()
            more = [["…", ""]] if len(index) > len(some) else []
            rows = [["", ""], *([escape(self._told[i]), ""] for i in some), *more]
            self.words.value = ui.paragraph(group_words(index, shares, "rows")) + ui.table(rows, "ssl-rows")
        elif len(index):
            self._show_images(group_tiles(self.data, index, SHOWN), group_words(index, shares), 10)
        else:
            self.words.value = ui.paragraph(HINT)

    def _looking_at(self) -> dict[str, Any]:
        return {"selection": self._selection.tolist()}

    def _look_at(self, view: Mapping[str, Any]) -> None:
        if "selection" in view:
            self.select(view["selection"])

    def find(self, text: str) -> None:
        """Select all whose name, class or text contains these letters."""
        sought = text.strip().lower()
        n = len(self.data)
        words = self._told or [caption(self.data, i) for i in range(n)]
        tags = [f" {tag}" for tag in self._tags] if any(self._tags) else [""] * n
        index = [i for i in range(n) if sought in (words[i] + tags[i]).lower()] if sought else []
        if sought and not index:
            self._say(f"Nothing is called {text!r}.")
        self.select(index)

    @property
    def tags(self) -> list[str]:
        """What each image or row was tagged with, "" where it was not: `table["tag"] = panel.tags`."""
        return list(self._tags)

    def tag(self, text: str, index: Any = None) -> None:
        """Tag images with a word, by which they can be colored and found; "" takes their tags away.

        `index`, indices or a mask, says which; None: the image that was picked or the group that was selected,
        whichever came last.
        """
        chosen = self._to_tag if index is None else group_index(index, len(self.data))
        if not len(chosen):
            self._say("Nothing is selected: lasso or pick what the tag is for.")
            return
        for i in chosen.tolist():
            self._tags[i] = text.strip()
        words = tuple(sorted(set(self._tags) - {""}))
        place = {word: i for i, word in enumerate(words)} | {"": -1}
        self._colors[TAG] = (torch.tensor([place[tag] for tag in self._tags]), words)
        if TAG not in self.color.options:
            with self._muted:
                color = self.color.value
                self.color.options = tuple(self._colors)
                self.color.value = color
        if self.color.value == TAG:
            self._paint()
        self._say(f"{len(chosen):,} tagged {text.strip()!r}: panel.tags is the column.")

    def _offer_tag(self, index: Int64[Tensor, " m"]) -> None:
        """The button says what it will tag."""
        self._to_tag = index
        one = f"{'row' if self._told else 'image'} {int(index[0])}" if len(index) == 1 else f"{len(index):,} selected"
        self.tag_button.description = f"Tag {one}" if len(index) else "Tag"

    def selected(self) -> Any:
        """The selected rows, as a table of the kind that was given, or as a `Dataset`."""
        index = self._selection.tolist()
        if self.table is not None:
            return rows_of(self.table, index)
        return {"row": index} if self._told else self.data[index]

    def records(self) -> list[Row]:
        """Of each image, or row, its class and factors, its place in each plane, and whether it is selected."""
        chosen, rows = set(self._selection.tolist()), []
        known = {name: (values.tolist(), words) for name, (values, words) in self._colors.items()}
        places = {p.name: plane.tolist() for p, plane in zip(self._seen, self._drawn, strict=False)}
        for i in range(len(self.data)):
            named = {name: words[v[i]] if words and v[i] >= 0 else v[i] for name, (v, words) in known.items()}
            drawn = {f"{name} {axis}": x for name, at in places.items() for axis, x in zip("xy", at[i], strict=True)}
            rows.append({"row": i, **named, **drawn, "selected": i in chosen})
        return rows

    def _take(self, z: Any, table: Any, images: Any, text: Any, limit: int) -> tuple[dict[str, Tensor], Dataset]:
        """Embeddings by name, and all that is known of their rows as a data set, of one pixel without pictures."""
        given = dict(z) if isinstance(z, Mapping) else {"z": z}
        found = {name: as_embeddings(rows, "z" if len(given) == 1 else f"z[{name!r}]") for name, rows in given.items()}
        if len({len(rows) for rows in found.values()}) > 1:
            sizes = ", ".join(f"{name!r} {len(rows)}" for name, rows in found.items())
            raise ValueError(f"z has other numbers of rows by name: {sizes}. They must be of the same rows.")
        n = len(next(iter(found.values()), ()))
        columns, texts, pictures = as_columns(table, n), as_texts(text, table, n), as_pictures(images, n)
        if n > limit:
            self._cut = f"the first {limit:,} of {n:,} rows are shown: limit= shows more"
        n = min(n, limit)
        found = {name: rows[:n] for name, rows in found.items()}
        self._words = {name: column.words for name, column in columns.items()}
        self._told = row_words(columns, texts, n)
        self._has_images = pictures is not None
        if isinstance(pictures, list) and is_lazy(pictures[:n]):
            self._lazy = Lazy(pictures[:n])
            pictures = self._lazy.sheet
        elif isinstance(pictures, list):
            self._pending, pictures = pictures[:n], torch.full((n, 3, SIDE, SIDE), 255, dtype=torch.uint8)
        shown = torch.zeros(n, 1, 1, 1, dtype=torch.uint8) if pictures is None else pictures[:n]
        factors = {name: column.values[:n] for name, column in columns.items()}
        return found, Dataset(shown, torch.full((n,), -1), (), factors, names=tuple(self._told))

    # the work: whatever the controls ask for and is not known yet -------------------------------------------------
    def _work(self) -> Iterator[Work | None]:
        if self._cut:
            self._say(self._cut)
        if self._pending is not None:
            yield from self._load_pictures(self._pending)
        yield from embed_all(self.probed, self.data.images, self.batch_size)
        for p in self._seen:
            self._offer(p)
        yield from flatten_out(self._seen, self.projection.value)
        if self._seen:
            self._show_points()  # at once: what comes next may fail, or be over before the next drawing
            yield Work("image", len(self.data), len(self.data))
            if self.view.value in (PROBES, FACTORS):
                yield from read_all(self._seen, self.data, self.seed)
            elif self.view.value == CKA:
                yield from compare(self._seen[0], self._seen[-1], self._cka)
            else:
                if self.review.value != NOTHING:
                    named = self.color.value if self._told else "class"
                    yield from look_for(self.review.value, self._seen[0], self.data.labels, named, self._found)
                    self._show_ranked(self._found[self.review.value, self._seen[0].depth, named])
                if self.projection.value == "t-SNE":
                    yield from spread_out(self._seen)
        for p in self.probed:
            if p.error is not None:
                raise p.error

    def _load_pictures(self, given: list[Any]) -> Iterator[Work]:
        wrong: list[str] = []
        for done, failed in load_pictures(given, self.data.images):
            wrong = failed
            yield Work("picture", done, len(given))
        self._pending = None
        if wrong:
            self._say(f"{len(wrong)} of {len(given)} pictures could not be read, the first: {wrong[0]}")

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
        if self._told:  # neighbors of the same name are framed in green
            labels = values if words else torch.full((len(values),), -1)
            self.data = replace(self.data, labels=labels, classes=tuple(words))
            if self.review.value == REVIEWS[0] and self.player.state == "done":
                self._again()  # other labels
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
        if self.review.value == NOTHING:
            self.beside.children = self._beside()
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
        tiles = self._tiles(tiles)
        self._shown = tiles.index
        if self.grid is None:
            self.grid = ImageGrid(tiles.images, columns=columns, scale=_scale(self.data), largest=72, label="images")
            self.grid.on_pick(lambda i: self._soon(partial(self._pick_shown, i)))
        self.grid.columns, self.grid.selected = columns, -1
        self.grid.show(tiles.images, frames=tiles.frames, captions=tiles.captions)
        self.words.value = ui.paragraph(told)
        self.beside.children = self._beside()
        self.view.value = IMAGES

    def _beside(self) -> list[w.Widget]:
        """What stands beside the points: what was looked for, then the neighbors or the group."""
        ranked = [self.ranked_words, *([self.ranked] if self.ranked is not None and len(self._ranking) else [])]
        own = [self.words, *([self.grid] if self.grid is not None else [])]
        return [*(ranked if self.review.value != NOTHING else []), *own]

    def _show_ranked(self, found: Found) -> None:
        """The ranked images, which become the selection; a click on one picks its point."""
        if self._told and not self._has_images:
            self._ranking = torch.empty(0, dtype=torch.int64)
            self.ranked_words.value = review_rows(self.data, self._told, found, SHOWN // 2)
        else:
            tiles = self._tiles(review_tiles(self.data, found, SHOWN))
            self._ranking = tiles.index
            self.ranked_words.value = ui.paragraph(review_words(self.data, found))
            if len(tiles.index) and self.ranked is None:
                self.ranked = ImageGrid(tiles.images, columns=10, scale=_scale(self.data), label="what was looked for")
                self.ranked.on_pick(lambda i: self._soon(partial(self._pick_ranked, i)))
            if len(tiles.index) and self.ranked is not None:
                self.ranked.selected = -1
                self.ranked.show(tiles.images, frames=tiles.frames, captions=tiles.captions)
        self._selection = rows_found(found)
        self._offer_tag(self._selection)
        self.scatter.select(self._selection)
        self.beside.children = self._beside()

    def _pick_ranked(self, i: int) -> None:
        if i < len(self._ranking):
            self.pick(int(self._ranking[i]))

    def _fetch(self, index: Sequence[int]) -> None:
        """Have these pictures here."""
        if self._lazy is not None:
            before = len(self._lazy.wrong)
            self._lazy.fetch(index)
            if len(self._lazy.wrong) > before:
                self._say(f"{len(self._lazy.wrong)} pictures could not be read, the first: {self._lazy.wrong[0]}")

    def _tiles(self, tiles: Tiles) -> Tiles:
        """The same with its pictures here."""
        if self._lazy is None:
            return tiles
        self._fetch(tiles.index.tolist())
        return tiles._replace(images=self.data.images[tiles.index])

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
