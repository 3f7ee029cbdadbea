"""What panels share of their controls."""

from contextlib import suppress

import ipywidgets as w
import pytest

from ssl_toolkit.widgets.controls import (
    Muted,
    button,
    checkbox,
    dropdown,
    figure_widget,
    int_box,
    paragraph,
    row,
    seed_box,
    slider,
    style,
    toggle,
)
from ssl_toolkit.widgets.figures.plots import Curve, runs_figure, show_runs


@pytest.mark.parametrize("control", [w.FloatSlider(), w.BoundedIntText(), w.Checkbox(), w.Dropdown()], ids=type)
def test_a_dressed_control_has_a_tooltip_a_width_and_a_class(control):
    assert style(control, "what it does", "ssl-x", width="90px") is control
    assert (control.tooltip, control.layout.width) == ("what it does", "90px")
    assert "ssl-x" in control._dom_classes


def test_menus_and_buttons_say_what_they_do_and_lines_wrap():
    menu, press = (
        dropdown("Rows", ["a", "b"], "b", "a row for each", "ssl-m"),
        button("Save", "save", "keep it", "ssl-b"),
    )
    assert (menu.value, menu.tooltip, menu.description) == ("b", "a row for each", "Rows")
    assert (press.description, press.icon, press.tooltip) == ("Save", "save", "keep it")
    both = row(menu, press)
    assert both.children == (menu, press)
    assert "wrap" in both.layout.flex_flow
    assert "ssl-w" in paragraph("<b>x</b>", "ssl-w")


def test_a_live_figure_may_hide_its_toolbar_and_never_shows_a_logo():
    for toolbar, shown in ((True, "hover"), (False, False)):
        config = figure_widget(runs_figure(), toolbar=toolbar)._config
        assert config == {"displaylogo": False, "displayModeBar": shown, "responsive": True}


def test_a_page_that_is_loaded_anew_is_told_the_figure_as_it_is():
    figure = figure_widget(runs_figure())
    show_runs(figure, [Curve("a", [1, 2], [3.0, 4.0])], title="later", axes=("x", "y"))
    state = figure.get_state()
    assert (state["_widget_data"][0]["name"], state["_widget_data"][0]["y"]) == ("a", [3.0, 4.0])
    assert state["_widget_layout"]["title"]["text"] == "later"
    assert "_widget_data" not in figure.get_state("_config")


def test_controls_made_here_say_what_they_do_and_have_a_class():
    made = [
        slider("Rate", 0.5, (0.0, 1.0, 0.1), "how fast", "ssl-a", digits=1),
        int_box("Steps", 3, (1, 9), "how many", "ssl-a"),
        seed_box(7, "of what is drawn", "ssl-a"),
        checkbox("Mark", True, "tint it", "ssl-a"),
        toggle("AB", "B", "which of them", "ssl-a", tips=("one", "other")),
    ]
    assert all(control.tooltip and "ssl-a" in control._dom_classes for control in made)
    assert [control.value for control in made] == [0.5, 3, 7, True, "B"]
    rate, steps = made[:2]
    assert (rate.min, rate.max, rate.step, rate.readout_format, rate.continuous_update) == (0, 1, 0.1, ".1f", False)
    assert slider("Rate", 0.5, (0.0, 1.0, 0.1), "how fast", "ssl-a", dragged=True).continuous_update
    steps.value = 20
    assert steps.value == 9


def test_muted_is_true_inside_its_block_and_not_after_an_error():
    muted = Muted()
    assert not muted
    with suppress(KeyError), muted:
        assert muted
        raise KeyError
    assert not muted
