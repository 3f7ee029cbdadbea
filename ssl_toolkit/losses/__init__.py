"""Losses of joint-embedding self-supervised learning, each a function of two batches of embeddings.

A loss returns its named terms, already weighted: the loss *is* `sum(terms.values())`. A trainer sums them, a plot
stacks them, a text can name them. The formulas follow the papers' official code, which several libraries change
silently; docstrings state the differences that matter.
"""

from ssl_toolkit.losses import toy2d as toy2d
from ssl_toolkit.losses.checks import Terms as Terms
from ssl_toolkit.losses.contrastive import (
    dcl as dcl,
    moco as moco,
    nnclr as nnclr,
    nt_xent as nt_xent,
    patch_negative as patch_negative,
    supcon as supcon,
)
from ssl_toolkit.losses.distillation import (
    byol as byol,
    dino as dino,
    simsiam as simsiam,
    sinkhorn as sinkhorn,
    swav as swav,
)
from ssl_toolkit.losses.regularized import barlow_twins as barlow_twins, mmcr as mmcr, vicreg as vicreg, w_mse as w_mse
from ssl_toolkit.losses.sliced import lejepa as lejepa, sigreg as sigreg, visreg as visreg
