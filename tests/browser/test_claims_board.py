"""The claims board as a person meets it: the table by clicks and keys, the numbers behind a verdict, a test."""

import time

import labdriver
import pytest

pytestmark = pytest.mark.browser

BOARD = """
from ssl_toolkit.widgets import ClaimsBoard
board = ClaimsBoard()
board
"""
STATE = labdriver.in_state(".ssl-claims")


@pytest.fixture(scope="module")
def board(lab, page):
    return labdriver.open_panel(page, lab, "claims.ipynb", [BOARD], ".ssl-claims .js-plotly-plot")


def test_a_click_on_a_claim_shows_its_rule_and_numbers(board, shots, note):
    began = time.perf_counter()
    board.click(".ssl-choice tr:has-text('DJ-6')")
    board.wait_for_selector(".ssl-choice tr[aria-selected=true]:has-text('DJ-6')")
    board.wait_for_selector(".ssl-claims .gtitle:has-text('DJ-6')")
    note(claims_board_click_ms=round(1000 * (time.perf_counter() - began)))
    assert "DJ-6" in board.inner_text(".ssl-claims")
    labdriver.picture(board, ".ssl-claims", shots / "claims_board.png")


def test_keys_walk_the_table_and_enter_chooses(board):
    board.click(".ssl-choice tr:has-text('DJ-2')")
    board.wait_for_selector(".ssl-choice tr[aria-selected=true]:has-text('DJ-2')")
    board.locator(".ssl-choice tr[aria-selected=true]").focus()
    board.keyboard.press("ArrowDown")
    board.keyboard.press("Enter")
    board.wait_for_selector(".ssl-choice tr[aria-selected=true]:has-text('DJ-3')")


def test_a_claim_is_put_to_the_test_and_the_dark_theme_is_legible(board, shots):
    board.click(".ssl-choice tr:has-text('DJ-5')")
    board.wait_for_selector(".ssl-claims .gtitle:has-text('DJ-5')")
    board.click(".ssl-claims .ssl-play")
    board.wait_for_function(STATE, arg="running")
    board.wait_for_selector(".ssl-claims-outcome:has-text('when all is measured')", timeout=60_000)
    with labdriver.dark(board):
        board.click(".ssl-claims .ssl-play")
        board.wait_for_function(STATE, arg="paused")
        labdriver.picture(board, ".ssl-claims", shots / "claims_board_dark.png")
        board.click(".ssl-claims .ssl-reset")
        board.wait_for_function(STATE, arg="idle")
