"""A table whose rows can be chosen by click or by keys; it lives in the browser."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"


class ChoiceTable(anywidget.AnyWidget):
    """Rows of words. A click, or Enter after arrow keys, chooses one: the callbacks of `on_pick` get its place.

    `colours` are CSS colours, one a row, of the dot before its first word; "" for none.
    """

    _esm = STATIC / "choice_table.js"
    _css = STATIC / "choice_table.css"

    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, columns: Sequence[str], *, label: str):
        super().__init__(columns=list(columns), label=label)
        self._picked: list[Callable[[int], None]] = []
        self.on_msg(self._on_message)

    def show(self, rows: Sequence[Sequence[str]], *, colours: Sequence[str] = (), selected: int = -1) -> None:
        """Other rows in one message. Raises ValueError for a row that has not one word for each column."""
        if wrong := [row for row in rows if len(row) != len(self.columns)]:
            raise ValueError(f"rows holds {list(wrong[0])}: each row needs {len(self.columns)} words, one a column.")
        with self.hold_sync():
            self.rows, self.colours, self.selected = [list(row) for row in rows], list(colours), selected

    def on_pick(self, callback: Callable[[int], None]) -> None:
        self._picked.append(callback)

    def _on_message(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("type") == "pick" and 0 <= int(content["index"]) < len(self.rows):
            for callback in self._picked:
                callback(int(content["index"]))
