"""How widgets end: all that a panel is made of is closed with it, and a cell that is run again closes what it made."""

import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import ipywidgets as w

_made: dict[str, tuple[int, WeakSet[w.Widget]]] = {}  # by cell: its last execution, and what that made


def close_all(widget: w.Widget) -> None:
    """Close a widget and all that it holds, shown or not: ipywidgets keeps every open widget for ever."""
    parts = list(parts_of(widget))
    w.Widget.close(widget)
    for part in parts:
        part.close()


def close_former(widget: w.Widget) -> None:
    """Where this cell of a notebook is run again, close what it made before; a script has no cells."""
    if (cell := _cell()) is None:
        return
    shell, where, execution = cell
    before, made = _made.get(where, (execution, WeakSet()))
    if before != execution:
        for former in made:
            former.close()
            _forget(shell, former)
        made = WeakSet()
    made.add(widget)
    _made[where] = execution, made


def _cell() -> tuple[Any, str, int] | None:
    """The shell, the cell that runs now, by its id or else by its text, and how many cells were run until now."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return None
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    where = parent.get("metadata", {}).get("cellId") or shell.user_ns.get("In", [""])[-1]
    return (shell, where, shell.execution_count) if where else None


def _forget(shell: Any, widget: w.Widget) -> None:
    """IPython remembers what cells have shown, and with a panel its model and its data."""
    for names in (shell.user_ns, shell.user_ns.get("Out", {})):
        for name in [n for n, v in names.items() if v is widget and str(n).lstrip("_").isdigit()]:
            del names[name]


def parts_of(widget: w.Widget, seen: set[int] | None = None) -> Iterator[w.Widget]:
    """Every widget that this one holds: as a child, an attribute or its layout, or in a dict or list of those."""
    seen = {id(widget)} if seen is None else seen
    for thing in [*widget._trait_values.values(), *vars(widget).values()]:
        for part in _widgets_in(thing):
            if id(part) not in seen:
                seen.add(id(part))
                yield part
                yield from parts_of(part, seen)


def _widgets_in(thing: object) -> Iterator[w.Widget]:
    if isinstance(thing, w.Widget):
        yield thing
    elif isinstance(thing, dict | list | tuple):
        inner = list(thing.values()) if isinstance(thing, dict) else thing
        if len(inner) and isinstance(inner[0], w.Widget | dict | list | tuple):  # not the numbers of a curve
            for one in inner:
                yield from _widgets_in(one)
