"""LossPanel: points of the plane under a loss. Drag them, take a term away, play, and see what is left."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import ipywidgets as w
import torch

from ssl_toolkit import fast
from ssl_toolkit.losses.toy2d import Loss, Moment, descend, drag, look, scatter, spread, weighted
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.number import NumberSlider
from ssl_toolkit.widgets.canvases.plane import PlaneCanvas
from ssl_toolkit.widgets.figures.plots import BLUE
from ssl_toolkit.widgets.life import close_all
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.panels.loss_presets import LOSSES, PRESETS, Preset
from ssl_toolkit.widgets.player import Player
from ssl_toolkit.widgets.records import Row, flat

STEPS = 300
TRAIL = 25  # steps
LEAD = "Each arrow is where the loss pulls a view of an image. Take a term away, press Play, and see what collapses."
WHOLE = "loss"  # beside the names of the terms
ARROW = 0.7  # of the strongest pull at the beginning, in units of the plane


class LossPanel(Panel):
    """Eight images, two views each, as points in the plane; arrows show where a loss, or one term, wants each to go.

    Drag a point, or choose it with N and P and move it with the arrow keys; play gradient descent; change the weights
    of the terms meanwhile. `panel.points` and `panel.loss` are what the controls say, `panel.drag(index, x, y)`,
    `panel.weights["variance"].value = 0`, `panel.play()` and `panel.wait()` do what they do, and `panel.code()` does
    the same without the panel, draggings left out. The collapses of the presets are seen on the seed given here and on
    most others, not on all.

    >>> panel = stk.LossPanel("VICReg without variance")
    >>> panel.step()
    """

    def __init__(self, preset: str = "VICReg", *, n: int = 8, seed: int = 8, name: str | None = None):
        if preset not in PRESETS:
            raise ValueError(f"preset is {preset!r}: it must be one of {', '.join(PRESETS)}.")
        super().__init__("loss", "Points under a loss", LEAD)
        self.n = n
        self.canvas = PlaneCanvas()
        self.canvas.on_drag(lambda *to: self._soon(lambda: self.drag(*to)))
        self._make_controls(preset, seed)
        self.weights: dict[str, NumberSlider] = {}
        self.sliders = w.VBox()
        self.why, self.numbers, self.metrics = w.HTML(), w.HTML(), w.HTML()
        self.player: Player[Moment] = Player(self._records, self._draw, progress=self._progress, name=name)
        self.player.speed.value = 30.0
        boxes = [self.predictor, self.stop_gradient]
        self._flags = ui.row(*boxes)
        self.sliders.layout.width = "100%"
        seldom = ui.more(self.choice, self.shared, self.seed, below=True)
        controls = [self.sliders, self.rate, self.arrows, self._flags, seldom]
        body = ui.two_columns(
            [self.metrics, self.canvas], [self.numbers, *controls], width="430px", least="300px", share=9, most="602px"
        )
        self._place(ui.beside(self.preset, self.why), self.player, body, pictured=self.canvas)
        self.preset.observe(self._on_preset, "value")
        self.choice.observe(self._on_choice, "value")
        ui.on_change((self.shared, self.seed), self.reset)
        ui.on_change((self.arrows, self.rate, self.predictor, self.stop_gradient), self._on_control)
        self.player.reset_button.on_click(lambda _: self._begin())
        self._set(PRESETS[preset])

    def _make_controls(self, preset: str, seed: int) -> None:
        make = self._make = ui.Controls("loss", width="auto", label="80px")  # they stand below each other
        tip = "A set of controls that works, or fails in a way worth seeing"
        self.preset = make.presets(PRESETS, preset, tip, width="330px")
        tip = "The loss whose gradient the points follow"
        names = list(LOSSES)
        self.choice = make.dropdown("Loss", names, names[0], tip)
        tip = "Whether one set of weights moves all points, or each moves alone"
        kinds = [("one encoder's outputs", True), ("free", False)]
        self.shared = make.dropdown("Points are", kinds, True, tip)
        tip = "Whose pull the arrows show: that of the whole loss, or of one term"
        self.arrows = make.dropdown("Arrows", [], None, tip)
        tip = "Learning rate: how far a step follows the arrows"
        self.rate = make.slider("Rate", 1.0, (-2.0, 1.5, 0.05), tip, within=(0.0, None), log=True, continuous=True)
        self.seed = make.seed_box(seed, "The same seed puts the points at the same places")
        tip = "Whether one view is mapped linearly before it is compared with the other"
        self.predictor = make.checkbox("Predictor", False, tip)
        tip = "Whether only the prediction moves, and its target gets no gradient"
        self.stop_gradient = make.checkbox("Stop-gradient", False, tip)

    # what a person may call --------------------------------------------------------------------------------------
    @property
    def loss(self) -> Loss:
        """What the controls say, as a function of the two views."""
        loss = LOSSES[self.choice.value].loss
        if self.choice.value == "BYOL":
            loss = partial(loss, predictor=self.predictor.value, stop_gradient=self.stop_gradient.value)
        return weighted(loss, {name: weight.value for name, weight in self.weights.items()})

    def reset(self) -> None:
        """The points of this seed again, not yet moved."""
        if not self._muted:
            self._name_preset()
            super().reset()
            self._begin()

    def wait(self) -> Moment:
        """Run to the end, raise what went wrong, and return the last moment."""
        super().wait()
        return self.moments[-1]

    def drag(self, index: int, x: float, y: float) -> None:
        """Put a point elsewhere: index 0 ... n-1 are the first views, then come the second ones."""
        drag(self.points, index, (x, y))
        self._on_control()

    def code(self) -> str:
        """The lines that do the same without the panel."""
        code = LOSSES[self.choice.value].code
        if self.choice.value == "BYOL":
            code = f"partial({code}, predictor={self.predictor.value}, stop_gradient={self.stop_gradient.value})"
        weights = {name: s.value for name, s in self.weights.items() if s.value != 1}
        loss = f"weighted({code}, {weights})" if weights else code
        return (
            f"points = scatter({self.n}, seed={self.seed.value}, shared={self.shared.value})\n"
            f"for moment in descend(points, {loss}, lr={self.rate.value}, until={self.steps}):\n"
            "    print(moment.step, moment.terms, spread(moment.za, moment.zb).word)"
        )

    def records(self) -> list[Row]:
        """Of each step of the run what the terms say."""
        return [flat(moment) for moment in self.moments]

    # the run -----------------------------------------------------------------------------------------------------
    @property
    def steps(self) -> int:
        """How many steps a run has."""
        return 30 if fast() else STEPS

    def _begin(self) -> None:
        self.points = scatter(self.n, seed=self.seed.value, shared=self.shared.value)
        self.moments: list[Moment] = []
        self._from = 0
        start = look(self.points, LOSSES[self.choice.value].loss)
        strongest = sum(start.gradients.values(), torch.zeros(())).norm(dim=2).max()
        self._scale = ARROW / float(strongest.clamp_min(1e-9))
        self._show(look(self.points, self.loss))

    def _records(self) -> Iterator[Moment]:
        points, self._from = self.points, self.points.step
        moments = self.moments = []
        for step in range(points.step, points.step + self.steps):  # controls and points may change between two steps
            for moment in descend(points, self.loss, lr=self.rate.value, until=step + 1):
                moments.append(moment)
                yield moment

    def _progress(self, record: Moment) -> tuple[int, int]:
        return record.step - self._from, self.steps

    # what is seen ------------------------------------------------------------------------------------------------
    def _draw(self, record: Moment) -> None:
        """The run as it stood at this record; nothing where the run was reset meanwhile."""
        run = self.moments[: bisect_right(self.moments, record.step, key=lambda m: m.step)]
        if run and run[-1] is record:
            self._show(record, run)

    def _show(self, now: Moment, run: Sequence[Moment] = ()) -> None:
        run = run or [now]
        directions = LOSSES[self.choice.value].directions
        z = torch.stack([now.za, now.zb])
        gradients = {**now.gradients, WHOLE: sum(now.gradients.values(), torch.zeros_like(z))}
        before = [torch.stack([m.za, m.zb]) for m in run[-TRAIL - 1 : -1]]
        trail = torch.stack(before) if before else z.new_empty(0, *z.shape)
        self.canvas.show(z, -self._scale * gradients[self.arrows.value], trail, directions)
        s = spread(now.za, now.zb, directions=directions)
        self.metrics.value = ui.paragraph(
            f"The {'directions' if directions else 'points'}: <b>{s.word}</b> · "
            f"standard deviation {s.long:.2f} × {s.short:.2f} · pairs {s.pairs:.2f} apart",
            "ssl-metrics",
        )
        ways = {name: [m.terms[name] for m in run] for name in now.terms} | {WHOLE: [m.loss for m in run]}
        rows = [["", "value", "pull", "so far" if len(run) > 1 else ""]]
        for name, way in ways.items():
            pull = gradients[name].norm(dim=2).mean()  # over the points
            rows.append([name, f"{way[-1]:.3f}", f"{pull:.3f}", _sparkline(way)])
        self.numbers.value = ui.table(rows, "ssl-loss-terms")

    def _set(self, preset: Preset) -> None:
        with self._muted:
            self.choice.value = preset.loss
            self._offer_terms()
            for name, weight in self.weights.items():
                weight.value = 0.0 if name == preset.without else 1.0
            self.shared.value, self.rate.value = preset.shared, preset.lr or LOSSES[preset.loss].lr
            self.predictor.value, self.stop_gradient.value = preset.predictor, preset.stop_gradient
        self.reset()

    def _offer_terms(self) -> None:
        old, self.weights = self.weights, {}
        terms = LOSSES[self.choice.value].terms
        for name in terms:
            tip = f"Weight of the term {name}: 0 takes it away"
            weight = self._make.slider(name, 1.0, (0.0, 3.0, 0.1), tip, within=(0.0, None), continuous=True)
            weight.observe(lambda _: self._on_control(), "value")
            self.weights[name] = weight
        self.sliders.children = list(self.weights.values())
        for weight in old.values():
            close_all(weight)
        self.arrows.options = [WHOLE, *terms]
        self.arrows.value = WHOLE
        self._flags.layout.display = "flex" if self.choice.value == "BYOL" else "none"

    def _name_preset(self) -> None:
        """What the menu says is what the controls say."""
        weights = {name: weight.value for name, weight in self.weights.items()}
        others = [c.value for c in (self.choice, self.shared, self.rate, self.predictor, self.stop_gradient)]

        def is_now(preset: Preset) -> bool:
            loss = LOSSES[preset.loss]
            said = [preset.loss, preset.shared, preset.lr or loss.lr, preset.predictor, preset.stop_gradient]
            return said == others and weights == {name: float(name != preset.without) for name in loss.terms}

        with self._muted:
            self.preset.value = next((name for name, preset in PRESETS.items() if is_now(preset)), ui.OWN)
        self.why.value = ui.paragraph(PRESETS[self.preset.value].why) if self.preset.value in PRESETS else ""

    def _on_preset(self, change: dict[str, Any]) -> None:
        if not self._muted and change["new"] in PRESETS:
            self._set(PRESETS[change["new"]])

    def _on_choice(self, change: dict[str, Any]) -> None:
        if not self._muted:  # each loss is also a preset of its name; the points stay free if they are
            self._set(PRESETS[change["new"]]._replace(shared=self.shared.value))

    def _on_control(self) -> None:
        """The next step reads the controls; where none is coming, show what they say now."""
        if not self._muted:
            self._name_preset()
        if self._muted or self.player.state == "running":
            return
        if self.player.state in ("done", "failed"):  # ready to play on from here
            self.player.reset()
        now = look(self.points, self.loss)
        self._show(now, [*self.moments, now])


def _sparkline(values: list[float], width: int = 110, height: int = 18) -> str:
    """A small curve from the first value to the last, over its own range; what is hardly a change stays flat."""
    low, high = min(values), max(values)
    across = width / max(1, len(values) - 1)
    up = (height - 2) / max(high - low, 0.01 * abs(high), 1e-9)
    points = " ".join(f"{i * across:.0f},{height - 1 - (v - low) * up:.1f}" for i, v in enumerate(values))
    return (
        f"<svg width='{width}' height='{height}' style='vertical-align:middle' aria-hidden='true'>"
        f"<polyline points='{points}' fill='none' stroke='{BLUE}' stroke-width='1.5'/></svg>"
    )
