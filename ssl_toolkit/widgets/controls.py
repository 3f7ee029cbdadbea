"""What the panels share: controls that look and are named alike, rows and columns of them, words."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets as w

from ssl_toolkit.widgets.canvases.number import EXACT, IntBox, More, NumberSlider
from ssl_toolkit.widgets.figures.plots import BLUE, GREEN, ORANGE, VERMILION

OWN = "your own settings"  # the name of what is none of the presets
OLD = int(w.__version__.split(".")[0]) < 8  # as Colab has it


class Controls:
    """Makes the controls of one panel alike: each with a tooltip, a width and the CSS class `ssl-<panel>-<its text>`.

    `width` and `label` are those of all controls and of the texts before them, where a call does not say otherwise.

    >>> Controls("train").slider("Crop from", 0.3, (0.05, 1.0, 0.05), "The smallest crop")._dom_classes
    ('ssl-train-crop-from',)
    """

    def __init__(self, panel: str, *, width: str = "", label: str = "auto"):
        self.panel, self.width, self.label = panel, width, label

    def add(self, control: w.Widget, tooltip: str, *, name: str = "", width: str = "") -> Any:
        """Give any control what the others have; `name` takes the place of its text in the CSS class."""
        tell(control, tooltip)
        control.layout.width = width or self.width or "auto"
        if isinstance(control, NumberSlider):
            control.label_width = self.label
        elif hasattr(control.style, "description_width") and not isinstance(control, w.Checkbox):
            control.style.description_width = self.label
        parts = ("ssl", self.panel, re.sub("[^a-z0-9]+", "-", (name or control.description).lower()).strip("-"))
        control.add_class("-".join(part for part in parts if part))
        return control

    def dropdown(
        self, text: str, options: Iterable[Any], value: Any, tooltip: str, *, name: str = "", width: str = ""
    ) -> w.Dropdown:
        """A menu after its text, as wide as its words where no width is given."""
        made = w.Dropdown(options=options, value=value, description=text)
        self.add(made, tooltip, name=name, width=width).layout.min_width = "130px"
        return made

    def presets(self, names: Iterable[str], value: str, tooltip: str, *, width: str = "") -> w.Dropdown:
        """A menu of settings, which says so where what the controls say is none of them."""
        return self.dropdown("Preset", [*names, OWN], value, tooltip, width=width)

    def slider(
        self,
        text: str,
        value: float,
        bounds: tuple[float, float, float],
        tooltip: str,
        *,
        within: tuple[float | None, float | None] | None = None,
        log: bool = False,
        argument: str = "",
        name: str = "",
        width: str = "",
        continuous: bool = False,
    ) -> NumberSlider:
        """A number, `bounds` being (from, to, by) of the slider, and `within` what it may be (None: those ends).

        It changes when it is let go, or while it moves if `continuous`. With `log`, the bounds are powers of ten.
        Errors call it `argument`, if given.
        """
        low, high, step = bounds
        least, most = (low, high) if within is None else within
        made = NumberSlider(
            min=low, max=high, step=step, least=least, most=most, log=log, description=text,
            continuous_update=continuous,
        )  # fmt: skip
        made.argument = argument
        made.value = value  # after its bounds are known
        return self.add(made, tooltip, name=name, width=width or self.width or "230px")

    def int_box(self, text: str, value: int, bounds: tuple[int, int], tooltip: str, *, width: str = "") -> IntBox:
        """A whole number that is typed, `bounds` being (from, to)."""
        low, high = bounds
        made = IntBox(min=low, max=high, description=text)
        made.value = value  # after its bounds are known
        return self.add(made, tooltip, width=width or self.width or "100px")

    def seed_box(self, value: int, tooltip: str, *, width: str = "") -> IntBox:
        """The seed of whatever the panel draws at random."""
        return self.int_box("Seed", value, (-EXACT, EXACT), tooltip, width=width)

    def checkbox(self, text: str, value: bool, tooltip: str) -> w.Checkbox:
        """A box to tick, as wide as its text."""
        return self.add(w.Checkbox(value, description=text, indent=False), tooltip, width="auto")

    def toggle(
        self, options: Iterable[str], value: str, tooltip: str, name: str, *, tooltips: Iterable[str] = ()
    ) -> w.ToggleButtons:
        """Buttons side by side, as wide as their words, one of which is pressed; `tooltips` say what they mean."""
        made = w.ToggleButtons(options=options, value=value, tooltips=tooltips, style={"button_width": "auto"})
        return self.add(made, tooltip, name=name, width="auto")

    def button(self, text: str, icon: str, tooltip: str) -> w.Button:
        """A button as wide as its word, with an icon of Font Awesome before it ("" for none)."""
        made = self.add(w.Button(description=text, icon=icon), tooltip, width="auto")
        made.layout.flex = "0 0 auto"
        return made


def tell(control: w.Widget, tooltip: str) -> None:
    """Give it this tooltip, which ipywidgets 7 calls by another name."""
    control.tooltip = tooltip
    if OLD and control.has_trait("description_tooltip"):
        control.description_tooltip = tooltip


def uploaded(files: w.FileUpload) -> list[bytes]:
    """The content of the files that were chosen; then it is empty, so that the same file can be chosen again."""
    content = [bytes(file["content"]) for file in (files.value.values() if OLD else files.value)]
    if content and OLD:
        files.metadata, files.data, files._counter = [], [], 0
    elif content:
        files.value = ()
    return content


def row(*children: w.Widget) -> w.HBox:
    """Controls side by side, on further lines where the page is narrow."""
    return _of_class("ssl-row", children)


def beside(*children: w.Widget) -> w.HBox:
    """Controls and words on one line, in which the words may take several, or go below where the page is narrow."""
    return _of_class("ssl-beside", children)


def more(*children: w.Widget, text: str = "More", below: bool = False) -> w.HBox:
    """A button that shows and hides these, beside itself or `below`: what few people need, or only once.

    >>> box = more(w.Label("seldom"))
    >>> box.children[0].opened
    False
    """
    box = _of_class("ssl-more", (More(text=text), *children))
    if below:
        box.add_class("ssl-below")
    return box


def _of_class(name: str, children: Sequence[w.Widget]) -> w.HBox:
    box = w.HBox(children)
    box.add_class(name)
    return box


def two_columns(
    left: Sequence[w.Widget],
    right: Sequence[w.Widget],
    *,
    width: str = "260px",
    least: str = "420px",
    share: int = 0,
    most: str = "none",
) -> w.HBox:
    """The left column of `width` and the right one over the rest, or below it where that leaves it less than `least`.

    With a `share`, the left column takes that many parts of what is left over as well, up to `most`, and the right one
    takes one.
    """
    grown = w.Layout(flex=f"{share or 1} 1 {width}", min_width=f"min({width}, 100%)", max_width=most)
    columns = [
        w.VBox(left, layout=grown),
        w.VBox(right, layout=w.Layout(flex=f"{1 if share else 999} 1 {least}", min_width=f"min({least}, 100%)")),
    ]
    return w.HBox(columns, layout=w.Layout(grid_gap="16px", flex_flow="row wrap", align_items="flex-start"))


def on_change(controls: Iterable[w.Widget], action: Callable[[], object]) -> None:
    """Do it whenever the value of one of these controls has changed."""
    for control in controls:
        control.observe(lambda _: action(), "value")


def paragraph(html: str, name: str = "") -> str:
    """A paragraph as high as those of the notebook."""
    return f"<div class='{name}'>{html}</div>"


WORDS = {BLUE: "blue", GREEN: "green", VERMILION: "vermilion", ORANGE: "orange"}


def word(html: str, color: str) -> str:
    """A bold word in the color of a mark, as dark or as light as the theme needs for words.

    >>> word("A", BLUE)
    "<b class='ssl-blue'>A</b>"
    """
    return f"<b class='ssl-{WORDS.get(color, 'note')}'>{html}</b>"


def tiles(numbers: Mapping[str, tuple[str, str]], name: str = "") -> str:
    """The numbers that matter most, large and beside one another: by name, each with what it is to be compared with."""
    cells = [
        f"<div><span>{of}</span><b>{number}</b><span>{words}</span></div>" for of, (number, words) in numbers.items()
    ]
    return f"<div class='ssl-tiles {name}'>{''.join(cells)}</div>"


def duration(seconds: float) -> str:
    """A time in words: seconds, or minutes from a minute and a half on."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def table(rows: Sequence[Sequence[str]], name: str = "", *, align: str = "right") -> str:
    """Cells of HTML as a table: the first row names the columns; all but the first of a row go by `align`."""
    lines = []
    for i, (first, *others) in enumerate(rows):
        cells = "".join(f"<td style='text-align:{align}'>{cell}</td>" for cell in others)
        look = "" if i == 0 else " style='vertical-align:top'"
        lines.append(f"<tr{look}><td>{first}</td>{cells}</tr>")
    return f"<div class='ssl-scroll' tabindex='0'><table class='ssl-table {name}'>{''.join(lines)}</table></div>"


class Muted:
    """True inside its `with` block: while a panel moves several controls at once, for one drawing after all of them.

    >>> muted = Muted()
    >>> with muted:
    ...     bool(muted)
    True
    """

    def __init__(self) -> None:
        self._within = 0  # blocks, as one may call what opens another

    def __enter__(self) -> None:
        self._within += 1

    def __exit__(self, *_: object) -> None:
        self._within -= 1

    def __bool__(self) -> bool:
        return self._within > 0
