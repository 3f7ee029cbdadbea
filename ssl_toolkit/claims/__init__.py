"""The papers' claims as small experiments, each with a rule fixed in advance and a verdict.

*_, verdict = run("DJ-2", budget="smoke")
print(verdict)

`protocol` says how a claim is decided, `cards` what is known of it.
"""

from ssl_toolkit.claims.cards import Card as Card, card as card
from ssl_toolkit.claims.index import CLAIMS as CLAIMS, PAPERS as PAPERS, run as run, stored as stored
from ssl_toolkit.claims.registration import results as results
from ssl_toolkit.claims.study import BUDGETS as BUDGETS, Verdict as Verdict
