"""Numbers that a person sets: none is changed on the way to the screen and back, and none is clamped in silence."""

import math
from typing import Any

import anywidget
import ipywidgets as w
import traitlets

from ssl_toolkit.widgets.canvases.canvas import script, style

EXACT = 2**53 - 1  # the browser counts whole numbers no further

ANY = (None, None)  # bounds of a number that may be any


class NumberSlider(anywidget.AnyWidget):
    """A number from `least` to `most`, to be dragged between `min` and `max` or typed.

    The slider has a mark each `step`, on a scale of powers of ten if `log` is true: then `min`, `max` and `step` are
    exponents. ipywidgets' sliders write their mark next to a number back to the kernel; this one leaves it alone until
    a hand moves it, as 0.002 or as what lies beyond the slider's ends. Raises ValueError for a number out of bounds.
    """

    _esm = script("number")
    _css = style("number")

    argument = ""  # what an error calls it, where that is not its description

    value = traitlets.Float(0.0).tag(sync=True)
    min = traitlets.Float(0.0).tag(sync=True)
    max = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Float(0.1).tag(sync=True)
    least = traitlets.Float(None, allow_none=True).tag(sync=True)
    most = traitlets.Float(None, allow_none=True).tag(sync=True)
    log = traitlets.Bool(False).tag(sync=True)
    description = traitlets.Unicode("").tag(sync=True)
    label_width = traitlets.Unicode("auto").tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)
    continuous_update = traitlets.Bool(False).tag(sync=True)

    @traitlets.validate("value")
    def _within(self, proposal: Any) -> float:
        return check_within(proposal["value"], self.least, self.most, self.argument or self.description)


class Keys(anywidget.AnyWidget):
    """Unseen: brings the style of all panels, keeps the keys that are pressed in one from JupyterLab, and says `said`.

    What it says is heard from screen readers, so it is meant for results, not for every step on the way to them.
    """

    _esm = script("keys")
    _css = style("card")

    said = traitlets.Unicode("").tag(sync=True)


class More(anywidget.AnyWidget):
    """A button that shows or hides what stands after it in a box of the CSS class `ssl-more`."""

    _esm = script("more")
    _css = style("card")

    text = traitlets.Unicode("More").tag(sync=True)
    opened = traitlets.Bool(False).tag(sync=True)


class _Refusing:
    """Of a whole number that ipywidgets would clamp: it refuses."""

    @traitlets.validate("value")
    def _validate_value(self, proposal: Any) -> int:
        return check_within(proposal["value"], self.min, self.max, self.description)  # type: ignore[attr-defined]


class IntBox(_Refusing, w.BoundedIntText):
    """A whole number that is typed. Raises ValueError for one out of bounds."""


class IntSlider(_Refusing, w.IntSlider):
    """A whole number that is dragged. Raises ValueError for one out of bounds."""


def check_within(value: Any, least: int | float | None, most: int | float | None, name: str) -> Any:
    """The value, if it is finite and from `least` to `most`."""
    low, high = -math.inf if least is None else least, math.inf if most is None else most
    if math.isfinite(value) and low <= value <= high:
        return value
    below, above = low > -EXACT, high < EXACT
    words = f"from {low:,} to {high:,}" if below and above else f"at least {low:,}" if below else "a finite number"
    if isinstance(value, int) and not below:
        words = "at most 2^53 away from 0, as browsers count no further"
    raise ValueError(f"{name.lower() or 'value'} is {value}: it must be {words}.")
