"""Joint-embedding self-supervised learning: an objective for each method, and a recipe that trains it well."""

from ssl_toolkit.joint.clustering import (
    Prototypes as Prototypes,
    self_distillation as self_distillation,
    swapped_prediction as swapped_prediction,
)
from ssl_toolkit.joint.contrastive import (
    Queue as Queue,
    against_a_patch as against_a_patch,
    against_own_patch as against_own_patch,
    momentum_contrast as momentum_contrast,
    nearest_neighbor as nearest_neighbor,
)
from ssl_toolkit.joint.objectives import (
    joint_embedding as joint_embedding,
    multi_view as multi_view,
    siamese as siamese,
    supervised as supervised,
    teacher_student as teacher_student,
)
from ssl_toolkit.joint.recipes import (
    METHODS as METHODS,
    JointRecipe as JointRecipe,
    Method as Method,
    Views as Views,
    paper_recipe as paper_recipe,
    tuned as tuned,
)
from ssl_toolkit.joint.resolution import progressive as progressive, ramp as ramp

Recipe = JointRecipe
