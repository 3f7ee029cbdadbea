"""Panel: what all panels have. A title, a message, a run with its states, a picture for saved notebooks."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from html import escape
from typing import Any

import ipywidgets as w
import traitlets

from ssl_toolkit.widgets import state as states
from ssl_toolkit.widgets.canvases.link import LinkButton
from ssl_toolkit.widgets.canvases.number import Keys
from ssl_toolkit.widgets.controls import Muted
from ssl_toolkit.widgets.life import close_all, close_former
from ssl_toolkit.widgets.pictures import Pictured, Pixels
from ssl_toolkit.widgets.player import STATES, Player, running_loop, show_state, soon


class Panel(Pictured, w.VBox):
    """A card with controls, and the run of its `player`; one without a run is drawn as soon as a control changes.

    It says in its title what it is, in one sentence, the `lead`, what to look at, and in its footer what happened.

    A panel calls `super().__init__` first, then makes its controls and its `player`, and ends with `_place`. Its state
    is that of the player, and a CSS class as well: `ssl-state-running`. A cell that is run again closes the panel that
    it made before. Panels in other cells go on, unless both were given one `name`: then the first says that it stops.
    """

    state = traitlets.Enum(STATES, "idle")
    player: Player[Any] | None = None

    def __init__(self, name: str, title: str, lead: str = ""):
        super().__init__()
        close_former(self)
        self.title = w.HTML(f'<div class="ssl-title" role="heading" aria-level="3">{escape(title)}</div>')
        self.lead = w.HTML(f'<div class="ssl-lead">{escape(lead)}</div>' if lead else "")
        self.message = w.HTML()
        self._keys = Keys()
        self._loop = running_loop()
        self._muted = Muted()  # while several controls are moved at once
        self._locked: list[w.Widget] = []
        self._good: dict[w.Widget, Any] = {}  # what the controls said when last all went well
        self.add_class("ssl-panel")
        self.add_class(f"ssl-{name}")
        show_state(self, self.state)

    def _place(self, *children: w.Widget, locked: Sequence[w.Widget] = (), pictured: Pictured | None = None) -> None:
        """Show these below the title and the lead, and the message in the footer; follow the player, and while it runs
        or pauses, let the `locked` controls rest.

        The panel's picture is that of the canvas `pictured`; a panel without one has a `picture` of its own.
        """
        self._pictured = pictured
        footer = w.HBox([self.message, LinkButton(self.link)])
        footer.add_class("ssl-footer")
        lead = [self.lead] if self.lead.value else []
        self.children = [self.title, *lead, *children, footer, self._keys]
        self._locked = list(locked)
        if self.player is not None:
            self.player.observe(self._on_state, "state")

    # what a person may call --------------------------------------------------------------------------------------
    def play(self) -> None:
        """Run until the end, or until `pause`."""
        self._run().play()

    def pause(self) -> None:
        """Stop between two steps; `play` goes on."""
        self._run().pause()

    def stop(self) -> None:
        """End the run here; what it has shown stays."""
        self._run().stop()

    def step(self) -> None:
        """Make one step, then pause."""
        self._run().step()

    def reset(self) -> None:
        """Forget the run, and be ready to begin again."""
        self._run().reset()

    def wait(self) -> Any:
        """Run to the end, and raise what went wrong."""
        return self._run().wait()

    async def finished(self) -> Any:
        """As `wait`, but the kernel stays free, so that Pause and all controls answer: `await panel.finished()`."""
        await self._run().finished()
        return self.wait()

    def close(self) -> None:
        """Stop whatever runs for good, and take the panel away with all that it is made of."""
        if self.comm is not None:
            close_all(self)

    def state_dict(self) -> dict[str, Any]:
        """What the controls and the view say, for `json.dump` and for `load_state_dict`."""
        return {"panel": type(self).__name__, "controls": states.values_of(self), "view": self._looking_at()}

    def load_state_dict(self, state: Mapping[str, Any] | str) -> None:
        """Make the controls and the view say this: a state, or a link to one.

        Raises ValueError for the state of another panel and for what a control does not take; then nothing changes.
        """
        state = states.read_link(state) if isinstance(state, str) else state
        if state.get("panel") != type(self).__name__:
            raise ValueError(f"state is of a {state.get('panel')}: this is a {type(self).__name__}.")
        self._load(state)
        self._look_at(state.get("view", {}))

    def show_only(self, *names: str) -> None:
        """Hide all controls but these, by their attributes' names, and of the run "play", "step", "reset",
        "speed", "back".

        For a lesson: `panel.show_only("play", "temperature")`. Raises ValueError for a name that is none.
        """
        parts = ("play_button", "step_button", "reset_button", "speed", "back") if self.player is not None else ()
        states.show_only(self, names, {part: getattr(self.player, part) for part in parts})

    def link(self) -> str:
        """The state as one line of text, for `load_state_dict` and `open_link`."""
        return states.as_link(self.state_dict())

    def picture(self) -> Pixels:
        """What is seen of it, as pixels."""
        assert self._pictured is not None
        return self._pictured.picture()

    def pictures(self) -> list[Pixels]:
        """All frames of the chain that it shows, else its one picture."""
        return [self.picture()] if self._pictured is None else self._pictured.pictures()

    # for the panels ----------------------------------------------------------------------------------------------
    def _load(self, state: Mapping[str, Any]) -> None:
        """Make the controls say what this state says."""
        states.set_values(self, state.get("controls", {}))

    def _looking_at(self) -> dict[str, Any]:
        """Where a person is looking, beyond the controls."""
        return {}

    def _look_at(self, view: Mapping[str, Any]) -> None:
        """Look there again, as far as there is such a place now."""

    def _run(self) -> Player[Any]:
        if self.player is None:
            raise RuntimeError(f"this {type(self).__name__} has no run: it is drawn as soon as a control changes.")
        return self.player

    def _soon(self, action: Callable[[], object]) -> None:
        """Do it between two steps, on the thread of the kernel's loop; what goes wrong is shown."""
        soon(self._loop, lambda: self._attempt(action))

    def _react(self, controls: Iterable[w.Widget], action: Callable[[], object], *, soon: bool = False) -> None:
        """Do it, now or soon, whenever one of these controls has changed; where it fails, they are put back."""

        def draw() -> None:
            action()
            self._good |= {control: control.value for control in self._good}

        for control in controls:
            self._good[control] = control.value
            control.observe(
                lambda _: None if self._muted else self._soon(draw) if soon else self._attempt(draw), "value"
            )

    def _attempt(self, action: Callable[[], object]) -> None:
        """Do it. Where it fails, the panel says so, and its controls say again what the picture is of."""
        try:
            action()
        except Exception as error:
            with self._muted:
                for control, value in self._good.items():
                    control.value = value
            self._failed(error)
            if self._loop is None:  # a script: nobody looks at the panel
                raise

    def _failed(self, error: Exception) -> None:
        self._say(f"failed: {type(error).__name__}: {error}", failed=True)

    def _say(self, text: str, *, failed: bool = False) -> None:
        """Show this message in the footer; screen readers read it out."""
        look = "ssl-message ssl-failed" if failed else "ssl-message"
        self.message.value = f'<div class="{look}">{escape(text)}</div>' if text else ""
        self._keys.said = text

    def _report(self, action: Callable[[], str]) -> None:
        """Do it soon; the message says what it returns, or what went wrong."""

        def act() -> None:
            try:
                said, failed = action(), False
            except Exception as error:
                said, failed = f"{type(error).__name__}: {error}", True
            self._say(said, failed=failed)

        self._soon(act)

    def _before_run(self) -> None:
        """Show what there is before a run: called whenever the panel becomes idle."""

    def _on_state(self, change: dict[str, Any]) -> None:
        self.state = change["new"]
        show_state(self, self.state)
        for control in self._locked:
            control.disabled = self.state in ("running", "paused")
        if self.state in ("idle", "running"):
            self.message.value = ""  # of what was done before
        if self.state == "idle":
            self._soon(lambda: self._before_run() if self.state == "idle" else None)


def check_index(index: int, images: Sized) -> None:
    """Raise ValueError where there is no such image."""
    if not 0 <= index < len(images):
        raise ValueError(f"index is {index}: the images are 0 ... {len(images) - 1}.")
