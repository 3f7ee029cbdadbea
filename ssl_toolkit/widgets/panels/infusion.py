"""InfusionPanel: a trained chain beside the same chain infused with targets, and images completed where one paints."""

from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

import ipywidgets as w
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from ssl_toolkit.data import as_bytes, as_float
from ssl_toolkit.infusion import Infusion, Link, Mixture, Operator, Prior, chain, complete, first, increasing, past
from ssl_toolkit.infusion.objectives import steps_of_bound
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.chain import ChainCanvas
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.mask import MaskCanvas
from ssl_toolkit.widgets.canvases.number import IntSlider
from ssl_toolkit.widgets.figures.plots import Curve, runs_figure, show_runs
from ssl_toolkit.widgets.panel import Panel, check_index
from ssl_toolkit.widgets.pictures import as_pixels


class Preset(NamedTuple):
    """A rate of infusion, first + growth t, and a sentence on what it does."""

    first: float
    growth: float
    why: str


PRESETS = {
    "a little more at each step": Preset(0.0, 0.01, "Enough to lead the chain to its target; most is its own work."),
    "no infusion": Preset(0.0, 0.0, "Both chains are the same: the noise is, and nothing of the target enters."),
    "a lot from the start": Preset(0.3, 0.0, "The target shows at once; trained so, an operator meets no blank noise."),
    "nothing but the target": Preset(1.0, 0.0, "Every pixel is copied at every step: nothing is left to denoise."),
}
LEAD = "Both chains start at the same noise; the second is given pixels of its target on the way. See which arrives."
MODEL, INFUSED, TARGET = "model's chain", "infused chain", "target"
COMPLETIONS = "completions"
PAINTED = 280  # pixels of the image that one paints on


class InfusionPanel(Panel):
    """The model's chain and the infused chain from the same noise, frame by frame, and the bound that each step gives.

    `images` are targets, of which the first n are shown. A click on a target takes it below, where a mask is painted
    on it and n completions of what it hides run beside each other. `panel.growth.value = 0.02`,
    `panel.steps.value = 30`, `panel.pick(3)` and `panel.mask = mask` do what the controls do; `panel.draw()` shows
    what the operator does now, as while it trains; `panel.links` and `panel.completions` are the chains that are seen.
    It has no run: chains this short take no time.

    >>> operator = stk.zoo.load("fashion-mnist-infusion")
    >>> images = (operator_prior := stk.infusion.prior_of(operator)).sample(4).clamp(0, 1)
    >>> panel = stk.InfusionPanel(operator, operator_prior, stk.data.as_bytes(images))
    """

    def __init__(
        self,
        operator: Operator,
        prior: Prior,
        images: UInt8[Tensor, "m c h w"],
        *,
        growth: float = 0.01,
        infusion: Infusion = Mixture(1e-4),  # noqa: B008  # it is frozen
        n: int = 8,
        seed: int = 0,
    ):
        if not len(images):
            raise ValueError("images is empty: the infused chain needs targets.")
        super().__init__("infusion", "Infusion chains", LEAD)
        self.operator, self.prior, self.infusion, self.images = operator, prior, infusion, images[:n]
        self.links: dict[str, list[Link]] = {}
        self.completions: list[Link] = []
        self.index = 0
        self._make_controls(growth, seed)
        self.why, self.note = w.HTML(), w.HTML()
        self.note.add_class("ssl-infusion-note")
        self.canvas = ChainCanvas(scale=max(1, round(112 / images.shape[-1])), label="chain")
        self.figure = runs_figure(height=250)
        self.chart = Chart(self.figure, toolbar=False)
        self.painter = MaskCanvas(self.images[0], scale=max(1, round(PAINTED / images.shape[-1])))
        self.tries = ChainCanvas(columns=4, scale=self.canvas.scale, label=COMPLETIONS)
        left = [self.painter, ui.row(*self.buttons.values())]
        self._place(
            ui.row(self.preset, self.why),
            ui.row(self.growth, self.marked, ui.more(self.first, self.steps, self.seed, self.means)),
            self.canvas,
            ui.two_columns(left, [self.note, self.tries], width="290px", least="300px"),
            ui.more(self.chart, text="The bound, step by step", below=True),
            pictured=self.canvas,
        )
        # soon, not now: the operator may be in training, and is whole only between two of its steps
        self._react((self.first, self.growth), self._on_rate, soon=True)
        self._react([self.steps], self._draw_chains, soon=True)
        self._react((self.seed, self.means), self.draw, soon=True)
        self.preset.observe(self._on_preset, "value")
        self.marked.observe(lambda change: setattr(self.canvas, "marked", change["new"]), "value")
        self.canvas.on_pick(lambda _row, index: self._soon(lambda: self.pick(index)))
        self.painter.observe(lambda _: self._soon(self._complete), "painted")
        for name, made in self.buttons.items():
            made.on_click(lambda _, name=name: self._soon(lambda: self._hide(name)))
        self._name_preset()
        self._draw_chains()
        self._hide("Lower half")
        self.canvas.value = self.tries.value = operator.steps

    def _make_controls(self, growth: float, seed: int) -> None:
        T, make = self.operator.steps, ui.Controls("infusion")
        sliders = ui.Controls("infusion", width="270px")
        tip = "Rates of infusion that are worth a look"
        self.preset = make.presets(PRESETS, ui.OWN, tip)
        tip = "The share of pixels copied before the chain starts"
        self.first = sliders.slider("First rate", 0.0, (0.0, 1.0, 0.01), tip, continuous=True)
        tip = "What the rate grows by at each step"
        self.growth = sliders.slider("Growth", growth, (0.0, 0.2, 0.005), tip, within=(0.0, 1.0), continuous=True)
        tip = f"Length of the chain; past {T} its last step is repeated"
        self.steps = IntSlider(T, min=1, max=2 * T, description="Steps T")
        sliders.add(self.steps, tip)
        self.seed = make.seed_box(seed, "Of the noise that all chains start at")
        tip = "Show the mean of each step's distribution in place of what was drawn from it"
        self.means = make.checkbox("Means", True, tip)
        self.marked = make.checkbox("Mark infused pixels", True, "Tint what was copied from the target")
        self.buttons = {
            name: make.button(name, "", "What is hidden of the image") for name in ("Lower half", "Upper half", "Clear")
        }

    @property
    def mask(self) -> Bool[Tensor, "h w"]:
        """Where the chosen image is hidden. Assign another to complete it there."""
        return self.painter.mask

    @mask.setter
    def mask(self, hidden: Bool[Tensor, "..."]) -> None:
        self.painter.mask = hidden

    def pick(self, index: int) -> None:
        """Complete another of the targets."""
        check_index(index, self.images)
        self.index = index
        self.painter.show(self.images[index])
        self._complete()

    def _looking_at(self) -> dict[str, Any]:
        return {"index": self.index}

    def _look_at(self, view: Mapping[str, Any]) -> None:
        if "index" in view:
            self.pick(view["index"])

    def draw(self) -> None:
        """Chains, bound and completions as the operator and the controls are now."""
        self._draw_chains()
        self._complete()

    def _draw_chains(self) -> None:
        x, T, seed = as_float(self.images), self.steps.value, self.seed.value
        rate = increasing(self.growth.value, self.first.value)
        step = past(self.operator) if self.operator.steps < T else self.operator
        free = first(self.prior, x, rate=0.0, seed=seed)
        infused = first(self.prior, x, rate=rate, infusion=self.infusion, seed=seed)
        model = [free, *chain(step, free.z, steps=T, seed=seed)]
        led = chain(step, infused.z, steps=T, target=x, rate=rate, infusion=self.infusion, seed=seed)
        links = {MODEL: model, INFUSED: [infused, *led]}
        bound = steps_of_bound(links[INFUSED], x, rate=rate, infusion=self.infusion).mean(dim=1)
        self.links = links  # all that can fail is done
        rows = {name: self._frames(chain) for name, chain in links.items()}
        marks = [link.infused for link in links[INFUSED] if link.infused is not None]
        self.canvas.show(
            rows | {TARGET: as_pixels(self.images).expand(T + 1, *self.images.shape)},
            marks={INFUSED: torch.stack(marks).any(dim=2)} if marks else {},
            captions=[f"z {t} of {T} · rate {rate(t):.3g}" for t in range(T + 1)],
        )
        running = bound.cumsum(dim=0).tolist()
        show_runs(
            self.figure,
            [Curve("of each step", range(T + 1), bound.tolist()), Curve("sum so far", range(T + 1), running)],
            title=f"lower bound of log p(target): {running[-1]:,.0f} nats per image",
            axes=("step", "nats"),
        )
        self.chart.draw()

    def _complete(self) -> None:
        hidden = self.painter.mask
        if not bool(hidden.any()):
            self.note.value = "Paint on the image what is to be completed; a click on a target takes another."
            return
        image, T = as_float(self.images[self.index]), self.operator.steps
        n, seed = len(self.images), self.seed.value
        self.completions = list(
            complete(self.operator, image, hidden, prior=self.prior, steps=T, n=n, gradual=True, seed=seed)
        )
        known = torch.where(hidden, 0.0, image)
        images = self._frames([link._replace(mean=torch.where(hidden, link.mean, known)) for link in self.completions])
        self.tries.show({COMPLETIONS: images}, captions=[f"z {t} of {T}" for t in range(T + 1)])
        spread = self.completions[-1].mean[..., hidden].std(dim=0).mean().item() if n > 1 else 0.0
        share = hidden.float().mean().item()
        self.note.value = f"{n} completions of {share:.0%} of the pixels; standard deviation {spread:.2f} a pixel"

    def _frames(self, links: list[Link]) -> UInt8[Tensor, "t n c h w"]:
        states = torch.stack([link.mean if self.means.value else link.z for link in links])
        return as_bytes(states)

    def _hide(self, part: str) -> None:
        hidden = torch.zeros(self.images.shape[-2:], dtype=torch.bool)
        half = len(hidden) // 2
        hidden[{"Lower half": slice(half, None), "Upper half": slice(half), "Clear": slice(0)}[part]] = True
        self.mask = hidden

    def _on_rate(self) -> None:
        self._draw_chains()
        self._name_preset()

    def _failed(self, error: Exception) -> None:
        super()._failed(error)
        self._name_preset()
        self.note.value = ui.paragraph(escape(f"failed: {type(error).__name__}: {error}"))

    def _on_preset(self, change: dict[str, Any]) -> None:
        if (preset := PRESETS.get(change["new"])) is None or self._muted:
            return
        with self._muted:
            self.first.value, self.growth.value = preset.first, preset.growth
        self._soon(self._on_rate)

    def _name_preset(self) -> None:
        """What the dropdown says is what the sliders say."""
        now = (self.first.value, self.growth.value)
        name = next((name for name, preset in PRESETS.items() if preset[:2] == now), ui.OWN)
        with self._muted:
            self.preset.value = name
        self.why.value = PRESETS[name].why if name in PRESETS else ""
