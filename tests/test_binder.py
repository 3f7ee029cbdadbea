"""What Binder would build: repo2docker reads the folder and says what it would do, without a Docker engine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def dockerfile() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def test_repo2docker_takes_the_lock_file_and_the_hooks(dockerfile):
    assert "binder/requirements.txt" in dockerfile
    assert "binder/postBuild" in dockerfile
    assert re.search(r"R2D_ENTRYPOINT.*binder/start", dockerfile)
    assert "python=3.11" in dockerfile


def test_the_hooks_are_executable_scripts():
    for name in ("postBuild", "start"):
        path = ROOT / "binder" / name
        assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
        mode = subprocess.run(["git", "ls-files", "-s", path], cwd=ROOT, capture_output=True, text=True).stdout
        assert not mode or mode.startswith("100755")  # not asked of an unpacked source archive


def test_the_lock_names_all_that_is_needed_in_a_version_that_is_allowed():
    lines = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if "==" in line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    made = subprocess.run([sys.executable, ROOT / "binder" / "lock.py"], capture_output=True, text=True, check=True)
    for need in map(Requirement, project["dependencies"] + project["optional-dependencies"]["lab"]):
        assert need.specifier.contains(locked[need.name]), need
        assert f"\n{need.name}==" in made.stdout


def test_no_part_of_cuda_is_locked():
    assert not re.search(r"^(nvidia|triton|cuda)", (ROOT / "binder" / "requirements.txt").read_text("utf-8"), re.M)
