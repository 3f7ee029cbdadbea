"""What `help()` and JupyterLab's tooltips show: every public thing says in words what it is."""

import doctest
import importlib
import inspect
import pkgutil

import pytest
import torch

import ssl_toolkit

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(ssl_toolkit.__path__, "ssl_toolkit.") if not m.name.endswith("__main__")
)


def public(name: str) -> dict[str, object]:
    """The functions and classes that a module defines, by name."""
    module = importlib.import_module(name)
    made_here = {key: thing for key, thing in vars(module).items() if getattr(thing, "__module__", "") == name}
    return {
        key: thing
        for key, thing in made_here.items()
        if not key.startswith("_") and (inspect.isclass(thing) or getattr(thing, "__name__", "") == key)
    }


def says_something(thing: object) -> bool:
    """Whether it has words of its own, not what a NamedTuple or a base class gives it."""
    text = (vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__) or ""
    return len(text.split()) > 2 and not text.startswith(f"{thing.__name__}(")


@pytest.mark.parametrize("name", MODULES)
def test_every_module_and_all_that_is_public_in_it_say_what_they_are(name):
    assert says_something(importlib.import_module(name))
    assert [key for key, thing in public(name).items() if not says_something(thing)] == []


@pytest.mark.parametrize("name", MODULES)
def test_every_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    known = {"stk": ssl_toolkit, "torch": torch} | vars(module)
    result = doctest.testmod(module, extraglobs=known, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


FLAT = [thing for name in ssl_toolkit.__all__ if callable(thing := getattr(ssl_toolkit, name))]


@pytest.mark.parametrize("thing", FLAT, ids=lambda thing: thing.__name__)
def test_all_that_one_import_gives_has_an_example(thing):
    assert ">>> " in (thing.__doc__ or "")
