"""RcdmPanel: train a diffusion model on what an encoder says of images, and see what it knows and what it does not."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w
import plotly.graph_objects as go
import torch
from jaxtyping import UInt8
from torch import Tensor

from ssl_toolkit.chain_plots import learning_figure, show_learning
from ssl_toolkit.data import Dataset
from ssl_toolkit.diffusion.rcdm import Recipe
from ssl_toolkit.diffusion.watching import DEPTHS, Painted, Progress, Subject, paint, prepare, watch
from ssl_toolkit.encoders import Encoder
from ssl_toolkit.plots import BLUE, ORANGE, Curve
from ssl_toolkit.train import load, save
from ssl_toolkit.widgets.canvas import ImageGrid, png, tile, with_png
from ssl_toolkit.widgets.image_strip import strip
from ssl_toolkit.widgets.player import Player

REDRAW = 0.5  # seconds; the browser needs a core that training needs as well
PICKS, COLUMNS = 24, 8  # test images to choose from
BRIGHT = 4.0  # a pixel that varies by a quarter of its range is white in the map of variation
POINTS = 400  # of a curve
Canvas = dict[str, Painted]


class RcdmPanel(w.VBox):
    """What an encoder's representation says of an image, and what its embedding does, painted side by side.

    One `RCDM` for each of one or two `depths` learns to paint images of `data` from their features alone. Pick an image
    of `test`, which no model ever saw: what stays the same across its samples is known at that depth, what varies is
    not. Under each sample is the distance of its features to the image's, as a share of that between two images drawn
    at random. `panel.play()`, `panel.pick(3)`, `panel.guidance.value = 2`, `panel.save(path)` do what the controls do;
    `panel.subjects` are the models in training, `panel.painted` the samples, and `panel.wait()` runs to the end.
    """

    def __init__(
        self,
        encoder: Encoder,
        data: Dataset,
        test: Dataset,
        *,
        depths: tuple[str, ...] = DEPTHS,
        recipe: Recipe | None = None,
        every: int = 50,
        k: int = 6,
        guidance: float = 1.0,
        steps: int = 20,
        seed: int = 0,
        name: str = "rcdm",
    ):
        if not 1 <= len(set(depths)) == len(depths) <= 2:
            raise ValueError(f"depths is {depths}: give one depth of the encoder, or two to compare.")
        self.encoder, self.data, self.test, self.depths = encoder, data, test, depths
        self.recipe, self.every, self.k = recipe or Recipe(), every, k
        self.subjects: dict[str, Subject] = {}
        self.history: list[Progress] = []
        self.painted: Canvas = {}
        self.picked = 0
        self._loaded: Path | None = None

        self.guidance = w.FloatSlider(guidance, min=0.0, max=4.0, step=0.5, description="Guidance")
        self.guidance.continuous_update = False
        self.guidance.tooltip = "1 paints what the features say, more exaggerates it, 0 ignores them"
        self.guidance.disabled = self.recipe.drop == 0  # without a learned null there is nothing to exaggerate from
        self.steps = w.BoundedIntText(steps, min=1, max=200, description="Steps", tooltip="Steps of the sampler")
        self.seed = w.BoundedIntText(seed, min=0, max=2**31, description="Seed", tooltip="Of the noise of the samples")
        for control, width in ((self.guidance, "230px"), (self.steps, "100px"), (self.seed, "100px")):
            control.layout, control.style.description_width = w.Layout(width=width), "auto"
            control.add_class(f"ssl-rcdm-{control.description.lower()}")
            control.observe(lambda _: self.repaint(), "value")
        self.player: Player[Progress | None] = Player(
            self._records, self._draw, progress=lambda p: p and (p.step, self.recipe.steps), redraw=REDRAW, name=name
        )
        self.painter: Player[Canvas | None] = Player(self._painting, self._show, history=0, name=f"{name}, samples")
        self.grid = ImageGrid(test.images[:PICKS], columns=COLUMNS, scale=max(1, 40 // test.images.shape[-1]))
        self.grid.label, self.grid.selected = "images that were never trained on", 0
        self.grid.on_pick(self.pick)
        self.figure = go.FigureWidget(learning_figure())
        self.figure._config = {**self.figure._config, "displaylogo": False, "displayModeBar": False, "responsive": True}
        self.rows = w.HTML()
        self.rows.add_class("ssl-rcdm-samples")
        self.path = w.Text("rcdm.safetensors", description="File", layout=w.Layout(width="250px"))
        self.path.style.description_width = "30px"
        self.message = w.HTML()

        row = w.Layout(flex_flow="row wrap", align_items="center", grid_gap="4px 12px")
        buttons = [
            self._button("Save", "save", "Write the models to files, one for each depth", self.save),
            self._button("Load", "folder-open", "Go on from the models in these files", self.load),
        ]
        left = w.VBox([w.HTML("Pick an image that was never trained on:"), self.grid], layout=w.Layout(flex="0 0 auto"))
        sampling = w.HBox([self.guidance, self.steps, self.seed], layout=row)
        self.painter.status.add_class("ssl-rcdm-painter")
        state = w.HBox([w.HTML("samples:"), self.painter.status], layout=w.Layout(grid_gap="6px"))
        right = w.VBox([sampling, self.rows, state], layout=w.Layout(flex="1 1 0", min_width="0"))
        body = w.HBox([left, right], layout=w.Layout(grid_gap="20px", margin="4px 0 0 0"))
        files = w.HBox([self.path, *buttons, self.message], layout=row)
        super().__init__([self.player, body, self.figure, files])
        self.add_class("ssl-panel")
        self.add_class("ssl-rcdm")
        self._show({})

    # what a person may call --------------------------------------------------------------------------------------
    def play(self) -> None:
        self.player.play()

    def pause(self) -> None:
        self.player.pause()

    def pick(self, index: int) -> None:
        """Paint from the features of this test image."""
        if not 0 <= index < len(self.test):
            raise ValueError(f"index is {index}: the test images are 0 ... {len(self.test) - 1}.")
        self.picked, self.grid.selected = index, index if index < PICKS else -1
        self.repaint()

    def repaint(self) -> None:
        """Samples of the models as they are now."""
        self.painter.reset()
        if self.subjects:
            self.painter.play()
        else:
            self.painter.soon(lambda: self._show({}))

    def wait(self) -> dict[str, Subject]:
        """Train and paint to the end, raise what went wrong, and return the trained models by depth."""
        self.player.wait()
        self.painter.wait()
        return self.subjects

    def save(self, path: str | Path | None = None) -> str:
        """Write the model of each depth to `path` with the depth before its ending; a run goes on from it exactly."""
        if not self.subjects:
            raise ValueError("there is nothing to save yet: press Play or Step first.")
        names = self._files(path)
        for depth, file in names.items():
            save(self.subjects[depth].state, file)
        return f"saved {', '.join(file.name for file in names.values())}"

    def load(self, path: str | Path | None = None) -> str:
        """Go on from what `save` wrote for this encoder and these depths; a wrong file changes nothing."""
        files, subjects = self._files(path), self._prepared()
        for depth, file in files.items():
            load(file, subjects[depth].state)
        if len({subject.state.step for subject in subjects.values()}) > 1:
            raise ValueError(f"the models of {', '.join(f.name for f in files.values())} are not of the same step.")
        self.player.reset()
        self.subjects, self.history, self._loaded = subjects, [], Path(path or self.path.value)
        self.repaint()
        return f"loaded {', '.join(file.name for file in files.values())}: press Play to go on"

    # the run -----------------------------------------------------------------------------------------------------
    def _files(self, path: str | Path | None) -> dict[str, Path]:
        path = Path(path or self.path.value)
        return {depth: path.with_name(f"{path.stem}.{depth}{path.suffix}") for depth in self.depths}

    def _prepared(self) -> dict[str, Subject]:
        *_, subjects = prepare(self.encoder, self.data, self.test, depths=self.depths, recipe=self.recipe)
        assert subjects is not None
        return subjects

    def _records(self) -> Iterator[Progress | None]:
        if self._loaded is None:
            for subjects in prepare(self.encoder, self.data, self.test, depths=self.depths, recipe=self.recipe):
                yield None
                if subjects is not None:
                    self.subjects = subjects
        self._loaded, self.history = None, []
        for record in watch(self.encoder, self.subjects, self.data, recipe=self.recipe, every=self.every):
            if record is not None:
                self.history.append(record)
                if record.faithful:
                    self.repaint()
            yield record
            while self.painter.state == "running":  # samples that a person waits for come before the next step
                self.painter.advance()
                yield None

    def _painting(self) -> Iterator[Canvas | None]:
        painted: Canvas = {}
        for depth, subject in self.subjects.items():
            for result in paint(
                self.encoder, subject, subject.test[self.picked], depth=depth, k=self.k, steps=self.steps.value,
                guidance=self.guidance.value, seed=self.seed.value,
            ):  # fmt: skip
                yield None
                if result is not None:
                    painted[depth] = result
        yield painted

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, record: Progress | None) -> None:
        """The curves up to this record."""
        if record is None:
            return
        made = self.history[: bisect_right(self.history, record.step, key=lambda progress: progress.step)]
        thin = made[:: max(1, len(made) // POINTS)]
        looks = [progress for progress in made if progress.faithful]
        loss = {d: Curve(d, [p.step for p in thin], [p.loss[d] for p in thin]) for d in self.depths}
        ranks = {d: Curve(d, [p.step for p in looks], [p.faithful[d].mrr for p in looks]) for d in self.depths}
        chance = looks[-1].faithful[self.depths[0]].chance if looks else 0.0
        show_learning(self.figure, loss, ranks, chance)

    def _show(self, painted: Canvas | None) -> None:
        """A row for each depth: the image, the samples made of what is known of it, and how much each pixel varies."""
        if painted is None:
            return
        self.painted = painted
        image = self.test.images[self.picked]
        if not painted:
            hint = "Press Play: models learn to paint from the encoder's features alone."
            self.rows.value = strip(image[None], ["given"], title=hint)
            return
        rows = []
        for (depth, result), colour in zip(painted.items(), (BLUE, ORANGE), strict=False):
            captions = ["given", *(f"{d:.2f}" for d in result.distance.tolist()), f"± {result.variation.mean():.3f}"]
            wide = self.subjects[depth].h.shape[1]
            title = f"<b style='color:{colour}'>{escape(depth)}</b>, {wide} numbers, after "
            title += f"{self.subjects[depth].state.step:,} steps"
            rows.append(strip(self._row(result), captions, title=title, size=56))
        self.rows.value = "".join(rows) + (
            "<div style='line-height:1.4'>Under each sample: how far its features are from those of the image; two "
            "images at random are 1 apart. Last: what varies from sample to sample.</div>"
        )

    def _row(self, result: Painted) -> UInt8[Tensor, "n c h w"]:
        image = self.test.images[self.picked].cpu()
        varies = (255 * BRIGHT * result.variation).clamp(0, 255).byte().expand_as(image)
        return torch.cat([image[None], result.images, varies[None]])

    def _button(self, text: str, icon: str, tooltip: str, action: Callable[[], str]) -> w.Button:
        button = w.Button(description=text, icon=icon, tooltip=tooltip, layout=w.Layout(width="auto"))
        button.add_class(f"ssl-rcdm-{text.lower()}")

        def run() -> None:  # between two steps
            try:
                said = action()
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            self.message.value = f'<span role="status" class="ssl-message">{escape(said)}</span>'

        button.on_click(lambda _: self.player.soon(run))
        return button

    def _repr_mimebundle_(self, **options: Any) -> Any:
        rows = [self._row(result) for result in self.painted.values()] or [self.grid.images]
        columns = self.k + 2 if self.painted else COLUMNS
        return with_png(super()._repr_mimebundle_(**options), png(tile(torch.cat(rows), columns, 2)))
