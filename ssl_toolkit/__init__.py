"""ssl_toolkit: train small self-supervised encoders, probe them, and see what a representation knows.

    import ssl_toolkit as stk

One import gives you the names below and the packages. Each loads on first use, so the import costs little more than
importing PyTorch. Reach everything else through its package: `stk.losses.nt_xent`, `stk.diffusion.ddim`.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_toolkit import augment as augment
    from ssl_toolkit import claims as claims
    from ssl_toolkit import data as data
    from ssl_toolkit import diffusion as diffusion
    from ssl_toolkit import encoders as encoders
    from ssl_toolkit import infusion as infusion
    from ssl_toolkit import joint as joint
    from ssl_toolkit import losses as losses
    from ssl_toolkit import probes as probes
    from ssl_toolkit import training as training
    from ssl_toolkit import widgets as widgets
    from ssl_toolkit import zoo as zoo
    from ssl_toolkit.augment import compose as compose
    from ssl_toolkit.augment import simclr_views as simclr_views
    from ssl_toolkit.data import Dataset as Dataset
    from ssl_toolkit.data import load_data as load_data
    from ssl_toolkit.data import rng as rng
    from ssl_toolkit.diffusion import rcdm as rcdm
    from ssl_toolkit.diffusion.rcdm import sample as sample
    from ssl_toolkit.encoders import embed as embed
    from ssl_toolkit.encoders import embed_steps as embed_steps
    from ssl_toolkit.encoders import pixels as pixels
    from ssl_toolkit.encoders import resnet as resnet
    from ssl_toolkit.encoders import small_conv as small_conv
    from ssl_toolkit.encoders import untrained as untrained
    from ssl_toolkit.encoders import wrap as wrap
    from ssl_toolkit.infusion import chain as chain
    from ssl_toolkit.joint import Recipe as Recipe
    from ssl_toolkit.joint import joint_embedding as joint_embedding
    from ssl_toolkit.joint import supervised as supervised
    from ssl_toolkit.probes import few_labels as few_labels
    from ssl_toolkit.probes import knn_accuracy as knn_accuracy
    from ssl_toolkit.probes import linear_probe as linear_probe
    from ssl_toolkit.probes import rankme as rankme
    from ssl_toolkit.training import load as load
    from ssl_toolkit.training import save as save
    from ssl_toolkit.training import start as start
    from ssl_toolkit.training import train as train
    from ssl_toolkit.widgets import AttackPanel as AttackPanel
    from ssl_toolkit.widgets import ChainPanel as ChainPanel
    from ssl_toolkit.widgets import ClaimsBoard as ClaimsBoard
    from ssl_toolkit.widgets import EditPanel as EditPanel
    from ssl_toolkit.widgets import ImageGrid as ImageGrid
    from ssl_toolkit.widgets import InfusionPanel as InfusionPanel
    from ssl_toolkit.widgets import LossPanel as LossPanel
    from ssl_toolkit.widgets import ProbePanel as ProbePanel
    from ssl_toolkit.widgets import RcdmPanel as RcdmPanel
    from ssl_toolkit.widgets import SweepPanel as SweepPanel
    from ssl_toolkit.widgets import TrainPanel as TrainPanel
    from ssl_toolkit.widgets import ViewsPanel as ViewsPanel

__version__ = "0.1.0"

_PACKAGES = (
    *("augment", "claims", "data", "diffusion", "encoders", "infusion"),
    *("joint", "losses", "probes", "training", "widgets", "zoo"),
)

# the module that defines each name
_HOMES = {
    "data": "Dataset load_data rng",
    "augment": "compose simclr_views",
    "encoders": "embed embed_steps pixels resnet small_conv untrained wrap",
    "training": "load save start train",
    "joint": "Recipe joint_embedding supervised",
    "probes": "few_labels knn_accuracy linear_probe rankme",
    "diffusion": "rcdm",
    "diffusion.rcdm": "sample",
    "infusion": "chain",
    "widgets": "AttackPanel ChainPanel ClaimsBoard EditPanel ImageGrid InfusionPanel LossPanel ProbePanel RcdmPanel "
    "SweepPanel TrainPanel ViewsPanel",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [*_HOME, "fast"]


def fast() -> bool:
    """Whether the environment asks for small budgets (SSL_TOOLKIT_FAST=1), for tests and notebook previews.

    >>> steps = 30 if fast() else 600
    """
    return os.environ.get("SSL_TOOLKIT_FAST", "") not in ("", "0")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        home = import_module(f"ssl_toolkit.{_HOME[name]}")
        return getattr(home, name, None) or import_module(f"{home.__name__}.{name}")  # a name, or a module
    if name in _PACKAGES:
        return import_module(f"ssl_toolkit.{name}")
    raise AttributeError(f"module 'ssl_toolkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*__all__, *_PACKAGES, "__version__"))
