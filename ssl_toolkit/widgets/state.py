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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ipywidgets as w
import traitlets

from ssl_toolkit.widgets.canvases.number import IntBox, NumberSlider
from ssl_toolkit.widgets.controls import More

PREFIX = "stk://"
MOST = 1_000_000  # characters of the JSON in a link, so that a crafted one cannot fill the memory
CHOICES = (w.Dropdown, w.SelectionSlider, w.ToggleButtons)
WHOLE = (w.Checkbox, w.IntSlider, IntBox)  # which would round or convert what they are given
CONTROLS = (NumberSlider, *WHOLE, *CHOICES)
OTHERS = (w.Button, w.Text, w.FileUpload)  # which have no state to be kept


def controls_of(panel: w.Widget) -> dict[str, w.Widget]:
    """The controls of a panel by the names of its attributes, in the order in which they were made.

    One of several is "strengths.noise" or "menus.0".
    """
    return {name: part for name, part in _parts_of(panel).items() if isinstance(part, CONTROLS)}


def _parts_of(panel: w.Widget) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, part in vars(panel).items():
        if name.startswith("_") or isinstance(part, str):
            continue
        if isinstance(part, Mapping):
            parts |= {f"{name}.{key}": one for key, one in part.items()}
        elif isinstance(part, (list, tuple)):
            parts |= {f"{name}.{i}": one for i, one in enumerate(part)}
        else:
            parts[name] = part
    return {name: part for name, part in parts.items() if isinstance(part, (*CONTROLS, *OTHERS))}


def show_only(panel: w.Box, names: Sequence[str], player: Mapping[str, w.Widget]) -> None:
    """Hide all controls but these, and the headings and boxes in which nothing is left.

    Raises ValueError for a name that is neither that of a control nor of one of the player's.
    """
    known = {name.removesuffix("_button"): part for name, part in {**_parts_of(panel), **player}.items()}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"show has {unknown[0]!r}: {type(panel).__name__} has {', '.join(known)}.")
    _tidy(panel, {control for name, control in known.items() if name not in names}, set(known.values()))


def _tidy(box: w.Box, hidden: set[w.Widget], controls: set[w.Widget]) -> bool:
    """Hide what is hidden below this box, and what is empty without it; return whether anything is seen."""
    seen: list[bool | None] = []  # None: a heading, which is seen with what follows it
    for child in box.children:
        if isinstance(child, w.Box):
            seen.append(_tidy(child, hidden, controls))
        elif isinstance(child, w.HTML) and child.value.startswith("<b>"):
            seen.append(None)
        else:
            seen.append(child not in hidden and not isinstance(child, More))
    for i, (child, visible) in enumerate(zip(box.children, seen, strict=True)):
        if visible is None:
            after = seen[i + 1 :]
            visible = any(after[: after.index(None)] if None in after else after)
        if isinstance(child, More):
            child.opened = True  # what is shown of it stands there at once
        elif not visible:
            child.layout.display = "none"
    return any(seen) or not any(child in controls for child in _all_below(box))


def _all_below(box: w.Box) -> Iterator[w.Widget]:
    for child in box.children:
        yield child
        if isinstance(child, w.Box):
            yield from _all_below(child)


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
