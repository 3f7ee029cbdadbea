"""Who may import whom, what an import costs, and what no file of the library does."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ssl_toolkit

PACKAGE = Path(ssl_toolkit.__file__).parent
FLOORS = [  # a package imports only from floors below its own
    {"data"},
    {"augment", "losses", "encoders"},
    {"training"},
    {"probes", "joint", "diffusion", "infusion"},
    {"claims", "zoo"},
    {"widgets"},
]
FLOOR = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
BY_ALL = {"ssl_toolkit.data.seeds", "ssl_toolkit.data.files"}  # every floor is above them
LIGHT = ("torchvision", "ipywidgets", "plotly", "IPython", "sklearn", "accelerate", "PIL")
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path.parent != PACKAGE and "_notebooks" not in path.parts
}
each_module = pytest.mark.parametrize("name", MODULES)


def imports_of(path: Path) -> set[str]:
    """Modules of the package that the file imports, wherever in it; a package itself stands for its `__init__`."""
    named: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            named |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            named |= {(alias.name, "") for alias in node.names}
    names = {f"{module}.{name}" if f"{module}.{name}" in MODULES else module for module, name in named}
    return names & MODULES.keys()


def test_the_house_has_twelve_packages_and_each_has_a_floor():
    assert {p.parent.name for p in PACKAGE.glob("*/__init__.py")} == set(FLOOR)


@each_module
def test_a_module_imports_only_from_floors_below_its_own(name):
    own = name.split(".")[1]
    others = {other: other.split(".")[1] for other in imports_of(MODULES[name]) - BY_ALL}
    assert [other for other, package in others.items() if package != own and FLOOR[package] >= FLOOR[own]] == []


def test_no_module_imports_itself_by_way_of_others():
    imported = {name: imports_of(path) for name, path in MODULES.items()}
    while leaves := [name for name, others in imported.items() if not others & imported.keys()]:
        for name in leaves:
            del imported[name]
    assert imported == {}


def test_panels_do_not_import_each_other():
    panels = [name for name in MODULES if re.fullmatch(r"ssl_toolkit\.widgets\.panels\.[a-z0-9]+", name)]
    assert [name for name in panels if imports_of(MODULES[name]) & set(panels)] == []


def in_a_fresh_process(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_importing_the_package_loads_nothing_heavy():
    code = f"import ssl_toolkit, sys; print([m for m in {LIGHT} if m in sys.modules])"
    assert in_a_fresh_process(code) == "[]"


def test_the_core_works_where_there_are_no_widgets():
    core = ", ".join(f"ssl_toolkit.{name}" for name in FLOOR if name != "widgets")
    blocked = ("ipywidgets", "plotly", "IPython", "anywidget", "jupyterlab")
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import {core}; print('fine')"
    assert in_a_fresh_process(code) == "fine"


def test_the_flat_interface_is_what_completion_and_type_checkers_see():
    assert set(dir(ssl_toolkit)) == {*ssl_toolkit.__all__, *FLOOR, "__version__"}
    assert all(getattr(ssl_toolkit, name) is not None for name in dir(ssl_toolkit))
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.asname for node in block.body for alias in node.names}
    assert typed == set(dir(ssl_toolkit)) - {"fast", "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ssl_toolkit.nothing


ALLOWED = {
    ("ssl_toolkit.data.stream", "torch.set_num_threads"),  # in processes of its own, not in the user's
    ("ssl_toolkit.data.files", "fcntl"),  # where there is one; without it, nothing but leftovers of kills stays
}
FORBIDDEN = {"print", "torch.manual_seed", "torch.set_num_threads", "os.fork", "fcntl", "signal.SIGKILL", "pickle"}


@each_module
def test_the_library_neither_prints_nor_seeds_nor_assumes_a_system(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)}
    used |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert {word for word in used & FORBIDDEN if (name, word) not in ALLOWED} == set()
