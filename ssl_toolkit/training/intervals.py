"""Means and intervals of what was measured with a few seeds, paired where two things were measured with each."""

import math
import statistics
from collections.abc import Sequence


def interval(differences: Sequence[float], *, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Mean and Student's t interval of paired differences, one for each seed.

    With the three to five seeds of a laptop's budget a percentile bootstrap would be far too narrow (three values have
    ten different resamples); t is exact for normal differences. Raises ValueError for fewer than two.
    """
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        raise ValueError(f"there is {n} difference: an interval needs at least two seeds.")
    mean = statistics.fmean(differences)
    half = float(t.ppf(0.5 + level / 2, n - 1)) * statistics.stdev(differences) / math.sqrt(n)
    return mean, (mean - half, mean + half)


def minus(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """a - b, seed by seed."""
    return [x - y for x, y in zip(a, b, strict=True)]
