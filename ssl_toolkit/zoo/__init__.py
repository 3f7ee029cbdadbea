"""Pretrained models that come with the toolkit: small encoders and RCDMs that paint what they know, each with a card.

    encoder = zoo.load("shapes-simclr")
    painter = zoo.load("shapes-simclr-rcdm-embedding")
    h = conditions(encoder, images, depth="embedding")        # what the painter was trained on: zoo.card(...).depth
    *_, last = sample(painter, h.repeat_interleave(8, dim=0))

`zoo.names()` lists them. `zoo.build` trained each on a CPU, with the recipe and seed on its card. To train one again,
run `ssl-toolkit zoo build NAME --folder FOLDER`. Weights are stored in float16, and the measures on the card are those
of the stored model.
"""

from ssl_toolkit.zoo.build import build as build
from ssl_toolkit.zoo.plans import PLANS as PLANS
from ssl_toolkit.zoo.store import (
    Card as Card,
    Shipped as Shipped,
    card as card,
    load as load,
    names as names,
    write as write,
)
