"""What is in the zoo: for each name, the data and the recipe to train it with."""

from dataclasses import replace
from typing import Any, NamedTuple

from ssl_toolkit import infusion
from ssl_toolkit.diffusion import factor_reader as reader, rcdm
from ssl_toolkit.joint import METHODS, JointRecipe, Views, tuned

DATA = ("shapes", "fashion-mnist")  # of the first encoders and painters
SHIPPED = ("simclr", "supervised", "vicreg", "byol")
PAINTED = (
    ("simclr", "representation"),
    ("simclr", "embedding"),
    ("supervised", "representation"),
)
WILD = {"simclr": 5000, "supervised": 1500}  # methods and steps of the encoders of garments in the wild
DEEPER = {"representation": 8000, "embedding": 4000, "stem": 4000}  # depths that garments are painted from
KINDS = {
    "encoder": JointRecipe,
    "reader": reader.ReaderRecipe,
    "rcdm": rcdm.RCDMRecipe,
    "infusion": infusion.InfusionRecipe,
}


class Plan(NamedTuple):
    """One model. For an RCDM, `encoder` and `depth` name the features that it paints from."""

    what: str
    data: str
    recipe: JointRecipe | reader.ReaderRecipe | rcdm.RCDMRecipe | infusion.InfusionRecipe
    encoder: str = ""
    depth: str = ""

    @property
    def kind(self) -> str:
        return next(kind for kind, made in KINDS.items() if isinstance(self.recipe, made))

    @property
    def judge(self) -> str:
        """The encoder whose features measure samples."""
        return f"{self.data}-supervised"

    @property
    def reader(self) -> str:
        """The model that reads factors from samples, if there is one."""
        return f"{self.data}-reader"

    def needs(self) -> list[str]:
        """The models that must exist first: an RCDM's encoder, and the models that measure samples."""
        if self.kind not in ("rcdm", "infusion"):
            return []
        return [name for name in PLANS if name in (self.encoder, self.judge, self.reader)]


# The first models were trained by other views than suit the shapes now; painters were trained on what they see.
FIRST: dict[str, Any] = {**Views()._asdict(), "temperature": 0.2}


def _encoder(data: str, method: str) -> Plan:
    recipe = replace(tuned(method), steps=1000, batch_size=128, width=256, **FIRST)
    return Plan(f"{METHODS[method].title} encoder of {data}", data, recipe)


def _encoder_of_garments(method: str, steps: int) -> Plan:
    # views of 28 pixels take a quarter less time, and a wider h reads better
    recipe = replace(tuned(method), steps=steps, batch_size=128, lr=4e-3, width=512, size=28)
    return Plan(f"{METHODS[method].title} encoder of garments in the wild", "garments", recipe)


def _encoder_of_emoji(method: str, steps: int) -> Plan:
    recipe = replace(tuned(method), steps=steps, batch_size=128, lr=4e-3, width=512, size=48)
    return Plan(f"{METHODS[method].title} encoder of emoji", "emoji", recipe)


def _painter(data: str, method: str, depth: str, recipe: rcdm.RCDMRecipe) -> Plan:
    return Plan(f"paints {data} from {METHODS[method].title}'s {depth}", data, recipe, f"{data}-{method}", depth)


def _first_painter(data: str, method: str, depth: str) -> Plan:
    # clothes differ in more details, which the representation still holds
    longer = data == "fashion-mnist" and depth == "representation"
    return _painter(data, method, depth, rcdm.RCDMRecipe(steps=12_000 if longer else 4_000))


PLANS: dict[str, Plan] = {
    **{f"{data}-{method}": _encoder(data, method) for data in DATA for method in SHIPPED},
    "shapes-simclr-any-hue": Plan(
        "SimCLR encoder of shapes whose views have any hue",
        "shapes",
        replace(tuned("simclr"), steps=1000, batch_size=128, width=256),
    ),
    **{f"garments-{method}": _encoder_of_garments(method, steps) for method, steps in WILD.items()},
    **{
        f"emoji-{method}": _encoder_of_emoji(method, steps) for method, steps in (("simclr", 1500), ("supervised", 600))
    },
    "shapes-reader": Plan("reads hue, background, x, y and scale off shapes", "shapes", reader.ReaderRecipe()),
    "garments-reader": Plan(
        "reads hue, background, x, y and scale off garments", "garments", reader.ReaderRecipe(steps=3000)
    ),
    **{
        f"{data}-{method}-rcdm-{depth}": _first_painter(data, method, depth)
        for data in DATA
        for method, depth in PAINTED
    },
    **{
        f"garments-simclr-rcdm-{depth}": _painter("garments", "simclr", depth, rcdm.RCDMRecipe(steps=steps))
        for depth, steps in DEEPER.items()
    },
    "fashion-mnist-infusion": Plan(
        "a chain that turns noise into garments", "fashion-mnist", infusion.InfusionRecipe()
    ),
}


def plan(name: str) -> Plan:
    """The plan of this name. Raises ValueError, which lists all names, if there is none."""
    if name not in PLANS:
        raise ValueError(f"name is {name!r}: there are recipes for {', '.join(sorted(PLANS))}.")
    return PLANS[name]
