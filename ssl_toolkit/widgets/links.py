"""From a line of text back to the panel."""

from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.panels.claims import ClaimsBoard
from ssl_toolkit.widgets.panels.loss import LossPanel
from ssl_toolkit.widgets.panels.train import SOURCES, TrainPanel, recipe_of
from ssl_toolkit.widgets.state import read_link


def open_link(link: str) -> Panel:
    """The panel of a link that `panel.link()` gave; Play repeats the run, with the same bits on the same machine.

    Raises ValueError for a text that is no link, and for a panel that needs what no text can hold, such as an encoder:
    make that one yourself, and give it the link by `load_state_dict`.

    >>> link = stk.TrainPanel("digits", stk.Recipe(lr=3e-3, seed=7)).link()
    >>> stk.open_link(link).recipe.seed
    7
    """
    state = read_link(link)
    name, data = state["panel"], state.get("data")
    if name == "TrainPanel" and data in SOURCES:
        recipe: JointRecipe = recipe_of(state["recipe"])
        made: Panel = TrainPanel(data, recipe)
    elif name in ("LossPanel", "ClaimsBoard"):
        made = LossPanel() if name == "LossPanel" else ClaimsBoard()
    else:
        what = f"a run on {data!r}" if data else f"a {name}"
        raise ValueError(
            f"link is of {what}, which holds what is not in the text: make the panel with your own data and models, "
            "then call its load_state_dict(link)."
        )
    made.load_state_dict(state)
    return made
