"""Who may import whom, what an import costs, and what no file of the library does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ssl_toolkit

PACKAGE = Path(ssl_toolkit.__file__).parent
# a module imports only from layers below its own; those of the last two never import each other sideways
LAYERS = [
    set(layer.split())
    for layer in (
        "seeds losses shapes folders files intervals ops processes optimisers locks gauges knn logistic generative "
        "similarity",
        "projection data augment encoders memory plane prototypes stream cached sweep sampling",
        "checkpoint features",
        "train",
        "joint probes resolution online diffusion attacks dejavu infusion",
        "contrast clusters fooling",
        "factors recipes watch",
        "width depths group reader",
        "invariance",
        "claims zoo",
        "plots",
        "chain_plots attack_plots width_plots",
        "widgets",
    )
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MAY_LOOK_SIDEWAYS = {
    ("shapes", "seeds"),
    ("augment", "data"),
    ("data", "shapes"),
    ("sampling", "data"),
    ("stream", "data"),
    ("cached", "data"),
    ("cached", "stream"),
}
LIGHT = ("torchvision", "ipywidgets", "plotly", "IPython", "sklearn", "accelerate", "PIL")


def modules() -> list[Path]:
    return [p for p in PACKAGE.rglob("*.py") if p.name not in ("__main__.py",) and p.parent.name != "_notebooks"]


def imports_of(path: Path) -> set[str]:
    """Modules of the package that the file imports, wherever in it; those only for the type checker left out."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set()
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ssl_toolkit"):
            found |= {node.module} if node.module != "ssl_toolkit" else {f"ssl_toolkit.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("ssl_toolkit")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_what_lies_below_it(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("__init__",):
        return
    own = parts[0]
    assert own in LEVEL, f"{own} has no layer: give it one"
    for name in imports_of(path):
        other = name.split(".")[1]
        if other not in LEVEL:
            assert name == "ssl_toolkit.fast"
            continue
        if own == "widgets":
            assert (
                other != "widgets"
                or path.name == "__init__.py"
                or not name.split(".")[2].endswith(("_panel", "_board"))
            )
        elif other != own and (own, other) not in MAY_LOOK_SIDEWAYS:
            assert LEVEL[other] < LEVEL[own], f"{own} must not import {other}"


def in_a_fresh_process(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_importing_the_package_loads_nothing_heavy():
    code = f"import ssl_toolkit, sys; print([m for m in {LIGHT} if m in sys.modules])"
    assert in_a_fresh_process(code) == "[]"


def test_the_core_works_where_there_are_no_widgets():
    core = ", ".join(f"ssl_toolkit.{name}" for names in LAYERS[:9] for name in sorted(names))
    blocked = ("ipywidgets", "plotly", "IPython", "anywidget", "jupyterlab")
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import {core}; print('fine')"
    assert in_a_fresh_process(code) == "fine"


def test_every_public_name_is_there():
    assert all(getattr(ssl_toolkit, name) is not None for name in ssl_toolkit.__all__)
    assert set(LEVEL) <= set(dir(ssl_toolkit))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ssl_toolkit.nothing


WORKERS_ONLY = {("stream", "torch.set_num_threads")}  # it says so in processes of its own, not in the user's
FORBIDDEN = {"print", "torch.manual_seed", "torch.set_num_threads", "os.fork", "fcntl", "signal.SIGKILL", "pickle"}


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_the_library_neither_prints_nor_seeds_nor_assumes_a_system(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)}
    used |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert {name for name in used & FORBIDDEN if (path.stem, name) not in WORKERS_ONLY} == set()
