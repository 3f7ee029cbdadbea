"""Sweeps: each cell once, whatever is killed, torn, shared or fails on the way."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.training.sweep import Cell, Point, SweepError, grid, group_cells, read_cells, sweep

ROOT = Path(__file__).parents[2]
SETTINGS = grid(lr=[0.1, 0.2], seed=[0, 1, 2])


def score(setting):
    return {"accuracy": setting["lr"] + setting["seed"] / 10}


def curve(setting):
    for step in (1, 2):
        yield {"step": step, "loss": setting["lr"] / step}
        yield None
    yield {"accuracy": setting["lr"]}


def cells(records):
    return [record for record in records if isinstance(record, Cell)]


def results(found):
    return sorted((c.setting["lr"], c.setting["seed"], c.result.get("accuracy"), c.error) for c in found)


def test_every_setting_of_a_grid_is_run_once_and_is_one_line_of_the_file(tmp_path):
    path, ran = tmp_path / "s.jsonl", []

    def run(setting):
        ran.append(setting)
        return score(setting)

    found = cells(sweep(run, SETTINGS, path=path))
    assert ran == SETTINGS == [c.setting for c in found]
    assert [c.result for c in found] == [score(s) for s in SETTINGS]
    header, *lines = map(json.loads, path.read_text().splitlines())
    assert header == {"sweep": 1, "version": "1"}
    assert [line["setting"] for line in lines] == SETTINGS
    assert read_cells(path) == found
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no claim is left


def test_a_sweep_that_was_left_goes_on_and_yields_first_what_it_has(tmp_path):
    path, ran = tmp_path / "s.jsonl", []

    def run(setting):
        ran.append(setting)
        return score(setting)

    for record in sweep(run, SETTINGS, path=path):
        if isinstance(record, Cell) and len(ran) == 4:
            break
    found = cells(sweep(run, SETTINGS, path=path))
    assert ran == SETTINGS
    assert [c.setting for c in found] == SETTINGS


def test_what_a_cell_yields_is_its_curve_and_the_last_of_it_the_result(tmp_path):
    first, *rest = sweep(curve, grid(lr=[0.5]), path=tmp_path / "s.jsonl")
    points = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}, {"accuracy": 0.5}]
    assert first == Point({"lr": 0.5}, points[0])
    assert rest[:-1] == [None, Point({"lr": 0.5}, points[1]), None, Point({"lr": 0.5}, points[2])]
    assert rest[-1].curve == tuple(points)
    assert rest[-1].result == {"accuracy": 0.5}
    assert read_cells(tmp_path / "s.jsonl") == [rest[-1]]


def test_the_seconds_of_a_cell_are_its_own_and_not_those_of_the_caller(tmp_path):
    def run(setting):
        yield {"step": 1}
        time.sleep(0.05)
        yield {"step": 2}

    for record in sweep(run, grid(lr=[1]), path=tmp_path / "s.jsonl"):
        if record == Point({"lr": 1}, {"step": 1}):
            time.sleep(0.5)
    assert isinstance(record, Cell)
    assert 0.05 <= record.seconds < 0.4


def test_a_cell_that_raises_is_recorded_with_its_reason_and_the_sweep_goes_on(tmp_path):
    path, ran = tmp_path / "s.jsonl", []

    def run(setting):
        ran.append(setting["seed"])
        yield {"loss": 1.0}
        if setting["seed"] == 1:
            raise ArithmeticError("the loss is nan;\n  lower the rate")
        yield score(setting)

    settings = grid(lr=[0.1], seed=[0, 1, 2])
    found = cells(sweep(run, settings, path=path))
    assert [c.error for c in found] == ["", "ArithmeticError: the loss is nan; lower the rate", ""]
    assert found[1].result == {}
    assert found[1].curve == ({"loss": 1.0},)
    assert cells(sweep(run, settings, path=path)) == found
    assert ran == [0, 1, 2]  # it is not tried again ...
    mended = cells(sweep(score, settings, path=path, retry=True))
    assert [c.error for c in mended] == [""] * 3  # ... unless that is asked for
    assert sorted(c.setting["seed"] for c in read_cells(path)) == [0, 1, 2]


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda s: iter(()), "yielded nothing"),
        (lambda s: {"model": object()}, "TypeError: .*not JSON"),
        (lambda s: 3, "TypeError: the run returned 3: it must return one dict"),
        (lambda s: None, "the run returned None"),
    ],
    ids=["nothing", "no JSON", "no dict", "none"],
)
def test_a_run_that_returns_no_result_is_a_failed_cell(run, words, tmp_path):
    (cell,) = cells(sweep(run, grid(lr=[1]), path=tmp_path / "s.jsonl"))
    assert re.search(words, cell.error)


@pytest.mark.parametrize("yields", [False, True])
def test_a_run_may_change_its_setting_and_a_caller_what_it_was_given(yields, tmp_path):
    settings = [{"hidden": [64], "seed": s} for s in (0, 1)]

    def run(setting):
        setting["hidden"].append(10)
        setting["added"] = object()
        if not yields:
            return {"layers": len(setting["hidden"])}
        return iter([{"loss": 1.0}, {"layers": len(setting["hidden"])}])

    for _ in range(2):
        found = []
        for record in sweep(run, settings, path=tmp_path / "s.jsonl"):
            if isinstance(record, Cell):
                found.append(record)
            else:
                record.setting["hidden"].clear()
        assert [(c.setting, c.result, c.error) for c in found] == [
            ({"hidden": [64], "seed": s}, {"layers": 2}, "") for s in (0, 1)
        ]


def test_numbers_of_numpy_and_torch_are_numbers(tmp_path):
    def run(setting):
        yield {"loss": torch.tensor(0.5, requires_grad=True), "rate": setting["lr"]}
        yield {
            "accuracy": np.float32(0.25),
            "n": np.int64(3),
            "all": np.arange(2),
            "z": torch.ones(2, dtype=torch.bool),
        }

    settings = [{"lr": np.float64(0.5), "seed": np.int64(1)}]
    for again in (settings, [{"lr": 0.5, "seed": 1}]):
        (cell,) = cells(sweep(run, again, path=tmp_path / "s.jsonl"))
        assert cell.error == ""
        assert cell.result == {"accuracy": 0.25, "n": 3, "all": [0, 1], "z": [True, True]}
        assert cell.curve[0] == {"loss": 0.5, "rate": 0.5}


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_a_link_to_a_sweep_is_that_sweep_and_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "s.jsonl").symlink_to(Path("disk") / "real.jsonl")
    first = cells(sweep(score, grid(lr=[0.1], seed=[0]), path=tmp_path / "s.jsonl"))
    assert (tmp_path / "s.jsonl").is_symlink()
    assert read_cells(tmp_path / "disk" / "real.jsonl") == first
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path / "disk"):
        with pytest.raises(OSError, match=path.name):
            next(sweep(score, grid(lr=[0.1], seed=[0]), path=path))


def test_an_interrupt_ends_the_sweep_and_leaves_no_claim(tmp_path):
    path = tmp_path / "s.jsonl"

    def run(setting):
        if setting["seed"] == 2:
            raise KeyboardInterrupt
        return score(setting)

    with pytest.raises(KeyboardInterrupt):
        list(sweep(run, SETTINGS, path=path))
    assert len(read_cells(path)) == 2
    assert [c.setting for c in cells(sweep(score, SETTINGS, path=path))] == SETTINGS


def test_half_a_last_line_is_dropped_with_a_warning_and_its_cell_run_again(tmp_path):
    path = tmp_path / "s.jsonl"
    whole = cells(sweep(score, SETTINGS, path=path))
    path.write_bytes(path.read_bytes()[:-20])
    assert read_cells(path) == whole[:-1]
    with pytest.warns(UserWarning, match="half a line, which was dropped"):
        found = cells(sweep(score, SETTINGS, path=path))
    assert results(found) == results(whole)
    assert results(read_cells(path)) == results(whole)


def test_half_a_header_is_written_again(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'{"sweep": 1, "ver')
    assert len(cells(sweep(score, SETTINGS, path=path))) == 6


@hypothesis.settings(max_examples=25)
@given(cut=st.integers(0, 600))
def test_a_file_cut_short_anywhere_is_completed(cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "s.jsonl"
    whole = cells(sweep(score, SETTINGS[:3], path=path))
    path.write_bytes(path.read_bytes()[:cut])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cells(sweep(score, SETTINGS[:3], path=path))
    assert results(found) == results(whole) == results(read_cells(path))


def test_settings_are_compared_by_value_and_a_grid_may_grow(tmp_path):
    path = tmp_path / "s.jsonl"
    (first,) = cells(sweep(lambda s: {"n": 1}, [{"widths": (16, 8), "lr": 1}], path=path))
    assert first.setting == {"widths": (16, 8), "lr": 1}
    both = cells(sweep(lambda s: {"n": 2}, [{"lr": 1.0, "widths": [16, 8]}, {"lr": 2.0, "widths": [16, 8]}], path=path))
    assert [c.result["n"] for c in both] == [1, 2]
    assert list(group_cells(read_cells(path), "widths")) == [((16, 8),)]


def test_groups_hold_what_a_mean_is_taken_over(tmp_path):
    groups = group_cells(cells(sweep(score, SETTINGS, path=tmp_path / "s.jsonl")), "lr")
    assert list(groups) == [(0.1,), (0.2,)]
    assert [c.setting["seed"] for c in groups[(0.2,)]] == [0, 1, 2]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"settings": SETTINGS[:5]}, r"holds {'lr': 0.2, 'seed': 2}, which is not among these settings"),
        ({"version": "2"}, "made by version '1' of the run, this is '2'"),
    ],
    ids=["grid", "version"],
)
def test_a_file_of_another_grid_or_version_is_refused_and_unchanged(change, words, tmp_path):
    path = tmp_path / "s.jsonl"
    list(sweep(score, SETTINGS, path=path))
    before = path.read_bytes()
    other = {"settings": SETTINGS, "version": "1"} | change
    with pytest.raises(SweepError, match=words):
        list(sweep(score, other["settings"], path=path, version=other["version"]))
    with pytest.raises(SweepError, match=words):
        read_cells(path, other["settings"], version=other["version"])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content, words",
    [
        (b"a,b\n1,2\n", "is no sweep"),
        (b"notes without an end", "is no sweep"),
        (b'{"sweep": 99, "version": "1"}\n', "format 99.*update"),
        (b'{"sweep": 1, "version": "1"}\n{"lr": 1}\n', "a line that is no cell"),
        (b'{"sweep": 1, "version": "1"}\n{"lr"\n', "a line that is no cell"),
    ],
)
def test_a_foreign_file_is_refused_and_unchanged(content, words, tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(SweepError, match=words):
        list(sweep(score, SETTINGS, path=path))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda p: grid(lr=[]), ValueError, r"lr is \[\]: an axis is a list"),
        (lambda p: grid(name="abc"), ValueError, "name is 'abc': an axis is a list"),
        (lambda p: list(sweep(score, [{"lr": 1}, {"lr": 1.0}], path=p / "s")), ValueError, "twice"),
        (lambda p: list(sweep(score, [{"lr": {1}}], path=p / "s")), TypeError, "cannot be written as JSON"),
        (lambda p: list(sweep(score, SETTINGS, path=p / "no" / "s")), FileNotFoundError, "its folder does not exist"),
        (lambda p: read_cells(p / "none"), FileNotFoundError, "there is no such file"),
    ],
)
def test_bad_input_is_named(call, error, words, tmp_path):
    with pytest.raises(error, match=words):
        call(tmp_path)
    assert list(tmp_path.iterdir()) == []


WORKER = """
import os, sys, time
from pathlib import Path
from ssl_toolkit.training.sweep import Cell, grid, sweep
folder, pause, processes = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])

def run(setting):
    with (folder / "log").open("a") as file:
        file.write(f"{setting['lr']} {setting['seed']}\\n")
    yield {"step": 0, "loss": 1.0}
    time.sleep(pause)
    yield {"accuracy": setting["lr"] + setting["seed"] / 10}

(folder / f"ready{os.getpid()}").touch()
while len(list(folder.glob("ready*"))) < processes:
    time.sleep(0.01)
records = sweep(run, grid(lr=[0.1, 0.2], seed=[0, 1, 2]), path=folder / "s.jsonl")
found = [record for record in records if isinstance(record, Cell)]
print(len(found))
"""


def worker(folder, pause, processes=1):
    command = [sys.executable, "-c", WORKER, str(folder), str(pause), str(processes)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_two_processes_share_the_work_and_both_see_all_of_it(tmp_path):
    both = [worker(tmp_path, 0.1, 2) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == ["6", "6"]
    ran = (tmp_path / "log").read_text().split("\n")[:-1]
    assert sorted(ran) == [f"{s['lr']} {s['seed']}" for s in SETTINGS]
    assert results(read_cells(tmp_path / "s.jsonl")) == results(Cell(s, score(s), 0.0) for s in SETTINGS)
    assert not (tmp_path / "s.jsonl.lock").exists()


def test_a_sweep_killed_in_a_cell_goes_on_to_the_same_results(tmp_path):
    path = tmp_path / "s.jsonl"
    killed = worker(tmp_path, 0.1)
    while not (path.exists() and path.read_bytes().count(b"\n") >= 3):  # two cells are finished, a third has begun
        assert killed.poll() is None
        time.sleep(0.01)
    time.sleep(0.05)
    killed.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    killed.wait()
    done = len(read_cells(path))
    assert 2 <= done < 6
    assert list((tmp_path / "s.jsonl.lock").iterdir())  # the lock of the dead
    found = cells(sweep(score, SETTINGS, path=path))
    assert results(found) == results(read_cells(path)) == results(Cell(s, score(s), 0.0) for s in SETTINGS)
    assert not (tmp_path / "s.jsonl.lock").exists()
