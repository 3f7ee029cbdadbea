"""Every panel, small, and what a person may do to it: a panel that is new has its line in `PANELS`."""

import math
import random
from collections.abc import Callable

import ipywidgets as w
import torch

from ssl_toolkit import widgets
from ssl_toolkit.claims import CLAIMS
from ssl_toolkit.claims.study import Finding
from ssl_toolkit.data import Dataset, load_data, rng
from ssl_toolkit.diffusion import exact_denoiser, flow_schedule
from ssl_toolkit.diffusion.rcdm import RCDMRecipe as Painting, conditions
from ssl_toolkit.encoders import embed, small_conv
from ssl_toolkit.infusion import fit_prior, mlp
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.probes import linear_probe
from ssl_toolkit.training.sweep import grid
from ssl_toolkit.widgets.canvases.choice_table import ChoiceTable
from ssl_toolkit.widgets.canvases.number import NumberSlider
from ssl_toolkit.widgets.canvases.plane import PlaneCanvas

DATA = Dataset(
    images=torch.randint(0, 256, (160, 1, 28, 28), generator=rng(0), dtype=torch.uint8),
    labels=torch.arange(160) % 4,
    classes=("a", "b", "c", "d"),
)


def run(setting):
    """A sweep's: three portions of work, and one that fails."""
    for step in (1, 2, 3):
        yield {"step": step, "loss": 1.0 / step}
    if setting["seed"] == 1 and setting["width"] == 8:
        raise RuntimeError("on purpose")
    yield {"test": 0.5, "transfer": 0.25, "gradient rank": 4.0, "zero fraction": 0.0, "parameters": 1e4}


def board(patch) -> widgets.ClaimsBoard:
    """All claims, measured in no time."""

    def measure(setting):
        yield None
        yield {"number": float(setting["seed"])}

    for name, claim in CLAIMS.items():
        instant = claim._replace(
            settings=lambda budget: grid(seed=[0, 1]), measure=measure,
            judge=lambda cells: Finding("inconclusive", 0.0, (-1.0, 1.0), "of nothing"),
        )  # fmt: skip
        patch.setitem(CLAIMS, name, instant)
    return widgets.ClaimsBoard()


def chains() -> widgets.ChainPanel:
    digits, flow = load_data("digits", size=8).images[:20], flow_schedule()
    exact = exact_denoiser(digits / 127.5 - 1, flow)
    return widgets.ChainPanel(
        {"exact": exact, "gray": lambda x, t: 0 * x}, (1, 8, 8), schedule=flow, steps=4, n=3, bank=digits
    )


TINY = Painting(steps=4, batch_size=8, width=8, multipliers=(1, 2), blocks=1)


def paintings() -> widgets.RcdmPanel:
    data, test = load_data("shapes", limit=60, size=16), load_data("shapes", split="test", limit=30, size=16)
    return widgets.RcdmPanel(small_conv(3, width=16, projector=(8, 4)), data, test, recipe=TINY, every=2, k=2, steps=2)


def edits() -> widgets.EditPanel:
    encoder, test = small_conv(3, width=16, projector=(8, 4)), load_data("shapes", split="test", limit=40, size=16)
    painter = TINY.start(test, conditions(encoder, test.images)).ema
    return widgets.EditPanel(encoder, painter, test, k=2, stops=3, directions=2, steps=2)


def attacks() -> widgets.AttackPanel:
    test = load_data("shapes", split="test", limit=40, size=16)
    encoders = {name: small_conv(3, width=16, projector=(8, 4), seed=i) for i, name in enumerate("ab")}
    probes = {}
    for name, encoder in encoders.items():
        h = embed(encoder, test.images)
        probes[name] = linear_probe(h, test.labels, h, test.labels, weight_decays=(1e-3,))
    return widgets.AttackPanel(encoders, probes, test, steps=2, strengths=(0.0, 4.0), many=8)


PANELS: dict[str, Callable[..., w.VBox]] = {
    "AttackPanel": lambda patch: attacks(),
    "ChainPanel": lambda patch: chains(),
    "ClaimsBoard": board,
    "EditPanel": lambda patch: edits(),
    "InfusionPanel": lambda patch: widgets.InfusionPanel(
        mlp((1, 8, 8), steps=4, hidden=(16,)), fit_prior(DATA.images[:9, :, :8, :8]), DATA.images[:9, :, :8, :8], n=3
    ),
    "LossPanel": lambda patch: widgets.LossPanel(),
    "ProbePanel": lambda patch: widgets.ProbePanel(
        {"a": small_conv(1, width=16), "pixels": lambda x: x.flatten(1)}, DATA[:60]
    ),
    "RcdmPanel": lambda patch: paintings(),
    "SweepPanel": lambda patch: widgets.SweepPanel(run, grid(width=[8, 16], lr=[0.1, 1.0], seed=[0, 1]), path="s"),
    "TrainPanel": lambda patch: widgets.TrainPanel(DATA, JointRecipe(steps=4, batch_size=16, width=16), every=2),
    "ViewsPanel": lambda patch: widgets.ViewsPanel(DATA),
}

# what the browser sends from a canvas; a place that is none means that it was let go
MESSAGES: dict[type, Callable[..., dict]] = {
    widgets.ChainCanvas: lambda c, chance: (
        {"type": "pick", "row": 0, "index": chance.randrange(c.shape[2])} if c.names else {}  # nothing is shown yet
    ),
    widgets.HeatMap: lambda c, chance: {
        "type": "pick", "row": chance.randrange(len(c.rows)), "column": chance.randrange(len(c.columns))
    } if c.rows and chance.random() < 0.8 else {"type": "pick", "row": -1, "column": -1},
    widgets.ImageGrid: lambda c, chance: {"type": "pick", "index": chance.randrange(c.shape[0])},
    widgets.Scatter: lambda c, chance: {"type": "select", "indices": chance.sample(range(len(c.images)), 3)}
    if chance.random() < 0.5 else {"type": "pick", "index": chance.randrange(len(c.images))},
    ChoiceTable: lambda c, chance: {"type": "pick", "index": chance.randrange(len(c.rows))},
    PlaneCanvas: lambda c, chance: {
        "type": "drag", "index": chance.randrange(8), "x": chance.uniform(-2, 2), "y": chance.uniform(-2, 2)
    },
}  # fmt: skip
CHOICES = (w.Dropdown, w.SelectionSlider, w.ToggleButtons)
NUMBERS = (w.IntSlider, w.BoundedIntText)


def controls(widget: w.Widget) -> list[w.Widget]:
    """Every control below this widget, each once."""
    found, stack = [], [widget]
    while stack:
        one = stack.pop()
        stack += getattr(one, "children", ())
        if isinstance(one, (w.Button, w.Checkbox, NumberSlider, widgets.MaskCanvas, *CHOICES, *NUMBERS, *MESSAGES)):
            found.append(one)
    return found


def move(control: w.Widget, chance: random.Random) -> None:
    """What a person could do to this control now."""
    if getattr(control, "disabled", False):
        return
    if isinstance(control, w.Button):
        control.click()
    elif isinstance(control, w.Checkbox):
        control.value = not control.value
    elif isinstance(control, CHOICES):
        if control.options:
            control.index = chance.randrange(len(control.options))
    elif isinstance(control, NumberSlider):
        at = chance.uniform(control.min, control.max)
        control.value = min(10**at if control.log else at, math.inf if control.most is None else control.most)
    elif isinstance(control, NUMBERS):
        most = min(control.max, 40)  # steps, of which a million would take a while
        control.value = int(chance.uniform(max(control.min, 0), most))
    elif isinstance(control, widgets.MaskCanvas):
        control.mask = torch.rand(control.mask.shape, generator=rng(chance.randrange(100))) < 0.5
    else:
        message = next(make for kind, make in MESSAGES.items() if isinstance(control, kind))
        control._handle_custom_msg(message(control, chance), [])
