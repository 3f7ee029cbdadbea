"""What a panel says, as JSON: to keep, to send as one line of text, and to come back to.

state = panel.state_dict()          # a dict for json.dump
panel.load_state_dict(state)        # every control as it was
panel.link()                        # "stk://TrainPanel/eNp..." for a mail or a paper
stk.open_link("stk://TrainPanel/eNp...")
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

import ipywidgets as w
import traitlets

from ssl_toolkit.widgets.canvases.number import IntBox, NumberSlider

PREFIX = "stk://"
MOST = 1_000_000  # characters of the JSON in a link, so that a crafted one cannot fill the memory
CHOICES = (w.Dropdown, w.SelectionSlider, w.ToggleButtons)
WHOLE = (w.Checkbox, w.IntSlider, IntBox)  # which would round or convert what they are given
CONTROLS = (NumberSlider, *WHOLE, *CHOICES)


def controls_of(panel: w.Widget) -> dict[str, w.Widget]:
    """The controls of a panel by the names of its attributes, in the order in which they were made."""
    return {
        name: control
        for name, control in vars(panel).items()
        if isinstance(control, CONTROLS) and not name.startswith("_")
    }


def values_of(panel: w.Widget) -> dict[str, Any]:
    """What each control says, a choice that JSON cannot hold by its label."""
    plain = (bool, int, float, str, type(None))
    return {
        name: control.value if isinstance(control.value, plain) else control.label
        for name, control in controls_of(panel).items()
    }


def set_values(panel: w.Widget, values: Mapping[str, Any]) -> None:
    """Make the controls say this. Raises ValueError, which names the control, and then leaves all as they were."""
    controls = controls_of(panel)
    if unknown := [name for name in values if name not in controls]:
        raise ValueError(f"controls has {unknown[0]!r}: {type(panel).__name__} has {', '.join(controls)}.")
    before = values_of(panel)
    try:
        for name, control in controls.items():
            if name in values:
                _set(name, control, values[name])
    except ValueError:
        for name, control in controls.items():
            _set(name, control, before[name])
        raise


def _set(name: str, control: w.Widget, value: Any) -> None:
    if control.value == value and type(control.value) is type(value):
        return
    if isinstance(control, WHOLE) and type(value) is not type(control.value):
        raise ValueError(f"controls[{name!r}] is {value!r}: it must be of type {type(control.value).__name__}.")
    try:
        if isinstance(control, CHOICES) and value not in (offered := [v for _, v in control._options_full]):
            labels = [label for label, _ in control._options_full]
            if value not in labels:
                raise ValueError(f"controls[{name!r}] is {value!r}: choose one of {', '.join(map(str, offered))}.")
            control.label = value
        else:
            control.value = value
    except traitlets.TraitError as error:
        raise ValueError(f"controls[{name!r}] is {value!r}: {error}") from None


def as_link(state: Mapping[str, Any]) -> str:
    """The state as one line of text that survives a mail: stk://, the panel's name, and the rest, compressed."""
    packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 9)
    return f"{PREFIX}{state['panel']}/{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"


def read_link(link: str) -> dict[str, Any]:
    """The state in a link. Raises ValueError for a text that is none, and for one that was cut or changed."""
    name, _, packed = link.strip().removeprefix(PREFIX).partition("/")
    if not link.strip().startswith(PREFIX) or not packed:
        raise ValueError(f"link is {link[:40]!r}: it begins with {PREFIX} and a panel's name; copy all of it.")
    try:
        raw = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        opened = zlib.decompressobj()
        text = opened.decompress(raw, MOST)
        state = json.loads(text) if opened.eof else None
    except (binascii.Error, zlib.error, ValueError):
        state = None
    if not isinstance(state, dict) or state.get("panel") != name:
        raise ValueError(f"link is {link[:40]!r} ...: it was cut or changed on its way; copy all of it.")
    return state
