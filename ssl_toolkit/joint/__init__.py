"""Joint-embedding self-supervised learning: an objective for each method, and a recipe that trains it well."""

from ssl_toolkit.joint.clustering import Prototypes as Prototypes
from ssl_toolkit.joint.clustering import self_distillation as self_distillation
from ssl_toolkit.joint.clustering import swapped_prediction as swapped_prediction
from ssl_toolkit.joint.contrastive import Queue as Queue
from ssl_toolkit.joint.contrastive import against_a_patch as against_a_patch
from ssl_toolkit.joint.contrastive import against_own_patch as against_own_patch
from ssl_toolkit.joint.contrastive import momentum_contrast as momentum_contrast
from ssl_toolkit.joint.contrastive import nearest_neighbor as nearest_neighbor
from ssl_toolkit.joint.objectives import joint_embedding as joint_embedding
from ssl_toolkit.joint.objectives import multi_view as multi_view
from ssl_toolkit.joint.objectives import siamese as siamese
from ssl_toolkit.joint.objectives import supervised as supervised
from ssl_toolkit.joint.objectives import teacher_student as teacher_student
from ssl_toolkit.joint.recipes import METHODS as METHODS
from ssl_toolkit.joint.recipes import JointRecipe as JointRecipe
from ssl_toolkit.joint.recipes import Method as Method
from ssl_toolkit.joint.recipes import paper_recipe as paper_recipe
from ssl_toolkit.joint.recipes import tuned as tuned
from ssl_toolkit.joint.resolution import progressive as progressive
from ssl_toolkit.joint.resolution import ramp as ramp

Recipe = JointRecipe
