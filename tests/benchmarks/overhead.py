"""What `train` costs over the same step written by hand: one step of each in turn, the median of the ratios."""

import statistics
import time

import torch

WARM, ROUNDS = 10, 120


def run() -> dict[str, float]:
    from ssl_toolkit import Recipe, load_data, rng
    from ssl_toolkit.data import batch
    from ssl_toolkit.losses import nt_xent
    from ssl_toolkit.training import train

    data, recipe = load_data("shapes", limit=4096), Recipe(steps=10_000)
    size, augment = recipe.batch_size, recipe.augment(data)
    by_hand_state, train_state = recipe.start(data), recipe.start(data)
    by_hand_state.model.to(memory_format=torch.channels_last).train()
    objective = recipe.objective(data)
    steps = train(train_state, data, objective, until=recipe.steps, batch_size=size, precision="fp32")

    def a_step_by_hand(i: int) -> None:
        images = batch(data, i, batch_size=size).images
        generator = rng(0, i, "views")
        x = torch.cat([augment(images, generator).x, augment(images, generator).x])
        za, zb = by_hand_state.model(x.contiguous(memory_format=torch.channels_last)).chunk(2)
        loss = sum(nt_xent(za, zb, temperature=recipe.temperature).values())
        by_hand_state.optimizer.zero_grad()
        loss.backward()
        by_hand_state.optimizer.step()

    step = {"by hand": a_step_by_hand, "train": lambda _: next(steps)}
    taken: dict[str, list[float]] = {name: [] for name in step}
    for i in range(ROUNDS):
        for name in sorted(step, reverse=i % 2 == 1):  # each is first in every other round
            began = time.perf_counter()
            step[name](i)
            taken[name].append(time.perf_counter() - began)
    by_hand, by_train = (times[WARM:] for times in taken.values())
    ratio = statistics.median(t / h for h, t in zip(by_hand, by_train, strict=True))
    return {
        "by hand ms": round(1e3 * statistics.median(by_hand), 1),
        "train ms": round(1e3 * statistics.median(by_train), 1),
        "more %": round(100 * (ratio - 1), 1),
    }
