"""What the panels share: controls that look and are named alike, rows and columns of them, words, live figures."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets as w
import plotly.graph_objects as go


def style(control: w.Widget, tooltip: str, name: str, *, width: str = "auto", label: str = "auto") -> Any:
    """The control with a tooltip, the CSS class `name`, its width, and that of its label where it has one before it."""
    control.tooltip = tooltip
    control.layout = w.Layout(width=width)
    if not isinstance(control, w.Checkbox):
        control.style.description_width = label
    control.add_class(name)
    return control


def dropdown(
    text: str, options: Iterable[Any], value: Any, tooltip: str, name: str, *, width: str = "auto", label: str = "auto"
) -> w.Dropdown:
    """A menu after its text, as wide as its words where no `width` is given."""
    made = w.Dropdown(options=options, value=value, description=text)
    control = style(made, tooltip, name, width=width, label=label)
    control.layout.min_width = "130px"
    return control


def slider(
    text: str,
    value: float,
    ends: tuple[float, float, float],
    tooltip: str,
    name: str,
    *,
    width: str = "230px",
    label: str = "auto",
    digits: int = 2,
    dragged: bool = False,
) -> w.FloatSlider:
    """A number, `ends` being (from, to, by). It changes when it is let go; where `dragged` is true, already before."""
    low, high, step = ends
    made = w.FloatSlider(value, min=low, max=high, step=step, description=text, readout_format=f".{digits}f")
    made.continuous_update = dragged
    return style(made, tooltip, name, width=width, label=label)


def int_box(
    text: str, value: int, ends: tuple[int, int], tooltip: str, name: str, *, width: str = "100px", label: str = "auto"
) -> w.BoundedIntText:
    """A whole number that is typed, `ends` being (from, to)."""
    low, high = ends
    made = w.BoundedIntText(value, min=low, max=high, description=text)
    return style(made, tooltip, name, width=width, label=label)


def seed_box(value: int, tooltip: str, name: str, *, width: str = "100px", label: str = "auto") -> w.BoundedIntText:
    """The seed of whatever the panel draws at random."""
    return int_box("Seed", value, (0, 2**31), tooltip, name, width=width, label=label)


def checkbox(text: str, value: bool, tooltip: str, name: str) -> w.Checkbox:
    """A box to tick, as wide as its text."""
    return style(w.Checkbox(value, description=text, indent=False), tooltip, name)


def toggle(
    options: Iterable[str], value: str, tooltip: str, name: str, *, tips: Iterable[str] = (), each: str = "auto"
) -> w.ToggleButtons:
    """Buttons side by side, `each` as wide as its word, one of which is pressed; `tips` say what they mean."""
    made = w.ToggleButtons(options=options, value=value, tooltips=tips, style={"button_width": each})
    return style(made, tooltip, name)


def button(text: str, icon: str, tooltip: str, name: str) -> w.Button:
    """A button as wide as its word, with an icon of Font Awesome before it ("" for none)."""
    made = w.Button(description=text, icon=icon, tooltip=tooltip, layout=w.Layout(width="auto", flex="0 0 auto"))
    made.add_class(name)
    return made


def row(*children: w.Widget) -> w.HBox:
    """Controls side by side, on further lines where the page is narrow."""
    return w.HBox(children, layout=w.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px 12px"))


def two_columns(
    left: Sequence[w.Widget], right: Sequence[w.Widget], *, width: str = "auto", least: str = "0", wrap: bool = False
) -> w.HBox:
    """The left column as wide as `width`, and the right one over the rest, or below it where that has not `least`."""
    columns = [
        w.VBox(left, layout=w.Layout(flex="0 0 auto", width=width)),
        w.VBox(right, layout=w.Layout(flex="1 1 0", min_width=least)),
    ]
    flow = "row wrap" if wrap else "row"
    return w.HBox(columns, layout=w.Layout(grid_gap="20px", flex_flow=flow, margin="4px 0 0 0"))


def on_change(controls: Iterable[w.Widget], action: Callable[[], object]) -> None:
    """Do it whenever the value of one of these controls has changed."""
    for control in controls:
        control.observe(lambda _: action(), "value")


def paragraph(html: str, name: str = "") -> str:
    """A paragraph as high as those of the notebook."""
    return f"<div class='{name}' style='line-height:1.4'>{html}</div>"


def duration(seconds: float) -> str:
    """A time in words: seconds, or minutes from a minute and a half on."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def table(rows: Sequence[Sequence[str]], name: str = "", *, align: str = "right") -> str:
    """Cells of HTML as a table: the first row names the columns; all but the first of a row go by `align`."""
    lines = []
    for i, (first, *others) in enumerate(rows):
        cells = "".join(f"<td style='text-align:{align};padding:1px 0 1px 18px'>{cell}</td>" for cell in others)
        look = "opacity:.75" if i == 0 else "vertical-align:top"
        lines.append(f"<tr style='{look}'><td>{first}</td>{cells}</tr>")
    style = "line-height:1.5;font-variant-numeric:tabular-nums"
    return f"<table class='{name}' style='{style}'>{''.join(lines)}</table>"


class _FigureWidget(go.FigureWidget):
    """Plotly tells a page that is loaded anew how the figure was made; this tells it how the figure is."""

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        state = super().get_state(key, drop_defaults)
        if key is None and hasattr(self, "_layout_obj"):  # which is not there yet while it is made
            for name, now in (("_widget_data", self._data), ("_widget_layout", self._layout_obj._props)):
                state[name] = self.trait_metadata(name, "to_json")(now, self)
        return state


def figure_widget(figure: go.Figure, *, toolbar: bool = True) -> go.FigureWidget:
    """The figure as a widget that is as wide as its place, without Plotly's logo."""
    widget = _FigureWidget(figure)
    widget._config = {"displaylogo": False, "displayModeBar": "hover" if toolbar else False, "responsive": True}
    return widget


class Muted:
    """True inside its `with` block: while a panel moves several controls at once, for one drawing after all of them.

    >>> with muted:
    ...     first.value, growth.value = 0.0, 0.01
    """

    def __init__(self) -> None:
        self._within = 0  # blocks, as one may call what opens another

    def __enter__(self) -> None:
        self._within += 1

    def __exit__(self, *_: object) -> None:
        self._within -= 1

    def __bool__(self) -> bool:
        return self._within > 0
