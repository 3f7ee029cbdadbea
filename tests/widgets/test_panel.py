"""What all panels have: one run with its states, a message, controls that rest while it runs, a way to be closed."""

import asyncio

import ipywidgets as w
import numpy as np
import pytest

from ssl_toolkit.widgets.panel import Panel, check_index
from ssl_toolkit.widgets.player import STATES, Player


class Counting(Panel):
    """Counts to three."""

    def __init__(self, source=lambda: iter((1, 2, 3)), name="counting"):
        super().__init__("count", "Count & see")
        self.shown, self.idle = [], 0
        self.limit, self.free = w.IntText(), w.IntText()
        self.player = Player(source, self.shown.append, name=name)
        self._place(self.player, self.limit, self.free, locked=[self.limit])

    def _before_run(self):
        self.idle += 1

    def picture(self):
        return np.zeros((2, 3, 3), np.uint8)


class Still(Panel):
    """Has no run."""

    def __init__(self):
        super().__init__("still", "Still")
        self._place(w.Label("here"))


def classes(panel):
    return {name for name in panel._dom_classes if name.startswith("ssl-")}


def test_a_panel_has_a_title_and_classes_of_its_name_and_state():
    panel = Counting()
    assert "Count &amp; see" in panel.children[0].children[0].value
    assert panel.children[1:] == (panel.player, panel.limit, panel.free)
    assert classes(panel) == {"ssl-panel", "ssl-count", "ssl-state-idle"}
    panel.step()
    assert classes(panel) == {"ssl-panel", "ssl-count", "ssl-state-paused"}


def test_its_methods_are_those_of_the_run_and_its_state_too():
    panel = Counting()
    assert panel.wait() == 3
    assert (panel.state, panel.shown[-1]) == ("done", 3)
    panel.reset()
    assert (panel.state, panel.idle) == ("idle", 1)
    panel.step()
    assert (panel.state, panel.player.last) == ("paused", 1)
    panel.stop()
    assert (panel.state, panel.player.last) == ("done", 1)


def test_in_a_loop_a_run_plays_pauses_and_stops():
    closed = []

    def count():
        try:
            i = 0
            while True:
                yield (i := i + 1)
        finally:
            closed.append(True)

    async def notebook():
        panel = Counting(count, name="endless")
        panel.play()
        await asyncio.sleep(0.03)
        panel.pause()
        await asyncio.sleep(0.05)
        assert (panel.state, closed) == ("paused", [])
        panel.play()
        await asyncio.sleep(0.03)
        panel.stop()
        await asyncio.sleep(0.05)
        assert (panel.state, closed) == ("done", [True])
        assert panel.shown[-1] == panel.player.last
        panel.reset()
        panel.play()
        await asyncio.sleep(0.03)
        panel.close()
        await asyncio.sleep(0.05)
        return len(closed), [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]

    assert asyncio.run(notebook()) == (2, [])


def test_controls_that_a_run_is_made_of_rest_while_it_runs():
    panel = Counting()
    panel.step()
    assert (panel.limit.disabled, panel.free.disabled) == (True, False)
    panel.wait()
    assert not panel.limit.disabled


def test_the_message_tells_how_an_action_went_until_the_next_run():
    panel = Counting()
    panel._report(lambda: "saved <run>")
    assert "saved &lt;run&gt;" in panel.message.value
    assert 'role="status"' in panel.message.value

    def fail() -> str:
        raise OSError("no room")

    panel._report(fail)
    assert "OSError: no room" in panel.message.value
    panel.play()
    assert panel.message.value == ""


def test_a_cell_that_is_run_again_stops_the_run_before():
    first = Counting(name="cell")
    first.step()
    first.play()
    Counting(name="cell")
    assert first.state == "paused"
    assert first.player._iterator is None


def test_a_panel_without_a_run_says_so():
    panel = Still()
    assert classes(panel) == {"ssl-panel", "ssl-still", "ssl-state-idle"}
    for action in (panel.play, panel.pause, panel.stop, panel.step, panel.reset, panel.wait):
        with pytest.raises(RuntimeError, match="this Still has no run: it is drawn as soon as a control changes"):
            action()
    panel.close()


def test_every_state_of_a_player_is_one_of_a_panel():
    assert set(Panel.state.values) == set(STATES)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_image_that_is_not_there_is_named(index):
    check_index(2, [0, 1, 2])
    with pytest.raises(ValueError, match=f"index is {index}: the images are 0 ... 2"):
        check_index(index, [0, 1, 2])
