"""TrainPanel: train an encoder and watch its loss, its neighbors and its rank while it learns."""

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import ipywidgets as w
import torch
from jaxtyping import Int64
from torch import Tensor

from ssl_toolkit import fast
from ssl_toolkit.data import Batch, Dataset, load_data
from ssl_toolkit.encoders import pixels
from ssl_toolkit.encoders.statistics import neighbors
from ssl_toolkit.joint import METHODS, JointRecipe, tuned
from ssl_toolkit.losses import Terms
from ssl_toolkit.probes import LinearProbes, monitor
from ssl_toolkit.probes.monitor import Baselines, Snapshot, baselines
from ssl_toolkit.probes.online import Reading
from ssl_toolkit.training import Step, TrainState, load, save
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.neighbor_grid import NeighborGrid
from ssl_toolkit.widgets.canvases.number import EXACT
from ssl_toolkit.widgets.figures.plots import (
    BLUE,
    GREEN,
    VERMILION,
    filled_axes,
    plain,
    show_moment,
    training_curves,
    training_figure,
)
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.panels.train_map import TrainMap
from ssl_toolkit.widgets.panels.train_presets import PRESETS
from ssl_toolkit.widgets.pictures import Pixels, below
from ssl_toolkit.widgets.player import Player
from ssl_toolkit.widgets.records import Row, flat, joined
from ssl_toolkit.zoo.runs import Run, find_run

BANK, QUERIES, SHOWN, K = 2000, 500, 2, 7
LEAST = 10  # images: of less there is nothing to see
IMAGES = 20_000  # of a set by name: more would take longer to load than to learn from
REDRAW = 0.5  # seconds; the browser needs the core that draws, and there may be but two
SOURCES = ("garments", "emoji", "shapes", "fashion-mnist", "digits")

LEGEND = ui.paragraph(
    f"Two images that were never trained on ({ui.word('blue', BLUE)}) and what lies nearest to them: "
    f"{ui.word('green', GREEN)} of the same class, {ui.word('orange', VERMILION)} of another."
)
LEAD = "Do the neighbors of an image turn green? Then images of one class come together, though no label is used."
EMPTY = "Press Play to train. The curves and the map of the images appear here."

Record = Step | Snapshot | Reading | None


def recipe_of(values: Mapping[str, Any]) -> JointRecipe:
    """The recipe of what `asdict` and JSON made of one. Raises ValueError for what is no setting."""
    if unknown := sorted(set(values) - {field.name for field in fields(JointRecipe)}):
        raise ValueError(f"recipe has {unknown[0]!r}, which is no setting of a Recipe.")
    settings: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in values.items()}
    return JointRecipe(**settings)


class TrainPanel(Panel):
    """Train one encoder live: curves, kNN accuracy over its baselines, signs of collapse, neighbors; save and load.

    `data` is a name for `load_data`, of which 20,000 images are used, or a `Dataset`. Its first 2,000 images are the
    bank of neighbors and its last 500 the queries, which are never trained on. `probes` adds linear probes of every
    depth from the representation on, which learn while the encoder does and leave no trace in it. Every control is also
    an attribute or a method: `panel.play()`, `panel.pause()`, `panel.recipe = Recipe(...)`, `panel.save(path)`;
    `panel.train_state` holds the model, which the next cell may probe while it trains. `panel.wait()` runs to the end.
    `show=("play", "temperature")` hides all other controls, for a lesson.

    >>> panel = stk.TrainPanel(stk.load_data("digits", size=28), stk.Recipe(steps=2))
    >>> panel.wait().step
    2
    """

    state_ending = ".safetensors"

    def __init__(
        self,
        data: str | Dataset = "garments",
        recipe: JointRecipe | None = None,
        *,
        every: int = 50,
        probes: bool = False,
        show: Sequence[str] | None = None,
        name: str | None = None,
    ):
        super().__init__("train", "Train an encoder", LEAD)
        self.data = data if isinstance(data, Dataset) else load_data(data, limit=IMAGES)
        self.every = every
        self.train_state: TrainState | None = None
        self.steps: list[Step] = []
        self.snapshots: list[Snapshot] = []
        self.readings: list[Reading] = []
        self.baselines: Baselines | None = None
        self._shipped: Run | None = None  # what is shown before the first run, and the settings that it was found by
        self._shipped_for: tuple[JointRecipe, bool] | None = None
        self._loaded: TrainState | None = None  # what the next run goes on from
        self._ran: JointRecipe | None = None  # what the last run was made by
        self._own = isinstance(data, Dataset)
        self._make_controls(data if isinstance(data, str) else data.name or "your data", probes)
        self.player: Player[Record] = Player(
            self._records, self._draw, progress=self._progress, redraw=REDRAW, name=name
        )
        self.figure = training_figure([], [])
        self.chart = Chart(self.figure, toolbar=False)
        self.metrics, self.legend = w.HTML(), w.HTML(LEGEND)
        self.player.back.layout.display = "none"  # the map has a slider for this
        self.map = TrainMap(lambda snapshot: self._soon(lambda: self.player.draw_again(snapshot)))
        self.player.observe(lambda change: setattr(self.map, "live", change["new"] == "running"), "state")
        _, self.bank, self.queries = self._divided()
        self.grid = NeighborGrid(self.bank, self.queries, self._by_pixels(), largest=72)
        self.empty = w.HTML(f'<div class="ssl-empty">{EMPTY}</div>')
        before, meanwhile = (w.HTML(f"<b>{text}</b>") for text in ("Set before the run", "Adjustable during training"))
        often = [self.method, self.source, self.count], [self.rate, self.crop]
        seldom = [control for control in (*self._fixed, *self._live) if control not in (*often[0], *often[1])]
        files = [self.path, ui.row(self.save_button, self.load_button)]
        rail = [before, *often[0], meanwhile, *often[1], ui.more(*seldom, *files, below=True)]
        body = ui.two_columns(
            rail, [self.legend, self.grid, self.metrics, self.empty, self.chart, self.map], width="250px"
        )
        locked = [self.preset, *self._fixed]
        if self._own:  # else there is a choice of data
            locked.remove(self.source)
        self._place(
            ui.beside(self.preset, self.why),
            self.player,
            body,
            locked=locked,
        )
        if recipe is None:
            recipe = next(iter(PRESETS.values()))[0]
            recipe = replace(recipe, batch_size=min(recipe.batch_size, len(self._divided()[0])))
        self._show(recipe)
        self.preset.observe(self._on_preset, "value")
        self.method.observe(self._on_method, "value")
        self.width.observe(lambda _: setattr(self, "_loaded", None), "value")  # it would not fit
        ui.on_change((*self._fixed, *self._live), self._on_control)
        ui.on_change([self.source], lambda: self._report(self._show_source))
        self.save_button.on_click(lambda _: self._report(self.save))
        self.load_button.on_click(lambda _: self._report(self.load))
        self._before_run()
        if show is not None:
            self.show_only(*show)

    def _make_controls(self, name: str, probes: bool) -> None:
        make = ui.Controls("train", width="auto", label="76px")  # they stand below each other
        tip = "A set of controls that works, or fails in a way worth seeing"
        self.preset = make.presets(PRESETS, ui.OWN, tip, width="330px")
        self.why = w.HTML()

        # set before the run
        tip = "What makes two views agree, and what keeps all images from agreeing"
        methods = [(f"{m.title} (learns slowly)" if m.slow else m.title, name) for name, m in METHODS.items()]
        self.method = make.dropdown("Method", methods, "simclr", tip)
        names, tip = list(dict.fromkeys([name, *SOURCES])), "What to learn from; the labels only color what you see"
        self.source = make.dropdown("Data", names, name, tip)
        self.source.disabled = self._own
        self.width = w.SelectionSlider(options=[2**i for i in range(4, 12)], description="Width")
        make.add(self.width, "Dimensions of the representation: the output of the encoder's last block")
        self.batch = w.SelectionSlider(options=[32, 64, 128, 256, 512], description="Batch")
        make.add(self.batch, "Images of one step; each is seen in two views")
        self.count = make.int_box("Steps", 1, (1, EXACT), "Updates until the learning rate has come down to 0")
        self.seed = make.seed_box(0, "The same seed gives the same run, bit for bit")
        tip = "Linear probes after the encoder's last block and every layer of the projector: "
        tip += "they learn beside the run, in 5 % more time, and change nothing in it"
        self.probing = make.checkbox("Probe every depth", probes, tip)
        self._fixed = [self.method, self.source, self.width, self.batch, self.count, self.seed, self.probing]

        # may change while it runs
        tip, positive = "Peak learning rate, before warm-up and cosine", (0.0, None)
        self.rate = make.slider(
            "Rate", 2e-3, (-5.0, 2.0, 0.1), tip, within=positive, log=True, argument="lr", continuous=True
        )
        tip = "Of a contrastive softmax: a low one looks at the hardest negatives only"
        self.temperature = make.slider(
            "Temp.", 0.2, (0.05, 1.0, 0.05), tip, within=positive, argument="temperature", continuous=True
        )
        tip = "The smallest share of the image that a crop may keep"
        self.crop = make.slider(
            "Crop from", 0.3, (0.05, 1.0, 0.05), tip, within=(0.0, 1.0), argument="scale", continuous=True
        )
        tip = "How much brightness, contrast and saturation may change"
        self.jitter = make.slider("Jitter", 0.8, (0.0, 1.0, 0.1), tip, within=positive, continuous=True)
        tip = "How far the hue may turn: at 0.5 any color becomes any other, at 0 colors stay"
        self.hue = make.slider("Hue", 0.2, (0.0, 0.5, 0.05), tip, continuous=True)
        tip = "How often a view loses all color"
        self.gray = make.slider("Gray", 0.2, (0.0, 1.0, 0.1), tip, continuous=True)
        self._live = [self.rate, self.temperature, self.crop, self.jitter, self.hue, self.gray]

        tip = "Where the state of the run is saved and loaded"
        self.path = ui.Controls("train").add(w.Text("run.safetensors", description="File"), tip)
        self.save_button = make.button("Save", "save", "Write the state to this file")
        self.load_button = make.button("Load", "folder-open", "Go on from the state in this file")

    # what a person may call --------------------------------------------------------------------------------------
    @property
    def recipe(self) -> JointRecipe:
        """What the controls say."""
        return replace(
            self._recipe, method=self.method.value, steps=self.count.value, batch_size=self.batch.value,
            lr=self.rate.value, width=self.width.value, temperature=self.temperature.value, seed=self.seed.value,
            scale=(self.crop.value, self.crop.most), jitter=self.jitter.value, hue=self.hue.value, gray=self.gray.value,
        )  # fmt: skip

    @recipe.setter
    def recipe(self, recipe: JointRecipe) -> None:
        recipe.objective(self.data)  # one that is refused leaves the run
        self.reset()
        self._show(recipe)

    def state_dict(self) -> dict[str, Any]:
        """What the controls say, the whole recipe, and the step that the run has come to.

        The same recipe on the same data and machine gives the same run, bit for bit.
        """
        step = self.train_state.step if self.train_state is not None else 0
        own = {"data": self.data.name, "recipe": asdict(self.recipe), "step": step}
        return super().state_dict() | own

    def _load(self, state: Mapping[str, Any]) -> None:
        recipe, name = state.get("recipe"), state.get("data", self.data.name)
        if recipe is None or name != self.data.name:
            raise ValueError(
                f"state is of a run on {name!r}, and this panel has {self.data.name!r}: make it with that data."
            )
        self.recipe = recipe_of(recipe)
        self.probing.value = bool(state.get("controls", {}).get("probing", self.probing.value))
        if state.get("step"):
            self._say(f"These are the settings of a run at step {state['step']:,}: press Play to repeat it.")

    def _looking_at(self) -> dict[str, Any]:
        return {"moment": self.map.value}

    def _look_at(self, view: Mapping[str, Any]) -> None:
        if 0 <= view.get("moment", -1) < len(self.map.snapshots):
            self.map.value = view["moment"]

    def wait(self) -> TrainState:
        """Run to the end, raise what went wrong, and return the trained state."""
        super().wait()
        assert self.train_state is not None
        return self.train_state

    def picture(self) -> Pixels:
        """The map and the neighbors as pixels."""
        return below(self.map.picture(), self.grid.picture()) if self.map.snapshots else self.grid.picture()

    def records(self) -> list[Row]:
        """Of each step its loss, and what was measured then."""
        steps = [{"step": step.step, "loss": step.loss} | flat(step) for step in self.steps]
        return joined([*steps, *map(flat, self.snapshots), *map(flat, self.readings)], by="step")

    def save(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write what is seen, as every panel does, or the state to a .safetensors.

        A run that goes on from a state is bit for bit the run that never stopped.
        """
        path = Path(path or self.path.value)
        if path.suffix.lower() != self.state_ending:
            return super().save(path)
        if (state := self._loaded or self.train_state) is None:
            raise ValueError("there is nothing to save yet: press Play or Step first.")
        save(state, path)
        return f"saved step {state.step:,} to {path.name}"

    def load(self, path: str | Path | None = None) -> str:
        """Go on from a file, saved by a run with the same method and width; with another one the next run is new."""
        path = Path(path or self.path.value)
        state = load(path, self.recipe.start(self._chosen_data()))  # a bad file changes nothing here
        self.player.reset()
        self._loaded = state
        return f"loaded {path.name}: press Play to go on"

    # the run -----------------------------------------------------------------------------------------------------
    def _chosen_data(self) -> Dataset:
        if not self._own and self.data.name != self.source.value:
            self.data = load_data(self.source.value, limit=IMAGES)
        return self.data

    def _show_source(self) -> str:
        self._chosen_data()
        self.reset()
        self._show(self._asked)  # other data, other views
        self._before_run()
        return ""

    def _divided(self) -> tuple[Dataset, Dataset, Dataset]:
        """What is trained on, the bank of neighbors (a part of that), and the queries."""
        if len(self.data) < LEAST:
            raise ValueError(f"data has {len(self.data)} images: give {LEAST} or more, of which a fifth are queries.")
        n = min(QUERIES, len(self.data) // 5)
        training = self.data[:-n]
        return training, training[:BANK], self.data[-n:]

    def _records(self) -> Iterator[Record]:
        recipe, data = self.recipe, self._chosen_data()
        self._ran = recipe
        training, self.bank, self.queries = self._divided()
        fresh = recipe.start(data)
        self.train_state, self._loaded = self._loaded or fresh, None
        self.steps, self.snapshots, self.readings = [], [], []
        self._objective = recipe.objective(data)
        self.map.begin_with(self.queries)
        for base in baselines(fresh.model, self.bank, self.queries):
            self.baselines = base
            yield None

        def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
            return self._objective(state, batch, generator)  # read at each step: the controls may have changed it

        probes = LinearProbes(self.train_state.model, training, seed=recipe.seed) if self.probing.value else None
        for record in monitor(
            self.train_state, training, objective, until=self.train_state.total or recipe.steps, bank=self.bank,
            queries=self.queries, augment=recipe.augment(data), probes=probes, every=self.every,
            batch_size=recipe.batch_size, seed=recipe.seed,
        ):  # fmt: skip
            if isinstance(record, Step):
                self.steps.append(record)
            elif isinstance(record, Snapshot):
                self.snapshots.append(record)
            elif isinstance(record, Reading):
                self.readings.append(record)
            yield record

    def _progress(self, record: Record) -> tuple[int, int] | None:
        return None if record is None or self.train_state is None else (record.step, self.train_state.total or 1)

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, record: Record) -> None:
        """The run as it stood at this record."""
        if record is None:
            return
        snapshots = self.snapshots[: bisect_right(self.snapshots, record.step, key=lambda snapshot: snapshot.step)]
        self._show_curves(snapshots[-1] if snapshots else None, record.step)
        if not snapshots or self.baselines is None:
            return
        self._show_snapshot(record.step, snapshots[-1], self.baselines)

    def _show_curves(self, shown: Snapshot | None, step: int) -> None:
        """The whole run, with a line at the step that is looked back at."""
        steps, snapshots = self.steps, self.snapshots
        some = bool(steps or snapshots)
        for part, seen in ((self.empty, not some), (self.chart, some), (self.map, some)):
            part.layout.display = "" if seen else "none"
        with self.figure.batch_update():
            curves = training_curves(steps, snapshots, self.baselines, self.readings, shown=shown)
            show_moment(self.figure, step if steps and step < steps[-1].step else None)
            for trace, curve in zip(self.figure.data, curves, strict=True):
                if trace.name != (name := plain(curve.name)):
                    trace.name, trace.showlegend = name, bool(name)
                trace.x, trace.y = list(curve.x), list(curve.y)
            for column, filled in filled_axes(steps, snapshots).items():
                self.figure.layout[f"xaxis{column}"].showticklabels = filled
                self.figure.layout[f"yaxis{column}"].showticklabels = filled
        self.chart.draw()

    def _show_snapshot(self, step: int, now: Snapshot, base: Baselines) -> None:
        self.map.show_until(step, self.snapshots)
        large = {"kNN accuracy": ("–", "No labels, so no accuracy")}
        notes = []
        if now.knn is not None:
            levels = f"raw pixels {base.pixels:.1%}, untrained {base.untrained:.1%}, chance {base.chance:.0%}"
            large["kNN accuracy"] = (f"{now.knn:.1%}", levels)
            beaten = ", ".join(f"{name} {right:.1f}" for name, right in base.right.items())
            notes.append(f"right neighbors {now.right:.1f} of {now.neighbors.shape[1]} ({beaten})")
        large["RankMe"] = (f"{now.rankme:.0f}", now.verdict)
        if (place := bisect_right(self.steps, step, key=lambda done: done.step)) > 0:
            large["Loss"] = (f"{self.steps[place - 1].loss:.3g}", f"at step {step:,}")
        unlabeled = int((self.queries.labels < 0).sum())
        if unlabeled and now.knn is not None:
            notes.append(f"{unlabeled} of {len(self.queries)} queries have no label and are left out")
        notes.append(f"LiDAR {now.lidar:.0f} · eigenvalues fall like j<sup>−{now.alpha:.1f}</sup>")
        notes.append(f"std per dimension {now.std:.2f} of 1")
        self._tell(ui.tiles(large) + f"<div class='ssl-note'>{' · '.join(notes)}</div>")
        self.grid.compare(self.bank, self.queries, {**base.neighbors, f"step {now.step:,}": now.neighbors})

    def _tell(self, text: str) -> None:
        self.metrics.value = ui.paragraph(text, "ssl-metrics")

    def _before_run(self) -> None:
        """Forget the run before, and show the run of these settings that came with the toolkit.

        Where there is none, show what a representation has to beat.
        """
        self.train_state = self.baselines = self._ran = None
        self.steps, self.snapshots, self.readings = [], [], []
        _, self.bank, self.queries = self._divided()
        self.map.begin_with(self.queries)
        self._shipped = find_run(self.recipe, self.bank, self.queries)
        self._shipped_for = self.recipe, self.probing.value
        if self._shipped is not None:
            self.steps, self.snapshots, self.readings, self.baselines = self._shipped
            if not self.probing.value:
                self.readings = []
            self._draw(self.steps[-1])
            self._say("You see a run that came with the toolkit. Press Play to train one here.")
            return
        self._show_curves(None, 0)
        self._tell("<span class='ssl-note'>Before training: the neighbors by the raw pixels.</span>")
        self.grid.compare(self.bank, self.queries, self._by_pixels())

    def _show_other_settings(self) -> None:
        """Before a run: the shipped run of what the controls say now, if there is one, or none."""
        if self.state != "idle" or self._shipped_for in (None, (self.recipe, self.probing.value)):
            return
        if self._shipped or find_run(self.recipe, self.bank, self.queries):
            self._say("")
            self._before_run()

    def _by_pixels(self) -> dict[str, Int64[Tensor, "q k"]]:
        asked = self.queries.images[:SHOWN]
        k = min(K, len(self.bank))
        return {"raw pixels": neighbors(pixels(self.bank.images), pixels(asked), k=k)[1]}

    def _show(self, recipe: JointRecipe) -> None:
        """What the controls say is this recipe, every number as it is."""
        views = recipe.views(self.data)
        recipe.objective(self.data)  # raises what is wrong with it, before a control has moved
        with self._muted:
            self._recipe, self._asked, self._loaded = replace(recipe, **views._asdict()), recipe, None
            self.method.value, self.seed.value = recipe.method, recipe.seed
            self.crop.most = views.scale[1]
            self.crop.value, self.jitter.value, self.hue.value, self.gray.value = (
                views.scale[0], views.jitter, views.hue, views.gray
            )  # fmt: skip
            for control, value in ((self.width, recipe.width), (self.batch, recipe.batch_size)):
                if value not in control.options:
                    control.options = sorted({*control.options, value})
                control.value = value
            self.count.value = min(recipe.steps, 30) if fast() else recipe.steps
            self.rate.value, self.temperature.value = recipe.lr, recipe.temperature
        self._on_control()

    def _name_preset(self) -> None:
        """What the menu says is what the controls say."""
        now = replace(self.recipe, steps=self._recipe.steps if fast() else self.count.value)
        found = (
            name for name, (recipe, _) in PRESETS.items() if replace(recipe, **recipe.views(self.data)._asdict()) == now
        )
        with self._muted:
            self.preset.value = next(found, ui.OWN)
        self.why.value = PRESETS[self.preset.value][1] if self.preset.value in PRESETS else ""

    def _on_preset(self, change: dict[str, Any]) -> None:
        if not self._muted and change["new"] in PRESETS:
            self._show(PRESETS[change["new"]][0])

    def _on_method(self, change: dict[str, Any]) -> None:
        """Another method has sizes and a rate of its own."""
        if not self._muted:
            self._show(replace(tuned(change["new"]), steps=self.count.value, seed=self.seed.value))

    def _on_control(self) -> None:
        if self._muted:
            return
        self._name_preset()
        self.temperature.disabled = not METHODS[self.method.value].temperature
        self._soon(self._show_other_settings)
        if self.state in ("done", "failed") and self.recipe != self._ran:
            self._say("Settings changed: press Reset, then Play, to use them")
        if self.state not in ("running", "paused") or self.train_state is None:
            return
        self.train_state.lr = self.rate.value  # plain assignments: the task reads them at its next step
        self._objective, self._ran = self.recipe.objective(self.data), self.recipe
