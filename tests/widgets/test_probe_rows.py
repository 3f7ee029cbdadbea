"""ProbePanel of embeddings alone."""

import asyncio

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_toolkit.data import rng
from ssl_toolkit.widgets.panels import probe_rows
from ssl_toolkit.widgets.panels.probe import ProbePanel

N = 60
Z = torch.randn(N, 8, generator=rng(0))
TABLE = {
    "kind": ["cat" if i % 3 else "<b>" for i in range(N)],
    "size": [float(i) for i in range(N)],
    "id": [10**9 + i for i in range(N)],
    "class": [f"class {i % 40}" for i in range(N)],
    "digit": [9 - i % 10 for i in range(N)],
    "gap": [None if i % 2 else "there" for i in range(N)],
}


@pytest.fixture(scope="module")
def panel():
    made = ProbePanel(z=Z, table=TABLE, text=[f"text {i}" for i in range(N)])
    made.wait()
    return made


def test_any_column_colors_and_no_value_is_renamed(panel):
    assert list(panel.color.options) == list(TABLE)
    words = {}
    for name in TABLE:
        panel.color.value = name
        words[name] = panel.scatter.legend["words"]
    assert words["kind"] == ["<b>", "cat"]
    assert words["size"] == words["id"] == []
    assert words["digit"] == [str(i) for i in range(10)]
    assert sorted(words["class"]) == sorted(f"class {i}" for i in range(40))
    assert words["class"][:20] == [f"class {i}" for i in range(20)]  # the commonest have the colors
    assert words["gap"] == ["there"]
    assert set(panel.scatter.color) == {0, 255}


def test_of_many_classes_the_commonest_are_colored_and_the_rest_gray(panel):
    panel.color.value = "class"
    codes = np.frombuffer(panel.scatter.values, np.float32).astype(int)
    assert [panel.scatter.legend["words"][code] for code in codes] == TABLE["class"]
    assert [color if color < 24 else 24 for color in panel.scatter.color] == [min(code, 24) for code in codes]


def test_hovering_and_picking_say_what_there_is(panel):
    assert panel.scatter.told[4] == "text 4 · kind cat · size 4 · id 1000000004 · class class 4 · digit 5 · gap there"
    panel.pick(3)
    assert "text 3 · kind &lt;b&gt;" in panel.words.value
    assert len(panel.selection) == 8


def test_what_is_selected_is_data_for_the_next_cell(panel):
    panel.select([2, 5])
    assert panel.selection.tolist() == [2, 5]
    assert panel.selected() == {name: [values[2], values[5]] for name, values in TABLE.items()}
    panel.select(np.arange(N) < 1)
    assert panel.selected()["id"] == [10**9]
    assert ProbePanel(z=Z).selected() == {"row": []}


def test_two_embeddings_of_the_same_rows_are_beside_each_other():
    panel = ProbePanel(z={"A": Z, "B": Z[:, :2].tolist()}, table={"x": Z[:, 0]})
    panel.wait()
    assert panel.scatter.titles == ["A", "B"]
    panel.pick(0)
    assert len(panel.scatter.marks) == 2


def test_points_of_the_plane_are_drawn_as_they_are():
    panel = ProbePanel(z=Z[:, :2].numpy())
    panel.wait()
    assert panel.projection.value == "as given"
    drawn = np.frombuffer(panel.scatter.points, np.float32).reshape(N, 2)
    assert np.corrcoef(drawn[:, 0], Z[:, 0])[0, 1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", [(N, 3, 8, 8), (N, 8, 8, 3), (N, 8, 8)])
def test_arrays_of_images_are_shown_as_they_are(shape):
    images = np.random.RandomState(0).rand(*shape)
    panel = ProbePanel(z=Z, images=images)
    panel.wait()
    panel.pick(0)
    expected = images[0] if shape[1] == 3 else images[0].transpose(2, 0, 1) if images.ndim == 4 else images[:1]
    assert np.abs(panel.grid.images[0].numpy() / 255 - expected).max() < 1 / 255


def test_pictures_from_files_are_fitted_and_a_bad_one_is_named(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(N)]
    for path in paths[1:]:
        Image.new("RGBA", (20, 10), "red").save(path)
    panel = ProbePanel(z=Z, images=[str(path) for path in paths])
    panel.wait()
    assert panel.data.images[1, :, 32, 32].tolist() == [255, 0, 0]
    assert "1 of 60 pictures could not be read, the first:" in panel.message.value
    assert "0.png: FileNotFoundError" in panel.message.value


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"z": Z[0]}, r"z has shape \(8,\)"),
        ({"z": Z * float("nan")}, "NaN or infinite values in 60 of 60 rows"),
        ({"z": {"A": Z, "B": Z[1:]}}, "'A' 60, 'B' 59"),
        ({"z": Z, "table": {"a": [1]}}, "table has 1 values of 'a' and z has 60 rows"),
        ({"z": Z, "text": ["a"]}, "text has 1 entries and z has 60 rows"),
        ({"z": Z, "text": "a", "table": {"b": range(N)}}, r"text is 'a': .*\(b\)"),
        ({"z": Z, "images": np.zeros((3, 8, 8))}, "images has 3 entries and z has 60 rows"),
        ({"z": Z, "images": np.full((N, 8, 8), 200.0)}, "divide by 255"),
        ({"z": Z, "color": "none"}, "color is 'none'"),
        ({"z": {str(i): Z for i in range(3)}}, "show one, or two by name"),
        ({"encoders": lambda x: x}, "give encoders and data, or z"),
        ({}, "give encoders and data, or z"),
        ({"z": "abc"}, "no matrix of numbers"),
    ],
)
def test_what_does_not_match_is_refused_by_name(wrong, told):
    with pytest.raises(ValueError, match=told):
        ProbePanel(**wrong)


@pytest.mark.parametrize("library", ["pandas", "polars", "datasets"])
def test_tables_of_other_libraries_are_taken_and_given_back(library):
    kept = {name: TABLE[name] for name in ("kind", "size", "gap")} | {"z": Z.tolist()}
    module = pytest.importorskip(library)
    table = module.Dataset.from_dict(kept) if library == "datasets" else module.DataFrame(kept)
    panel = ProbePanel(z=table["z"], table=table, text="kind")
    panel.wait()
    assert list(panel.color.options) == ["kind", "size", "gap"]  # vectors are no colors
    assert panel.scatter.told[1] == "cat · kind cat · size 1 · gap unknown"
    panel.select([2, 5])
    rows = panel.selected()
    assert isinstance(rows, type(table))
    assert list(rows["size"]) == [2.0, 5.0]


def test_rows_come_while_the_notebook_lives_and_the_first_of_many_are_shown():
    async def notebook():
        panel = ProbePanel(z=Z, limit=50)
        for _ in range(100):
            await asyncio.sleep(0.05)
            if panel.state == "done":
                break
        assert len(panel.scatter.told) == 50
        assert "the first 50 of 60 rows" in panel.message.value
        panel.close()

    asyncio.run(notebook())


def test_of_very_many_files_those_are_loaded_that_are_looked_at(monkeypatch, tmp_path):
    monkeypatch.setattr("ssl_toolkit.widgets.panels.probe_rows.PRELOADED", 20)
    paths = []
    for i in range(30):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.new("RGB", (40, 40), (8 * i, 0, 255)).save(paths[-1])
    paths[4] = str(tmp_path / "no such file.png")
    loaded = []
    load = probe_rows._load
    monkeypatch.setattr(probe_rows, "_load", lambda path: loaded.append(path) or load(path))
    panel = ProbePanel(z=torch.randn(30, 4, generator=rng(0)), images=paths)
    panel.wait()
    assert loaded == []
    panel.scatter._handle_custom_msg({"type": "sheet"}, [])
    assert (panel.scatter.asks, panel.scatter.sheet) == (True, b"")
    looked = len(loaded)
    panel.scatter._handle_custom_msg({"type": "look", "indices": [3, 4]}, [])
    assert len(loaded) == looked  # a sample of all of 30 was enough
    assert "1 pictures could not be read" in panel.message.value
    assert panel.data.images[3, :, 16, 16].tolist() == [24, 0, 255]
    panel.pick(7)
    assert panel.grid.images[0, :, 16, 16].tolist() == [56, 0, 255]
