"""The papers' claims as small experiments, each with a rule fixed in advance and a verdict.

*_, verdict = run("DJ-2", budget="smoke")
print(verdict)
"""

import os
from collections.abc import Iterator
from pathlib import Path

from ssl_toolkit.claims import democratizing, expand_or_narrow, infusion, rcdm
from ssl_toolkit.claims.study import BUDGETS as BUDGETS, Budget, Claim, Verdict as Verdict, apply_rule, run_claim
from ssl_toolkit.training.sweep import Cell, read_cells

PAPERS = (democratizing, expand_or_narrow, rcdm, infusion)  # one module per paper, with its claims in CLAIMS
CLAIMS: dict[str, Claim] = {claim.id: claim for paper in PAPERS for claim in paper.CLAIMS}


def run(
    claim_id: str, *, budget: Budget = "standard", folder: str | os.PathLike[str] | None = None
) -> Iterator[Cell | Verdict | None]:
    """Test a claim: yield None during work, each measured `Cell`, and the `Verdict` at the end.

    `folder` keeps the measurements, so that a run that was stopped can resume. Raises ValueError for an unknown claim
    or budget.
    """
    return run_claim(_known(claim_id), budget=budget, folder=folder)


def stored(claim_id: str) -> tuple[Verdict, list[Cell]]:
    """The verdict that comes with the toolkit, and the cells it is judged from.

    Each call judges the stored cells again by the current rule. Raises FileNotFoundError if the cells are missing or
    incomplete, and SweepError for measurements of an older version.
    """
    claim = _known(claim_id)
    path = results() / claim.cells("standard")
    cells, settings = read_cells(path, version=claim.version), claim.settings("standard")
    if len(cells) < len(settings):
        raise FileNotFoundError(f"{str(path)!r} holds {len(cells)} of {len(settings)} measurements: resume the run.")
    return apply_rule(claim, cells, "standard"), cells


def _known(claim_id: str) -> Claim:
    if claim_id not in CLAIMS:
        raise ValueError(f"claim_id is {claim_id!r}: there are {', '.join(CLAIMS)}.")
    return CLAIMS[claim_id]


def results() -> Path:
    """The folder of stored results: next to the notebooks, in a checkout or inside an installed package."""
    package = Path(__file__).parent.parent
    inside = package / "_notebooks" / "results"
    return inside if inside.is_dir() else package.parent / "notebooks" / "results"
