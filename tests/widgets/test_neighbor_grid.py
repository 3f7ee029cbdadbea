"""NeighborGrid: rows say who asked and how many are right, and frames agree with the labels."""

import torch

from ssl_toolkit.data import Dataset
from ssl_toolkit.widgets import NeighborGrid
from ssl_toolkit.widgets.figures.plots import BLUE, GREEN, VERMILION

IMAGES = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 8, 8) * 40
BANK = Dataset(IMAGES, torch.tensor([0, 1, 0, 1, 0, 1]), ("coat", "shoe"))
QUERIES = Dataset(IMAGES[:2] + 5, torch.tensor([0, 1]), ("coat", "shoe"), names=("a red coat", "a blue shoe"))
FOUND = {"pixels": torch.tensor([[0, 1, 2], [3, 1, 5]]), "encoder": torch.tensor([[0, 2, 4], [0, 2, 4]])}


def test_each_row_is_a_query_asked_of_one_representation():
    grid = NeighborGrid(BANK, QUERIES, FOUND)
    assert grid.rows == [
        "pixels\n2 of 3 right",
        "encoder\n3 of 3 right",
        "pixels\n3 of 3 right",
        "encoder\n0 of 3 right",
    ]
    assert grid.columns == 4
    assert grid.frames[:4] == [BLUE, GREEN, VERMILION, GREEN]
    assert grid.frames[12:] == [BLUE, VERMILION, VERMILION, VERMILION]
    assert grid.captions[:2] == ["a red coat (coat)", "coat"]
    assert torch.equal(grid.images[9], BANK.images[3])


def test_what_is_found_later_takes_its_place():
    grid = NeighborGrid(BANK, QUERIES, FOUND)
    grid.compare(BANK, QUERIES, {"encoder": FOUND["pixels"][:1]})
    assert grid.rows == ["encoder\n2 of 3 right"]
    assert len(grid.images) == len(grid.frames) == 4
