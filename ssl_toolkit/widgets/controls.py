"""What the panels share: controls that look and are named alike, lines of them, words, live figures, reports."""

from collections.abc import Callable, Iterable
from html import escape
from typing import Any

import ipywidgets as w
import plotly.graph_objects as go


def dress(control: w.Widget, tooltip: str, name: str, *, width: str = "auto", label: str = "auto") -> Any:
    """The control with a tooltip, the CSS class `name`, its width, and that of its label where it has one before it."""
    control.tooltip = tooltip
    control.layout = w.Layout(width=width)
    if not isinstance(control, w.Checkbox):
        control.style.description_width = label
    control.add_class(name)
    return control


def dropdown(label: str, options: Iterable[Any], value: Any, tooltip: str, name: str) -> w.Dropdown:
    """A menu as wide as its words, after its label."""
    control = dress(w.Dropdown(options=options, value=value, description=label), tooltip, name)
    control.layout.min_width = "130px"
    return control


def button(text: str, icon: str, tooltip: str, name: str) -> w.Button:
    """A button as wide as its word, with an icon of Font Awesome before it ("" for none)."""
    made = w.Button(description=text, icon=icon, tooltip=tooltip, layout=w.Layout(width="auto", flex="0 0 auto"))
    made.add_class(name)
    return made


def line(*children: w.Widget) -> w.HBox:
    """Controls side by side, on further lines where the page is narrow."""
    return w.HBox(children, layout=w.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px 12px"))


def paragraph(html: str, name: str = "") -> str:
    """A paragraph as high as those of the notebook."""
    return f"<div class='{name}' style='line-height:1.4'>{html}</div>"


class _Live(go.FigureWidget):
    """Plotly tells a page that is loaded anew how the figure was made; this tells it how the figure is."""

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        state = super().get_state(key, drop_defaults)
        if key is None and hasattr(self, "_layout_obj"):  # which is not there yet while it is made
            for name, now in (("_widget_data", self._data), ("_widget_layout", self._layout_obj._props)):
                state[name] = self.trait_metadata(name, "to_json")(now, self)
        return state


def live(figure: go.Figure, *, toolbar: bool = True) -> go.FigureWidget:
    """The figure as a widget that is as wide as its place, without Plotly's logo."""
    widget = _Live(figure)
    widget._config = {"displaylogo": False, "displayModeBar": "hover" if toolbar else False, "responsive": True}
    return widget


def report(soon: Callable[[Callable[[], None]], None], message: w.HTML, action: Callable[[], str]) -> None:
    """Do it by `soon`, that of a `Player`: between two steps. The message says how it went, or what went wrong."""

    def run() -> None:
        try:
            said = action()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        message.value = f'<span role="status" class="ssl-message">{escape(said)}</span>'

    soon(run)
