"""ssl_toolkit: train small self-supervised encoders, probe them, and see what a representation knows.

    import ssl_toolkit as stk

One import gives you the names below and the packages. Each loads on first use, so the import costs little more than
importing PyTorch. Reach everything else through its package: `stk.losses.nt_xent`, `stk.diffusion.ddim`.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_toolkit import (
        augment as augment,
        claims as claims,
        data as data,
        diffusion as diffusion,
        encoders as encoders,
        infusion as infusion,
        joint as joint,
        losses as losses,
        probes as probes,
        training as training,
        widgets as widgets,
        zoo as zoo,
    )
    from ssl_toolkit.augment import compose as compose, simclr_views as simclr_views
    from ssl_toolkit.data import Dataset as Dataset, load_data as load_data, rng as rng
    from ssl_toolkit.diffusion import rcdm as rcdm
    from ssl_toolkit.diffusion.rcdm import sample as sample
    from ssl_toolkit.encoders import (
        embed as embed,
        embed_steps as embed_steps,
        load_weights as load_weights,
        pixels as pixels,
        resnet as resnet,
        small_conv as small_conv,
        untrained as untrained,
        wrap as wrap,
    )
    from ssl_toolkit.infusion import chain as chain
    from ssl_toolkit.joint import Recipe as Recipe, joint_embedding as joint_embedding, supervised as supervised
    from ssl_toolkit.probes import (
        few_labels as few_labels,
        knn_accuracy as knn_accuracy,
        linear_probe as linear_probe,
        rankme as rankme,
    )
    from ssl_toolkit.training import load as load, save as save, start as start, train as train
    from ssl_toolkit.widgets import (
        AttackPanel as AttackPanel,
        ChainPanel as ChainPanel,
        ClaimsBoard as ClaimsBoard,
        EditPanel as EditPanel,
        ImageGrid as ImageGrid,
        InfusionPanel as InfusionPanel,
        LossPanel as LossPanel,
        NeighborGrid as NeighborGrid,
        ProbePanel as ProbePanel,
        RcdmPanel as RcdmPanel,
        SweepPanel as SweepPanel,
        TrainPanel as TrainPanel,
        ViewsPanel as ViewsPanel,
        explore as explore,
        open_link as open_link,
    )

__version__ = "0.1.0"

_PACKAGES = (
    *("augment", "claims", "data", "diffusion", "encoders", "infusion"),
    *("joint", "losses", "probes", "training", "widgets", "zoo"),
)

# the module that defines each name
_HOMES = {
    "data": "Dataset load_data rng",
    "augment": "compose simclr_views",
    "encoders": "embed embed_steps load_weights pixels resnet small_conv untrained wrap",
    "training": "load save start train",
    "joint": "Recipe joint_embedding supervised",
    "probes": "few_labels knn_accuracy linear_probe rankme",
    "diffusion": "rcdm",
    "diffusion.rcdm": "sample",
    "infusion": "chain",
    "widgets": "AttackPanel ChainPanel ClaimsBoard EditPanel ImageGrid InfusionPanel LossPanel NeighborGrid "
    "ProbePanel RcdmPanel SweepPanel TrainPanel ViewsPanel explore open_link",
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
