"""The command line, as a new user types it."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from ssl_toolkit import Recipe, load_data, zoo
from ssl_toolkit.__main__ import FOLDER, START, copy_notebooks, main, notebooks, parser
from ssl_toolkit.training import load

ROOT = Path(__file__).parent.parent


def test_lab_copies_the_notebooks_and_never_over_a_changed_one(tmp_path, capsys):
    target = tmp_path / "mine"
    assert main(["lab", str(target), "--copy-only"]) == 0
    copied = {p.name for p in target.glob("*.ipynb")}
    assert copied == {p.name for p in notebooks().glob("*.ipynb")}
    (target / START).write_text("my own notes")
    assert main(["lab", str(target), "--copy-only"]) == 0
    assert (target / START).read_text() == "my own notes"
    assert START in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="JupyterLab is a child process there")
@pytest.mark.parametrize("user, root", [(1000, []), (0, ["--allow-root"])], ids=["user", "root"])
@pytest.mark.parametrize("folder", [[], ["mine"]])
def test_what_stands_after_two_dashes_is_for_jupyterlab(folder, user, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/of/mine")
    commands, configs = [], []

    def replace(file, command, environment):
        commands.append(command)
        configs.append(environment["JUPYTER_CONFIG_PATH"].split(os.pathsep))

    monkeypatch.setattr("os.execvpe", replace)
    monkeypatch.setattr("subprocess.call", lambda command, env: 0)  # which a real execvpe does not come to
    assert main(["lab", *folder, "--", "--no-browser", "--port=9999"]) == 0
    expected = Path(folder[0] if folder else FOLDER)
    start = [sys.executable, "-m", "jupyterlab", str(expected / START)]
    assert commands == [[*start, *root, "--no-browser", "--port=9999"]]
    assert configs[0][0] == "/of/mine"
    assert (Path(configs[0][1]) / "labconfig/default_setting_overrides.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [expected.name]


def test_without_jupyterlab_a_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ssl_toolkit.__main__.find_spec", lambda name: None)
    assert main(["lab", str(tmp_path)]) == 2
    assert 'pip install "ssl-toolkit[lab]"' in capsys.readouterr().err


def test_the_pages_are_copied_beside_the_notebooks_that_link_to_them(tmp_path):
    copy_notebooks(tmp_path)
    assert {p.name for p in tmp_path.glob("*.md")} == {p.name for p in notebooks().glob("*.md")}


def test_an_unchanged_copy_is_brought_up_to_date(tmp_path):
    copy_notebooks(tmp_path)
    manifest = tmp_path / ".ssl_toolkit.json"
    old = b"an older version"
    (tmp_path / START).write_bytes(old)
    written = json.loads(manifest.read_text())
    import hashlib

    manifest.write_text(json.dumps(written | {START: hashlib.sha256(old).hexdigest()}))
    assert copy_notebooks(tmp_path) == []
    assert (tmp_path / START).read_bytes() == (notebooks() / START).read_bytes()


def test_train_saves_a_state_and_goes_on_from_it(tmp_path, capsys):
    path = tmp_path / "run.safetensors"
    common = ["train", "--data", "digits", "--batch-size", "16", "--width", "16", "--steps", "4"]
    assert main([*common, "--save", str(path)]) == 0
    assert "step 4/4" in capsys.readouterr().out
    state = load(path, Recipe(batch_size=16, width=16, steps=4).start(load_data("digits")))
    assert state.step == 4
    assert main([*common[:-1], "5", "--resume", str(path)]) == 0
    assert "step 5/5" in capsys.readouterr().out


NAN = ["train", "--data", "digits", "--method", "barlow twins", "--lr", "1e12", "--batch-size", "32", "--width", "16"]


def test_a_run_that_becomes_nan_is_saved_at_its_last_good_step(tmp_path, capsys):
    path = tmp_path / "run.st"
    assert main([*NAN, "--steps", "40", "--save", str(path)]) == 1
    said = capsys.readouterr().err
    last = int(re.search(r"the state is that of step (\d+)", said)[1])
    assert f"The state of step {last} is in {path}." in said
    assert load(path, Recipe("barlow twins", width=16, projector=(256, 256)).start(load_data("digits"))).step == last


def test_ctrl_c_keeps_the_run_in_its_file(tmp_path, capsys, monkeypatch):
    seen = []

    def pressed(*said, **options):  # at the first line of progress
        seen.append(said)
        if len(seen) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", pressed)
    path = tmp_path / "run.st"
    common = ["train", "--data", "digits", "--batch-size", "8", "--width", "8", "--steps"]
    assert main([*common, "90", "--save", str(path)]) == 130
    assert load(path, Recipe(width=8).start(load_data("digits"))).step == 50
    assert ("The state of step 50 is in", str(path)) not in seen


def test_a_run_that_made_no_step_writes_over_no_older_one(tmp_path):
    path = tmp_path / "run.st"
    path.write_text("older")
    assert main(["train", "--data", "digits", "--batch-size", "0", "--save", str(path)]) == 1
    assert path.read_text() == "older"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_cannot_be_written_is_refused_before_a_step(tmp_path, capsys):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path(os.devnull)):
        assert main(["train", "--data", "digits", "--save", str(path)]) == 2
        assert f"--save is {path}" in capsys.readouterr().err
        assert path.exists()
        assert not path.is_file()


def test_train_decodes_a_folder_while_it_runs_when_there_are_workers(tmp_path, capsys):
    for i in range(8):
        Image.new("RGB", (20, 20), (30 * i, 0, 0)).save(tmp_path / f"{i}.png")
    common = ["train", "--data", str(tmp_path), "--size", "16", "--batch-size", "4", "--width", "8", "--steps", "2"]
    lines = []
    for workers in ([], ["--workers", "1"]):
        assert main([*common, *workers]) == 0
        lines.append(capsys.readouterr().out.rsplit("  ", 1)[0])
    assert lines[0] == lines[1]
    assert "step 2/2" in lines[0]


@pytest.mark.parametrize("arguments", [["--save-every", "0", "--save", "run.safetensors"], ["--save-every", "5"]])
def test_saving_every_so_often_needs_a_number_and_a_file(arguments, capsys):
    assert main(["train", "--data", "digits", *arguments]) == 2
    assert "must be at least 1 and needs --save" in capsys.readouterr().err


def test_a_wheel_carries_the_notebooks_the_scripts_of_the_widgets_and_the_models(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, timeout=240)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert f"ssl_toolkit/_notebooks/{START}" in names
    assert "ssl_toolkit/py.typed" in names
    assert "ssl_toolkit/widgets/static/image_grid.js" in names
    assert "ssl_toolkit/data/noto-emoji/emoji.zip" in names
    assert all(f"ssl_toolkit/zoo/{model}.safetensors" in names for model in zoo.names())
    assert all(f"ssl_toolkit/zoo/{model}.json" in names for model in zoo.names())
    assert not [name for name in names if name.startswith(("tests/", "notebooks/"))]


def test_a_release_starts_from_a_commit_that_carries_its_version(tmp_path):
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    shutil.copy(ROOT / ".ci" / "release", tmp_path / "clone" / ".ci" / "release")
    done = subprocess.run([tmp_path / "clone" / ".ci" / "release"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "CHANGELOG.md has no section for" in done.stderr or "is not tagged" in done.stderr
    assert not (tmp_path / "clone" / "dist").exists()


def test_an_unknown_benchmark_is_named(capsys):
    assert main(["bench", "vieuws"]) == 2
    assert "There is no benchmark 'vieuws'. Choose from imports, " in capsys.readouterr().err


def test_the_benchmarks_print_their_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_TOOLKIT_FAST", "1")
    assert main(["bench", "imports", "--out", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["imports"]["ssl_toolkit s"] > 0
    assert figures["machine"]["torch"] == torch.__version__


def test_a_table_has_a_row_for_each_step_and_a_run_that_goes_on_adds_to_it(tmp_path):
    path, run = tmp_path / "run.csv", tmp_path / "run.st"
    common = ["train", "--data", "digits", "--method", "vicreg", "--batch-size", "16", "--width", "16"]
    common += ["--csv", str(path), "--save", str(run)]
    assert main([*common, "--steps", "3"]) == 0
    assert main([*common, "--steps", "5", "--resume", str(run)]) == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
    terms = [name for name in rows[0] if name not in ("step", "loss", "lr", "seconds")]
    assert len(terms) == 3  # invariance, variance, covariance
    for row in rows:
        assert float(row["loss"]) == pytest.approx(sum(float(row[name]) for name in terms))


def test_a_terminal_sees_how_long_is_left(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["train", "--data", "digits", "--batch-size", "16", "--width", "16", "--steps", "3"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"3/3 \[\d\d:\d\d<\d\d:\d\d.* steps/s, loss [\d.]+, \d+ images/s\]", err)


@pytest.mark.parametrize("command", [["lab"], ["site"], ["train"], ["claims"], ["zoo"], ["zoo", "build"], ["bench"]])
def test_every_command_shows_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    examples = capsys.readouterr().out.split("example")[-1].splitlines()[1:]
    lines = [line.split("#")[0].split() for line in examples if line.lstrip().startswith("ssl-toolkit")]
    assert lines
    for line in lines:
        parser().parse_args(line[1:])


def test_tab_completes_commands_and_options(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--print-completion", "bash"])
    script = capsys.readouterr().out
    assert all(word in script for word in ("zoo", "claims", "--save-every", "--csv"))


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    words = capsys.readouterr().out
    assert all(name in words for name in ("lab", "site", "train", "claims", "zoo", "bench"))
