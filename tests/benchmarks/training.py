"""SimCLR on Fashion-MNIST for a minute on the machine's cores: our loop and lightly's, the same network and batch.

"lightly" gets our recipe: the same encoder, optimizer, schedule over wall time, temperature and crop; it differs in how
images become views (a loader with per-image transforms, with the number of workers that is fastest here) and in the
implementation of the loss. "lightly's example" keeps encoder, batch and schedule, and takes transform, loss and
optimizer as in its SimCLR example. The clock stops while a linear probe is fitted. Chance is
10 %; raw pixels are probed too.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import torch

# seconds of training at which the representation is probed; a probe takes half a minute, so lightly's only at the end
MARKS = {"ssl_toolkit": (10.0, 30.0, 60.0), "lightly": (60.0,), "lightly's example": (60.0,)}
SEEDS = (0, 1, 2)
TARGETS = (0.84, 0.86, 0.88)

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def our_views(data, recipe, seed: int) -> Batches:
    from ssl_toolkit import rng
    from ssl_toolkit.data import batch

    augment, step = recipe.augment(data), 0
    while True:
        images, generator = batch(data, step, batch_size=recipe.batch_size, seed=seed).images, rng(seed, step)
        yield augment(images, generator).x, augment(images, generator).x
        step += 1


def lightly_transform(recipe):
    from lightly.transforms import SimCLRTransform

    s = recipe.jitter
    return SimCLRTransform(
        input_size=28, cj_bright=s, cj_contrast=s, cj_sat=s, cj_hue=s / 4, min_scale=recipe.scale[0],
        gaussian_blur=0.0, normalize=None,
    )  # fmt: skip


def lightly_views(data, recipe, transform, workers: int) -> Batches:
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms.functional import to_pil_image

    class Views(Dataset):
        def __len__(self) -> int:
            return len(data)

        def __getitem__(self, i: int):
            return transform(to_pil_image(data.images[i]))

    loader = DataLoader(
        Views(), recipe.batch_size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    while True:
        yield from loader


def our_loss(temperature: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    from ssl_toolkit.losses import nt_xent

    return lambda za, zb: sum(nt_xent(za, zb, temperature=temperature).values())


def trained(state, recipe, batches: Batches, loss, marks: tuple[float, ...]) -> Iterator[tuple[float, int, object]]:
    """(seconds, steps, model) at each mark; the learning rate falls to 0 over the last of them."""
    import math

    model, optimizer, lr = state.model.to(memory_format=torch.channels_last), state.optimizer, state.lr
    clock, step, left = 0.0, 0, list(marks)
    while left:
        began = time.perf_counter()
        za, zb = next(batches)
        model.train()
        warm, fall = min(1.0, (step + 1) / recipe.warmup), 0.5 * (1 + math.cos(math.pi * min(1.0, clock / marks[-1])))
        for group in optimizer.param_groups:
            group["lr"] = lr * warm * fall
        x = torch.cat([za, zb]).contiguous(memory_format=torch.channels_last)
        value = loss(*model(x).chunk(2))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        clock, step = clock + time.perf_counter() - began, step + 1
        if clock >= left[0]:
            yield left.pop(0), step, model


def run(names: tuple[str, ...] = tuple(MARKS)) -> dict[str, object]:
    from dataclasses import replace

    from lightly.loss import NTXentLoss
    from lightly.transforms import SimCLRTransform

    from ssl_toolkit import Recipe, load_data
    from ssl_toolkit.encoders import embed, pixels
    from ssl_toolkit.probes import linear_probe
    from ssl_toolkit.training import TrainState, start

    data, test = load_data("fashion-mnist"), load_data("fashion-mnist", split="test")

    def probe(features: Callable[[torch.Tensor], torch.Tensor]) -> float:
        z, z_test = features(data.images), features(test.images)
        return linear_probe(z, data.labels, z_test, test.labels, weight_decays=(1e-4,)).accuracy

    def speed(workers: int) -> int:
        recipe = Recipe()
        batches = lightly_views(data, recipe, lightly_transform(recipe), workers)
        *_, (seconds, steps, _) = trained(recipe.start(data), recipe, batches, lambda a, b: 0 * a.sum(), (5.0,))
        return round(steps * recipe.batch_size / seconds)

    def arm(name: str, recipe, seed: int) -> tuple[TrainState, Batches, Callable]:
        state = recipe.start(data)
        if name == "ssl_toolkit":
            return state, our_views(data, recipe, seed), our_loss(recipe.temperature)
        if name == "lightly":
            batches = lightly_views(data, recipe, lightly_transform(recipe), workers)
            return state, batches, NTXentLoss(temperature=recipe.temperature)
        sgd = start(state.model, lr=0.06, weight_decay=0.0, optimizer=torch.optim.SGD)
        transform = SimCLRTransform(input_size=28, gaussian_blur=0.0, normalize=None)
        return sgd, lightly_views(data, recipe, transform, workers), NTXentLoss()

    workers = max((0, 1, 2), key=speed)
    result: dict[str, object] = {"lightly workers": workers, "raw pixels": round(probe(pixels), 4)}
    for name in names:
        marks, curves, rates = MARKS[name], [], []
        for seed in SEEDS:
            recipe = replace(Recipe(), seed=seed)
            torch.manual_seed(seed)
            curve, rate = [], 0.0
            state, batches, loss = arm(name, recipe, seed)
            for seconds, steps, model in trained(state, recipe, batches, loss, marks):
                curve.append(round(probe(lambda images, model=model: embed(model, images)), 4))
                rate = steps * recipe.batch_size / seconds
            curves.append(curve)
            rates.append(rate)
        reached = {
            f"{target:.0%}": [next((m for m, a in zip(marks, c, strict=True) if a >= target), None) for c in curves]
            for target in TARGETS
        }
        result[name] = {
            "images/s": round(statistics.median(rates)),
            "accuracy at s": {f"{m:.0f}": [c[i] for c in curves] for i, m in enumerate(marks)},
            "seconds to": reached,
        }
    return result
