"""A recipe: all the numbers of one run in one frozen object, with a preset that was tuned on two CPU cores.

recipe = Recipe(method="vicreg", width=256)
state, objective = recipe.start(data), recipe.objective(data)
for step in train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed): ...
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from ssl_toolkit.augment import Augment, simclr_views
from ssl_toolkit.data import Dataset
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import joint_embedding, supervised, teacher_student
from ssl_toolkit.losses import barlow_twins, byol, nt_xent, vicreg
from ssl_toolkit.train import Objective, TrainState, start

Method = Literal["simclr", "vicreg", "barlow twins", "byol", "supervised"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Recipe:
    """One run. `dataclasses.replace(recipe, lr=1e-3)` gives another."""

    method: Method = "simclr"
    steps: int = 1000
    batch_size: int = 64  # a step must be short for a notebook to stay responsive, and learns as much per second
    lr: float = 2e-3
    warmup: int = 20
    weight_decay: float = 1e-4
    width: int = 1024  # of the representation
    projector: tuple[int, ...] = (256, 128)
    temperature: float = 0.2  # of NT-Xent
    variance: float = 25.0  # weight of VICReg's variance term
    momentum: float = 0.99  # of BYOL's teacher
    scale: tuple[float, float] = (0.3, 1.0)  # share of the area that a crop keeps
    size: int | None = None  # pixels of a view; None: as many as an image has
    jitter: float = 0.8  # strength of brightness, contrast and saturation; hue has a quarter of it
    seed: int = 0

    def start(self, data: Dataset) -> TrainState:
        """An untrained encoder for these images and its optimiser, at step 0."""
        projector, predictor, ema = self.projector, None, None
        if self.method == "byol":
            predictor, ema = projector, self.momentum
        if self.method == "supervised":
            projector = (*projector[:-1], len(data.classes))
        channels = data.images.shape[1]
        model = small_conv(channels, width=self.width, projector=projector, predictor=predictor, seed=self.seed)
        return start(model, lr=self.lr, weight_decay=self.weight_decay, warmup=self.warmup, total=self.steps, ema=ema)

    def augment(self, data: Dataset) -> Augment:
        """The views of these images."""
        s = self.jitter
        return simclr_views(
            self.size or data.images.shape[-1],
            scale=self.scale,
            flip=0.0 if self.scale[0] == 1 else 0.5,
            brightness=s,
            contrast=s,
            saturation=s,
            hue=s / 4,
            gray=0.2 if s else 0.0,
        )

    def objective(self, data: Dataset) -> Objective:
        """What one step of this method minimises on these images."""
        augment = self.augment(data)
        if self.method == "simclr":
            return joint_embedding(partial(nt_xent, temperature=self.temperature), augment)
        if self.method == "vicreg":
            return joint_embedding(partial(vicreg, std=self.variance), augment)
        if self.method == "barlow twins":
            return joint_embedding(barlow_twins, augment)
        if self.method == "byol":
            return teacher_student(byol, augment)
        if self.method == "supervised":
            return supervised(augment)
        raise ValueError(f"method is {self.method!r}: it must be one of {', '.join(METHODS)}.")
