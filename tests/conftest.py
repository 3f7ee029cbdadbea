"""The order of the tests: those that say what is wrong in a second come first, notebooks and browsers last."""

import os

# One thread a process, as `ssl-toolkit lab` has it on two cores. On a busy machine two threads wait for one another at
# every small tensor, spinning: a notebook of ten seconds then takes more than three minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Playwright switches stacks, which upsets CPython 3.11's count of recursion for whatever is compiled afterwards;
# pytest's plugin would import this only at the very end.
import hypothesis

# a busy machine is no failure; and CI tries the same examples in every run, so that it fails for a change only
hypothesis.settings.register_profile("toolkit", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("toolkit")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ("browser" in item.keywords) * 2 + ("notebook" in item.keywords))
