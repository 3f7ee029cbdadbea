"""RCDM (Bordes, Balestriero and Vincent, 2022): a diffusion model that paints what a representation h = f(x) knows.

It learns p(x | h) for a frozen encoder f. What stays the same over many samples for one h is in h; what varies is not.

    h = conditions(encoder, data.images)                                   # the encoder is not needed after this
    recipe = Recipe()
    state, objective = recipe.start(data, h), recipe.objective(h)
    for step in train(state, data, objective, until=recipe.steps, batch_size=recipe.batch_size): ...
    for step in sample(state.ema, h[:16], steps=20): ...                   # images in step.x0
    faithfulness(conditions(encoder, step.x0), h, torch.arange(16))        # is the right h closest to each sample?

The paper's network predicts the noise, as in DDPM. Ours learns the velocity of the straight path, which takes fewer
steps to train and to sample. You can use any other objective over `schedule` and `denoise` instead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ssl_toolkit.data import Batch, Dataset, checked_finite, rng
from ssl_toolkit.diffusion.denoise import from_flow, guided
from ssl_toolkit.diffusion.samplers import Denoised, dpmpp_2m
from ssl_toolkit.diffusion.schedule import flow_schedule, per_sample
from ssl_toolkit.diffusion.unet import Conditioning, UNet
from ssl_toolkit.encoders import Encoder, embed, eval_mode
from ssl_toolkit.encoders.statistics import mean_and_std
from ssl_toolkit.losses import Terms
from ssl_toolkit.training import Objective, TrainState, start
from ssl_toolkit.training.distributed import rank_and_world_size
from ssl_toolkit.training.loop import warmup_momentum

Images = Float[Tensor, "b c h w"]
Prediction = Literal["velocity", "image"]
EARLIEST = 0.05  # below this t, the velocity of a predicted image would be mostly its error


@checked_finite
def conditions(
    encoder: Encoder,
    images: Shaped[Tensor, "n c h w"],
    *,
    depth: str | Sequence[str] = "representation",
    batch_size: int = 1024,
) -> Float[Tensor, "n d"]:
    """h of each image (uint8, or float in [0, 1]) at one depth of the encoder, or at several, concatenated.

    Images go to the encoder as they are: use `wrap` to give an outside encoder its own normalization and size.
    """
    depths = (depth,) if isinstance(depth, str) else tuple(depth)
    features = embed(encoder, images, depth=depths, batch_size=batch_size)
    return torch.cat([features[name] for name in depths], dim=1)


class RCDM(nn.Module):
    """A `UNet` that standardizes each dimension of h with the mean and standard deviation of the training data.

    model(x, t, h) is the velocity e - x0 for images in [-1, 1]; `null` marks the rows that ignore h. The network says
    the velocity itself, or the "image" x0, of which the velocity is (x - x0) / t. A network must let through all that
    it says: where patches have as many values as it has channels, that is too much for noise, but not for images
    (Li and He, 2025).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: UNet, h: Float[Tensor, "n d"], shape: tuple[int, ...], predicts: Prediction = "velocity"
    ):
        super().__init__()
        self.predicts = predicts
        if network.condition != h.shape[1]:
            raise ValueError(f"h has {h.shape[1]} dimensions and the network is conditioned on {network.condition}.")
        self.network, self.shape = network, shape
        for name, value in zip(("mean", "std"), mean_and_std(h), strict=True):
            self.register_buffer(name, value)

    def forward(
        self,
        x: Images,
        t: Float[Tensor, " b"],
        h: Float[Tensor, "b d"],
        null: Bool[Tensor, " b"] | None = None,
    ) -> Images:
        if h.shape[1] != len(self.mean):
            raise ValueError(
                f"h has {h.shape[1]} dimensions and this model was made for {len(self.mean)}: "
                "use the encoder and the depth that it was trained with."
            )
        said = self.network(x, t, (h - self.mean) / self.std, null)
        return said if self.predicts == "velocity" else (x - said) / per_sample(t.clamp(min=EARLIEST), x)


@checked_finite
def representation_conditioned(h: Float[Tensor, "n d"], *, drop: float = 0.1) -> Objective:
    """Flow matching conditioned on h, where row i of h belongs to image i of the data:

        mean |network(x_t, t, h) - (e - x)|^2     x_t = (1 - t) x + t e     t = sigmoid(N(0, 1))  (Esser et al., 2024)

    A share `drop` of the images is trained on without h, to learn the null of classifier-free guidance. A share of 1
    trains the unconditional model.
    """
    if not 0 <= drop <= 1:
        raise ValueError(f"drop is {drop}: it is a share and must lie in [0, 1]; 0.1 is usual.")
    schedule = flow_schedule()

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        if int(batch.index.max()) >= len(h):
            raise ValueError(f"h has {len(h)} rows, but the batch holds image {int(batch.index.max())} of the data.")
        x, e, t, null = _draw(batch.images, generator, drop)
        given = h[batch.index.to(h.device)].to(x.device)
        u = state.model(schedule.add_noise(x, t, e), t, given, null)
        return {"velocity": F.mse_loss(u.float(), e - x)}

    return objective


def _draw(images: Images, generator: torch.Generator, drop: float) -> tuple[Images, Images, Tensor, Tensor | None]:
    """Images in [-1, 1], noise, times, and which rows ignore h. Each process draws for all and keeps its own share."""
    rank, processes = rank_and_world_size()
    n, b = len(images) * processes, slice(rank * len(images), (rank + 1) * len(images))
    e = torch.randn(n, *images.shape[1:], generator=generator)[b].to(images.device)
    t = torch.randn(n, generator=generator)[b].sigmoid().to(images.device)
    null = (torch.rand(n, generator=generator)[b] < drop).to(images.device) if drop else None
    x, e = (z.contiguous(memory_format=torch.channels_last) for z in (2 * images - 1, e))
    return x, e, t, null


@checked_finite
def sample(
    model: RCDM,
    h: Float[Tensor, "b d"],
    *,
    steps: int = 20,
    sampler: Callable[..., Iterator[Denoised]] = dpmpp_2m,
    guidance: float = 1.0,
    interval: tuple[float, float] = (0.0, 1.0),
    noise: Images | None = None,
    seed: int = 0,
) -> Iterator[Denoised]:
    """Paint an image for each row of h: yield each state x with the guess x0 in [0, 1]. After the last step, x is x0.

    `h.repeat_interleave(k, 0)` gives k samples of each. `sampler` is any of the samplers; use `partial` for its
    settings. `steps` counts sampler steps, each one network call (two for Heun). For t within `interval`, `guidance`
    above 1 exaggerates what h says, and 0 ignores it. To compare rows, start them at the same `noise`.

    >>> encoder, painter = stk.zoo.load("shapes-simclr"), stk.zoo.load("shapes-simclr-rcdm-embedding")
    >>> images = stk.load_data("shapes", split="test", limit=4).images
    >>> h = stk.rcdm.conditions(encoder, images, depth="embedding")
    >>> *_, last = stk.sample(painter, h.repeat_interleave(2, dim=0), steps=4)
    >>> last.x.shape
    torch.Size([8, 3, 32, 32])
    """
    if not len(h):
        raise ValueError("h holds no representation: give at least one row to paint.")
    if steps < 1:
        raise ValueError(f"steps is {steps}: it must be at least 1; 20 is usual.")
    shape = (len(h), *model.shape)
    if noise is not None and noise.shape != shape:
        raise ValueError(f"noise has shape {tuple(noise.shape)}: for this h it must be {shape}.")
    device = model.mean.device
    network = guided(model, h.to(device), weight=guidance, interval=interval)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        with eval_mode(model):
            return network(x, t)

    start_at = torch.randn(shape, generator=rng(seed, 0, "noise")) if noise is None else noise
    schedule = flow_schedule()
    chain = sampler(
        from_flow(velocity), start_at.to(device), schedule=schedule, timesteps=schedule.timesteps(steps), clip=1.0
    )
    for i, t, x, x0 in chain:
        yield Denoised(i, t, (x + 1) / 2, (x0 + 1) / 2)


@dataclass(frozen=True)
class RCDMRecipe:
    """The settings of one RCDM, which learns in minutes on two CPU cores. Change them with `dataclasses.replace`."""

    steps: int = 4000
    batch_size: int = 32  # learns as much per image as 64, and steps stay short enough for a live notebook
    lr: float = 2e-3
    warmup: int = 50
    weight_decay: float = 0.0
    ema: float = 0.999
    drop: float = 0.1  # share of images seen without h
    predicts: Prediction = "velocity"
    conditioning: Conditioning = "film"
    patch: int = 2  # pixels on a side: fewer positions allow more steps in the same time, which teaches more
    width: int = 32
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    attention: tuple[int, ...] = ()  # levels with attention
    seed: int = 0

    def network(self, channels: int, condition: int) -> UNet:
        """An untrained network for images with `channels` channels and h of `condition` dimensions."""
        return UNet(
            channels,
            condition=condition,
            null=self.drop > 0,
            conditioning=self.conditioning,
            patch=self.patch,
            width=self.width,
            multipliers=self.multipliers,
            blocks=self.blocks,
            attention=self.attention,
            seed=self.seed,
        )

    def start(self, data: Dataset, h: Float[Tensor, "n d"]) -> TrainState:
        """An untrained RCDM for these images and conditions, with the moving average to sample from.

        Raises ValueError unless h has one finite row for each image.
        """
        if h.ndim != 2 or len(h) != len(data) or not bool(h.isfinite().all()):
            raise ValueError(
                f"h has shape {tuple(h.shape)}: it must hold one finite row for each of the {len(data)} images, like "
                "conditions(encoder, data.images)."
            )
        network = self.network(data.shape[0], h.shape[1])
        return start(
            RCDM(network, h, data.shape, self.predicts),
            lr=self.lr,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            total=self.steps,
            ema=self.ema,
            ema_schedule=warmup_momentum,
        )

    def objective(self, h: Float[Tensor, "n d"]) -> Objective:
        """What one step minimizes, given the conditions of all images in the data."""
        return representation_conditioned(h, drop=self.drop)


def paper_recipe() -> RCDMRecipe:
    """The paper's network for ImageNet at 128 pixels, sized as in the released code. It needs accelerators."""
    return RCDMRecipe(
        steps=600_000, batch_size=256, lr=1e-4, ema=0.9999, drop=0.0, patch=1, width=256,
        multipliers=(1, 1, 2, 3, 4), blocks=2, attention=(2, 3, 4),
    )  # fmt: skip
