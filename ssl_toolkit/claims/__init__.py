"""The papers' claims as small experiments, each with a rule fixed beforehand and a verdict.

*_, verdict = run("DJ-2", budget="smoke")
print(verdict)
"""

import os
from collections.abc import Iterator

from ssl_toolkit.claims.democratizing import DJ1, DJ2, DJ4, DJ5
from ssl_toolkit.claims.study import BUDGETS as BUDGETS
from ssl_toolkit.claims.study import Budget, Claim, examine
from ssl_toolkit.claims.study import Measurement as Measurement
from ssl_toolkit.claims.study import Verdict as Verdict

CLAIMS: dict[str, Claim] = {claim.id: claim for claim in (DJ1, DJ2, DJ4, DJ5)}


def run(
    claim_id: str, *, budget: Budget = "standard", folder: str | os.PathLike[str] | None = None
) -> Iterator[Measurement | Verdict | None]:
    """Put a claim to the test: None while it works, each `Measurement`, and its `Verdict` at the end.

    `folder` keeps the measurements, so that a run that was stopped goes on where it was. Raises ValueError for a claim
    or a budget that there is not.
    """
    if claim_id not in CLAIMS:
        raise ValueError(f"claim_id is {claim_id!r}: there are {', '.join(CLAIMS)}.")
    return examine(CLAIMS[claim_id], budget=budget, folder=folder)
