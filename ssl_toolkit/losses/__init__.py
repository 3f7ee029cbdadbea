"""Losses of joint-embedding self-supervised learning, each a function of two batches of embeddings.

A loss returns its named terms, already weighted: the loss *is* `sum(terms.values())`. A trainer sums them, a plot
stacks them, a text can name them. The formulas follow the papers' official code, which several libraries change
silently; docstrings state the differences that matter.
"""

from ssl_toolkit.losses import toy2d as toy2d
from ssl_toolkit.losses.checks import Terms as Terms
from ssl_toolkit.losses.contrastive import dcl as dcl
from ssl_toolkit.losses.contrastive import moco as moco
from ssl_toolkit.losses.contrastive import nnclr as nnclr
from ssl_toolkit.losses.contrastive import nt_xent as nt_xent
from ssl_toolkit.losses.contrastive import patch_negative as patch_negative
from ssl_toolkit.losses.contrastive import supcon as supcon
from ssl_toolkit.losses.distillation import byol as byol
from ssl_toolkit.losses.distillation import dino as dino
from ssl_toolkit.losses.distillation import simsiam as simsiam
from ssl_toolkit.losses.distillation import sinkhorn as sinkhorn
from ssl_toolkit.losses.distillation import swav as swav
from ssl_toolkit.losses.regularized import barlow_twins as barlow_twins
from ssl_toolkit.losses.regularized import mmcr as mmcr
from ssl_toolkit.losses.regularized import vicreg as vicreg
from ssl_toolkit.losses.regularized import w_mse as w_mse
from ssl_toolkit.losses.sliced import lejepa as lejepa
from ssl_toolkit.losses.sliced import sigreg as sigreg
from ssl_toolkit.losses.sliced import visreg as visreg

__all__ = [
    "Terms",
    "barlow_twins",
    "byol",
    "dcl",
    "dino",
    "lejepa",
    "mmcr",
    "moco",
    "nnclr",
    "nt_xent",
    "patch_negative",
    "sigreg",
    "simsiam",
    "sinkhorn",
    "supcon",
    "swav",
    "vicreg",
    "visreg",
    "w_mse",
]
