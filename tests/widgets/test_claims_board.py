"""ClaimsBoard as data, without a browser."""

import base64
from html import unescape

import pytest

from ssl_toolkit.claims import CLAIMS, stored
from ssl_toolkit.claims.cards import card
from ssl_toolkit.claims.study import Claim, Finding, grouped
from ssl_toolkit.training.sweep import Cell
from ssl_toolkit.widgets.canvases.choice_table import ChoiceTable
from ssl_toolkit.widgets.panels import claims as claims_board
from ssl_toolkit.widgets.panels.claims import ClaimsBoard


def _measure(setting):
    yield None
    yield {"double": 2.0 * setting["a"] + setting["seed"]}


HALVES = Claim(
    "T-1", "A paper", "Doubling doubles.", "The mean is above 1: confirmed.",
    lambda budget: [{"a": a, "steps": 10 * a, "seed": seed} for a in (1, 2) for seed in range(2)],
    _measure,
    lambda cells: Finding("confirmed", 1.5, (1.0, 2.0), "of a thing"),
)  # fmt: skip
BEYOND = HALVES._replace(
    id="T-2", paper="Another paper", sesoi=0.5, unit="things", version="2",
    judge=lambda cells: Finding("confirmed", 1.5, (1.0, 2.0), "of a thing", (1.0, 2.0)),
)  # fmt: skip


@pytest.fixture
def board(monkeypatch):
    monkeypatch.setitem(CLAIMS, "T-1", HALVES)
    monkeypatch.setitem(CLAIMS, "T-2", BEYOND)
    return ClaimsBoard()


def test_every_claim_has_a_row_that_says_what_is_stored(board):
    rows = {row[0]: row for row in board.table.rows}
    assert list(rows) == list(CLAIMS)
    for claim_id in rows.keys() - {"T-1"}:
        made = card(claim_id)
        assert rows[claim_id][2] == made.standing
        assert rows[claim_id][3] == (made.old.result if made.old else "new" if made.claim.registered else "same")
        assert made.verdict is None or f"{made.verdict.effect:.3g}" in rows[claim_id][4]
    assert rows["T-1"][2] == "not measured yet"
    assert f"{len(CLAIMS)} claims" in board.summary.value


def test_a_chosen_claim_shows_its_rule_and_the_numbers_that_were_stored(board):
    board.choose("DJ-2")
    verdict, cells = stored("DJ-2")
    assert CLAIMS["DJ-2"].rule in unescape(board.words.value)
    assert verdict.result in board.outcome.value
    name = board.number.options[-1]
    board.number.value = name
    assert list(board.figure.data[0].y) == list(grouped(cells, name))
    assert name in board.figure.layout.title.text


def test_the_effect_is_drawn_seed_by_seed_beside_the_smallest_effect_of_interest(board):
    board.choose("T-2")
    verdict = board.wait()
    board.choose("T-2")
    assert board.number.value == claims_board.EFFECT
    drawn = dict(zip(board.figure.data[0].y, board.figure.data[0].x, strict=True))
    assert drawn["smallest effect of interest"] == BEYOND.sesoi
    assert drawn["effect"] == pytest.approx(verdict.effect)
    assert [drawn[f"seed {i + 1}"] for i in range(2)] == list(verdict.each)


def test_a_claim_that_waits_for_its_second_measurement_shows_the_first_and_says_so(board):
    board.choose("DJ-1")
    assert "not measured yet" in board.words.value
    assert "Stored, version 1" in board.outcome.value


def test_choosing_a_claim_draws_its_figure_once(board, monkeypatch):
    drawn = []
    monkeypatch.setattr(claims_board, "show_measured", lambda *_, title: drawn.append(title))
    board.choose("DJ-2")  # which has other numbers than the first one
    board.choose("T-1")
    assert [title.split(":")[0] for title in drawn] == ["DJ-2", "nothing measured yet"]


def test_a_test_made_here_is_drawn_and_judged(board):
    board.choose("T-1")
    assert "No result is stored" in board.outcome.value
    verdict = board.wait()
    assert verdict.result == "confirmed"
    assert verdict.budget == "smoke"
    assert "Here, version 1, smoke budget" in board.outcome.value
    assert list(board.figure.data[0].y) == ["a 1", "a 2"]
    assert list(board.figure.data[0].x) == [2.5, 4.5]
    assert "measurement 4 of 4" in board.player.status.value


def test_choosing_another_claim_lets_a_test_go_on(board):
    board.choose("T-1")
    board.player.step()
    board.choose("DJ-1")
    assert board.player.state == "paused"
    assert "DJ-1" in board.figure.layout.title.text
    assert board.wait().claim == "T-1"
    assert "DJ-1" in board.figure.layout.title.text


def test_one_paper_alone_can_be_listed(board):
    board.paper.value = "A paper"
    assert [row[0] for row in board.table.rows] == ["T-1"]
    board.table._handle_custom_msg({"type": "pick", "index": 0}, [])
    assert board.chosen is HALVES
    with pytest.raises(ValueError, match="there are DJ-1"):
        board.choose("DJ-99")


def test_groups_leave_out_seeds_and_what_follows_from_other_settings():
    cells = [Cell({"a": a, "steps": 10 * a, "seed": s}, {"y": float(a + s)}, 1.0) for a in (1, 2) for s in (0, 1)]
    assert grouped(cells, "y") == {"a 1": [1.0, 2.0], "a 2": [2.0, 3.0]}
    assert grouped(cells[:2], "y") == {"all runs": [1.0, 2.0]}
    assert grouped(cells[:2], "y", among=[cell.setting for cell in cells]) == {"a 1": [1.0, 2.0]}
    assert grouped(cells, "z") == {}


def test_a_saved_notebook_shows_the_table(board):
    bundle, _ = board._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    full = board.table.picture()
    board.paper.value = "A paper"
    assert board.table.picture().shape[0] < full.shape[0]


def test_a_row_needs_a_word_for_each_column():
    with pytest.raises(ValueError, match="each row needs 2 words"):
        ChoiceTable(["a", "b"], label="table").show([["1"]])
