"""SweepPanel and its heat map as data, without a browser."""

import asyncio
import base64
import io
import math

import pytest

from ssl_toolkit.training.sweep import Cell, SweepError, grid, read_cells, sweep
from ssl_toolkit.widgets.canvases.heat_map import HeatMap, Tile
from ssl_toolkit.widgets.figures.sweeps import Means, is_doubling, means_over
from ssl_toolkit.widgets.panels.sweep import MEAN, ONE_ROW, SweepPanel
from ssl_toolkit.widgets.panels.sweep_views import varying

SETTINGS = grid(batch=[16, 64], lr=[0.1, 0.2, 0.4], seed=[0, 1])


def run(setting):
    for step in (1, 2):
        yield {"step": step, "loss": setting["lr"] / step}
        yield None
    if setting["lr"] == 0.4 and setting["batch"] == 16:
        raise ArithmeticError("the loss is <nan>")
    yield {"accuracy": setting["lr"] + setting["batch"] / 1000 + setting["seed"] / 10, "rank": 3}


def panel_of(tmp_path, **settings):
    return SweepPanel(run, SETTINGS, path=tmp_path / "s.jsonl", **settings)


def texts(panel):
    width = len(panel.map.columns)
    words = [tile["text"] for tile in panel.map.tiles]
    return [words[i : i + width] for i in range(0, len(words), width)]


def test_a_sweep_of_the_panel_is_the_sweep_of_the_loop(tmp_path):
    panel = panel_of(tmp_path, chance=0.1)
    cells = panel.wait()
    (tmp_path / "loop").mkdir()
    list(sweep(run, SETTINGS, path=tmp_path / "loop" / "s.jsonl"))
    by_hand = read_cells(tmp_path / "loop" / "s.jsonl")
    assert [c._replace(seconds=0, when="") for c in cells] == [c._replace(seconds=0, when="") for c in by_hand]
    assert cells == read_cells(tmp_path / "s.jsonl")
    assert panel.player.state == "done"
    assert "cell 12 of 12" in panel.player.status.value


def test_a_place_is_the_mean_over_seeds_and_the_best_is_marked(tmp_path):
    panel = panel_of(tmp_path, chance=0.05)
    panel.wait()
    assert (panel.map.rows, panel.map.columns) == (["16", "64"], ["0.1", "0.2", "0.4"])
    assert panel.map.names == ["batch", "lr"]
    assert texts(panel) == [["0.166", "0.266", "failed"], ["0.214", "0.314", "0.514"]]
    assert panel.map.best == 5
    assert panel.map.tiles[5]["caption"] == "batch 64, lr 0.4: accuracy 0.514 ± 0.071 over 2 runs"
    assert panel.map.tiles[2]["caption"] == "batch 16, lr 0.4: ArithmeticError: the loss is <nan>"
    assert panel.map.scale["chance"] == 0
    assert (panel.map.scale["low"], panel.map.scale["high"]) == ("0.05", "0.514")


def test_the_map_fills_while_the_sweep_runs(tmp_path):
    panel = panel_of(tmp_path, value="accuracy")
    assert {tile["state"] for tile in panel.map.tiles} == {"empty"}
    panel.player.step()
    panel.player.step()
    assert panel.map.tiles[0]["state"] == "running"
    assert panel.map.tiles[0]["text"] == "…"
    for _ in range(2):
        panel.player.step()
    assert panel.map.tiles[0]["text"] == "0.116"  # the running cell has said it
    panel.player.step()
    assert [tile["state"] for tile in panel.map.tiles] == ["done", *["empty"] * 5]
    panel.player.reset()
    assert len(read_cells(tmp_path / "s.jsonl")) == 1


def test_other_axes_and_one_value_of_a_setting_may_be_chosen(tmp_path):
    panel = panel_of(tmp_path)
    panel.wait()
    panel.where["seed"].value = 1
    assert texts(panel)[1] == ["0.264", "0.364", "0.564"]
    panel.where["seed"].value = MEAN
    panel.columns.value = "batch"  # which was the rows': they change places
    assert panel.rows.value == "lr"
    assert texts(panel) == [["0.166", "0.214"], ["0.266", "0.314"], ["failed", "0.514"]]
    panel.rows.value = ONE_ROW
    assert texts(panel) == [["0.216", "0.347"]]
    assert panel.where["lr"].layout.display == ""
    assert panel.where["batch"].layout.display == "none"
    panel.value.value = "rank"
    assert texts(panel) == [["3", "3"]]


def test_the_least_may_be_the_best(tmp_path):
    panel = panel_of(tmp_path, goal="min")
    panel.wait()
    assert panel.map.best == 0


def test_a_pick_shows_curves_and_numbers_and_a_second_one_follows_the_sweep_again(tmp_path):
    panel = panel_of(tmp_path, chance=0.1)
    panel.wait()
    panel.map._handle_custom_msg({"type": "pick", "row": 0, "column": 1}, [])
    assert panel.map.selected == 1
    drawn = [(t.name, list(t.x), list(t.y)) for t in panel.figure.data if t.name]
    assert drawn == [("seed 0", [1, 2], [0.2, 0.1]), ("seed 1", [1, 2], [0.2, 0.1])]
    assert panel.figure.layout.title.text == "batch 16, lr 0.2"
    assert "0.216" in panel.numbers.value
    assert "0.316" in panel.numbers.value
    panel.pick(0, 2)
    assert "the loss is &lt;nan&gt;" in panel.numbers.value
    assert [t.name for t in panel.figure.data if t.name] == ["seed 0", "seed 1"]  # up to where it failed
    panel.map._handle_custom_msg({"type": "pick", "row": -1, "column": -1}, [])
    assert panel.map.selected == -1
    assert panel.figure.layout.title.text == "batch 64, lr 0.4"  # the best, as nothing runs


def test_chance_is_a_line_beside_curves_of_the_number_shown(tmp_path):
    def learning(setting):
        for step in (1, 2):
            yield {"step": step, "accuracy": 0.1 * step}

    panel = SweepPanel(learning, grid(lr=[0.1]), path=tmp_path / "s.jsonl", chance=0.05)
    panel.wait()
    assert texts(panel) == [["0.2"]]
    assert panel.figure.layout.shapes[0].y0 == 0.05


def test_looking_back_shows_the_sweep_as_it_stood(tmp_path):
    panel = panel_of(tmp_path)
    panel.wait()
    moments = list(panel.player.records)
    panel.player.look_back(next(i for i, m in enumerate(moments) if m.done == 2 and m.running is None))
    assert [tile["state"] for tile in panel.map.tiles] == ["done", *["empty"] * 5]
    panel.player.look_back(next(i for i, m in enumerate(moments) if m.done == 2 and m.points == 2))
    assert panel.map.tiles[1]["state"] == "running"
    assert list(panel.figure.data[0].x) == [1, 2]
    assert "cell 2 of 12" in panel.player.status.value


def test_a_new_panel_goes_on_with_the_file_and_counts_only_what_it_runs(tmp_path):
    first = panel_of(tmp_path)
    while len(first.cells) < 5:
        first.player.step()
    first.player.close()
    second = panel_of(tmp_path)
    assert [tile["state"] for tile in second.map.tiles] == ["done", "done", "failed", *["empty"] * 3]
    second.player.step()
    assert "cell 5 of 12" in second.player.status.value
    second.wait()
    assert [c.setting for c in second.cells] == SETTINGS
    assert len(read_cells(tmp_path / "s.jsonl")) == 12


def test_a_file_is_shown_without_running_anything(tmp_path):
    panel_of(tmp_path).wait()
    panel = SweepPanel(path=tmp_path / "s.jsonl")
    assert panel.player is None
    with pytest.raises(RuntimeError, match="this SweepPanel has no run"):
        panel.play()
    assert texts(panel) == [["0.166", "0.266", "failed"], ["0.214", "0.314", "0.514"]]
    assert len(panel.wait()) == 12
    panel.pick(1, 0)
    assert panel.figure.layout.title.text == "batch 64, lr 0.1"


def test_in_a_loop_a_sweep_plays_beside_other_work(tmp_path):
    async def notebook():
        panel = panel_of(tmp_path)
        panel.play()
        turns = 0
        while panel.player.state == "running":
            await asyncio.sleep(0)
            turns += 1
        return panel, turns

    panel, turns = asyncio.run(notebook())
    assert panel.player.state == "done"
    assert len(panel.cells) == 12
    assert turns > 5


def test_bad_input_is_named(tmp_path):
    with pytest.raises(ValueError, match="run and settings belong together"):
        SweepPanel(run, path=tmp_path / "s.jsonl")
    with pytest.raises(ValueError, match="path is missing"):
        SweepPanel(run, SETTINGS)
    with pytest.raises(ValueError, match="axes has 'width': the settings that vary are batch, lr, seed"):
        panel_of(tmp_path, axes=("width", "lr"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        SweepPanel(path=tmp_path / "s.jsonl")
    with pytest.raises(ValueError, match="nothing to show"):
        SweepPanel(run, [], path=tmp_path / "s.jsonl")
    panel_of(tmp_path).wait()
    with pytest.raises(SweepError, match="version '1'"):
        panel_of(tmp_path, version="2")
    with pytest.raises(ValueError, match="1 places: 1 rows x 2 columns"):
        HeatMap().show([Tile(1.0, "done", "")], rows=["a"], columns=["b", "c"], names=("x", "y"))


def test_numbers_that_are_not_finite_have_no_color_and_do_not_stretch_the_scale():
    heat = HeatMap()
    tiles = [Tile(value, "done", "") for value in (1.0, math.nan, math.inf, 3.0)]
    heat.show(tiles, rows=["a"], columns=list("bcde"), names=("x", "y"))
    assert [tile["text"] for tile in heat.tiles] == ["1", "nan", "inf", "3"]
    assert [bool(tile["color"]) for tile in heat.tiles] == [True, False, False, True]
    assert (heat.scale["low"], heat.scale["high"]) == ("1", "3")
    assert heat.best == 3


def test_ink_can_be_read_on_every_color():
    def luminance(color):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in
                  (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))]  # fmt: skip
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    heat = HeatMap()
    heat.show([Tile(float(i), "done", "") for i in range(50)], rows=["a"], columns=["b"] * 50, names=("x", "y"))
    for tile in heat.tiles:
        bright, dark = sorted((luminance(tile["color"]), luminance(tile["ink"])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.1, 1.4.3


def test_controls_have_names_and_a_saved_notebook_shows_a_picture(tmp_path):
    from PIL import Image

    panel = panel_of(tmp_path)
    assert all(c.description and c.tooltip for c in (panel.rows, panel.columns, panel.value, *panel.where.values()))
    panel.wait()
    bundle, _ = panel._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
        assert picture.size == (110 + 3 * 84 + 8, 46 + 2 * 40 + 8)


# the view of curves
WIDTHS = grid(method=["simclr", "supervised"], width=[8, 64], seed=[0, 1])
NUMBERS = ("test", "transfer", "parameters")


def score(setting, shift=0.0):
    rise = {8: 0.0, 64: 0.1}[setting["width"]] * (1 if setting["method"] == "simclr" else -1)
    values = {"test": 0.5 + rise + shift + setting["seed"] / 100, "transfer": 0.4 + rise}
    return values | {"parameters": 1e5 * setting["width"]}


def widen(setting):
    yield {"step": 7, "loss": 1.0}
    yield None
    yield score(setting)


def stored():
    return [Cell(s, score(s, -0.2), 1.0) for s in grid(method=["simclr", "untrained"], width=[8, 64], seed=[0])]


def curves_of(tmp_path, **settings):
    return SweepPanel(
        widen, WIDTHS, path=tmp_path / "w.jsonl", value=NUMBERS, axes=("method", "width"), view="curves", **settings
    )


def drawn(panel):
    """The curves of the first plot that have points, by name."""
    return {t.name: (list(t.x), list(t.y)) for t in panel.curves.figure.data if t.xaxis == "x" and t.x}


def test_stored_runs_are_curves_at_once_and_live_ones_as_they_end(tmp_path):
    panel = curves_of(tmp_path, stored=stored())
    assert drawn(panel)["simclr, stored"] == ([8, 64], [0.3, pytest.approx(0.4)])
    assert "simclr" not in drawn(panel)
    panel.step()
    panel.step()
    assert "running: method simclr, width 8" in panel.summary.value
    panel.step()
    panel.step()
    assert drawn(panel)["simclr"] == ([8], [0.5])
    cells = panel.wait()
    assert cells == read_cells(tmp_path / "w.jsonl")
    assert drawn(panel)["simclr"] == ([8, 64], [0.505, pytest.approx(0.605)])
    assert drawn(panel)["supervised"] == ([8, 64], [0.505, pytest.approx(0.405)])
    assert "running" not in panel.summary.value
    assert [a.text for a in panel.curves.figure.layout.annotations] == list(NUMBERS)


def test_a_row_has_one_color_whether_it_was_stored_or_is_live(tmp_path):
    panel = curves_of(tmp_path, stored=stored())
    panel.wait()
    colors = {t.name: (t.line.color, t.line.dash) for t in panel.curves.figure.data if t.xaxis == "x" and t.x}
    assert colors["simclr"][0] == colors["simclr, stored"][0] != colors["supervised"][0]
    assert (colors["simclr"][1], colors["simclr, stored"][1]) == ("solid", "dash")


def test_the_slider_marks_a_column_in_every_plot_and_the_table_tells_of_it(tmp_path):
    panel = curves_of(tmp_path, stored=stored())
    panel.wait()
    panel.at.value = 8
    assert [(shape.x0, shape.x1) for shape in panel.curves.figure.layout.shapes] == [(8, 8)] * 3
    assert "<td>width 8</td>" in panel.numbers.value
    assert panel.numbers.value.count("800,000") == 4  # two that were stored and two that ran here
    panel.at.value = 64
    assert "0.605" in panel.numbers.value
    assert panel.curves.figure.layout.xaxis.type == "log"  # as the values double


def test_either_view_can_be_chosen_and_both_are_of_the_same_runs(tmp_path):
    panel = curves_of(tmp_path, stored=stored())
    panel.wait()
    assert panel.map.rows == ["simclr", "supervised", "untrained"]
    assert texts(panel) == [["0.505", "0.605"], ["0.505", "0.405"], ["0.3", "0.2"]]  # stored where none ran
    panel.view.value = "map"
    assert panel._body.children == (panel._by_map,)
    panel.view.value = "curves"
    assert panel._body.children[0].children == (panel.curves,)
    panel.columns.value = "method"
    assert set(drawn(panel)) == {"8", "64", "8, stored", "64, stored"}
    assert panel.curves.figure.layout.xaxis.type == "category"


def test_stored_runs_need_no_sweep():
    panel = SweepPanel(stored=stored(), axes=("method", "width"), view="curves", value="test")
    assert panel.player is None
    assert panel.wait() == []
    assert set(drawn(panel)) == {"simclr, stored", "untrained, stored"}
    panel.value.value = "transfer"
    assert drawn(panel)["simclr, stored"][1] == [0.4, 0.5]


def test_an_axis_may_vary_in_the_stored_runs_alone(tmp_path):
    panel = SweepPanel(
        widen, WIDTHS[:1], path=tmp_path / "w.jsonl", axes=("method", "width"), view="curves", stored=stored()
    )
    assert (panel.map.rows, panel.map.columns) == (["simclr", "untrained"], ["8", "64"])


def test_means_and_intervals_are_over_seeds():
    cells = [Cell({"width": 4, "seed": s}, {"test": x}, 1.0) for s, x in enumerate((0.1, 0.2, 0.3))]
    other = [Cell({"width": 2, "seed": 0}, {"test": 0.5}, 1.0)]
    failed = [Cell({"width": 9, "seed": 0}, {}, 1.0, error="no")]
    means = means_over([*cells, *other, *failed], "test", "width")
    assert means == Means([2, 4], [0.5, pytest.approx(0.2)], [0.0, pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-3)])
    assert means_over(cells[:2], "test", "width") == Means([4], [pytest.approx(0.15)], [0.0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [((8, 64), True), ((1e-3, 2e-3, 4e-3), True), ((1, 2, 3), False), ((0, 1, 2), False), (("a", "b"), False)],
)
def test_values_that_double_have_a_logarithmic_axis(values, expected):
    assert is_doubling(values) == expected


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path):
    def fails(setting):
        if setting["width"] == 8:
            raise ArithmeticError("the loss is <nan>")
        yield score(setting)

    panel = SweepPanel(fails, WIDTHS, path=tmp_path / "w.jsonl", axes=("method", "width"), view="curves", value=NUMBERS)
    panel.wait()
    assert "4 failed: ArithmeticError: the loss is &lt;nan&gt;" in panel.summary.value
    assert drawn(panel)["simclr"][0] == [64]
    panel.at.value = 8
    assert "simclr" not in panel.numbers.value


def test_looking_back_shows_the_curves_as_they_stood(tmp_path):
    panel = curves_of(tmp_path)
    panel.wait()
    moments = list(panel.player.records)
    panel.player.look_back(next(i for i, m in enumerate(moments) if m.done == 3 and m.running is None))
    assert drawn(panel) == {"simclr": ([8, 64], [0.505, pytest.approx(0.6)])}


def test_a_list_that_follows_from_another_setting_is_no_axis_of_its_own():
    told = {"simclr": [256, 128], "supervised": [8]}
    settings = [setting | {"projector": told[setting["method"]]} for setting in WIDTHS]
    assert varying(settings) == ["method", "width", "seed"]
    assert varying(grid(projector=[[8], [16]], lr=[0.1, 0.2])) == ["projector", "lr"]
    assert varying(grid(lr=[0.1])) == ["lr"]
