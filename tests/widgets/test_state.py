"""What a panel says can be kept, sent as a line of text, and come back to; what is broken or foreign is refused."""

import base64
import json
import random
import zlib

import ipywidgets as w
import pytest
from every_panel import PANELS, controls, move

import ssl_toolkit as stk
from ssl_toolkit.widgets.canvases.number import NumberSlider
from ssl_toolkit.widgets.state import as_link, controls_of, read_link


def moved(name, monkeypatch, tmp_path, seed=0):
    """A panel on which a person has moved some of the controls that are saved."""
    monkeypatch.chdir(tmp_path)
    panel, chance = PANELS[name](monkeypatch), random.Random(seed)
    known = list(controls_of(panel).values())
    for _ in range(6):
        if some := [control for control in controls(panel) if control in known]:
            move(chance.choice(some), chance)
    return panel


@pytest.mark.parametrize("name", PANELS)
def test_a_fresh_panel_takes_the_state_of_another(name, tmp_path, monkeypatch):
    panel = moved(name, monkeypatch, tmp_path)
    state = json.loads(json.dumps(panel.state_dict()))
    again = PANELS[name](monkeypatch)
    again.load_state_dict(state)
    assert again.state_dict() == panel.state_dict()
    again.load_state_dict(panel.link())
    assert again.state_dict() == panel.state_dict()


@pytest.mark.parametrize("name", PANELS)
def test_the_state_of_another_panel_is_refused_and_changes_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = PANELS[name](monkeypatch)
    before = panel.state_dict()
    with pytest.raises(ValueError, match=f"state is of a Thing: this is a {name}"):
        panel.load_state_dict(before | {"panel": "Thing"})
    if name != "TrainPanel":  # which goes by its recipe
        with pytest.raises(ValueError, match=r"controls has 'no such'"):
            panel.load_state_dict(before | {"controls": before["controls"] | {"no such": 1}})
    assert panel.state_dict() == before


@pytest.mark.parametrize("value", ["no such choice", 2.5, None, [1]])
def test_a_value_that_a_control_does_not_take_is_named_and_all_stay_as_they_were(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = PANELS["ViewsPanel"](monkeypatch)
    before = panel.state_dict()
    for name, control in controls_of(panel).items():
        if isinstance(control, NumberSlider) and value == 2.5:
            continue  # which takes it, or says what it may be
        with pytest.raises(ValueError, match=rf"controls\['{name}'\] is"):
            panel.load_state_dict(before | {"controls": before["controls"] | {name: value}})
        assert panel.state_dict() == before


def test_a_link_to_a_run_makes_the_run():
    recipe = stk.Recipe(steps=3, batch_size=32, width=16, projector=(16, 8), lr=3e-3, seed=5)
    panel = stk.TrainPanel("digits", recipe)
    link = panel.link()
    assert link.startswith("stk://TrainPanel/")
    assert len(link) < 900
    panel.wait()
    again = stk.open_link(link)
    assert again.recipe == panel.recipe
    again.wait()
    assert [step.loss for step in again.steps] == [step.loss for step in panel.steps]
    assert "at step 3" in stk.open_link(panel.link()).message.value


def test_a_panel_of_other_data_says_so():
    link = stk.TrainPanel("digits", stk.Recipe(steps=2)).link()
    with pytest.raises(ValueError, match="a run on 'digits', and this panel has 'shapes'"):
        stk.TrainPanel(stk.load_data("shapes", limit=60)).load_state_dict(link)


@pytest.mark.parametrize("name", ["ProbePanel", "ViewsPanel"])
def test_a_link_to_what_no_text_holds_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"load_state_dict\(link\)"):
        stk.open_link(PANELS[name](monkeypatch).link())


def bomb() -> str:
    return base64.urlsafe_b64encode(zlib.compress(b" " * 50_000_000)).decode()


LINK = as_link({"panel": "LossPanel", "controls": {}, "view": {}})


@pytest.mark.parametrize(
    "link",
    [
        *("", "stk://", "stk://LossPanel", "stk://LossPanel/", "https://LossPanel/eNp", "stk://LossPanel/%%%"),
        *(LINK[:-4], LINK.replace("LossPanel", "TrainPanel"), LINK[:30] + "AAAA" + LINK[34:]),
        f"stk://LossPanel/{bomb()}",
        "stk://LossPanel/" + base64.urlsafe_b64encode(zlib.compress(b"[1]")).decode(),
    ],
    ids=range(11),
)
def test_a_damaged_link_is_refused(link):
    with pytest.raises(ValueError, match="copy all of it"):
        read_link(link)


def test_a_link_may_stand_between_spaces():
    assert read_link(f"  {LINK}\n") == {"panel": "LossPanel", "controls": {}, "view": {}}


def seen(box):
    """The controls that are seen, by their texts."""
    texts = []
    for child in box.children:
        if child.layout.display == "none":
            continue
        if hasattr(child, "children"):
            texts += seen(child)
        elif isinstance(child, w.HTML) and child.value.startswith("<b>"):
            texts.append(child.value)
        elif getattr(child, "description", ""):
            texts.append(child.description)
    return texts


def test_a_lesson_shows_the_controls_that_it_is_about():
    data = stk.load_data("digits", size=16, limit=60)
    panel = stk.TrainPanel(data, stk.Recipe(steps=2, batch_size=16), show=("play", "temperature"))
    assert seen(panel) == ["Play", "<b>Adjustable during training</b>", "Temp."]
    panel.wait()
    assert panel.state == "done"


def test_a_control_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"show has 'temprature': LossPanel has "):
        stk.LossPanel().show_only("play", "temprature")


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_without_controls_still_has_its_picture(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = PANELS[name](monkeypatch)
    panel.show_only()
    assert seen(panel) == []
    assert panel.picture().size
