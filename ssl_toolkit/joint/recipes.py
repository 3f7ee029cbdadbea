"""A recipe: all the numbers of one run in one frozen object, with a preset that was tuned on two CPU cores.

recipe = Recipe(method="vicreg", width=256)
state, objective = recipe.start(data), recipe.objective(data)
for step in train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed): ...
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch

from ssl_toolkit import losses
from ssl_toolkit.augment import Augment, simclr_views
from ssl_toolkit.data import Dataset, Stream
from ssl_toolkit.encoders import Encoder, small_conv
from ssl_toolkit.joint.clustering import Center, Prototypes, self_distillation, swapped_prediction
from ssl_toolkit.joint.contrastive import Queue, momentum_contrast, nearest_neighbor
from ssl_toolkit.joint.objectives import joint_embedding, multi_view, siamese, supervised, teacher_student
from ssl_toolkit.training import LARS, Objective, TrainState, scaled_lr, start

# fmt: off
Method = Literal["simclr", "dcl", "supcon", "moco", "nnclr", "vicreg", "barlow twins", "w-mse", "mmcr", "lejepa",
                 "visreg", "byol", "simsiam", "dino", "swav", "supervised"]
TITLES: dict[Method, str] = {  # as their papers write them
    "simclr": "SimCLR", "dcl": "DCL", "supcon": "SupCon", "moco": "MoCo", "nnclr": "NNCLR", "vicreg": "VICReg",
    "barlow twins": "Barlow Twins", "w-mse": "W-MSE", "mmcr": "MMCR", "lejepa": "LeJEPA", "visreg": "VISReg",
    "byol": "BYOL", "simsiam": "SimSiam", "dino": "DINO", "swav": "SwAV", "supervised": "Supervised",
}
# fmt: on
METHODS: tuple[Method, ...] = get_args(Method)
CONTRASTIVE = ("simclr", "dcl", "supcon", "moco", "nnclr")  # with a temperature
PREDICTED = ("byol", "simsiam", "nnclr")  # with a predictor after the projector
TAUGHT = ("byol", "moco", "dino")  # with a teacher that follows the model
REMEMBERED = ("moco", "nnclr")  # with a queue of earlier embeddings
SORTED = ("dino", "swav")  # with prototypes
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
    "lars": LARS,
}


@dataclass(frozen=True)
class JointRecipe:
    """One run. `dataclasses.replace(recipe, lr=1e-3)` gives another."""

    method: Method = "simclr"
    steps: int = 1000
    batch_size: int = 64  # a step must be short for a notebook to stay responsive, and learns as much per second
    optimizer: Literal["adamw", "sgd", "lars"] = "adamw"
    lr: float = 2e-3
    warmup: int = 20
    weight_decay: float = 1e-4
    width: int = 1024  # of the representation
    projector: tuple[int, ...] = (256, 128)
    predictor: tuple[int, ...] | None = None  # None: as the projector
    temperature: float = 0.2  # of SimCLR and the other contrastive methods
    variance: float = 25.0  # weight of VICReg's variance term
    lambd: float = 0.02  # weight of LeJEPA's SIGReg and of VISReg's regularizer
    momentum: float = 0.99  # of a teacher
    queue: int = 4096  # embeddings that MoCo and NNCLR remember
    prototypes: int = 300  # of DINO and SwAV
    scale: tuple[float, float] = (0.3, 1.0)  # share of the area that a crop keeps
    size: int | None = None  # pixels of a view; None: as many as an image has
    jitter: float = 0.8  # strength of brightness, contrast and saturation; hue has a quarter of it
    seed: int = 0

    def model(self, data: Dataset | Stream) -> Encoder:
        """An untrained encoder for images of this shape and, where it is supervised, these classes."""
        projector = self.projector
        if self.method == "supervised":
            projector = (*projector[:-1], len(data.classes))
        predictor = (self.predictor or projector) if self.method in PREDICTED else None
        model = small_conv(data.shape[0], width=self.width, projector=projector, predictor=predictor, seed=self.seed)
        if self.method in REMEMBERED:
            model.queue = Queue(self.queue, projector[-1], seed=self.seed)
        if self.method in SORTED:
            model.prototypes = Prototypes(projector[-1], self.prototypes, seed=self.seed)
        if self.method == "dino":
            model.center = Center(self.prototypes)
        return model

    def start(self, data: Dataset | Stream) -> TrainState:
        """An untrained encoder for these images and its optimizer, at step 0."""
        ema = self.momentum if self.method in TAUGHT else None
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}: it must be one of {', '.join(OPTIMIZERS)}.")
        return start(
            self.model(data), lr=self.lr, weight_decay=self.weight_decay, warmup=self.warmup, total=self.steps, ema=ema,
            optimizer=OPTIMIZERS[self.optimizer],
        )  # fmt: skip

    def augment(self, data: Dataset | Stream) -> Augment:
        """The views of these images."""
        s = self.jitter
        return simclr_views(
            self.size or data.shape[-1],
            scale=self.scale,
            flip=0.0 if self.scale[0] == 1 else 0.5,
            brightness=s,
            contrast=s,
            saturation=s,
            hue=s / 4,
            gray=0.2 if s else 0.0,
        )

    def objective(self, data: Dataset | Stream) -> Objective:
        """What one step of this method minimizes on these images."""
        augment, t = self.augment(data), self.temperature
        match self.method:
            case "simclr":
                return joint_embedding(partial(losses.nt_xent, temperature=t), augment)
            case "dcl":
                return joint_embedding(partial(losses.dcl, temperature=t), augment)
            case "supcon":
                return multi_view(partial(losses.supcon, temperature=t), augment, labels=True)
            case "moco":
                return momentum_contrast(augment, temperature=t)
            case "nnclr":
                return nearest_neighbor(augment, temperature=t)
            case "vicreg":
                return joint_embedding(partial(losses.vicreg, std=self.variance), augment)
            case "barlow twins":
                return joint_embedding(losses.barlow_twins, augment)
            case "w-mse":
                return joint_embedding(losses.w_mse, augment, stochastic=True)
            case "mmcr":
                return multi_view(losses.mmcr, augment)
            case "lejepa":
                return multi_view(partial(losses.lejepa, lambd=self.lambd), augment, stochastic=True)
            case "visreg":
                return multi_view(partial(losses.visreg, lambd=self.lambd), augment, stochastic=True)
            case "byol":
                return teacher_student(losses.byol, augment)
            case "simsiam":
                return siamese(augment)
            case "dino":
                return self_distillation(augment)
            case "swav":
                return swapped_prediction(augment)
            case "supervised":
                return supervised(augment)
        raise ValueError(f"method is {self.method!r}: it must be one of {', '.join(METHODS)}.")


def tuned(method: Method) -> JointRecipe:
    """The recipe of a method that was found to learn within a minute on two CPU cores."""
    match method:
        case "w-mse":
            return JointRecipe(method, projector=(256, 16))
        case "lejepa":
            return JointRecipe(method, projector=(256, 32))
        case "visreg":
            return JointRecipe(method, projector=(256, 32), lambd=0.6)
        case "vicreg" | "barlow twins":
            return JointRecipe(method, projector=(256, 256))
        case "dino":
            return JointRecipe(method, prototypes=64, lr=1e-3)
        case "swav":
            return JointRecipe(method, prototypes=60)
        case _:
            return JointRecipe(method)


def paper_recipe(
    method: Literal["simclr", "vicreg"], *, batch_size: Literal[256, 2048], steps: int, warmup: int
) -> JointRecipe:
    """The settings that the paper's authors keep in FFCV-SSL for ResNet-50 and ImageNet, LARS among them.

    Their base rate is multiplied by batch / 256; the warm-up takes ten epochs there, in `steps` of a hundred. They were
    tuned at that size: on small images and nets `tuned` learns faster.
    """
    base = {("simclr", 256): 1.0, ("simclr", 2048): 0.5, ("vicreg", 256): 1.5, ("vicreg", 2048): 0.5}
    if (method, batch_size) not in base:
        raise ValueError(f"method={method!r} and batch_size={batch_size}: there are {', '.join(map(str, base))}.")
    return JointRecipe(
        method, steps, batch_size, "lars", scaled_lr(base[method, batch_size], batch_size), warmup,
        weight_decay=1e-6 if method == "simclr" else 1e-4, projector=(8192, 8192, 8192), temperature=0.15,
    )  # fmt: skip
