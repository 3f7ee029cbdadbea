"""Player: drives any generator from a notebook: play, pause, step, look back. Only this file uses the event loop.

A source is stepped by one cooperative task on the kernel's own loop, not by a thread: between two steps whatever the
generator works on is whole, so the next cell may probe or save the very model that is training. The task runs for
`BUSY` seconds at most, then gives the loop `REST`, in which clicks and other cells get through.
"""

import asyncio
import os
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from html import escape
from typing import Any, Generic, Literal, TypeVar
from weakref import WeakValueDictionary

import ipywidgets as w
import traitlets

from ssl_toolkit.widgets.canvases.number import Keys
from ssl_toolkit.widgets.controls import Controls, duration, tell
from ssl_toolkit.widgets.life import close_all, close_former

T = TypeVar("T")
State = Literal["idle", "running", "paused", "done", "failed"]

# Seconds of work, then of rest, and the share of the time that rest has where a step takes longer: a message to the
# kernel needs several turns of the loop, so it must meet none of them busy again.
BUSY, REST, SHARE = 0.03, 0.004, 0.1
REDRAW = 0.1 if (os.cpu_count() or 1) > 1 else 0.2  # seconds between two drawings
SPEEDS = {"full speed": 0.0, **{f"{n} a second": float(n) for n in (30, 10, 3, 1)}}  # records; 0 is no limit
HISTORY = 2000  # records kept to look back at
STATES: tuple[State, ...] = ("idle", "running", "paused", "done", "failed")

_players: WeakValueDictionary[str, "Player[Any]"] = WeakValueDictionary()  # by the name that they were given


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of the kernel; None in a script."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def soon(loop: asyncio.AbstractEventLoop | None, action: Callable[[], None]) -> None:
    """Do it on the thread of the loop, since a widget's callback may arrive on another. Where none runs, do it now."""
    if loop is None or loop.is_closed():
        action()
    else:
        loop.call_soon_threadsafe(action)


def show_state(widget: w.DOMWidget, state: State) -> None:
    """Give the widget the CSS class of this state, and none of another."""
    for name in STATES:
        (widget.add_class if name == state else widget.remove_class)(f"ssl-state-{name}")


class Player(w.VBox, Generic[T]):
    """Steps `source()` and shows its last record by `draw`, at most once in `redraw` seconds.

    `progress(record)` gives (done, total), counted in `unit`s, for the bar and the time left, or None. A record that is
    None is work between two records: it is neither drawn nor kept. While it does not run, the slider draws any of the
    last `history` records again, so `draw` must show what its record says, not what came after. All controls are
    methods too, and may be used from any thread. Without a running loop (a script, a test) `play` does nothing until
    `wait` exhausts the source.
    What the source or `draw` raises is shown in the status line, kept in `error` and raised by `wait`.
    A cell that is run again closes the player that it made before. Of two with one `name`, the second stops the first.
    """

    state = traitlets.Enum(STATES, "idle")

    def __init__(
        self,
        source: Callable[[], Iterator[T]],
        draw: Callable[[T], None] = lambda record: None,
        *,
        progress: Callable[[T], tuple[int, int] | None] = lambda record: None,
        unit: str = "step",
        redraw: float = REDRAW,
        history: int = HISTORY,
        name: str | None = None,
    ):
        self.source, self.draw, self.progress, self.unit, self.redraw = source, draw, progress, unit, redraw
        self.error: BaseException | None = None
        self.last: T | None = None
        self.records: deque[T] = deque(maxlen=history)
        self._iterator: Iterator[T] | None = None
        self._task: asyncio.Task[None] | None = None
        self._once = False  # pause after the next record
        self.text = ""  # of the status line
        self.subject = ""  # what the run is of, said before its numbers
        self._gone = ""  # why it never runs again
        self._stale = False  # reset, and the source not closed yet: by the loop, or by whoever asks for a record before
        self._shown = -1  # place of the record on the slider
        self._drawn_at = self._begun_at = 0.0
        self._begun_from: int | None = None
        self._loop = running_loop()

        make = Controls("")
        self.play_button = make.button("Play", "play", "Run until the end, or pause")
        self.step_button = make.button("Step", "step-forward", "Make one step")
        self.reset_button = make.button("Reset", "undo", "Stop and start again from the beginning")
        self.play_button.on_click(lambda _: self.pause() if self.state == "running" else self.play())
        self.step_button.on_click(lambda _: self.step())
        self.reset_button.on_click(lambda _: self.reset())
        self.bar = w.FloatProgress(max=1, layout=w.Layout(width="120px", height="14px", flex="0 0 auto"))
        self.speed = w.Dropdown(options=SPEEDS.items(), layout=w.Layout(width="110px"))
        tell(self.speed, "How many steps to make in a second at most")
        self.speed.add_class("ssl-speed")
        self.back = w.IntSlider(
            description="Look back", readout=False, max=1,
            layout=w.Layout(width="calc(100% - 16px)", visibility="hidden"),  # room for the handle at its end
        )  # fmt: skip
        tell(self.back, "Show an earlier moment of this run")
        self.back.add_class("ssl-back")
        self.back.observe(lambda change: self.look_back(change["new"]), "value")
        self.status = w.HTML()
        self._keys = Keys()  # held here, since panels rearrange the toolbar
        buttons = [self.play_button, self.step_button, self.reset_button]
        self.toolbar = w.HBox([*buttons, self.speed, self.bar, self.status, self._keys])
        self.toolbar.add_class("ssl-toolbar")
        self.status.add_class("ssl-told")
        super().__init__([self.toolbar, self.back])
        self.add_class("ssl-player")
        self._show_state()
        close_former(self)
        if name is not None:
            if (former := _players.get(name)) is not None:
                former.give_way(name)
            _players[name] = self

    # what a person does ------------------------------------------------------------------------------------------
    def play(self) -> None:
        """Run until the end, or until `pause`."""
        if self.state in ("idle", "paused") and not self._gone:
            self._once = False
            self._enter("running")
            self.soon(self._ensure_task)

    def pause(self) -> None:
        """Stop between two records; `play` goes on."""
        if self.state == "running":
            self._enter("paused")

    def step(self) -> None:
        """One record, then pause."""
        if self.state in ("idle", "paused") and not self._gone:
            self._once = True
            self._enter("running")
            if self._loop is None:
                self._exhaust()
            else:
                self.soon(self._ensure_task)

    def stop(self) -> None:
        """End the run here: its source is closed, and what it has shown stays, to be looked back at."""
        if self.state in ("running", "paused"):
            self._enter("done")
            self.soon(self._end)

    def reset(self) -> None:
        """Close the source and be ready to begin again."""
        self._stale = True
        self._enter("idle")
        self.soon(self._drop)

    def restart(self, otherwise: Callable[[], None]) -> None:
        """What a control does that a run depends on: begin anew where a run has begun, else the other thing, soon."""
        began = self.state != "idle"
        self.reset()
        if began:
            self.play()
        else:
            self.soon(lambda: otherwise() if self.state == "idle" else None)  # not if it was played meanwhile

    def look_back(self, index: int) -> None:
        """Draw the record at this place of `records` again; playing goes on from the last."""
        if 0 <= index < len(self.records) and index != self._shown:
            self.draw_again(self.records[index])
            self._shown = index

    def draw_again(self, record: T) -> None:
        """Draw an earlier record while it does not run: for a panel that has a way of its own to look back."""
        if self.state != "running":
            self._draw(record)

    def close(self) -> None:
        """Stop for good: no task is left, and the widgets go."""
        if self.comm is None:
            return
        if self.state == "running":
            self._enter("paused")
        self._stale = True
        self._drop()
        self._gone = "closed"
        close_all(self)

    def give_way(self, name: str) -> None:
        """Stop for good, and say why: another player was made by this name. What is shown stays."""
        self._gone = f"stopped: another {name!r} took its place; give each a name= of its own to run both"
        if self.state == "running":
            warnings.warn(f"the player of the name {name!r} that ran has {self._gone}.", stacklevel=2)
            self._enter("paused")
        self._stale = True
        self._drop()
        self._show_state()

    async def finished(self) -> T | None:
        """As `wait`, but the kernel stays free, so that Pause and all other controls answer: `await player.finished()`.

        It begins a run that has not begun, and waits on while it is paused.
        """
        if self.state == "idle":
            self.play()
        while self.state in ("running", "paused") and not self._gone:
            await asyncio.sleep(REDRAW)
        if self.error is not None:
            raise self.error
        return self.last

    def wait(self) -> T | None:
        """Run to the end at once, drawing on the way, and return the last record; raise what went wrong.

        In a notebook this holds the kernel until the source is exhausted, and no button answers: there,
        `await player.finished()` waits as well.
        """
        if self._gone and self.state == "paused":
            raise RuntimeError(f"this run cannot go on: it was {self._gone}.")
        self._cancel()
        self._once = False
        if self.state in ("idle", "paused"):
            self._enter("running")
        self._exhaust()
        if self.error is not None:
            raise self.error
        return self.last

    # what the task does ------------------------------------------------------------------------------------------
    def _ensure_task(self) -> None:
        if self._loop is not None and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._run())

    def _exhaust(self) -> None:
        while self.state == "running":
            self.advance()

    async def _run(self) -> None:
        while self.state == "running":
            began = time.perf_counter()
            while self.state == "running" and time.perf_counter() - began < BUSY:
                if self.advance() and self.speed.value:
                    break
            busy = time.perf_counter() - began
            slow = 1 / self.speed.value - busy if self.speed.value else 0.0
            await asyncio.sleep(max(REST, SHARE * busy, slow))
        if self.state == "paused":
            self._draw(self.last)

    def advance(self) -> bool:
        """One record here and now, as the task makes them: whether there was another."""
        if self._stale:
            self._forget()
        try:
            if self._iterator is None:
                self._iterator = iter(self.source())
                self._begun_from = None
            record = next(self._iterator)
        except StopIteration:
            self._iterator = None
            self._enter("done")
            self._draw(self.last)
            return False
        except Exception as error:
            self._fail(error)
            return False
        if record is None:
            return False
        self.last = record
        self.records.append(record)
        if self._once and self.state == "running":
            self._enter("paused")
        if self._once or self.speed.value or time.perf_counter() - self._drawn_at >= self.redraw:
            self._draw(record)
        return True

    def _draw(self, record: T | None) -> None:
        if record is None:
            return
        try:
            self.draw(record)
            self._show_progress(record)
        except Exception as error:
            self._fail(error)
        self._drawn_at = time.perf_counter()

    def _fail(self, error: Exception) -> None:
        self.error, self._iterator = error, None
        self._enter("failed")

    def _drop(self) -> None:
        if self._stale:
            self._cancel()
            self._forget()

    def _end(self) -> None:
        if self.state == "done":  # not begun anew meanwhile
            self._close_source()
            self._draw(self.last)

    def _close_source(self) -> None:
        iterator, self._iterator = self._iterator, None
        if (close := getattr(iterator, "close", None)) is not None:
            close()

    def _forget(self) -> None:
        """Close the source, so that the next record is the first of a new one."""
        self._stale = False
        self._close_source()
        self.error = self.last = None
        self.records.clear()
        self.bar.value = 0

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def soon(self, action: Callable[[], None]) -> None:
        """Do it between two steps, on the thread of the loop."""
        soon(self._loop, action)

    # what is seen ------------------------------------------------------------------------------------------------
    def _enter(self, state: State) -> None:
        self.state = state
        self._begun_from = None
        self._show_state()

    def _show_state(self) -> None:
        show_state(self, self.state)
        running = self.state == "running"
        self._offer_looking_back()
        self.play_button.description = "Pause" if running else "Resume" if self.state == "paused" else "Play"
        self.play_button.icon = "pause" if running else "play"
        self.play_button.disabled = self.state in ("done", "failed") or bool(self._gone)
        self.step_button.disabled = self.state not in ("idle", "paused") or bool(self._gone)
        self.reset_button.disabled = bool(self._gone)
        self.bar.bar_style = {"failed": "danger", "done": "success"}.get(self.state, "info")
        self._say(self._word())
        self._keys.said = self.text  # results are read out, not every step

    def _offer_looking_back(self) -> None:
        """The slider stands at the last record; it is there, but empty, while there is nothing to look back at."""
        offered = self.state in ("paused", "done", "failed") and len(self.records) > 1
        self.back.layout.visibility = "visible" if offered else "hidden"
        if offered:
            self._shown = len(self.records) - 1
            self.back.max = self.back.value = self._shown

    def _show_progress(self, record: T) -> None:
        if (progress := self.progress(record)) is None:
            return
        done, total = progress
        self.bar.max, self.bar.value = max(1, total), done
        now = time.perf_counter()
        if self._begun_from is None:
            self._begun_from, self._begun_at = done, now
        word = self._word() if record is self.last else "looking back"
        text = f"{word} · {self.subject and self.subject + ' · '}{self.unit} {done:,} of {total:,}"
        if done > self._begun_from and self.state == "running":
            rate = (done - self._begun_from) / (now - self._begun_at)
            speed = f"{rate:.1f} {self.unit}s/s" if rate >= 1 else f"{1 / rate:.1f} s per {self.unit}"
            text += f" · {speed} · {duration((total - done) / rate)} left"
        self._say(text)

    def _word(self) -> str:
        return self._gone or ("ready" if self.state == "idle" else self.state)

    def _say(self, text: str) -> None:
        if self.error is not None:
            where = traceback.extract_tb(self.error.__traceback__)[-1:]
            place = f" ({os.path.basename(where[0].filename)}, line {where[0].lineno})" if where else ""
            text = f"failed · {type(self.error).__name__}: {self.error}{place}"
        self.text = text
        failed = " ssl-failed" if self.error is not None else ""
        self.status.value = f'<span class="ssl-status{failed}">{escape(text)}</span>'
