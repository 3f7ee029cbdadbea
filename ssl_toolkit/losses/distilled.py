"""Losses whose target gets no gradient: a student predicts what its teacher, or itself, sees in the other view."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.losses.checks import Terms, same_shape


def byol(p: Float[Tensor, "b d"], z: Float[Tensor, "b d"]) -> Terms:
    """BYOL (Grill et al., 2020, eq. 2): mean of 2 - 2 cos(p, z); z comes from the teacher and gets no gradient.

    `p` is the student's prediction from one view, `z` the teacher's embedding of the other.
    Raises ValueError for unequal shapes.
    """
    same_shape(p, z)
    return {"prediction": (2 - 2 * F.cosine_similarity(p, z.detach(), dim=1)).mean()}
