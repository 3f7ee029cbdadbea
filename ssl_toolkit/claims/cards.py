"""A claim on one card: what the paper says, what was asked, the evidence, and the old verdict beside the new one.

The page `notebooks/CLAIMS.md` and the board show the same cards.
"""

import json
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from ssl_toolkit.claims.index import CLAIMS, PAPERS, stored
from ssl_toolkit.claims.registration import registration, results
from ssl_toolkit.claims.study import Claim, Verdict, chosen, values_of
from ssl_toolkit.training.sweep import Cell, SweepError, read_cells

UNMEASURED = "not measured yet"
STANDING = {"theorem": "theorem", "table": "table"}  # kinds without a verdict of their own


class Card(NamedTuple):
    """What is known of a claim; `lines` of text go by their names, in order."""

    claim: Claim
    verdict: Verdict | None  # of the current version, if it was measured
    old: Verdict | None  # of version 1, if it was replaced
    cells: list[Cell]  # that the verdict was judged from, or the old one if there is no other
    standing: str  # the verdict as a word
    result: str  # and in plain words
    lines: dict[str, str]


def card(claim_id: str) -> Card:
    """The card of a claim, from what is stored. Raises ValueError for an unknown claim."""
    claim = CLAIMS.get(claim_id)
    if claim is None:
        raise ValueError(f"claim_id is {claim_id!r}: there are {', '.join(CLAIMS)}.")
    verdict, cells = _stored(claim, claim.version)
    old, old_cells = _stored(claim, "1") if claim.registered else (None, [])
    standing = STANDING.get(claim.kind) or (verdict.result if verdict else UNMEASURED)
    remarks = json.loads((results() / "remarks.json").read_text(encoding="utf-8"))
    words = remarks.get(f"{claim.id} v{claim.version}" if claim.registered else claim.id, "")
    if verdict is None:
        words = _waiting(claim)
    return Card(claim, verdict, old, cells or old_cells, standing, words, dict(_lines(claim, verdict, old, remarks)))


def _waiting(claim: Claim) -> str:
    settings = claim.settings("standard")
    try:
        done = len(chosen(claim, read_cells(results() / claim.cells("standard"), version=claim.version), "standard"))
    except (FileNotFoundError, SweepError):
        done = 0
    there = f"{done} of its {len(settings)} runs are measured so far" if done else "none of its runs is measured yet"
    return (
        f"Registered, and {there}. All take about {claim.minutes:.0f} minutes on one CPU core: "
        f"`ssl-toolkit claims run {claim.id} --folder results`."
    )


def _lines(
    claim: Claim, verdict: Verdict | None, old: Verdict | None, remarks: dict[str, str]
) -> list[tuple[str, str]]:
    lines = [("The paper", f"{claim.paper}; {claim.section}" if claim.section else claim.paper)]
    if claim.kind == "theorem":
        lines.append(("A theorem", "it holds by algebra, and what is measured checks our code; it is not counted"))
    lines.append(("The rule", claim.rule))
    if claim.changed:
        lines.append(("Disclosed", claim.changed))
    if verdict is not None:
        lines += _evidence(claim, verdict)
    if old is not None:
        words = remarks.get(claim.id, "")
        lines.append(("Version 1", f"{old.result}: {words or f'{shown(old)} {old.what}'}"))
    if claim.why:
        lines.append(("Why it was replaced" if claim.registered else "What is weak in it", claim.why))
    if claim.registered:
        lines.append(("The number of seeds", claim.power))
        if (entry := registration(claim)) is not None:
            lines.append(("Registered", f"{entry.date}, as {entry.hash}"))
    return lines


def _evidence(claim: Claim, verdict: Verdict) -> list[tuple[str, str]]:
    lines = []
    if verdict.control:
        lines.append(("Positive control", verdict.control))
    lines.append((f"Effect, {verdict.seeds} seeds", f"{shown(verdict)} {verdict.what}"))
    if claim.sesoi is not None:
        scale = f"smallest effect of interest: {claim.sesoi:g} ({claim.unit})"
        if verdict.mde is not None:
            scale += (
                f"; what lies {verdict.mde:.2g} from it is told from it by this many seeds in four of five studies "
                "(the minimal detectable effect)"
            )
        lines.append(("Scale", scale))
    if verdict.each:
        lines.append(("By seed", ", ".join(f"{value:.3g}" for value in verdict.each)))
    if claim.registered and claim.second("standard"):
        lines.append(("Replicates in garments in the wild", verdict.replicates or "not measured yet"))
    lines.append(("Cost", f"{verdict.seconds / 60:.0f} minutes for all runs that it was judged from"))
    return lines


def shown(verdict: Verdict) -> str:
    """The effect with its interval."""
    low, high = verdict.ci95
    return f"{verdict.effect:.3g} [{low:.3g}, {high:.3g}]"


def _stored(claim: Claim, version: str) -> tuple[Verdict | None, list[Cell]]:
    try:
        return stored(claim.id, version=version)
    except (FileNotFoundError, SweepError):
        return None, []


# The page.


def page() -> str:
    """`notebooks/CLAIMS.md`: the cards of all claims, with the remarks of `results/remarks.json`."""
    remarks = json.loads((results() / "remarks.json").read_text(encoding="utf-8"))
    cards = {claim_id: card(claim_id) for claim_id in CLAIMS}
    second = sum(c.verdict is not None and c.claim.registered for c in cards.values())
    lines = [HEAD.format(total=len(cards), counts=counted(list(cards.values())), second=second)]
    for paper in PAPERS:
        of_paper = [cards[claim.id] for claim in paper.CLAIMS]
        lines += [f"## {paper.CLAIMS[0].paper}", remarks[paper.CLAIMS[0].id.split("-")[0]]]
        rows = [
            f"| [{c.claim.id}](#{c.claim.id.lower()}) | {c.claim.statement} | {c.standing} | {_before(c)} |"
            for c in of_paper
        ]
        lines.append("\n".join(("| | claim | verdict | version 1 |", "|---|---|---|---|", *rows)))
        for c in of_paper:
            words = c.result.replace("TABLE", _by_calls()) if "TABLE" in c.result else c.result
            standing = f"**{c.standing.capitalize()}** (version {c.verdict.version if c.verdict else c.claim.version})."
            lines += [f"### {c.claim.id}", c.claim.statement, f"{standing} {words}".rstrip()]
            lines.append("\n".join(f"- *{name}:* {text}" for name, text in c.lines.items()))
    return "\n\n".join(lines) + "\n"


def _before(c: Card) -> str:
    return c.old.result if c.old is not None else "new" if c.claim.registered else "same"


def counted(cards: Sequence[Card]) -> str:
    """How many claims have which verdict, in words."""
    counts = Counter(c.standing for c in cards)
    words = {
        "confirmed": "confirmed", "not confirmed": "not confirmed", "inconclusive": "inconclusive",
        UNMEASURED: "registered and not measured yet", "theorem": "theorems", "table": "tables",
    }  # fmt: skip
    return ", ".join(f"{counts[name]} {text}" for name, text in words.items() if counts[name])


def _by_calls() -> str:
    """The table of IN-9: KID and, in parentheses, the class score by network calls; the best of a column in bold."""
    cells = stored("IN-9")[1]
    calls = sorted({cell.setting["T"] for cell in cells})
    methods = {
        "infusion": "infusion",
        "DDIM": "DDIM, guessing x0",
        "flow": "flow matching, guessing the velocity",
        "flow by x0": "flow matching, guessing x0",
        "cold": "cold diffusion, pixels covered",
    }
    kid, score = (
        {m: [fmean(values_of(cells, value, method=m, T=n)) for n in calls] for m in methods}
        for value in ("kid", "score")
    )
    best = [min(column) for column in zip(*kid.values(), strict=True)]
    rows = [f"| network calls | {' | '.join(map(str, calls))} |", "|---|" + "---|" * len(calls)]
    for method, name in methods.items():
        marked = [f"**{k:.2f}**" if k == b else f"{k:.2f}" for k, b in zip(kid[method], best, strict=True)]
        rows.append(f"| {name} | {' | '.join(f'{k} ({s:.1f})' for k, s in zip(marked, score[method], strict=True))} |")
    return "\n".join(rows)


HEAD = """# Which claims of four papers hold up?

Each of these {total} claims is an experiment: {counts}. Version 2 has given {second} of the verdicts so far.

**Version 2** of a claim follows a protocol. A positive control stands first: where nothing was learned, nothing is
decided. The *smallest effect of interest* is stated in the claim's own unit. A claim is confirmed if the 95 % interval
over seeds lies beyond it, not confirmed if the interval lies below it, and inconclusive otherwise: no mean decides
alone. The rule, the settings and the seeds are registered before any of the seeds is measured, and a test compares
hashes and dates. **Version 1** did less: its rules could refute by a mean, most had three seeds, and some came in one
commit with their results. Where a version 2 exists, the old verdict stands beside the new one, with the reason.

"Not confirmed" means that the rule is not met here, not that the paper is wrong. The small size is the first suspect.

`ssl-toolkit claims --page` makes this page from the stored results, and a test compares the two.
[12_claims](12_claims.ipynb) shows the claims on a board. To measure one:

```
ssl-toolkit claims run DJ-2 --folder results    # if you stop it, it continues where it was
```

Claims share measurements: a run that two of them need is made once. Several machines can work in one folder."""
