"""What Binder would build: repo2docker reads the folder and says what it would do, without a Docker engine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def dockerfile() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def test_repo2docker_takes_the_conda_environment_and_the_hooks(dockerfile):
    assert "environment.yml" in dockerfile
    assert "binder/postBuild" in dockerfile
    assert re.search(r"R2D_ENTRYPOINT.*binder/start", dockerfile)


def test_the_hooks_are_executable_scripts():
    for name in ("postBuild", "start"):
        path = ROOT / "binder" / name
        assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
        mode = subprocess.run(["git", "ls-files", "-s", path], cwd=ROOT, capture_output=True, text=True).stdout
        assert not mode or mode.startswith("100755")  # not asked of an unpacked source archive


def test_binder_installs_what_the_package_needs_and_pytorch_for_the_cpu():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[>=<]", spec)[0] for spec in project["dependencies"]}
    listed = re.findall(r"^  - ([a-z-]+)", (ROOT / "binder" / "environment.yml").read_text(encoding="utf-8"), re.M)
    assert needed - {"torch"} <= set(listed)
    assert "pytorch-cpu" in listed
    assert "pytorch" not in listed
