"""WidthPanel as data, without a browser: stored runs at once, live ones as they end, one width in numbers."""

import asyncio
import base64
import io

import pytest

from ssl_toolkit.training.sweep import Cell, SweepError, grid, read_cells
from ssl_toolkit.widgets.figures.width import Means, control_points, means_of
from ssl_toolkit.widgets.panels.width import WidthPanel

SETTINGS = grid(method=["simclr", "supervised"], width=[8, 64], seed=[0, 1])


def result(setting, shift=0.0):
    rise = {8: 0.0, 64: 0.1}[setting["width"]] * (1 if setting["method"] == "simclr" else -1)
    values = {"test": 0.5 + rise + shift + setting["seed"] / 100, "transfer": 0.4 + rise}
    return values | {"gradient rank": 8.0, "zero fraction": 0.25, "parameters": 1e5 * setting["width"]}


def run(setting):
    yield {"step": 7, "loss": 1.0}
    yield None
    yield result(setting)


def stored():
    cells = [Cell(s, result(s, -0.2), 1.0) for s in grid(method=["simclr", "untrained"], width=[8, 64], seed=[0])]
    for cell in cells:
        cell.result["test, random" if cell.setting["width"] == 8 else "test, narrowed"] = 0.33
    return cells


def panel_of(tmp_path, **settings):
    return WidthPanel(run, SETTINGS, path=tmp_path / "w.jsonl", **settings)


def drawn(panel):
    """The traces of the first plot that have points, by name."""
    return {t.name: (list(t.x), list(t.y)) for t in panel.figure.data if t.xaxis == "x" and t.x}


def test_stored_runs_are_there_at_once_and_live_ones_as_they_end(tmp_path):
    panel = panel_of(tmp_path, stored=stored())
    assert drawn(panel)["SimCLR, stored"] == ([8, 64], [0.3, pytest.approx(0.4)])
    assert "SimCLR, live" not in drawn(panel)
    panel.player.step()
    panel.player.step()
    assert "training SimCLR at D = 8, step 7" in panel.words.value
    panel.player.step()
    assert drawn(panel)["SimCLR, live"] == ([8], [0.5])
    cells = panel.wait()
    assert cells == read_cells(tmp_path / "w.jsonl")
    assert drawn(panel)["SimCLR, live"] == ([8, 64], [0.505, pytest.approx(0.605)])
    assert drawn(panel)["Supervised, live"] == ([8, 64], [0.505, pytest.approx(0.405)])
    assert panel.words.value.count("training") == 0
    assert panel.player.state == "done"
    assert "run 8 of 8" in panel.player.status.value


def test_the_slider_marks_a_width_in_every_plot_and_the_table_tells_of_it(tmp_path):
    panel = panel_of(tmp_path, stored=stored())
    panel.wait()
    panel.width.value = 8
    assert [(shape.x0, shape.x1) for shape in panel.figure.layout.shapes] == [(8, 8)] * 4
    assert "<td>D = 8</td>" in panel.table.value
    assert panel.table.value.count("8 of 8") == 4  # SimCLR and an untrained net that were stored, two that ran here
    assert "0.80 M" in panel.table.value
    panel.width.value = 64
    assert "8 of 64" in panel.table.value
    assert "60.5%" in panel.table.value


def test_controls_can_be_hidden():
    panel = WidthPanel(stored=stored())
    assert {"untrained, stored", "random ReLU of the default", "the widest, narrowed by PCA"} <= set(drawn(panel))
    panel.controls.value = False
    assert list(drawn(panel)) == ["SimCLR, stored"]
    assert "untrained" not in panel.table.value


def test_stored_runs_need_no_sweep():
    panel = WidthPanel(stored=stored())
    assert panel.player not in panel.children
    assert panel.wait() == []
    assert panel.widths == [8, 64]


def test_means_and_intervals_are_over_seeds():
    cells = [Cell({"method": "byol", "width": 4, "seed": s}, {"test": x}, 1.0) for s, x in enumerate((0.1, 0.2, 0.3))]
    other = [Cell({"method": "byol", "width": 2, "seed": 0}, {"test": 0.5}, 1.0)]
    failed = [Cell({"method": "byol", "width": 9, "seed": 0}, {}, 1.0, error="no")]
    means = means_of([*cells, *other, *failed], "byol", "test")
    assert means == Means([2, 4], [0.5, pytest.approx(0.2)], [0.0, pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-3)])
    assert means_of(cells[:2], "byol", "test") == Means([4], [pytest.approx(0.15)], [0.0])


def test_controls_stand_at_the_width_they_lead_to():
    cells = stored()
    assert control_points(cells, "test", "random") == [(64, 0.33)]
    assert control_points(cells, "test", "narrowed") == [(8, 0.33)]
    assert control_points([], "test", "narrowed") == []


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path):
    def fails(setting):
        if setting["width"] == 8:
            raise ArithmeticError("the loss is <nan>")
        yield result(setting)

    panel = WidthPanel(fails, SETTINGS, path=tmp_path / "w.jsonl")
    panel.wait()
    assert "4 failed: ArithmeticError: the loss is &lt;nan&gt;" in panel.words.value
    assert drawn(panel)["SimCLR, live"][0] == [64]
    panel.width.value = 8
    assert "SimCLR" not in panel.table.value


def test_looking_back_shows_the_runs_as_they_stood(tmp_path):
    panel = panel_of(tmp_path)
    panel.wait()
    moments = list(panel.player.records)
    panel.player.look_back(next(i for i, m in enumerate(moments) if m.done == 3 and m.running is None))
    assert drawn(panel) == {"SimCLR, live": ([8, 64], [0.505, pytest.approx(0.6)])}


def test_a_new_panel_goes_on_with_the_file(tmp_path):
    first = panel_of(tmp_path)
    while len(first.cells) < 5:
        first.player.step()
    first.player.close()
    second = panel_of(tmp_path)
    assert drawn(second)["SimCLR, live"][0] == [8, 64]
    assert len(second.wait()) == 8
    assert [cell.setting for cell in second.cells] == SETTINGS


def test_in_a_loop_it_plays_beside_other_work(tmp_path):
    async def notebook():
        panel, turns = panel_of(tmp_path), 0
        panel.player.speed.value = 30.0  # a second: at full speed it might be done at once
        panel.play()
        while panel.player.state == "running":
            await asyncio.sleep(0)
            turns += 1
        return panel, turns

    panel, turns = asyncio.run(notebook())
    assert panel.player.state == "done"
    assert len(panel.cells) == 8
    assert turns > 3


def test_bad_input_is_named(tmp_path):
    with pytest.raises(ValueError, match="belong together"):
        WidthPanel(run, SETTINGS)
    with pytest.raises(ValueError, match="nothing to show"):
        WidthPanel()
    with pytest.raises(ValueError, match="need a 'method' and a 'width'"):
        WidthPanel(stored=[Cell({"width": 8}, {}, 1.0)])
    panel_of(tmp_path).wait()
    with pytest.raises(SweepError, match="version '1'"):
        panel_of(tmp_path, version="2")


def test_controls_have_names_and_a_saved_notebook_shows_a_picture(tmp_path):
    from PIL import Image

    panel = panel_of(tmp_path, stored=stored())
    assert all(c.description and c.tooltip for c in (panel.width, panel.controls))
    panel.wait()
    bundle, _ = panel._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
        assert picture.size == (720, 250)
        assert len(picture.getcolors(100_000)) > 3
