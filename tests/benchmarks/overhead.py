"""What `train` costs over the same step written by hand: blocks of steps of both in turn, ratio of the medians."""

import statistics
import time

import torch

STEPS, ROUNDS = 8, 9


def run() -> dict[str, float]:
    from ssl_toolkit import Recipe, load_data, rng
    from ssl_toolkit.data import batch
    from ssl_toolkit.losses import nt_xent
    from ssl_toolkit.train import train

    data, recipe = load_data("shapes", limit=4096), Recipe(steps=10_000)
    size, augment = recipe.batch_size, recipe.augment(data)
    by_hand, by_train = recipe.start(data), recipe.start(data)
    by_hand.model.to(memory_format=torch.channels_last).train()
    steps = train(by_train, data, recipe.objective(data), until=recipe.steps, batch_size=size)

    def a_step_by_hand(i: int) -> None:
        images = batch(data, i, batch_size=size).images
        generator = rng(0, i, "views")
        x = torch.cat([augment(images, generator).x, augment(images, generator).x])
        za, zb = by_hand.model(x.contiguous(memory_format=torch.channels_last)).chunk(2)
        loss = sum(nt_xent(za, zb, temperature=recipe.temperature).values())
        by_hand.optimizer.zero_grad()
        loss.backward()
        by_hand.optimizer.step()

    taken: dict[str, list[float]] = {"by hand": [], "train": []}
    for r in range(ROUNDS + 1):
        began = time.perf_counter()
        for i in range(STEPS):
            a_step_by_hand(r * STEPS + i)
        between = time.perf_counter()
        for _ in range(STEPS):
            next(steps)
        if r:
            taken["by hand"].append(between - began)
            taken["train"].append(time.perf_counter() - between)
    a, b = (statistics.median(taken[name]) / STEPS for name in taken)
    pairs = [t / h for h, t in zip(taken["by hand"], taken["train"], strict=True)]
    return {
        "by hand ms": round(1e3 * a, 1), "train ms": round(1e3 * b, 1),
        "more %": round(100 * (statistics.median(pairs) - 1), 1),
    }  # fmt: skip
