"""All methods at equal wall time on the machine's cores: the linear probe after some seconds of training.

The probe learns from the first 10,000 labels. Each method trains by its tuned recipe, whose schedule is stretched to
the time it has; the clock stops while a probe is fitted. Raw pixels, and an encoder before training, are what they have
to beat.
"""

import os
import time
from dataclasses import replace

MARKS = (5.0, 10.0, 20.0)  # seconds of training
SEEDS = (0, 1, 2)
TIMED = 20  # steps from which the number of steps in the time is told
DATA = ("fashion-mnist", "shapes")
FAST = bool(os.environ.get("SSL_TOOLKIT_FAST"))


def run(
    names: tuple[str, ...] = DATA, marks: tuple[float, ...] = MARKS, seeds: tuple[int, ...] = SEEDS
) -> dict[str, object]:
    from ssl_toolkit.recipes import METHODS

    if FAST:
        return {name: scores(name, METHODS[:2], (0.5,), (0,)) for name in names}
    return {name: scores(name, METHODS, marks, seeds) for name in names}


def scores(name: str, methods: tuple[str, ...], marks: tuple[float, ...], seeds: tuple[int, ...]) -> dict[str, object]:
    from ssl_toolkit import load_data
    from ssl_toolkit.probes import embed, linear_probe, pixels, untrained
    from ssl_toolkit.recipes import tuned
    from ssl_toolkit.train import train

    data, test = load_data(name), load_data(name, split="test")
    labelled = data[:10_000]

    def probe(z, z_test) -> float:
        return round(linear_probe(z, labelled.labels, z_test, test.labels, weight_decays=(1e-4,)).accuracy, 4)

    def read(model) -> float:
        return probe(embed(model, labelled.images), embed(model, test.images))

    result: dict[str, object] = {
        "raw pixels": probe(pixels(labelled.images), pixels(test.images)),
        "untrained": read(untrained(tuned("simclr").start(data).model)),
    }
    for method in methods:
        curves = []
        for seed in seeds:
            recipe = replace(tuned(method), seed=seed, steps=10**9)
            seconds = [
                step.seconds for step in train(recipe.start(data), data, recipe.objective(data), until=TIMED,
                                               batch_size=recipe.batch_size, seed=seed)
            ]  # fmt: skip
            recipe = replace(recipe, steps=max(1, int(marks[-1] * (TIMED - 5) / sum(seconds[5:]))))
            state, clock, left, curve = recipe.start(data), 0.0, list(marks), []
            steps = train(state, data, recipe.objective(data), until=2 * recipe.steps,
                          batch_size=recipe.batch_size, seed=seed)  # fmt: skip
            while left:
                began = time.perf_counter()
                next(steps)
                clock += time.perf_counter() - began
                if clock >= left[0]:
                    left.pop(0)
                    curve.append(read(state.model))
            curves.append(curve)
        result[method] = {f"{mark:g} s": [curve[i] for curve in curves] for i, mark in enumerate(marks)}
    return result
