"""One JupyterLab for all browser tests; pictures go to $SSL_TOOLKIT_SHOTS, or to a temporary folder."""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import labdriver


@pytest.fixture(scope="session")
def shots(tmp_path_factory) -> Path:
    folder = Path(os.environ.get("SSL_TOOLKIT_SHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def note(shots):
    """Write measured figures to measured.json beside the pictures."""

    def write(**figures):
        path = shots / "measured.json"
        old = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**old, **figures}, indent=1))

    return write


@pytest.fixture(scope="session")
def chromium():
    """Its path; a test that wants it is skipped where there is none, but fails in CI."""
    if labdriver.CHROMIUM is None:
        message = "no Chromium: install Debian's package chromium, or set CHROMIUM to its path"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return labdriver.CHROMIUM


@pytest.fixture(scope="session")
def lab(tmp_path_factory, chromium):
    root = tmp_path_factory.mktemp("root")
    with labdriver.jupyterlab(root, tmp_path_factory.mktemp("jupyter")) as lab:
        yield lab


@pytest.fixture(scope="module")
def page(lab):
    with labdriver.browser() as page:
        yield page
    labdriver.shut_kernels(lab)
