"""All claims by name: run one, or read what is stored of it."""

import json
import os
from collections.abc import Iterator

from ssl_toolkit.claims import democratizing, expand_or_narrow, infusion, rcdm
from ssl_toolkit.claims.registration import results
from ssl_toolkit.claims.study import Budget, Claim, Verdict, apply_rule, chosen, run_claim
from ssl_toolkit.training.sweep import Cell, Setting, SweepError, read_cells

PAPERS = (democratizing, expand_or_narrow, rcdm, infusion)  # one module per paper, with its claims in CLAIMS
CLAIMS: dict[str, Claim] = {claim.id: claim for paper in PAPERS for claim in paper.CLAIMS}


def run(
    claim_id: str, *, budget: Budget = "standard", folder: str | os.PathLike[str] | None = None
) -> Iterator[Cell | Verdict | None]:
    """Test a claim: yield None during work, each measured `Cell`, and the `Verdict` at the end.

    `folder` keeps the measurements, so that a run that was stopped can resume, several machines can share the work, and
    claims with settings in common measure them once. Raises ValueError for an unknown claim or budget.
    """
    claim = _known(claim_id)
    return run_claim(claim, budget=budget, folder=folder, among=in_the_same_file(claim, budget))


def in_the_same_file(claim: Claim, budget: Budget) -> list[Setting]:
    """The settings of all claims that share this one's file."""
    settings = {}
    for other in CLAIMS.values():
        if other.cells(budget) == claim.cells(budget):
            for setting in (*other.settings(budget), *other.second(budget)):
                settings[json.dumps(setting, sort_keys=True)] = setting
    return list(settings.values())


def stored(claim_id: str, *, version: str | None = None) -> tuple[Verdict, list[Cell]]:
    """The verdict that comes with the toolkit, and the cells it is judged from.

    The current version of a claim is judged again by its rule at each call. `version="1"` reads the verdict of a claim
    that was since replaced, as it was stored. Without `version` it is the newest one that was measured. Raises
    FileNotFoundError if the cells are missing or incomplete, and SweepError for measurements of an older version.
    """
    claim = _known(claim_id)
    if version is None:
        try:
            return stored(claim_id, version=claim.version)
        except (FileNotFoundError, SweepError):
            return stored(claim_id, version="1")
    return _as_it_was(claim, version) if version != claim.version else _judged_again(claim)


def _judged_again(claim: Claim) -> tuple[Verdict, list[Cell]]:
    path = results() / claim.cells("standard")
    cells, settings = read_cells(path, version=claim.version), claim.settings("standard")
    if len(judged := chosen(claim, cells, "standard")) < len(settings):
        raise FileNotFoundError(
            f"{str(path)!r} holds {len(judged)} of {len(settings)} measurements of {claim.id}: resume the run."
        )
    return apply_rule(claim, cells, "standard"), judged


def _as_it_was(claim: Claim, version: str) -> tuple[Verdict, list[Cell]]:
    folder = results() / f"v{version}"
    record = json.loads((folder / f"{claim.id}.standard.json").read_text(encoding="utf-8"))
    known = {name: value for name, value in record.items() if name in Verdict._fields}
    verdict = Verdict(**known | {"ci95": tuple(record["ci95"]), "version": version})
    return verdict, read_cells(folder / f"{record.get('cells_of', claim.id)}.standard.jsonl")


def _known(claim_id: str) -> Claim:
    if claim_id not in CLAIMS:
        raise ValueError(f"claim_id is {claim_id!r}: there are {', '.join(CLAIMS)}.")
    return CLAIMS[claim_id]
