"""A thousand random uses of the controls of all panels, from the kernel's thread and from others: nothing breaks.

A panel that is new has its line in `PANELS`.
"""

import asyncio
import gc
import math
import random
import weakref
from collections.abc import Callable, Iterator

import ipywidgets as w
import pytest
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
from ssl_toolkit.training import NonFiniteError
from ssl_toolkit.training.sweep import grid
from ssl_toolkit.widgets.canvases.choice_table import ChoiceTable
from ssl_toolkit.widgets.canvases.number import NumberSlider
from ssl_toolkit.widgets.canvases.plane import PlaneCanvas
from ssl_toolkit.widgets.player import Player

EVENTS = 1000
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


def players(panel: w.VBox) -> list[Player]:
    return [value for value in vars(panel).values() if isinstance(value, Player)]


def test_no_panel_is_left_out():
    assert set(PANELS) == {name for name in vars(widgets) if name.endswith(("Panel", "Board"))}


def every_widget(thing: object) -> Iterator[w.Widget]:
    """The widgets that a panel holds, those of its modes that are not shown among them."""
    if isinstance(thing, w.Widget):
        yield thing
        thing = getattr(thing, "children", ())
    for below in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else ():
        yield from every_widget(below)


@pytest.mark.parametrize("name", PANELS)
def test_every_control_says_what_it_does_and_has_a_class_of_its_own(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = (w.Button, w.Checkbox, NumberSlider, w.Text, w.FileUpload, *CHOICES, *NUMBERS)
    seen = [c for c in every_widget(vars(PANELS[name](monkeypatch))) if isinstance(c, kinds)]
    assert seen
    assert [c.description for c in seen if not c.tooltip] == []
    assert [c.description for c in seen if not any(one.startswith("ssl-") for one in c._dom_classes)] == []


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_survives_random_use_and_leaves_no_task(name, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)  # Save is among the controls
    problems: list[object] = []

    async def use() -> int:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        panel, chance = PANELS[name](monkeypatch), random.Random(name)
        for event in range(EVENTS // len(PANELS)):
            control = chance.choice(controls(panel))
            if event % 5 == 0:  # JupyterLab's messages may be answered on another thread
                await asyncio.to_thread(move, control, chance)
            else:
                move(control, chance)
            if event % 3 == 0:
                await asyncio.sleep(0.002)
            failed = (player.error for player in players(panel))
            problems.extend(e for e in failed if e is not None and not isinstance(e, NonFiniteError))
        for player in players(panel):
            player.reset()
        await asyncio.sleep(0.05)
        assert {player.state for player in players(panel)} <= {"idle"}
        for player in players(panel):
            player.close()
        await asyncio.sleep(0.05)
        return len([t for t in asyncio.all_tasks() if t is not asyncio.current_task()])

    assert asyncio.run(use()) == 0
    assert problems == []
    assert [record.getMessage() for record in caplog.records] == []  # where ipywidgets puts what a handler raises


@pytest.mark.parametrize("name", PANELS)
def test_a_closed_panel_leaves_no_widget_no_task_and_is_collected(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def use() -> tuple[weakref.ref, set[str]]:
        before = set(w.widgets.widget._instances)
        panel = PANELS[name](monkeypatch)
        if panel.player is not None:
            panel.play()
        await asyncio.sleep(0.05)
        panel.close()
        await asyncio.sleep(0.05)
        assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []
        return weakref.ref(panel), set(w.widgets.widget._instances) - before

    panel, left = asyncio.run(use())
    assert left == set()
    gc.collect()
    assert panel() is None
