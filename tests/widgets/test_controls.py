"""What panels share of their controls."""

from contextlib import suppress

import ipywidgets as w
import pytest

from ssl_toolkit.widgets.controls import Controls, Muted, more, on_change, paragraph, row, tiles, two_columns, word
from ssl_toolkit.widgets.figures.plots import BLUE


@pytest.mark.parametrize("control", [w.FloatSlider(), w.BoundedIntText(), w.Checkbox(), w.Dropdown()], ids=type)
def test_any_control_gets_a_tooltip_a_width_and_a_class(control):
    assert Controls("a").add(control, "what it does", name="An x", width="90px") is control
    assert (control.tooltip, control.layout.width) == ("what it does", "90px")
    assert "ssl-a-an-x" in control._dom_classes


def test_menus_and_buttons_say_what_they_do_and_lines_wrap():
    make = Controls("m")
    menu, press = make.dropdown("Rows", ["a", "b"], "b", "a row for each"), make.button("Save", "save", "keep it")
    assert (menu.value, menu.tooltip, menu.description) == ("b", "a row for each", "Rows")
    assert (press.description, press.icon, press.tooltip) == ("Save", "save", "keep it")
    both = row(menu, press)
    assert both.children == (menu, press)
    assert "ssl-row" in both._dom_classes
    assert "ssl-w" in paragraph("<b>x</b>", "ssl-w")


def test_the_second_of_two_columns_takes_the_rest():
    one, other = w.Button(), w.Button()
    left, right = two_columns([one], [other], width="90px").children
    assert (left.children, right.children) == ((one,), (other,))
    assert (left.layout.flex, right.layout.flex) == ("1 1 90px", "999 1 420px")
    shared = two_columns([one], [other], width="90px", least="50px", share=2).children
    assert [column.layout.flex for column in shared] == ["2 1 90px", "1 1 50px"]


def test_what_few_need_is_behind_a_button():
    seldom = w.Button()
    box = more(seldom, text="Files", below=True)
    assert box.children[1:] == (seldom,)
    assert (box.children[0].text, box.children[0].opened) == ("Files", False)
    assert set(box._dom_classes) == {"ssl-more", "ssl-below"}


def test_words_and_large_numbers_take_their_look_from_the_theme():
    assert word("A", BLUE) == "<b class='ssl-blue'>A</b>"
    assert "#" not in tiles({"kNN": ("90 %", "chance 10 %")})
    assert "<b>90 %</b>" in tiles({"kNN": ("90 %", "chance 10 %")})


def test_a_change_of_any_control_is_told():
    told, boxes = [], [w.Checkbox(), w.Checkbox()]
    on_change(boxes, lambda: told.append(True))
    boxes[1].value = True
    assert told == [True]


def test_controls_made_here_say_what_they_do_and_have_a_class():
    make = Controls("a", width="90px", label="20px")
    made = [
        make.slider("Rate, in %", 0.5, (0.0, 1.0, 0.1), "how fast"),
        make.int_box("Steps", 3, (1, 9), "how many", width="50px"),
        make.seed_box(7, "of what is drawn"),
        make.checkbox("Mark", True, "tint it"),
        make.toggle("AB", "B", "which of them", "which", tooltips=("one", "other")),
    ]
    classes = [control._dom_classes[0] for control in made]
    assert classes == ["ssl-a-rate-in", "ssl-a-steps", "ssl-a-seed", "ssl-a-mark", "ssl-a-which"]
    assert all(control.tooltip for control in made)
    assert [control.value for control in made] == [0.5, 3, 7, True, "B"]
    assert [control.layout.width for control in made] == ["90px", "50px", "90px", "auto", "auto"]
    rate = made[0]
    assert (rate.min, rate.max, rate.step, rate.continuous_update) == (0, 1, 0.1, False)
    assert (rate.label_width, made[-1].style.description_width) == ("20px", "20px")
    assert make.slider("Rate", 0.5, (0.0, 1.0, 0.1), "how fast", continuous=True).continuous_update


def test_a_number_out_of_bounds_is_refused_and_one_beyond_the_slider_stays_as_it_is():
    make = Controls("a")
    steps = make.int_box("Steps", 3, (1, 9), "how many")
    with pytest.raises(ValueError, match="steps is 20: it must be from 1 to 9"):
        steps.value = 20
    assert steps.value == 3
    with pytest.raises(ValueError, match="seed is 9007199254740992: it must be at most"):
        make.seed_box(2**53, "of what is drawn")
    rate = make.slider("Rate", 1e-6, (-5.0, 2.0, 0.1), "how fast", within=(0.0, None), log=True, argument="lr")
    assert rate.value == 1e-6
    with pytest.raises(ValueError, match=r"lr is -0\.1: it must be at least 0\.0"):
        rate.value = -0.1
    with pytest.raises(ValueError, match="lr is nan"):
        rate.value = float("nan")
    with pytest.raises(ValueError, match=r"eta is 2\.0: it must be from 0\.0 to 1\.0"):
        make.slider("eta", 2.0, (0.0, 1.0, 0.1), "how random")


def test_muted_is_true_inside_its_block_and_not_after_an_error():
    muted = Muted()
    assert not muted
    with suppress(KeyError), muted:
        assert muted
        raise KeyError
    assert not muted
