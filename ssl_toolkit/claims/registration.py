"""What was fixed of a claim, and when: before any of its seeds was measured.

A registration is a hash of all that could be changed after a look at the results: statement, rule, SESOI, unit,
settings and seeds. `notebooks/results/registrations.json` holds it with its date. Commit it, then measure.
"""

import json
import time
from pathlib import Path
from typing import NamedTuple

from ssl_toolkit.claims.study import Claim, fingerprint
from ssl_toolkit.data.files import atomic_write


def results() -> Path:
    """The folder of stored results: next to the notebooks, in a checkout or inside an installed package."""
    package = Path(__file__).parent.parent
    inside = package / "_notebooks" / "results"
    return inside if inside.is_dir() else package.parent / "notebooks" / "results"


class Registration(NamedTuple):
    """What was fixed, and when (UTC)."""

    hash: str
    date: str


def registrations() -> dict[str, Registration]:
    """All registrations, by claim and version."""
    path = results() / "registrations.json"
    written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: Registration(**entry) for name, entry in written.items()}


def register(claim: Claim) -> Registration:
    """Fix the claim as it stands, now; commit the file before any of its seeds is measured.

    Raises ValueError if this claim was registered otherwise: what was fixed stays, and a change is a new version.
    """
    known, entry = registrations(), Registration(fingerprint(claim), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    if not claim.registered:
        raise ValueError(f"{claim.id} has no sesoi: give it a smallest effect of interest first.")
    key = f"{claim.id} v{claim.version}"
    if key in known and known[key].hash != entry.hash:
        raise ValueError(f"{key} was registered on {known[key].date} and is now another claim: give it a new version.")
    known = {key: entry} | known
    with atomic_write(results() / "registrations.json") as partial:
        written = {name: known[name]._asdict() for name in sorted(known)}
        partial.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return known[key]


def registration(claim: Claim) -> Registration | None:
    """The registration of this version of the claim, if there is one."""
    return registrations().get(f"{claim.id} v{claim.version}")
