"""EditPanel: change a representation, and see in samples painted from it what the change means."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

import ipywidgets as w
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.diffusion.directions import principal_directions, sparse_directions
from ssl_toolkit.diffusion.edit import Edits, Rows, along, between, hidden, paint_rows, without_common
from ssl_toolkit.diffusion.monitor import PORTION
from ssl_toolkit.diffusion.rcdm import RCDM, conditions
from ssl_toolkit.encoders import Encoder, embed_steps
from ssl_toolkit.encoders.statistics import typical_distance
from ssl_toolkit.training import last_of
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.canvas import ImageGrid
from ssl_toolkit.widgets.canvases.chain import ChainCanvas
from ssl_toolkit.widgets.canvases.image_strip import image_strip
from ssl_toolkit.widgets.canvases.number import ANY, EXACT, IntSlider
from ssl_toolkit.widgets.figures.plots import BLUE, ORANGE
from ssl_toolkit.widgets.panel import Panel, check_index
from ssl_toolkit.widgets.pictures import Pixels, as_pixels, tile
from ssl_toolkit.widgets.player import Player

LEAD = "Change the numbers an encoder keeps of image A, and see in what is painted from them what the change means."
MODES = {
    "Interpolate": "From A to B: every step of the way is painted from the same noise. Drag the slider below.",
    "Directions": "Each slider adds a direction of the space of representations to A's; several add up.",
    "Common dimensions": "What most of A's neighbors have in common is set to 0, or to what B has in its place.",
    "Masked": "A is hidden in part before the encoder sees it: what do the samples say was there?",
}
PICKS, COLUMNS = 24, 4  # test images to choose from
REDRAW = 0.3  # seconds; the browser needs a core that the painting needs as well
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)  # of the patches that are hidden
NEIGHBORS = 20  # as in the paper
WHERE = "Under each sample: how far its features are from those it was painted from; two images at random are 1 apart."


class Task(NamedTuple):
    """What a mode asks for: the rows to paint, the images that stand before them in turn, what is told below them."""

    asked: Edits
    given: Shaped[Tensor, "n c h w"]
    told: str = ""


class EditPanel(Panel):
    """Samples of an `RCDM` for edited representations of an image A, always from the same noise in every row.

    `model` was trained on what `encoder` says at `depth`; `test` gives the images to pick and the representations that
    neighbors, directions and distances are taken among. In "Interpolate" the samples at all `stops` between A and B
    travel to the browser, so that its slider answers at once. `panel.pick(3)` and `panel.pick(5, other=True)` choose A
    and B; `panel.mode.value = "Directions"`, `panel.move(0, 2.0)`, `panel.more_than.value = 12` and the other controls
    do what a person does; `panel.play()` paints, `panel.wait()` returns the `Rows`, and `panel.asked` names them.

    >>> encoder, painter = stk.zoo.load("shapes-simclr"), stk.zoo.load("shapes-simclr-rcdm-representation")
    >>> panel = stk.EditPanel(encoder, painter, stk.load_data("shapes", split="test", limit=40))
    """

    def __init__(
        self,
        encoder: Encoder,
        model: RCDM,
        test: Dataset,
        *,
        depth: str = "representation",
        mode: str = "Interpolate",
        k: int = 4,
        stops: int = 9,
        directions: int = 6,
        guidance: float = 1.0,
        steps: int = 20,
        seed: int = 0,
        name: str | None = None,
    ):
        if mode not in MODES:
            raise ValueError(f"mode is {mode!r}: it must be one of {', '.join(MODES)}.")
        if len(test) <= NEIGHBORS:
            raise ValueError(f"test has {len(test)} images: give more than {NEIGHBORS}, for neighbors.")
        if tuple(test.images.shape[1:]) != tuple(model.shape):
            raise ValueError(
                f"test has images of {tuple(test.images.shape[1:])} and the model paints {tuple(model.shape)}: "
                "give images of the kind that it was trained on."
            )
        super().__init__("edit", "Edit a representation", LEAD)
        self.encoder, self.model, self.test, self.depth = encoder, model, test, depth
        self.k, self.stops = k, stops
        self.h: Tensor | None = None  # of the test images
        self.axes: dict[str, tuple[Tensor, list[str]]] = {}  # by kind: directions, and what is said of each
        self.a, self.b = 0, 1
        self._task: Task | None = None
        self.rows: Rows | None = None
        self._make_controls(mode, directions, guidance, steps, seed)
        self.player: Player[Rows | None] = Player(
            self._records, self._draw, progress=lambda r: r and (r.step, self.steps.value),
            redraw=REDRAW, history=0, name=name,
        )  # fmt: skip
        self.player.back.layout.display = self.player.speed.layout.display = "none"
        self.grid = ImageGrid(test.images[:PICKS], columns=COLUMNS, scale=max(1, 44 // test.images.shape[-1]))
        self.grid.label, self.grid.largest = "images that can be edited", 56
        self.grid.on_pick(lambda i: self._soon(lambda: self.pick(i, other=self.picking.value == "B")))
        self.canvas = ChainCanvas(columns=k, scale=max(1, round(128 / test.images.shape[-1])), label="samples")
        self.canvas.value = stops // 2
        self.note, self.html, self.controls = w.HTML(), w.HTML(), ui.row()
        self.html.add_class("ssl-edit-rows")
        which = f"{ui.word('A', BLUE)}: edited, {ui.word('B', ORANGE)}: the other"
        left = [ui.row(w.HTML("A click picks"), self.picking), self.grid, w.HTML(which)]
        sampling = ui.row(self.guidance, ui.more(self.steps, self.seed))
        top = [self.mode, self.note, self.controls, sampling, self.player]
        self._place(ui.two_columns(left, [*top, self.canvas, self.html], width="240px"))
        ui.on_change([self.mode], self._on_mode)
        ui.on_change(self._sampling + self._editing, self._on_control)
        self.zero.on_click(lambda _: self.zero_all())
        self._on_mode()
        self.pick(0)

    def _make_controls(self, mode: str, directions: int, guidance: float, steps: int, seed: int) -> None:
        make = ui.Controls("edit")
        self.mode = make.toggle(list(MODES), mode, "What is done with the representation of A", "mode")
        tips = ("The image that is edited", "The other image")
        self.picking = make.toggle("AB", "A", "Which image a click picks", "picking", tooltips=tips)
        self.picking.style.button_width = "36px"
        tip = "1 paints what h says, more exaggerates it"
        self.guidance = make.slider("Guidance", guidance, (0.0, 4.0, 0.5), tip, within=ANY, width="205px")
        self.guidance.disabled = self.model.network.null is None
        self.steps = make.int_box("Steps", steps, (1, EXACT), "Steps of the sampler")
        self.seed = make.seed_box(seed, "Of the noise of all rows")
        self.path = make.dropdown("Path", ["straight", "along the sphere"], "straight", "Which way leads from A to B")
        tip = "Principal: along which images vary the most. Sparse: of which each image has a few"
        self.kind = make.dropdown("Kind", ["principal", "sparse"], "principal", tip)
        self.amounts = [
            make.slider(str(i), 0.0, (-4.0, 4.0, 0.5), "How much of it is added", within=ANY, width="205px")
            for i in range(1, directions + 1)
        ]
        self.zero = make.button("Zero", "undo", "Every direction to 0")
        self.more_than = IntSlider(14, min=0, max=NEIGHBORS - 1, description="More than", continuous_update=False)
        tip = f"A dimension is common if more than so many of the {NEIGHBORS} neighbors have it"
        make.add(self.more_than, tip, width="300px")
        has = [("above its median", True), ("not 0", False)]
        self.relative = make.dropdown("Has it", has, True, "When an image counts as having a dimension")
        self.patch = make.dropdown("Patch", [2, 4, 8], 4, "Pixels a side")
        self._sampling = [self.guidance, self.steps, self.seed]
        self._editing = [self.path, self.kind, *self.amounts, self.more_than, self.relative, self.patch]
        self._settings: dict[str, list[w.Widget]] = {
            "Interpolate": [self.path],
            "Directions": [ui.row(self.kind, self.zero), ui.row(*self.amounts)],
            "Common dimensions": [self.more_than, w.HTML(f"of {NEIGHBORS} neighbors"), self.relative],
            "Masked": [self.patch],
        }

    # what a person may call --------------------------------------------------------------------------------------
    def pick(self, index: int, *, other: bool = False) -> None:
        """Take this test image as A, or as B where `other` says so."""
        check_index(index, self.test)
        self.a, self.b = (self.a, index) if other else (index, self.b)
        marks = {self.b: ORANGE, self.a: BLUE}
        self.grid.selected, self.grid.frames = -1, [marks.get(i, "") for i in range(len(self.grid.images))]
        self._on_control()

    def _looking_at(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b}

    def _look_at(self, view: Mapping[str, Any]) -> None:
        for name, other in (("a", False), ("b", True)):
            if name in view:
                self.pick(view[name], other=other)

    def move(self, direction: int, amount: float) -> None:
        """Add so many standard deviations of this direction, or so much of this atom."""
        self.amounts[direction].value = amount

    def zero_all(self) -> None:
        """Every direction back to 0."""
        with self._muted:
            for amount in self.amounts:
                amount.value = 0.0
        self._on_control()

    @property
    def asked(self) -> Edits | None:
        """The rows that are painted, with their names; None before a run."""
        return None if self._task is None else self._task.asked

    def wait(self) -> Rows:
        """Paint to the end, raise what went wrong, and return the samples."""
        super().wait()
        assert self.rows is not None
        return self.rows

    # the run -----------------------------------------------------------------------------------------------------
    def _records(self) -> Iterator[Rows | None]:
        self._task = None
        if self.h is None:
            embedded = yield from last_of(
                embed_steps(self.encoder, self.test.images, depth=self.depth, batch_size=PORTION)
            )
            self.h = embedded.features[self.depth]
        if self.mode.value == "Directions" and self.kind.value not in self.axes:
            yield from self._find_axes(self.h)
        self._task = self._ask(self.h)
        unit = typical_distance(self.h)
        for rows in paint_rows(
            self.encoder, self.model, self._task.asked.h, depth=self.depth, k=self.k,
            steps=self.steps.value, guidance=self.guidance.value, seed=self.seed.value,
        ):  # fmt: skip
            self.rows = rows if rows.distance is None else rows._replace(distance=rows.distance / unit)
            yield self.rows

    def _find_axes(self, h: Float[Tensor, "n d"]) -> Iterator[None]:
        k = len(self.amounts)
        if self.kind.value == "principal":
            axes = principal_directions(h, k)
            shares = axes.square().sum(dim=1) / h.var(dim=0).sum()
            self.axes["principal"] = axes, [f"{share:.0%} of the variance" for share in shares.tolist()]
            return
        for atoms in sparse_directions(h, k, batch_size=min(256, len(h))):
            found = atoms.directions, [f"in {used:.0%} of the images" for used in atoms.used.tolist()]
            yield None
        self.axes["sparse"] = found

    def _ask(self, h: Float[Tensor, "n d"]) -> Task:
        """What this mode asks for."""
        a, b, mode = h[self.a], h[self.b], self.mode.value
        image = self.test.images[self.a].cpu()
        if mode == "Interpolate":
            return Task(between(a, b, self.stops, spherical=self.path.value != "straight"), image[None])
        if mode == "Directions":
            axes, said = self.axes[self.kind.value]
            told = "; ".join(f"{i}: {text}" for i, text in enumerate(said, start=1))
            return Task(along(a, axes, [amount.value for amount in self.amounts]), image[None], told)
        if mode == "Common dimensions":
            more_than, relative = self.more_than.value, self.relative.value
            found = without_common(a, b, h, k=NEIGHBORS, more_than=more_than, relative=relative)
            near = self.test.images[found.neighbors].cpu()
            told = f"{int(found.dims.sum())} of {h.shape[1]} dimensions are common."
            told += image_strip(near, [""] * NEIGHBORS, title=f"The {NEIGHBORS} nearest, A among them:", size=26)
            return Task(found.asked, torch.stack([image, image, self.test.images[self.b].cpu()]), told)
        given = hidden(image, SHARES, patch=self.patch.value, seed=self.seed.value)
        names = [f"{share:.0%} hidden" for share in SHARES]
        return Task(Edits(names, conditions(self.encoder, given, depth=self.depth)), given)

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, rows: Rows | None) -> None:
        if rows is None or self._task is None:
            return
        path = self.mode.value == "Interpolate"
        if path:
            self._draw_path(self._task.asked, rows)
        else:
            self._draw_rows(self._task, rows)
        self.canvas.layout.display = "" if path else "none"

    def _draw_path(self, asked: Edits, rows: Rows) -> None:
        """The k samples of each stop as frames, and those of the first noise side by side."""
        captions = [f"λ = {name} of the way from A to B" for name in asked.names]
        words = [""] * len(asked.names)
        if rows.distance is not None:
            each = [", ".join(f"{d:.2f}" for d in row) for row in rows.distance.tolist()]
            captions = [f"{caption}; distances {some}" for caption, some in zip(captions, each, strict=True)]
            words = [f"{d:.2f}" for d in rows.distance[:, 0].tolist()]
        self.canvas.show({"samples": rows.images}, captions=captions)
        ends = as_pixels(self.test.images[[self.a, self.b]]).cpu()
        images = torch.cat([ends[:1], rows.images[:, 0], ends[1:]])
        title = f"The first sample at λ = {', '.join(asked.names)}:"
        self.html.value = image_strip(images, ["A", *words, "B"], title=title, size=72) + ui.paragraph(WHERE)

    def _draw_rows(self, task: Task, rows: Rows) -> None:
        assert self.h is not None
        asked, given = task.asked, task.given
        away = (asked.h - self.h[self.a]).norm(dim=1) / typical_distance(self.h)
        told = []
        for i, name in enumerate(asked.names):
            under = [""] * self.k if rows.distance is None else [f"{d:.2f}" for d in rows.distance[i].tolist()]
            title = f"<b>{escape(name)}</b>" + (f", h moved by {away[i]:.2f}" if i else "")
            images = torch.cat([as_pixels(given)[i % len(given)][None], rows.images[i]])
            told.append(image_strip(images, ["given", *under], title=title))
        self.html.value = "".join(told) + ui.paragraph(f"{WHERE}<br>{task.told}")

    def _before_run(self) -> None:
        """Show the images that were picked."""
        self._task = self.rows = None
        images = self.test.images[[self.a, self.b]].cpu()
        self.canvas.layout.display = "none"
        self.html.value = image_strip(
            images, ["A", "B"], title="Press Play to paint from what the encoder knows about them."
        )

    def _on_mode(self) -> None:
        self.note.value = ui.paragraph(MODES[self.mode.value])
        self.controls.children = self._settings[self.mode.value]
        self._on_control()

    def _on_control(self) -> None:
        if not self._muted:
            self.player.restart(self._before_run)

    def picture(self) -> Pixels:
        """The samples, or the images to choose from."""
        if self.rows is None:
            return tile(self.grid.images, COLUMNS, 2)
        return tile(self.rows.images.flatten(0, 1), self.k, 2)

    def pictures(self) -> list[Pixels]:
        """The samples on the way from A to B, to be exported."""
        return self.canvas.pictures() if self.mode.value == "Interpolate" else [self.picture()]
