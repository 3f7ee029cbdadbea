"""All methods at equal time: the linear probe after some seconds of training.

The probe learns from the first 10,000 labels. Each method trains by its tuned recipe, whose schedule is stretched to
the time it has. The clock counts what the process computes, so with one thread (OMP_NUM_THREADS=1) it is the wall time
of a free core, whatever else the machine does; it stops while a probe is fitted. Raw pixels, and an encoder before
training, are what they have to beat.
"""

import os
import time
from dataclasses import replace

MARKS = (5.0, 10.0, 20.0)  # seconds of training
SEEDS = (0, 1, 2)
WARM, TIMED = 5, 25  # steps after the first few tell how many fit into the time
DATA = ("fashion-mnist", "shapes")
FAST = bool(os.environ.get("SSL_TOOLKIT_FAST"))


def run(
    names: tuple[str, ...] = DATA, marks: tuple[float, ...] = MARKS, seeds: tuple[int, ...] = SEEDS
) -> dict[str, object]:
    from ssl_toolkit.joint import METHODS

    if FAST:
        return {name: scores(name, list(METHODS)[:2], (0.5,), (0,)) for name in names}
    return {name: scores(name, METHODS, marks, seeds) for name in names}


def scores(name: str, methods: tuple[str, ...], marks: tuple[float, ...], seeds: tuple[int, ...]) -> dict[str, object]:
    from ssl_toolkit import load_data
    from ssl_toolkit.encoders import embed, pixels, untrained
    from ssl_toolkit.joint import tuned
    from ssl_toolkit.probes import linear_probe
    from ssl_toolkit.training import train

    data, test = load_data(name), load_data(name, split="test")
    labeled = data[:10_000]

    def probe(z, z_test) -> float:
        return round(linear_probe(z, labeled.labels, z_test, test.labels, weight_decays=(1e-4,)).accuracy, 4)

    def read(model) -> float:
        return probe(embed(model, labeled.images), embed(model, test.images))

    result: dict[str, object] = {
        "raw pixels": probe(pixels(labeled.images), pixels(test.images)),
        "untrained": read(untrained(tuned("simclr").start(data).model)),
    }
    for method in methods:
        curves = []
        for seed in seeds:
            recipe = replace(tuned(method), seed=seed, steps=10**9)
            first = train(recipe.start(data), data, recipe.objective(data), until=TIMED,
                          batch_size=recipe.batch_size, seed=seed)  # fmt: skip
            for _ in range(WARM):
                next(first)
            began = time.process_time()
            rate = sum(1 for _ in first) / (time.process_time() - began)
            recipe = replace(recipe, steps=max(1, int(marks[-1] * rate)))
            state, clock, left, curve = recipe.start(data), 0.0, list(marks), []
            steps = train(state, data, recipe.objective(data), until=2 * recipe.steps,
                          batch_size=recipe.batch_size, seed=seed)  # fmt: skip
            while left:
                began = time.process_time()
                next(steps)
                clock += time.process_time() - began
                if clock >= left[0]:
                    left.pop(0)
                    curve.append(read(state.model))
            curves.append(curve)
        result[method] = {f"{mark:g} s": [curve[i] for curve in curves] for i, mark in enumerate(marks)}
    return result
