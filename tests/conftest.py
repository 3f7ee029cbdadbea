"""The order of the tests: those that say what is wrong in a second come first, notebooks and browsers last."""

# Playwright switches stacks, which upsets CPython 3.11's count of recursion for whatever is compiled afterwards;
# pytest's plugin would import this only at the very end.
import hypothesis  # noqa: F401


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ("browser" in item.keywords) * 2 + ("notebook" in item.keywords))
