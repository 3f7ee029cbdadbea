"""ClaimsBoard: what the papers say, what was found, the numbers behind it, and a test of it here and now."""

import os
from collections import Counter
from collections.abc import Iterator
from html import escape

import ipywidgets as w

from ssl_toolkit.claims import BUDGETS, CLAIMS, Verdict, run, stored
from ssl_toolkit.claims.study import Claim, grouped
from ssl_toolkit.training.sweep import Cell, Setting, SweepError
from ssl_toolkit.widgets import controls as ui
from ssl_toolkit.widgets.canvases.chart import Chart
from ssl_toolkit.widgets.canvases.choice_table import ChoiceTable
from ssl_toolkit.widgets.figures.plots import GRAY, GREEN, ORANGE, VERMILION, measured_figure, show_measured
from ssl_toolkit.widgets.panel import Panel
from ssl_toolkit.widgets.player import Player

COLORS = {"confirmed": GREEN, "not confirmed": VERMILION, "inconclusive": ORANGE, "": GRAY}
COLUMNS = ("claim", "what the paper says", "verdict", "effect, 95 % interval", "seeds", "time")
LEAD = "Choose a claim to see the rule that was to decide it and the numbers that did; Play puts it to the test here."
ALL, STORED, HERE = "all papers", "as stored", "made here"
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
        self._stored: dict[str, tuple[Verdict, list[Cell]]] = {}
        for claim_id in CLAIMS:
            try:
                self._stored[claim_id] = stored(claim_id)
            except (FileNotFoundError, SweepError):
                continue  # it was never measured, or otherwise, and the table says so
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
        claim = self.chosen
        self.words.value = ui.paragraph(
            f"<b>{escape(claim.id)}</b> {escape(claim.statement)}<br><span class='ssl-note'>{escape(claim.paper)}"
            f"</span><br><b>The rule, {'made stricter later' if claim.changed else 'written beforehand'}:</b> "
            f"{escape(f'{claim.rule} {claim.changed}')}"
        )
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
        verdicts = [self._stored[claim.id][0] if claim.id in self._stored else None for claim in claims]
        rows = [_row(claim, verdict) for claim, verdict in zip(claims, verdicts, strict=True)]
        colors = [COLORS[verdict.result if verdict else ""] for verdict in verdicts]
        self.table.show(rows, colors=colors, selected=claims.index(self.chosen) if self.chosen in claims else -1)
        counts = Counter(row[2] for row in rows)
        large = {
            word: (str(counts[word]), f"of {len(rows)} claims") for word in (*COLORS, "not measured") if counts[word]
        }
        self.summary.value = ui.tiles(large)

    def _draw(self, record: Record) -> None:
        if record is not None and self.chosen is self._under_test:
            first = len(self._live[self.chosen.id][1]) == 1
            self._offer(here=first or self.shows.value == HERE)

    def _offer(self, here: bool = False) -> None:
        """Let the menus offer what there is of the chosen claim, and show it."""
        claim_id = self.chosen.id
        tests = {STORED: claim_id in self._stored, HERE: claim_id in self._live}
        options = [name for name, there in tests.items() if there] or ["none yet"]
        chosen = HERE if here and HERE in options else options[0]
        with self._muted:
            self.shows.options = options
            self.shows.value = chosen
        self._show_numbers()

    def _cells(self) -> list[Cell]:
        if self.shows.value == HERE:
            return self._live[self.chosen.id][1]
        return self._stored[self.chosen.id][1] if self.chosen.id in self._stored else []

    def _show_numbers(self) -> None:
        if self._muted:
            return
        names = list(dict.fromkeys(name for cell in self._cells() for name in cell.result))
        if names != list(self.number.options):
            with self._muted:
                self.number.options = names
                self.number.value = names[0] if names else None
        self._show_figure()

    def _show_figure(self) -> None:
        if self._muted:
            return
        claim_id, name = self.chosen.id, self.number.value
        groups = grouped(self._cells(), name) if name else {}
        show_measured(
            self.figure, groups, title=f"{claim_id}: {name}" if groups else "nothing measured yet: press Play"
        )
        self.chart.draw()
        here = self.shows.value == HERE
        verdict = self.tested.get(claim_id) if here else self._stored[claim_id][0] if claim_id in self._stored else None
        if verdict is not None:
            said = f"{'Here' if here else 'Stored'}, {verdict.budget} budget: {_verdict(verdict)}"
        elif here:
            said = "The verdict comes when all is measured."
        else:
            said = "No result is stored. Press Play to measure it."
        self.outcome.value = f'<div class="ssl-claims-outcome">{said}</div>'


def _row(claim: Claim, verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return [claim.id, claim.statement, "not measured", "", "", ""]
    low, high = verdict.ci95
    effect = f"{verdict.effect:.3g} [{low:.3g}, {high:.3g}]"
    return [claim.id, claim.statement, verdict.result, effect, str(verdict.seeds), ui.duration(verdict.seconds)]


def _verdict(verdict: Verdict) -> str:
    low, high = verdict.ci95
    return (
        f"{ui.word(verdict.result, COLORS[verdict.result])}, {verdict.effect:.3g} "
        f"[{low:.3g}, {high:.3g}] {escape(verdict.what)}; {verdict.seeds} seeds."
    )
