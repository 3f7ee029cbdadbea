"""A recipe: all settings of one run in one frozen object, with defaults tuned on two CPU cores.

recipe = Recipe(method="vicreg", width=256)
state, objective = recipe.start(data), recipe.objective(data)
for step in train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed): ...

`METHODS` is the table of methods. Add an entry, and `Recipe` and the panels treat it like the built-in methods:

METHODS["mine"] = Method("Mine", lambda recipe, augment: joint_embedding(my_loss, augment))
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from ssl_toolkit import losses
from ssl_toolkit.augment import Augment, simclr_views
from ssl_toolkit.data import Dataset, Stream
from ssl_toolkit.encoders import Encoder, small_conv
from ssl_toolkit.joint.clustering import Center, Prototypes, self_distillation, swapped_prediction
from ssl_toolkit.joint.contrastive import Queue, momentum_contrast, nearest_neighbor
from ssl_toolkit.joint.objectives import joint_embedding, multi_view, siamese, supervised, teacher_student
from ssl_toolkit.training import LARS, Objective, TrainState, scaled_lr, start

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
    "lars": LARS,
}


@dataclass(frozen=True)
class JointRecipe:
    """The settings of one run. `dataclasses.replace(recipe, lr=1e-3)` changes some of them.

    >>> stk.Recipe("vicreg", width=256).lr
    0.002
    """

    method: str = "simclr"  # a key of METHODS
    steps: int = 1000
    batch_size: int = 64  # short steps keep a notebook responsive, and it learns as much per second
    optimizer: Literal["adamw", "sgd", "lars"] = "adamw"
    lr: float = 2e-3
    warmup: int = 20
    weight_decay: float = 1e-4
    width: int = 1024  # of the representation
    projector: tuple[int, ...] = (256, 128)
    predictor: tuple[int, ...] | None = None  # None: same as the projector
    temperature: float = 0.1  # of SimCLR and the other contrastive methods
    variance: float = 25.0  # weight of VICReg's variance term
    lambd: float = 0.02  # weight of LeJEPA's SIGReg and of VISReg's regularizer
    momentum: float = 0.99  # of the teacher
    queue: int = 4096  # embeddings in the queue of MoCo and NNCLR
    prototypes: int = 300  # of DINO and SwAV
    size: int | None = None  # side of a view in pixels; None: same as the image
    scale: tuple[float, float] | None = None  # these five are of `Views`; None: what suits the data
    flip: float | None = None
    jitter: float | None = None
    hue: float | None = None
    gray: float | None = None
    seed: int = 0

    def views(self, data: Dataset | Stream) -> "Views":
        """How two views of one image of these data differ: as this recipe says, else as suits them.

        >>> stk.Recipe(gray=0.0).views(stk.load_data("shapes", limit=9))
        Views(scale=(0.5, 1.0), flip=0.0, jitter=0.8, hue=0.5, gray=0.0)
        """
        said = {name: value for name in Views._fields if (value := getattr(self, name)) is not None}
        return VIEWS.get(data.name, Views())._replace(**said)

    def model(self, data: Dataset | Stream) -> Encoder:
        """An untrained encoder for images of this shape and, for a supervised method, these classes."""
        method, projector = _method(self.method), self.projector
        if method.labels:
            projector = (*projector[:-1], len(data.classes))
        predictor = (self.predictor or projector) if method.predictor else None
        model = small_conv(data.shape[0], width=self.width, projector=projector, predictor=predictor, seed=self.seed)
        for name, part in method.parts(self).items():
            setattr(model, name, part)
        return model

    def start(self, data: Dataset | Stream) -> TrainState:
        """An untrained encoder for these images and its optimizer, at step 0."""
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}: it must be one of {', '.join(OPTIMIZERS)}.")
        return start(
            self.model(data), lr=self.lr, weight_decay=self.weight_decay, warmup=self.warmup, total=self.steps,
            ema=self.momentum if _method(self.method).teacher else None, optimizer=OPTIMIZERS[self.optimizer],
        )  # fmt: skip

    def augment(self, data: Dataset | Stream) -> Augment:
        """The views of these images."""
        return _method(self.method).views(self, data)

    def objective(self, data: Dataset | Stream) -> Objective:
        """What one step of this method minimizes on these images."""
        return _method(self.method).objective(self, self.augment(data))


class Views(NamedTuple):
    """How two views of one image differ: the settings of SimCLR's operations."""

    scale: tuple[float, float] = (0.3, 1.0)  # share of the area that a crop keeps
    flip: float = 0.5  # probability of being mirrored
    jitter: float = 0.8  # strength of brightness, contrast and saturation jitter
    hue: float = 0.2  # largest turn of the hue, as a share of the circle
    gray: float = 0.2  # probability of losing all color


VIEWS = {  # of data sets that ask for others; notebooks/LOG.md has the search
    "garments": Views(jitter=0.6, hue=0.5, gray=0.3),
    "emoji": Views(jitter=0.4, hue=0.1, gray=0.1),
    "shapes": Views(scale=(0.5, 1.0), flip=0.0, hue=0.5),
    "digits": Views(flip=0.0),
    "mnist": Views(flip=0.0),
}


def jittered_crops(recipe: JointRecipe, data: Dataset | Stream) -> Augment:
    """SimCLR's views, as the recipe says or as suits the data."""
    views = recipe.views(data)
    return simclr_views(
        recipe.size or data.shape[-1],
        scale=views.scale,
        flip=views.flip,
        brightness=views.jitter,
        contrast=views.jitter,
        saturation=views.jitter,
        hue=views.hue,
        gray=views.gray,
    )


class Method(NamedTuple):
    """What defines a method: an entry of `METHODS`."""

    title: str  # as its paper writes it
    objective: Callable[[JointRecipe, Augment], Objective]
    defaults: Mapping[str, Any] = MappingProxyType({})  # settings that learn within a minute on two CPU cores
    views: Callable[[JointRecipe, Dataset | Stream], Augment] = jittered_crops
    parts: Callable[[JointRecipe], dict[str, nn.Module]] = lambda recipe: {}  # extra modules, such as a queue
    temperature: bool = False  # whether the loss has one
    predictor: bool = False  # whether it needs one after the projector
    teacher: bool = False  # whether it needs a moving average of the model
    labels: bool = False  # whether the projector ends in a logit for each class
    slow: bool = False  # whether it stays near the untrained network for a minute on garments


def _embedding(recipe: JointRecipe) -> int:
    """The width of what the loss sees: of the representation, where there is no projector."""
    return (recipe.width, *recipe.projector)[-1]


def _queue(recipe: JointRecipe) -> dict[str, nn.Module]:
    return {"queue": Queue(recipe.queue, _embedding(recipe), seed=recipe.seed)}


def _prototypes(recipe: JointRecipe) -> dict[str, nn.Module]:
    return {"prototypes": Prototypes(_embedding(recipe), recipe.prototypes, seed=recipe.seed)}


def _prototypes_and_center(recipe: JointRecipe) -> dict[str, nn.Module]:
    return _prototypes(recipe) | {"center": Center(recipe.prototypes)}


METHODS: dict[str, Method] = {
    "simclr": Method(
        "SimCLR", lambda r, augment: joint_embedding(partial(losses.nt_xent, temperature=r.temperature), augment),
        temperature=True,
    ),
    "dcl": Method(
        "DCL", lambda r, augment: joint_embedding(partial(losses.dcl, temperature=r.temperature), augment),
        temperature=True,
    ),
    "supcon": Method(
        "SupCon",
        lambda r, augment: multi_view(partial(losses.supcon, temperature=r.temperature), augment, labels=True),
        temperature=True,
    ),
    "moco": Method(
        "MoCo", lambda r, augment: momentum_contrast(augment, temperature=r.temperature),
        parts=_queue, temperature=True, teacher=True,
    ),
    "nnclr": Method(
        "NNCLR", lambda r, augment: nearest_neighbor(augment, temperature=r.temperature),
        parts=_queue, temperature=True, predictor=True,
    ),
    "vicreg": Method(
        "VICReg", lambda r, augment: joint_embedding(partial(losses.vicreg, std=r.variance), augment),
        {"projector": (256, 256)},
    ),
    "barlow twins": Method(
        "Barlow Twins", lambda r, augment: joint_embedding(losses.barlow_twins, augment), {"projector": (256, 256)}
    ),
    "w-mse": Method(
        "W-MSE", lambda r, augment: joint_embedding(losses.w_mse, augment, stochastic=True), {"projector": (256, 16)}
    ),
    "mmcr": Method("MMCR", lambda r, augment: multi_view(losses.mmcr, augment)),
    "lejepa": Method(
        "LeJEPA", lambda r, augment: multi_view(partial(losses.lejepa, lambd=r.lambd), augment, stochastic=True),
        {"projector": (256, 32)},
    ),
    "visreg": Method(
        "VISReg", lambda r, augment: multi_view(partial(losses.visreg, lambd=r.lambd), augment, stochastic=True),
        {"projector": (256, 32), "lambd": 0.6},
    ),
    "byol": Method(
        "BYOL", lambda r, augment: teacher_student(losses.byol, augment), predictor=True, teacher=True, slow=True
    ),
    "simsiam": Method("SimSiam", lambda r, augment: siamese(augment), predictor=True, slow=True),
    "dino": Method(
        "DINO", lambda r, augment: self_distillation(augment), {"prototypes": 64, "lr": 1e-3},
        parts=_prototypes_and_center, teacher=True, slow=True,
    ),
    "swav": Method(
        "SwAV", lambda r, augment: swapped_prediction(augment), {"prototypes": 60}, parts=_prototypes, slow=True
    ),
    "supervised": Method("Supervised", lambda r, augment: supervised(augment), labels=True),
}  # fmt: skip


def _method(name: str) -> Method:
    if name not in METHODS:
        raise ValueError(f"method is {name!r}: it must be one of {', '.join(METHODS)}.")
    return METHODS[name]


def tuned(method: str) -> JointRecipe:
    """The recipe of a method, tuned to learn within a minute on two CPU cores.

    >>> stk.joint.tuned("dino").prototypes
    64
    """
    return JointRecipe(method, **_method(method).defaults)


def paper_recipe(
    method: Literal["simclr", "vicreg"], *, batch_size: Literal[256, 2048], steps: int, warmup: int
) -> JointRecipe:
    """The authors' settings from FFCV-SSL for ResNet-50 on ImageNet, with LARS.

    The base learning rate is multiplied by batch / 256. There, the warm-up takes ten of a hundred epochs. These
    settings were tuned at that scale: small nets on small images learn faster with `tuned`.
    """
    base = {("simclr", 256): 1.0, ("simclr", 2048): 0.5, ("vicreg", 256): 1.5, ("vicreg", 2048): 0.5}
    if (method, batch_size) not in base:
        raise ValueError(f"method={method!r} and batch_size={batch_size}: choose one of {', '.join(map(str, base))}.")
    return JointRecipe(
        method, steps, batch_size, "lars", scaled_lr(base[method, batch_size], batch_size), warmup,
        weight_decay=1e-6 if method == "simclr" else 1e-4, projector=(8192, 8192, 8192), temperature=0.15,
    )  # fmt: skip
