"""The button of a panel that copies the link to it."""

from collections.abc import Callable
from typing import Any

import anywidget

from ssl_toolkit.widgets.canvases.canvas import script, style


class LinkButton(anywidget.AnyWidget):
    """Copies what `link()` returns when it is pressed."""

    _esm = script("link")
    _css = style("link")

    def __init__(self, link: Callable[[], str]):
        super().__init__()
        self.link = link

    def _handle_custom_msg(self, content: dict[str, Any], buffers: Any) -> None:
        super()._handle_custom_msg(content, buffers)
        if content.get("type") == "link":
            self.send({"link": self.link()})
