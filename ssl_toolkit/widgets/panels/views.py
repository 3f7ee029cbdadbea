"""ViewsPanel: pick an image, drag the strengths of the augmentations, and see what its views still share."""

import base64
from html import escape
from typing import Any

import ipywidgets as w
import torch

from ssl_toolkit.augment import Augment, View, simclr_views
from ssl_toolkit.data import Dataset, as_bytes, as_float, rng
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.canvas import ImageGrid
from ssl_toolkit.widgets.canvases.number import NumberSlider
from ssl_toolkit.widgets.figures.plots import BLUE, GREEN, VERMILION
from ssl_toolkit.widgets.panel import Panel, check_index
from ssl_toolkit.widgets.pictures import png, tile

# name of the argument of simclr_views: (label, maximum, what it does)
STRENGTHS = {
    "crop": ("Crop from", 1.0, "The smallest share of the image that a crop may keep; 1 keeps it whole"),
    "flip": ("Flip", 1.0, "Probability that a view is mirrored"),
    "brightness": ("Brightness", 1.0, "How far the brightness may change, either way"),
    "contrast": ("Contrast", 1.0, "How far the contrast may change, either way"),
    "saturation": ("Saturation", 1.0, "How far the saturation may change, either way"),
    "hue": ("Hue", 0.5, "How far the hue may turn, in turns, either way"),
    "gray": ("Gray", 1.0, "Probability that a view loses its color"),
    "blur": ("Blur", 1.0, "Probability that a view is blurred"),
    "solarize": ("Solarize", 1.0, "Probability that bright values are inverted"),
    "noise": ("Noise", 1.0, "Standard deviation of the noise added"),
}
UNBOUNDED = ("brightness", "contrast", "saturation", "noise")  # beyond the ends of their sliders
_NONE = dict.fromkeys(STRENGTHS, 0.0) | {"crop": 1.0}
PRESETS: dict[str, tuple[dict[str, float], str]] = {
    "SimCLR's recipe": (
        _NONE
        | {"crop": 0.2, "flip": 0.5, "gray": 0.2, "hue": 0.1}
        | dict.fromkeys(("brightness", "contrast", "saturation"), 0.4),
        "Place, size and color change; what kind of thing it is remains. Made for telling classes apart.",
    ),
    "Crop only": (
        _NONE | {"crop": 0.2},
        "Color survives every view, so matching colors is enough to match views: a shortcut past the shape.",
    ),
    "Noise only": (
        _NONE | {"noise": 0.2},
        "Everything that can be seen survives: the representation may keep all of it, classes are nothing special.",
    ),
    "Too strong": (
        _NONE | {"crop": 0.02, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5, "noise": 0.4},
        "The views share hardly anything any more: two of one image are as hard to match as two of different ones.",
    ),
    "None": (_NONE, "The two views are equal, so the task is solved before training: nothing is learned."),
}  # fmt: skip


CARDS = 6  # of the game: views, two of them of one image
LEAD = "An encoder is taught that all views below are one thing: what you can tell from all of them, it can learn."


class ViewsPanel(Panel):
    """Views of one image under augmentations whose strengths are sliders; the numbers drawn for each view are shown.

    `panel.augment` is what the sliders say, to train with; `panel.code()` the line that makes it; `panel.pick(i)`,
    `panel.draw_again()` and `panel.strengths["noise"].value = 0.2` do what the controls do.
    `panel.deal()` and `panel.guess(i)`, twice, play a game: which two views are of one image? It has no run, since
    views take no time.

    >>> panel = stk.ViewsPanel(stk.load_data("shapes", limit=20))
    >>> panel.pick(3)
    """

    def __init__(self, data: Dataset, *, size: int | None = None, n: int = 12, seed: int = 0):
        super().__init__("views", "Views of an image", LEAD)
        self.data, self.n, self.index = data, n, 0
        self.size = size or data.images.shape[-1]
        shown = min(12, len(data))
        scale = max(1, round(56 / self.size))
        self.candidates = ImageGrid(data.images[:shown], columns=12, largest=72, label="images to choose from")
        self.candidates.selected = 0
        self.candidates.on_pick(lambda i: self._attempt(lambda: self.pick(i)))
        tip = "Strengths that teach well, or fail in a way worth seeing"
        make = ui.Controls("views")
        sliders = ui.Controls("views", width="auto", label="76px")
        self.preset = make.presets(PRESETS, next(iter(PRESETS)), tip, width="230px")
        self.why = w.HTML(PRESETS[self.preset.value][1])
        self.seed = make.seed_box(seed, "Of the numbers that are drawn for the views")
        self.again = make.button("Draw again", "random", "Other random numbers, same strengths")
        self.again.on_click(lambda _: self.draw_again())
        self.strengths: dict[str, NumberSlider] = {}
        for name, (text, top, tip) in STRENGTHS.items():
            low = 0.02 if name == "crop" else 0.0
            most = None if name in UNBOUNDED else top
            self.strengths[name] = sliders.slider(
                text, low, (low, top, 0.02), tip, within=(0.0, most), argument=name, continuous=True
            )
        gray = data.images.shape[1] == 1
        for name in ("saturation", "hue", "gray"):
            self.strengths[name].disabled = gray
        note = "<i>These images are gray: saturation, hue and gray change nothing.</i>" if gray else ""
        blank = torch.zeros(n, data.images.shape[1], self.size, self.size, dtype=torch.uint8)
        self.views = ImageGrid(
            blank, columns=6, scale=2 * scale if self.size < 64 else scale, largest=160, label="views of the image"
        )
        self.views.on_pick(self._show_numbers)
        self.numbers = w.HTML()
        self.again.add_class("ssl-primary")
        self.original = w.HTML()
        self.score, self._deals = (0, 0), 0  # right, played
        self.cards = ImageGrid(data.images[:1], columns=CARDS, largest=120, label="views, two of them of one image")
        self.cards.on_pick(lambda i: self._attempt(lambda: self.guess(i)))
        self.told = w.HTML()
        anew = make.button("Deal again", "random", "Other images, with the strengths of the sliders")
        anew.on_click(lambda _: self._attempt(self.deal))
        game = ui.more(ui.beside(anew, self.told), self.cards, text="A game: which two are one image?", below=True)
        drawn = ui.two_columns([self.original], [self.numbers], width="220px", least="280px")
        body = ui.two_columns([*self.strengths.values(), w.HTML(note)], [self.views, drawn])
        top = ui.row(self.again, self.preset, ui.more(self.seed))
        self._place(top, self.why, self.candidates, body, game, pictured=self.views)
        self._set(PRESETS[self.preset.value][0])
        self.preset.observe(self._on_preset, "value")
        self._react((self.seed, *self.strengths.values()), self._draw)
        self._draw()
        self.deal()

    @property
    def augment(self) -> Augment:
        """The views that the sliders describe."""
        return simclr_views(self.size, **self._arguments())

    def code(self) -> str:
        """The line that makes `augment` without the panel."""
        arguments = "".join(f", {name}={value}" for name, value in self._arguments().items())
        return f"augment = simclr_views({self.size}{arguments})"

    def _arguments(self) -> dict[str, Any]:
        values = {name: slider.value for name, slider in self.strengths.items()}
        jitter = any(values[name] for name in ("brightness", "contrast", "saturation", "hue"))
        return {"scale": (values.pop("crop"), 1.0), "jitter": 0.8 if jitter else 0.0, **values}

    def pick(self, index: int) -> None:
        """Views of another image of the data set."""
        check_index(index, self.data)
        self.index = index
        if index < self.candidates.shape[0]:
            self.candidates.selected = index
        self._draw()

    def draw_again(self) -> None:
        """The same strengths with other random numbers."""
        self.seed.value += 1

    def deal(self) -> None:
        """Views of other images, as strong as the sliders say; two of them are of one image."""
        self._deals += 1
        draw = rng(self.seed.value, self._deals, "game")
        images = torch.randperm(len(self.data), generator=draw)[: CARDS - 1]
        images = torch.cat([images, images[:1]])  # the first one twice
        self._dealt = images[torch.randperm(len(images), generator=draw)]
        self._guessed: list[int] = []
        self.cards.selected = -1
        self.cards.show(as_bytes(self.augment(as_float(self.data.images[self._dealt]), draw).x))
        self.told.value = "Click the two views that you think are of one image."

    def guess(self, card: int) -> None:
        """Take a view as one of the two; the second time the answer is shown, and the score."""
        check_index(card, self._dealt)
        if card in self._guessed or len(self._guessed) == 2:
            return
        self._guessed.append(card)
        frames = [BLUE if i in self._guessed else "" for i in range(len(self._dealt))]
        if len(self._guessed) == 2:
            pair = [i for i, image in enumerate(self._dealt) if (self._dealt == image).sum() == 2]
            right = sorted(self._guessed) == pair
            self.score = (self.score[0] + right, self.score[1] + 1)
            frames = [GREEN if i in pair else VERMILION if i in self._guessed else "" for i in range(len(frames))]
            words = "Right!" if right else "No: it is the two in green."
            self.told.value = f"<b>{words}</b> {self.score[0]} of {self.score[1]} right"
            self._keys.said = f"{words} {self.score[0]} of {self.score[1]} right"
        self.cards.selected = -1
        self.cards.show(self.cards.images, frames=frames)

    @property
    def view(self) -> View:
        """The n views shown, and what was drawn for each."""
        x = as_float(self.data.images[self.index : self.index + 1]).expand(self.n, -1, -1, -1)
        return self.augment(x, rng(self.seed.value, 0, "views"))

    def _draw(self) -> None:
        if self._muted:
            return
        view = self.view
        self._name_preset()
        self._view = view
        self.views.show(as_bytes(self._view.x), frames=self._frames())
        self._show_numbers(max(0, self.views.selected))

    def _frames(self) -> list[str]:
        return [BLUE if i == max(0, self.views.selected) else "" for i in range(self.n)]

    def _show_original(self, index: int) -> None:
        """The image as it is, and where each view was cut from it."""
        image = self.data.images[self.index]
        frames = []
        for i, box in enumerate(self._view.params["crop.box"].tolist() if "crop.box" in self._view.params else ()):
            top, left, height, width = (
                f"{100 * v / side:.1f}%" for v, side in zip(box, 2 * tuple(image.shape[-2:]), strict=True)
            )
            place = f"top:{top};left:{left};height:{height};width:{width}"
            frames.append(f"<div class='ssl-crop{' ssl-chosen' * (i == index)}' style='{place}'></div>")
        data = base64.b64encode(png(tile(image[None], 1, gap=0))).decode()
        picture = f"<img alt='the image, and where view {index + 1} was cut' src='data:image/png;base64,{data}'>"
        self.original.value = (
            f"<b>Where view {index + 1} was cut</b><div class='ssl-original'>{picture}{''.join(frames)}</div>"
        )

    def _show_numbers(self, index: int) -> None:
        self._show_original(index)
        cells = []
        for name, values in self._view.params.items():
            if name != "noise.e":  # as many numbers as pixels
                cells.append(f"<span>{name}</span><b>{_written(values[index])}</b>")
        code = escape(self.code())
        self.numbers.value = ui.paragraph(
            f"<b>Drawn for view {index + 1}</b> (click another)<div class='ssl-drawn'>{''.join(cells)}</div>"
            f"<details><summary>The same without the panel</summary><code>{code}</code></details>"
        )

    def _set(self, strengths: dict[str, float]) -> None:
        with self._muted:
            for name, value in strengths.items():
                self.strengths[name].value = value

    def _name_preset(self) -> None:
        """What the menu says is what the sliders say."""
        now = {name: slider.value for name, slider in self.strengths.items()}
        with self._muted:
            self.preset.value = next((name for name, (values, _) in PRESETS.items() if values == now), ui.OWN)
        self.why.value = PRESETS[self.preset.value][1] if self.preset.value in PRESETS else ""

    def _on_preset(self, change: dict[str, Any]) -> None:
        if not self._muted and change["new"] in PRESETS:
            self._set(PRESETS[change["new"]][0])
            self._draw()


def _written(value: torch.Tensor) -> str:
    if value.dtype == torch.bool:
        return "yes" if value else "no"
    return " ".join(f"{round(v, 3):g}" for v in value.flatten().tolist())
