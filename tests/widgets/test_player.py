"""The player without a browser: its states, its loop, and what it does when something goes wrong."""

import asyncio
import time

import pytest

from ssl_toolkit.widgets import player as module
from ssl_toolkit.widgets.player import Player


def count(n: int = 5, closed: list | None = None):
    try:
        yield from range(1, n + 1)
    finally:
        if closed is not None:
            closed.append(True)


def test_without_a_loop_waiting_exhausts_the_source_and_draws_its_last_record():
    drawn = []
    player = Player(count, drawn.append)
    assert player.state == "idle"
    assert player.wait() == 5
    assert player.state == "done"
    assert drawn[-1] == 5


def test_in_a_loop_it_plays_beside_other_work_and_leaves_no_task():
    async def notebook():
        player = Player(lambda: count(300), name="beside")

        def slow():
            for i in count(300):
                time.sleep(0.001)
                yield i

        player.source = slow
        player.play()
        turns = 0
        while player.state == "running":
            await asyncio.sleep(0)
            turns += 1
        await asyncio.sleep(0.01)
        return player, turns, [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]

    player, turns, left = asyncio.run(notebook())
    assert player.state == "done"
    assert player.last == 300
    assert turns > 5  # others got their turns
    assert left == []


@pytest.mark.parametrize("begun", [False, True])
def test_a_restart_begins_anew_where_a_run_has_begun_and_does_the_other_thing_where_none_has(begun):
    asked, player = [], Player(count, name="restart")
    if begun:
        player.step()
    player.restart(lambda: asked.append("shown"))
    assert (player.state, asked) == (("running", []) if begun else ("idle", ["shown"]))
    assert player.last is None


def test_pause_stops_between_two_records_and_play_goes_on():
    async def notebook():
        player = Player(lambda: count(10**9), name="pause")
        player.play()
        await asyncio.sleep(0.05)
        player.pause()
        await asyncio.sleep(0.1)
        reached = player.last
        await asyncio.sleep(0.1)
        assert player.last == reached
        player.step()
        await asyncio.sleep(0.01)
        assert player.last == reached + 1
        player.play()
        await asyncio.sleep(0.1)
        assert player.last > reached + 1
        player.close()

    asyncio.run(notebook())


def test_what_goes_wrong_is_shown_kept_and_raised():
    def broken():
        yield 1
        raise RuntimeError("the 2nd step <failed>")

    player = Player(broken)
    with pytest.raises(RuntimeError, match="2nd step"):
        player.wait()
    assert player.state == "failed"
    assert "RuntimeError: the 2nd step &lt;failed&gt;" in player.status.value
    player.reset()
    assert player.state == "idle"
    assert player.error is None


def test_a_drawing_that_fails_is_told_too():
    def draw(record):
        raise ValueError("no picture")

    player = Player(count, draw)
    with pytest.raises(ValueError, match="no picture"):
        player.wait()
    assert player.state == "failed"


def test_reset_closes_the_source_and_begins_again():
    closed: list = []
    player = Player(lambda: count(5, closed))
    player.step()
    player.step()
    assert player.last == 2
    player.reset()
    assert closed == [True]
    player.step()
    assert player.last == 1


def test_a_cell_that_runs_again_stops_the_player_it_made_before():
    async def notebook():
        first = Player(lambda: count(10**9), name="same")
        first.play()
        await asyncio.sleep(0.02)
        second = Player(count, name="same")
        await asyncio.sleep(0.05)
        assert first.state == "paused"
        assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []
        second.close()

    asyncio.run(notebook())


def test_drawing_is_limited_by_time_and_the_last_record_is_always_drawn(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])

    def source():
        for i in range(100):
            clock[0] += 0.01
            yield i

    drawn = []
    Player(source, drawn.append).wait()
    assert len(drawn) <= 1 + 1.0 / module.REDRAW + 1
    assert drawn[-1] == 99


def test_looking_back_draws_an_earlier_record_and_playing_goes_on_from_the_last():
    drawn = []
    player = Player(lambda: count(9), drawn.append)
    for _ in range(4):
        player.step()
    assert player.back.layout.visibility == "visible"
    assert player.back.value == 3
    player.back.value = 1
    assert drawn[-1] == 2
    player.step()
    assert drawn[-1] == 5
    assert player.back.value == 4
    player.reset()
    assert player.back.layout.visibility == "hidden"


def test_work_between_two_records_is_neither_drawn_nor_kept():
    drawn = []
    player = Player(lambda: iter([None, 1, None, None, 2]), drawn.append)
    player.step()
    assert (player.state, player.last) == ("paused", 1)
    player.wait()
    assert list(player.records) == [1, 2]
    assert None not in drawn


def test_no_more_records_are_kept_than_asked_for():
    player = Player(lambda: count(50), history=10)
    player.wait()
    assert list(player.records) == list(range(41, 51))


def test_a_slow_speed_makes_so_many_records_a_second_and_draws_each():
    async def notebook():
        drawn = []
        player = Player(lambda: count(4), drawn.append, name="slow")
        player.speed.value = 10.0
        began = time.perf_counter()
        player.play()
        while player.state == "running":
            await asyncio.sleep(0.01)
        return drawn, time.perf_counter() - began

    drawn, seconds = asyncio.run(notebook())
    assert drawn[:4] == [1, 2, 3, 4]
    assert seconds > 0.3  # at least three pauses of a tenth


def test_progress_tells_step_and_total():
    player = Player(count, progress=lambda record: (record, 5))
    player.step()
    player.step()
    assert "step 2 of 5" in player.status.value
    assert player.bar.value == 2


def test_what_is_waited_for_after_a_reset_is_the_new_source():
    length = {"n": 40}

    async def notebook():
        player = Player(lambda: iter(range(length["n"])))
        player.speed.value = 30.0  # a second
        player.play()
        await asyncio.sleep(0.1)
        length["n"] = 5
        player.reset()
        player.play()
        return player.wait(), list(player.records)

    assert asyncio.run(notebook()) == (4, [0, 1, 2, 3, 4])
