"""What a training step costs when only the last block is widened: steps of two widths in turn, the medians."""

import statistics
import time

NARROW, WIDE, WARM, ROUNDS = 128, 2048, 5, 40


def run() -> dict[str, float]:
    from ssl_toolkit import Recipe, load_data
    from ssl_toolkit.training import train

    data = load_data("shapes", limit=2048)
    runs, taken = {}, {}
    for width in (NARROW, WIDE):
        recipe = Recipe(steps=10_000, width=width)
        steps = train(
            recipe.start(data), data, recipe.objective(data), until=recipe.steps, batch_size=recipe.batch_size
        )
        runs[width], taken[width] = steps, []
    for i in range(WARM + ROUNDS):
        for width in sorted(runs, reverse=i % 2 == 1):  # each is first in every other round
            began = time.perf_counter()
            next(runs[width])
            taken[width].append(time.perf_counter() - began)
    narrow, wide = (times[WARM:] for times in taken.values())
    return {
        f"step at {NARROW} ms": round(1e3 * statistics.median(narrow), 1),
        f"step at {WIDE} ms": round(1e3 * statistics.median(wide), 1),
        "times": round(statistics.median(b / a for a, b in zip(narrow, wide, strict=True)), 2),
    }
