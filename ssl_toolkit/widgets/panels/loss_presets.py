"""What `LossPanel` offers: four losses as the plane needs them, and settings that work, or fail for a reason."""

from functools import partial
from typing import NamedTuple

from ssl_toolkit.losses import barlow_twins, nt_xent, vicreg
from ssl_toolkit.losses.toy2d import Loss, predict_both_ways


class Choice(NamedTuple):
    """A loss, its terms, the learning rate that suits it, whether it sees directions only, and how it is written."""

    loss: Loss
    terms: tuple[str, ...]
    lr: float
    directions: bool
    code: str


LOSSES = {
    "SimCLR": Choice(
        partial(nt_xent, temperature=0.5), ("alignment", "uniformity"), 1.0, True, "partial(nt_xent, temperature=0.5)"
    ),
    "VICReg": Choice(vicreg, ("invariance", "variance", "covariance"), 0.1, False, "vicreg"),
    # the paper's 5e-3 stands against thousands of dimensions; here are as many redundancies as invariances: two
    "Barlow Twins": Choice(
        partial(barlow_twins, lambd=1.0), ("invariance", "redundancy"), 5.0, False, "partial(barlow_twins, lambd=1.0)"
    ),
    "BYOL": Choice(predict_both_ways, ("prediction",), 2.0, True, "predict_both_ways"),
}


class Preset(NamedTuple):
    """What the controls say, and why it is worth a look; the term `without` has weight 0, the others 1."""

    loss: str
    why: str
    without: str = ""
    shared: bool = True
    lr: float | None = None  # None: the loss's own
    predictor: bool = True
    stop_gradient: bool = True


PRESETS = {
    "SimCLR": Preset(
        "SimCLR", "Views of an image attract, all others repel: the directions fill the circle, in pairs."
    ),
    "SimCLR, alignment only": Preset(
        "SimCLR", "One direction for all, or two opposite ones, is the cheapest agreement: nothing pushes apart.",
        "uniformity", lr=5.0,
    ),
    "SimCLR, uniformity only": Preset(
        "SimCLR", "Everything repels everything, the other view too: a full circle, but pairs are not kept together.",
        "alignment",
    ),
    "VICReg": Preset(
        "VICReg", "Pairs close, a standard deviation of 1 along both axes, no correlation between them."
    ),
    "VICReg without variance": Preset(
        "VICReg", "Everything falls onto one point: there invariance and covariance are both exactly 0.",
        "variance",
    ),
    "VICReg without covariance": Preset(
        "VICReg", "Both axes learn the feature that changes least between views: wide as asked, but only a line.",
        "covariance",
    ),
    "Barlow Twins": Preset(
        "Barlow Twins", "Each axis agrees with itself across views and says nothing about the other axis."
    ),
    "Barlow Twins without redundancy": Preset(
        "Barlow Twins", "Both axes say the same, twice: the points fall onto a line.", "redundancy"
    ),
    "BYOL": Preset(
        "BYOL", "A best linear guess of the other view, which gets no gradient: nothing repels, yet it mostly holds."
    ),
    "BYOL without predictor": Preset(
        "BYOL", "Now it is alignment alone. The stop-gradient halves the arrows and saves nothing.", predictor=False
    ),
    "BYOL without stop-gradient": Preset(
        "BYOL", "The target comes to meet its prediction. Try other seeds: more than half of them collapse.",
        lr=1.0, stop_gradient=False,
    ),
    "Free points, VICReg without variance": Preset(
        "VICReg", "No collapse! Free points only meet their pair. What collapses is an encoder, shared by all images.",
        "variance", shared=False,
    ),
}  # fmt: skip
