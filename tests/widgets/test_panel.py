"""What all panels have: one run with its states, a message, controls that rest while it runs, a way to be closed."""

import asyncio
import itertools

import ipywidgets as w
import numpy as np
import pytest

from ssl_toolkit.widgets.panel import Panel, check_index
from ssl_toolkit.widgets.player import STATES, Player


class Counting(Panel):
    """Counts to three."""

    def __init__(self, source=lambda: iter((1, 2, 3)), name="counting"):
        super().__init__("count", "Count & see", "To <the> limit.")
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
    title, lead, *content, footer, _ = panel.children
    assert "Count &amp; see" in title.value
    assert "To &lt;the&gt; limit." in lead.value
    assert content == [panel.player, panel.limit, panel.free]
    assert footer.children[0] is panel.message
    assert footer.children[1].link() == panel.link()
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
    assert panel._keys.said == "saved <run>"

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


class Inverse(Panel):
    """Draws 1 / x, as soon as x changes."""

    def __init__(self):
        super().__init__("inverse", "One over x")
        self.x, self.drawn = w.FloatText(1.0), []
        self._place(self.x)
        self._react([self.x], lambda: self.drawn.append(1 / self.x.value), soon=True)


def test_where_a_control_fails_the_panel_says_so_and_shows_the_last_good_state():
    async def notebook():
        panel = Inverse()
        for value in (2.0, 0.0):
            panel.x.value = value
            await asyncio.sleep(0.01)
        assert (panel.drawn, panel.x.value) == ([0.5], 2.0)
        assert "failed: ZeroDivisionError: float division by zero" in panel.message.value
        panel.x.value = 4.0
        await asyncio.sleep(0.01)
        assert (panel.drawn, panel.x.value) == ([0.5, 0.25], 4.0)

    asyncio.run(notebook())
    panel = Inverse()
    with pytest.raises(ZeroDivisionError):  # a script has no eyes
        panel.x.value = 0.0
    assert panel.x.value == 1.0


def test_of_two_with_one_name_the_first_stops_and_says_so_and_without_names_both_go_on():
    async def notebook():
        first = Counting(itertools.count, name="same")
        first.play()
        await asyncio.sleep(0.02)
        with pytest.warns(UserWarning, match="another 'same' took its place; give each a name="):
            second = Counting(name="same")
        assert "another &#x27;same&#x27; took its place" in first.player.status.value
        assert (first.state, first.player.play_button.disabled, second.state) == ("paused", True, "idle")
        with pytest.raises(RuntimeError, match="cannot go on"):
            first.wait()
        one, two = Counting(name=None), Counting(name=None)
        one.play()
        two.play()
        await asyncio.sleep(0.2)
        assert (one.state, two.state) == ("done", "done")
        for panel in (first, second, one, two):
            panel.close()

    asyncio.run(notebook())


def test_a_cell_that_is_run_again_closes_the_panel_it_made_before_and_no_other():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        shell.user_ns["Still"] = Still
        for cell in ("a = Still()\na", "b = Still(); c = Still()", "a = Still()\na"):
            before = shell.user_ns.get("a")
            assert shell.run_cell(cell, store_history=True).error_in_exec is None
        assert before.comm is None
        assert before not in shell.user_ns["Out"].values()
        assert all(shell.user_ns[name].comm is not None for name in "abc")
    finally:
        InteractiveShell.clear_instance()


def test_waiting_in_a_notebook_leaves_the_kernel_free_so_that_pause_answers():
    async def notebook():
        panel = Counting(lambda: iter(range(200_000)))
        waiting = asyncio.create_task(panel.finished())
        await asyncio.sleep(0.05)
        panel.pause()
        await asyncio.sleep(0.3)
        assert (panel.state, waiting.done()) == ("paused", False)
        panel.play()
        assert await asyncio.wait_for(waiting, 60) == 199_999

    asyncio.run(notebook())
