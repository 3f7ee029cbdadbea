"""ClaimsBoard: what the papers say, what was found, the numbers behind it, and a test of it here and now."""

import os
from collections import Counter
from collections.abc import Iterator
from html import escape

import ipywidgets as w

from ssl_toolkit.claims import BUDGETS, CLAIMS, Verdict, run
from ssl_toolkit.claims.cards import UNMEASURED, Card, card, shown
from ssl_toolkit.claims.study import Claim, grouped
from ssl_toolkit.training.sweep import Cell, Setting
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.choice_table import ChoiceTable
from ssl_toolkit.widgets.figures.plots import GRAY, GREEN, ORANGE, VERMILION, measured_figure, show_measured
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.player import Player

COLORS = {"confirmed": GREEN, "not confirmed": VERMILION, "inconclusive": ORANGE}
COLUMNS = ("claim", "what the paper says", "verdict", "version 1", "effect, 95 % interval", "seeds", "time")
LEAD = "Choose a claim to see the rule that was to decide it and the numbers that did; Play puts it to the test here."
ALL, STORED, HERE = "all papers", "as stored", "made here"
EFFECT = "the effect, seed by seed"
Record = Cell | Verdict | None


class ClaimsBoard(Panel):
    """All claims with the verdicts that were stored; choose one to see its rule and its numbers, or to test it.

    A test runs at the budget of the menu, "smoke" to begin with, and with `folder` it is kept there and goes on from
    what is there. `board.choose("DJ-2")`, `board.play()`, `board.pause()` do what the controls do; `board.wait()` runs
    the test to its end and returns its `Verdict`; `board.tested` holds all of them by claim.

    >>> board = stk.ClaimsBoard()
    >>> board.choose("DJ-2")
    """

    def __init__(self, *, folder: str | os.PathLike[str] | None = None, name: str | None = None):
        super().__init__("claims", "What the papers claim, and what was found", LEAD)
        self.folder = folder
        self.tested: dict[str, Verdict] = {}
        self._cards = {claim_id: card(claim_id) for claim_id in CLAIMS}
        self._live: dict[str, tuple[list[Setting], list[Cell]]] = {}  # what tests made here are to measure, and have
        self.chosen: Claim = next(iter(CLAIMS.values()))
        self._under_test = self.chosen

        papers = list(dict.fromkeys(claim.paper for claim in CLAIMS.values()))
        make = ui.Controls("claims")
        self.paper = make.dropdown("Paper", [ALL, *papers], ALL, "Whose claims are listed")
        self.paper.layout.max_width = "560px"
        self.summary = w.HTML()
        self.table = ChoiceTable(COLUMNS, label="claims")
        self.table.on_pick(lambda i: self._soon(lambda: self.choose(self._listed()[i].id)))
        self.words = w.HTML()
        self.budget = make.dropdown("Budget", BUDGETS, BUDGETS[0], "How much time a test takes")
        self.shows = make.dropdown("Test", [], None, "Show what is stored, or the test made here")
        self.number = make.dropdown("Number", [], None, "The number of the measurements that is drawn")
        self.player: Player[Record] = Player(
            self._records, self._draw, progress=self._progress, unit="measurement", redraw=0.5, name=name
        )
        self.player.play_button.tooltip = "Put the chosen claim to the test, here and now"
        self.figure = measured_figure()
        self.chart = Chart(self.figure, toolbar=False)
        self.outcome = w.HTML()

        test = ui.row(self.budget, ui.more(self.shows, self.number))
        content = [self.table, self.words, self.outcome, test, self.player, self.chart]
        self._place(self.summary, self.paper, *content, pictured=self.table)
        self._list()
        self.choose(self.chosen.id)
        ui.on_change([self.paper], self._list)
        ui.on_change([self.shows], self._show_numbers)
        ui.on_change([self.number], self._show_figure)
        ui.on_change([self.budget], self._ready)

    # what a person may call --------------------------------------------------------------------------------------
    def choose(self, claim_id: str) -> None:
        """Show this claim; the next test is of it. A test that runs goes on."""
        if claim_id not in CLAIMS:
            raise ValueError(f"claim_id is {claim_id!r}: there are {', '.join(CLAIMS)}.")
        self.chosen = CLAIMS[claim_id]
        self._ready()
        self._list()
        self.words.value = ui.paragraph(_words(self._cards[claim_id]))
        self._offer(here=True)

    def wait(self) -> Verdict:
        """Run the test to its end, raise what went wrong, and return its verdict: the chosen claim's, or that of the
        test which is under way."""
        super().wait()
        return self.tested[self._under_test.id]

    # the test ----------------------------------------------------------------------------------------------------
    def _ready(self) -> None:
        """The next test is of the chosen claim, unless one is under way."""
        if self.state not in ("running", "paused"):
            self.reset()

    def _records(self) -> Iterator[Record]:
        claim, budget = self.chosen, self.budget.value
        cells: list[Cell] = []
        self.tested.pop(claim.id, None)  # it was of other measurements
        self._under_test, self._live[claim.id] = claim, (claim.settings(budget), cells)
        self.player.subject = claim.id  # another claim may be looked at meanwhile
        for record in run(claim.id, budget=budget, folder=self.folder):
            if isinstance(record, Cell):
                cells.append(record)
            elif isinstance(record, Verdict):
                self.tested[claim.id] = record
            yield record

    def _progress(self, _record: Record) -> tuple[int, int]:
        settings, cells = self._live[self._under_test.id]
        return len(cells), len(settings)

    # what is seen ------------------------------------------------------------------------------------------------
    def _listed(self) -> list[Claim]:
        return [claim for claim in CLAIMS.values() if self.paper.value in (ALL, claim.paper)]

    def _list(self) -> None:
        claims = self._listed()
        cards = [self._cards[claim.id] for claim in claims]
        colors = [COLORS.get(made.standing, GRAY) for made in cards]
        selected = claims.index(self.chosen) if self.chosen in claims else -1
        self.table.show([_row(made) for made in cards], colors=colors, selected=selected)
        counts = Counter(made.standing for made in cards)
        self.summary.value = ui.tiles({word: (str(n), f"of {len(cards)} claims") for word, n in counts.most_common()})

    def _draw(self, record: Record) -> None:
        if record is not None and self.chosen is self._under_test:
            first = len(self._live[self.chosen.id][1]) == 1
            self._offer(here=first or self.shows.value == HERE)

    def _offer(self, here: bool = False) -> None:
        """Let the menus offer what there is of the chosen claim, and show it."""
        claim_id = self.chosen.id
        tests = {STORED: bool(self._cards[claim_id].cells), HERE: claim_id in self._live}
        options = [name for name, there in tests.items() if there] or ["none yet"]
        chosen = HERE if here and HERE in options else options[0]
        with self._muted:
            self.shows.options = options
            self.shows.value = chosen
        self._show_numbers()

    def _cells(self) -> list[Cell]:
        if self.shows.value == HERE:
            return self._live[self.chosen.id][1]
        return self._cards[self.chosen.id].cells

    def _shown(self) -> Verdict | None:
        """The verdict of the chosen claim: as stored, or of the test made here."""
        if self.shows.value == HERE:
            return self.tested.get(self.chosen.id)
        return self._cards[self.chosen.id].verdict or self._cards[self.chosen.id].old  # of version 1, if that is all

    def _show_numbers(self) -> None:
        if self._muted:
            return
        names = list(dict.fromkeys(name for cell in self._cells() for name in cell.result))
        if (verdict := self._shown()) is not None and verdict.each:
            names = [EFFECT, *names]
        if names != list(self.number.options):
            with self._muted:
                self.number.options = names
                self.number.value = names[0] if names else None
        self._show_figure()

    def _show_figure(self) -> None:
        if self._muted:
            return
        claim_id, name = self.chosen.id, self.number.value
        here, verdict = self.shows.value == HERE, self._shown()
        if name == EFFECT and verdict is not None:
            groups = _by_seed(self.chosen, verdict)
        else:
            groups = grouped(self._cells(), name) if name else {}
        show_measured(
            self.figure, groups, title=f"{claim_id}: {name}" if groups else "nothing measured yet: press Play"
        )
        self.chart.draw()
        if verdict is not None:
            version = f"version {verdict.version}, {verdict.budget} budget"
            said = f"{'Here' if here else 'Stored'}, {version}: {_verdict(verdict)}"
        elif here:
            said = "The verdict comes when all is measured."
        else:
            said = "No result is stored. Press Play to measure it."
        self.outcome.value = f'<div class="ssl-claims-outcome">{said}</div>'


def _words(made: Card) -> str:
    """A claim's card as HTML: the statement, the verdict in plain words, and the lines below them."""
    claim = made.claim
    color = COLORS.get(made.standing, GRAY)
    lines = "".join(f"<br><b>{escape(name)}:</b> {escape(text)}" for name, text in made.lines.items())
    words = escape(made.result.split("\n")[0])
    return f"<b>{escape(claim.id)}</b> {escape(claim.statement)}<br>{ui.word(made.standing, color)} {words}{lines}"


def _row(made: Card) -> list[str]:
    claim, verdict = made.claim, made.verdict
    before = made.old.result if made.old else "new" if claim.registered else "same"
    if verdict is None:
        expected = f"about {claim.minutes:.0f} min" if claim.minutes else ""
        return [claim.id, claim.statement, UNMEASURED, before, "", "", expected]
    time = ui.duration(verdict.seconds)
    return [claim.id, claim.statement, made.standing, before, shown(verdict), str(verdict.seeds), time]


def _by_seed(claim: Claim, verdict: Verdict) -> dict[str, list[float]]:
    """The effect with its interval, the smallest effect of interest, and the effect of each seed."""
    groups = {"effect": list(verdict.each)}
    if claim.sesoi is not None:
        groups["smallest effect of interest"] = [claim.sesoi]
    return groups | {f"seed {i + 1}": [value] for i, value in enumerate(verdict.each)}


def _verdict(verdict: Verdict) -> str:
    return (
        f"{ui.word(verdict.result, COLORS[verdict.result])}, {shown(verdict)} {escape(verdict.what)}; "
        f"{verdict.seeds} seeds."
    )
