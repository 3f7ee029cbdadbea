"""A thousand random uses of the controls of all panels, from the kernel's thread and from others: nothing breaks."""

import asyncio
import gc
import random
import weakref
from collections.abc import Iterator

import ipywidgets as w
import pytest
from every_panel import CHOICES, NUMBERS, PANELS, controls, move

from ssl_toolkit import widgets
from ssl_toolkit.training import NonFiniteError
from ssl_toolkit.widgets.canvases.number import NumberSlider
from ssl_toolkit.widgets.player import Player

EVENTS = 1000


def alive():
    """All widgets that there are, as ipywidgets 8 or 7 knows them."""
    return getattr(w.widgets.widget, "_instances", None) or w.Widget.widgets


def players(panel: w.VBox) -> list[Player]:
    return [value for value in vars(panel).values() if isinstance(value, Player)]


def test_no_panel_is_left_out():
    assert set(PANELS) == {name for name in vars(widgets) if name.endswith(("Panel", "Board"))}


def every_widget(thing: object) -> Iterator[w.Widget]:
    """The widgets that a panel holds, those of its modes that are not shown among them."""
    if isinstance(thing, w.Widget):
        yield thing
        thing = getattr(thing, "children", ())
    for below in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else ():
        yield from every_widget(below)


@pytest.mark.parametrize("name", PANELS)
def test_every_control_says_what_it_does_and_has_a_class_of_its_own(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = (w.Button, w.Checkbox, NumberSlider, w.Text, w.FileUpload, *CHOICES, *NUMBERS)
    seen = [c for c in every_widget(vars(PANELS[name](monkeypatch))) if isinstance(c, kinds)]
    assert seen
    assert [c.description for c in seen if not c.tooltip] == []
    assert [c.description for c in seen if not any(one.startswith("ssl-") for one in c._dom_classes)] == []


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_survives_random_use_and_leaves_no_task(name, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)  # Save is among the controls
    problems: list[object] = []

    async def use() -> int:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        panel, chance = PANELS[name](monkeypatch), random.Random(name)
        for event in range(EVENTS // len(PANELS)):
            control = chance.choice(controls(panel))
            if event % 5 == 0:  # JupyterLab's messages may be answered on another thread
                await asyncio.to_thread(move, control, chance)
            else:
                move(control, chance)
            if event % 3 == 0:
                await asyncio.sleep(0.002)
            failed = (player.error for player in players(panel))
            problems.extend(e for e in failed if e is not None and not isinstance(e, NonFiniteError))
        for player in players(panel):
            player.reset()
        await asyncio.sleep(0.05)
        assert {player.state for player in players(panel)} <= {"idle"}
        for player in players(panel):
            player.close()
        await asyncio.sleep(0.05)
        return len([t for t in asyncio.all_tasks() if t is not asyncio.current_task()])

    assert asyncio.run(use()) == 0
    assert problems == []
    assert [record.getMessage() for record in caplog.records] == []  # where ipywidgets puts what a handler raises


@pytest.mark.parametrize("name", PANELS)
def test_a_closed_panel_leaves_no_widget_no_task_and_is_collected(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def use() -> tuple[weakref.ref, set[str]]:
        before = set(alive())
        panel = PANELS[name](monkeypatch)
        if panel.player is not None:
            panel.play()
        await asyncio.sleep(0.05)
        panel.close()
        await asyncio.sleep(0.05)
        assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []
        return weakref.ref(panel), set(alive()) - before

    panel, left = asyncio.run(use())
    assert left == set()
    gc.collect()
    assert panel() is None
