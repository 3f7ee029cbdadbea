"""Means and confidence intervals over a few seeds, paired if two methods share the seeds."""

import math
import statistics
from collections.abc import Sequence

from ssl_toolkit.data import checked


@checked
def mean_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Mean and Student's t interval of values, one per seed.

    With the three to five seeds that a laptop affords, a percentile bootstrap would be far too narrow (three values
    have ten different resamples); t is exact for normal values. Raises ValueError for fewer than two values.

    >>> mean, (low, high) = mean_interval([1.0, 2.0, 3.0])
    >>> print(f"{mean} [{low:.2f}, {high:.2f}]")
    2.0 [-0.48, 4.48]
    """
    from scipy.stats import sem, t

    if (n := len(values)) < 2:
        raise ValueError(f"values holds {n}: an interval needs at least two seeds.")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: it is a share and must lie in (0, 1); 0.95 is usual.")
    if bad := [value for value in values if not math.isfinite(value)]:
        raise ValueError(f"values holds {bad[0]}: a mean needs finite numbers.")
    mean, half = statistics.fmean(values), float(sem(values) * t.ppf((1 + level) / 2, n - 1))
    return mean, (mean - half, mean + half)


@checked
def paired_interval(
    a: Sequence[float], b: Sequence[float], *, level: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """`mean_interval` of a - b, seed by seed."""
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a holds {len(a)} values and b {len(b)}: an interval needs at least two seeds.")
    return mean_interval(differences(a, b), level=level)


def differences(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """a - b, seed by seed."""
    if len(a) != len(b):
        raise ValueError(f"a holds {len(a)} values and b {len(b)}: give one of each for every seed.")
    return [x - y for x, y in zip(a, b, strict=True)]
