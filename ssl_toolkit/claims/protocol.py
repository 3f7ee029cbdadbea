"""How a claim is decided: by an interval on either side of the smallest effect of interest, in runs that learned.

    low > SESOI   the effect is large enough to matter:      confirmed
    high < SESOI  any effect is too small to matter:         not confirmed
    otherwise     these seeds cannot tell:                   inconclusive

`beyond` is this rule, `within` the same for a loss that must be small, `every` and `some` combine several. No rule
looks at a mean alone. Before all of them stands a positive control: where nothing was learned, nothing is decided.
"""

import statistics
from collections.abc import Sequence
from typing import Literal, NamedTuple

Result = Literal["confirmed", "not confirmed", "inconclusive"]
Interval = tuple[float, float]


def beyond(interval: Interval, sesoi: float) -> Result:
    """An effect that should be larger than `sesoi`.

    >>> beyond((3.5, 5.0), 3.0), beyond((0.5, 2.0), 3.0), beyond((0.5, 5.0), 3.0)
    ('confirmed', 'not confirmed', 'inconclusive')
    """
    low, high = interval
    return "confirmed" if low > sesoi else "not confirmed" if high < sesoi else "inconclusive"


def within(interval: Interval, sesoi: float) -> Result:
    """A loss that should be smaller than `sesoi`.

    >>> within((-0.5, 0.8), 1.0), within((1.5, 3.0), 1.0)
    ('confirmed', 'not confirmed')
    """
    low, high = interval
    return beyond((-high, -low), -sesoi)


def every(*results: Result) -> Result:
    """A claim with several parts: all must be confirmed, and one that is not refutes it.

    >>> every("confirmed", "inconclusive"), every("inconclusive", "not confirmed")
    ('inconclusive', 'not confirmed')
    """
    for result in ("not confirmed", "inconclusive"):
        if result in results:
            return result
    return "confirmed"


def some(*results: Result) -> Result:
    """A claim that something exists: one is enough, and only if all are refuted there is none.

    Give it intervals that are corrected for their number.

    >>> some("confirmed", "not confirmed"), some("not confirmed", "not confirmed")
    ('confirmed', 'not confirmed')
    """
    for result in ("confirmed", "inconclusive"):
        if result in results:
            return result
    return "not confirmed"


class Control(NamedTuple):
    """The positive control in the very runs that are judged: what must have been learned, and by how much."""

    what: str
    effect: float
    ci95: Interval
    margin: float

    @property
    def passed(self) -> bool:
        return self.ci95[0] > self.margin

    def __str__(self) -> str:
        low, high = self.ci95
        return f"{self.what}: {self.effect:.3g} [{low:.3g}, {high:.3g}], at least {self.margin:.3g} is needed"


def power(distance: float, sd: float, seeds: int, *, level: float = 0.95) -> float:
    """The chance that Student's interval of this many seeds excludes the SESOI, if the truth lies `distance` from it.

    `sd` is the standard deviation of the effect over seeds.

    >>> round(power(1.0, 1.0, 5), 2), round(power(1.0, 1.0, 10), 2)
    (0.4, 0.8)
    """
    from scipy.stats import nct, t

    if seeds < 2:
        raise ValueError(f"seeds is {seeds}: an interval needs at least two.")
    if sd <= 0:
        return 1.0
    critical = float(t.ppf((1 + level) / 2, seeds - 1))
    return float(nct.sf(critical, seeds - 1, distance / sd * seeds**0.5))


def seeds_for(distance: float, sd: float, *, wanted: float = 0.8, most: int = 200) -> int:
    """The fewest seeds with this power; `most` if even that many are too few.

    >>> seeds_for(1.0, 1.0)
    10
    """
    if distance <= 0:
        raise ValueError(f"distance is {distance}: it must be positive; the SESOI itself is usual.")
    return next((n for n in range(2, most) if power(distance, sd, n) >= wanted), most)


def minimal_detectable_effect(values: Sequence[float], *, wanted: float = 0.8) -> float:
    """How far from the SESOI the truth must lie for as many seeds to tell it from the SESOI, with this power.

    `values` are the effect of each seed.

    >>> round(minimal_detectable_effect([1.0, 2.0, 3.0, 4.0, 5.0]), 2)
    2.66
    """
    from scipy.optimize import brentq

    sd, n = statistics.stdev(values), len(values)
    if sd == 0:
        return 0.0
    return float(brentq(lambda distance: power(distance, sd, n) - wanted, 1e-9 * sd, 1e3 * sd))


def after_version_1(found: str) -> str:
    """How the number of seeds was chosen where version 1 is the pilot; its seeds are not used again."""
    return (
        f"Version 1's three seeds (0 to 2) are the pilot: {found}. With 80 % power, five seeds tell what lies 1.66 "
        "standard deviations from the SESOI."
    )
