"""ssl_toolkit: train small self-supervised encoders, probe them, and see what a representation knows.

The names below are resolved when they are first used, so `import ssl_toolkit` costs little more than `import torch`.
"""

import os
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_toolkit.data import DataError as DataError
    from ssl_toolkit.data import Dataset as Dataset
    from ssl_toolkit.data import batch as batch
    from ssl_toolkit.data import load_data as load_data
    from ssl_toolkit.recipes import Recipe as Recipe
    from ssl_toolkit.seeds import rng as rng

__version__ = "0.1.0"

# public name -> the module that defines it
_HOME = {
    "rng": "seeds",
    "Dataset": "data",
    "DataError": "data",
    "batch": "data",
    "load_data": "data",
    "Recipe": "recipes",
}

__all__ = [*_HOME, "fast"]


def fast() -> bool:
    """True where the environment asks for small budgets (SSL_TOOLKIT_FAST=1): tests and previews of the notebooks."""
    return os.environ.get("SSL_TOOLKIT_FAST", "") not in ("", "0")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"ssl_toolkit.{_HOME[name]}"), name)
    if name in _modules():
        return import_module(f"ssl_toolkit.{name}")
    raise AttributeError(f"module 'ssl_toolkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_modules()})


def _modules() -> set[str]:
    return {module.name for module in iter_modules(__path__) if not module.name.startswith("_")}
