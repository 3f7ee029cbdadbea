"""RcdmPanel: train a diffusion model on what an encoder says of images, and see what it knows and what it does not."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as w
import torch
from jaxtyping import UInt8
from torch import Tensor

from ssl_toolkit.data import Dataset
from ssl_toolkit.data.folders import from_bytes
from ssl_toolkit.diffusion.factor_reader import FACTORS, factor_retention
from ssl_toolkit.diffusion.monitor import DEPTHS, Painted, Progress, Retain, Subject, monitor, paint, prepare
from ssl_toolkit.diffusion.rcdm import RCDM, RCDMRecipe, conditions
from ssl_toolkit.encoders import Encoder, embed
from ssl_toolkit.training import TrainState, load, save
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.canvas import ImageGrid
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.number import ANY, EXACT
from ssl_toolkit.widgets.figures.chains import learning_figure, show_learning
from ssl_toolkit.widgets.panel import Panel, check_index
from ssl_toolkit.widgets.panels.rcdm_rows import sample_images, sample_rows
from ssl_toolkit.widgets.pictures import Pixels, tile
from ssl_toolkit.widgets.player import Player
from ssl_toolkit.widgets.records import Row, flat

REDRAW = 0.5  # seconds; the browser needs a core that training needs as well
PICKS, COLUMNS = 24, 12  # test images to choose from
LEAD = "All samples of a row come from the same features: what stays the same is known there, what varies is not."
NONE = "nothing"  # to compare with
Canvas = dict[str, Painted]


class RcdmPanel(Panel):
    """What one depth of an encoder says of an image and what another does, painted side by side.

    One `RCDM` for each of one or two `depths` learns to paint images of `data` from their features alone. Pick an image
    of `test`, which no model ever saw, or upload one: what stays the same across its samples is known at that depth,
    what varies is not. Under each sample is the distance of its features to the image's, as a share of that between two
    images drawn at random. Of several encoders, by name, a depth is "simclr embedding"; those that `models` has, as the
    shipped ones, are trained already and paint at once. Each `every` steps the samples are measured, and painted anew
    twice as often; with a `reader`, bars say what they keep of each factor.

        RcdmPanel(zoo.load("shapes-simclr"), data, test, depths=("embedding",), reader=zoo.load("shapes-reader"),
                  models={"embedding": zoo.load("shapes-simclr-rcdm-embedding")})

    `panel.play()`, `panel.pick(3)`, `panel.upload(file.read_bytes())`, `panel.choose("stage1")`, `panel.save(path)`,
    `panel.guidance.value = 2` do what the controls do; `panel.subjects` are the models by depth, `panel.painted` the
    samples, `panel.history` the records, and `panel.wait()` runs to the end.

    >>> data, test = stk.load_data("shapes", limit=40), stk.load_data("shapes", split="test", limit=30)
    >>> models = {"embedding": stk.zoo.load("shapes-simclr-rcdm-embedding")}
    >>> panel = stk.RcdmPanel(stk.zoo.load("shapes-simclr"), data, test, depths=("embedding",), models=models)
    """

    state_ending = ".safetensors"

    def __init__(
        self,
        encoder: Encoder | Mapping[str, Encoder],
        data: Dataset,
        test: Dataset,
        *,
        depths: tuple[str, ...] | None = None,
        models: Mapping[str, RCDM] | None = None,
        reader: Encoder | None = None,
        recipe: RCDMRecipe | None = None,
        every: int = 100,
        k: int = 6,
        guidance: float = 1.0,
        steps: int = 20,
        seed: int = 0,
        name: str | None = None,
    ):
        super().__init__("rcdm", "What a representation tells of an image", LEAD)
        self.data, self.test, self.models, self.reader = data, test, dict(models or {}), reader
        self.choices = _choices(encoder, test)
        usual = [depth for depth in DEPTHS if depth in self.choices] or [c for c in self.choices if DEPTHS[0] in c]
        self.depths = self._valid(tuple(usual[:2]) if depths is None else depths)
        self.recipe, self.every, self.k = recipe or RCDMRecipe(), every, k
        self.subjects: dict[str, Subject] = {}
        self.history: list[Progress] = []
        self.painted: Canvas = {}
        self.picked, self.given = 0, test.images[0].cpu()
        self._loaded: dict[str, TrainState] = {}

        self._make_controls(guidance, steps, seed)
        self.player: Player[Progress | None] = Player(
            self._records, self._draw, progress=lambda p: p and (p.step, self.recipe.steps), redraw=REDRAW, name=name
        )
        self.painter: Player[Canvas | None] = Player(
            self._painting, self._show, history=0, name=name and f"{name}, samples"
        )
        self.grid = ImageGrid(test.images[:PICKS], columns=COLUMNS, scale=max(1, 48 // test.images.shape[-1]))
        self.grid.largest = 64
        self.grid.label, self.grid.selected = "images that were never trained on", 0
        self.figure = learning_figure(() if reader is None else FACTORS)
        show_learning(self.figure, [], self.depths)  # else its legend has Plotly's own names
        self.chart = Chart(self.figure, toolbar=False)
        self.chart.layout.display = "none"
        self.rows = w.HTML()
        self.rows.add_class("ssl-rcdm-samples")
        picks = w.VBox([w.HTML("Pick an image that was never trained on, or give your own:"), self.grid])
        seldom = ui.more(self.steps, self.seed, self.path, self.save_button, self.load_button)
        sampling = ui.row(*self.menus, self.guidance, self.file, seldom)
        state = ui.row(w.HTML("Samples:"), self.painter.status)
        self._place(picks, sampling, self.rows, state, self.player, self.chart)
        ui.on_change((self.guidance, self.steps, self.seed), self.repaint)
        for place, menu in enumerate(self.menus):
            menu.observe(lambda change, place=place: self._chosen(place, change["new"]), "value")
        self.grid.on_pick(lambda i: self._soon(lambda: self.pick(i)))
        self.file.observe(lambda _: self._uploaded(), "value")
        self.save_button.on_click(lambda _: self._report(self.save))
        self.load_button.on_click(lambda _: self._report(self.load))
        self.player.reset_button.on_click(lambda _: self._soon(self._forget))
        self._show({})
        self.repaint()

    def _make_controls(self, guidance: float, steps: int, seed: int) -> None:
        make = ui.Controls("rcdm")
        names, (one, other) = list(self.choices), (*self.depths, NONE)[:2]
        first = make.dropdown("Paint from", names, one, "What samples are painted from", width="260px")
        second = make.dropdown("compared with", [NONE, *names], other, "What is painted beside them", width="260px")
        self.menus = [first, second]
        tip = "1 paints what the features say, more exaggerates it, 0 ignores them"
        self.guidance = make.slider("Guidance", guidance, (0.0, 4.0, 0.5), tip, within=ANY)
        self.guidance.disabled = self.recipe.drop == 0  # without a learned null there is nothing to exaggerate from
        self.steps = make.int_box("Steps", steps, (1, EXACT), "Steps of the sampler")
        self.seed = make.seed_box(seed, "Of the noise of the samples")
        self.file = w.FileUpload(accept="image/*", description="Your own image", layout=w.Layout(width="auto"))
        ui.tell(self.file, "The middle of it, in the size of the data")
        self.file.add_class("ssl-rcdm-upload")
        tip = "Where models are saved and loaded, the depth before its ending"
        self.path = make.add(w.Text("rcdm.safetensors", description="File"), tip, width="175px")
        self.save_button = make.button("Save", "save", "Write the models to files, one for each depth")
        self.load_button = make.button("Load", "folder-open", "Go on from the models in these files")

    # what a person may call --------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Forget all that was learned."""
        super().reset()
        self._forget()

    def pick(self, index: int) -> None:
        """Paint from the features of this test image."""
        check_index(index, self.test)
        self._give(self.test.images[index].cpu(), index)

    def _looking_at(self) -> dict[str, Any]:
        return {"index": self.picked}  # -1: an image of one's own, which does not travel

    def _look_at(self, view: Mapping[str, Any]) -> None:
        if view.get("index", -1) >= 0:
            self.pick(view["index"])

    def upload(self, content: bytes) -> str:
        """Paint from the features of an image file's content, fitted to the data. Raises DataError for a bad one."""
        self._give(from_bytes(content, self.data.shape), -1)
        return "painted from your image"

    def choose(self, *depths: str) -> None:
        """Compare these depths, one or two; what others have learned is kept, and training goes on if it runs."""
        if (depths := self._valid(depths)) == self.depths:
            return
        self.depths = depths
        self._show_choice()
        self._learned(self.history)
        running = self.state == "running"
        self.player.reset()
        if running:
            self.player.play()
        self.repaint()

    def repaint(self) -> None:
        """Samples of the models as they are now."""
        self.painter.reset()
        if any(depth in known for depth in self.depths for known in (self.subjects, self.models, self._loaded)):
            self.painter.play()
        else:
            self._soon(lambda: self._show({}))

    def wait(self) -> dict[str, Subject]:
        """Train and paint to the end, raise what went wrong, and return the trained models by depth."""
        super().wait()
        self.painter.wait()
        return self.subjects

    def records(self) -> list[Row]:
        """The loss of every step, and what was measured then, by depth."""
        return [flat(progress) for progress in self.history]

    def save(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write what is seen, as every panel does, or models to .safetensors: one for each depth, named before it.

        A run goes on from models exactly.
        """
        path = Path(path or self.path.value)
        if path.suffix.lower() != self.state_ending:
            return super().save(path)
        states = {d: subject.state for d, subject in self.subjects.items() if d in self.depths}
        written = []
        for depth, file in self._files(path).items():
            if (state := states.get(depth)) is not None:
                save(state, file)
                written.append(file.name)
        if not written:
            raise ValueError("there is nothing to save yet: press Play or Step first.")
        return f"saved {', '.join(written)}"

    def load(self, path: str | Path | None = None) -> str:
        """Go on from what `save` wrote for this encoder and these depths; a wrong file changes nothing."""
        states, files = {}, self._files(path)
        for name, file in files.items():
            encoder, depth = self.choices[name]
            # the file knows how h is standardized; the width is all that two images have to tell
            states[name] = self.recipe.start(self.test[:2], conditions(encoder, self.test.images[:2], depth=depth))
            load(file, states[name])
        self.player.reset()
        self.history = []
        for name, state in states.items():
            self.models.pop(name, None)
            subject = self.subjects.pop(name, None)
            if subject is None or subject.state is None:
                self._loaded[name] = state
            else:
                self.subjects[name] = subject.going_on(state)
        self.repaint()
        return f"loaded {', '.join(file.name for file in files.values())}: press Play to go on"

    def _forget(self) -> None:
        self.subjects, self.history, self._loaded = {}, [], {}
        self._learned([])
        self.repaint()

    # the run -----------------------------------------------------------------------------------------------------
    def _valid(self, depths: tuple[str, ...]) -> tuple[str, ...]:
        if not 1 <= len(set(depths)) == len(depths) <= 2:
            raise ValueError(f"depths is {depths}: give one depth of the encoder, or two to compare.")
        if unknown := [depth for depth in (*depths, *self.models) if depth not in self.choices]:
            raise ValueError(f"depth is {unknown[0]!r}: there are {', '.join(self.choices)}.")
        return depths

    def _files(self, path: str | Path | None) -> dict[str, Path]:
        path = Path(path or self.path.value)
        return {d: path.with_name(f"{path.stem}.{file_word(d, self.choices)}{path.suffix}") for d in self.depths}

    def _prepare(self, depths: list[str]) -> Iterator[None]:
        """Subjects for those that have none yet."""
        missing = {depth: self.choices[depth] for depth in depths if depth not in self.subjects}
        if not missing:
            return
        for made in prepare(missing, self.data, self.test, recipe=self.recipe, models=self.models):
            yield None
            for depth, subject in (made or {}).items():
                if depth not in self.subjects:  # nobody else has made it meanwhile
                    state = self._loaded.pop(depth, None)
                    self.subjects[depth] = subject if state is None else subject.going_on(state)

    def _records(self) -> Iterator[Progress | None]:
        yield from self._prepare(list(self.depths))
        chosen = {depth: self.subjects[depth] for depth in self.depths}
        read: Retain | None = (
            None if self.reader is None else partial(factor_retention, self.reader, images=self.test.images)
        )
        for record in monitor(chosen, self.data, recipe=self.recipe, every=self.every, kept=read):
            if record is not None:
                self.history.append(record)
                if record.faithful or record.step % max(1, self.every // 2) == 0:
                    self.repaint()
            yield record
            while self.painter.state == "running":  # samples that a person waits for come before the next step
                self.painter.advance()
                yield None

    def _painting(self) -> Iterator[Canvas | None]:
        yield from self._prepare([depth for depth in self.depths if depth in self.models or depth in self._loaded])
        painted: Canvas = {}
        for depth in self.depths:
            if (subject := self.subjects.get(depth)) is None:
                continue
            h = conditions(subject.encoder, self.given[None], depth=subject.depth)[0]
            for result in paint(
                subject, h, k=self.k, steps=self.steps.value, guidance=self.guidance.value, seed=self.seed.value
            ):
                yield None
                if result is not None:
                    painted[depth] = result
        yield painted

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, record: Progress | None) -> None:
        """The curves up to this record."""
        if record is not None:
            self._learned([p for p in self.history if p.step <= record.step])

    def _learned(self, records: list[Progress]) -> None:
        show_learning(self.figure, records, self.depths)
        self.chart.layout.display = "" if records else "none"  # no empty axes
        self.chart.draw()

    def _show(self, painted: Canvas | None) -> None:
        if painted is not None:
            self.painted = painted
            self.rows.value = sample_rows(self.given, self.depths, painted, self.subjects)

    def _give(self, image: UInt8[Tensor, "c h w"], index: int) -> None:
        self.given, self.picked, self.grid.selected = image, index, index if index < PICKS else -1
        self.repaint()

    def _show_choice(self) -> None:
        for menu, depth in zip(self.menus, [*self.depths, NONE], strict=False):
            menu.value = depth

    def _chosen(self, place: int, depth: str) -> None:
        """What a menu says; the same depth twice is one."""

        def choose() -> None:
            depths = [*self.depths[:place], depth, *self.depths[place + 1 :]]
            self.choose(*(name for name in dict.fromkeys(depths) if name != NONE))

        self._soon(choose)

    def _uploaded(self) -> None:
        for content in ui.uploaded(self.file):
            self._report(partial(self.upload, content))

    def picture(self) -> Pixels:
        """The image and what was painted, or the images to choose from."""
        rows = [sample_images(self.given, result) for result in self.painted.values()] or [self.grid.images]
        return tile(torch.cat(rows), self.k + 2 if self.painted else COLUMNS, 2)


def file_word(name: str, names: Iterable[str]) -> str:
    """The name as a part of a file's name; where another one of `names` would be the same, a number is added.

    >>> [file_word(name, ["a b", "a-b", "x/y"]) for name in ("a b", "a-b", "x/y")]
    ['a-b', 'a-b-2', 'x-y']
    """
    taken: dict[str, str] = {}
    for one in names:
        word = re.sub(r"[^\w.-]+", "-", one).strip("-.")[:80].rstrip("-.") or "model"
        n, free = 1, word
        while free.casefold() in taken:  # some file systems see no case
            free = f"{word}-{(n := n + 1)}"
        taken[free.casefold()] = one
        if one == name:
            return free
    raise KeyError(name)


def _choices(encoder: Encoder | Mapping[str, Encoder], test: Dataset) -> dict[str, tuple[Encoder, str]]:
    """Every depth of every encoder, by the name it has in the menus."""
    if isinstance(encoder, Encoder):
        return {depth: (encoder, depth) for depth in embed(encoder, test.images[:1], depth=None)}
    return {
        f"{name} {depth}": (one, depth)
        for name, one in encoder.items()
        for depth in embed(one, test.images[:1], depth=None)
    }
