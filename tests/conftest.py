"""The order of the tests, and how two processes share them."""

import os

# One thread a process, as `ssl-toolkit lab` has it on two cores. On a busy machine two threads wait for one another at
# every small tensor, spinning: a notebook of ten seconds then takes more than three minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Playwright switches stacks, which upsets CPython 3.11's count of recursion for whatever is compiled afterwards;
# pytest's plugin would import this only at the very end.
import hypothesis
from xdist.scheduler import LoadScopeScheduling

# a busy machine is no failure; and CI tries the same examples in every run, so that it fails for a change only
hypothesis.settings.register_profile("toolkit", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("toolkit")


def pytest_collection_modifyitems(config, items):
    """What says in a second what is wrong comes first. Of two processes (`-n 2`) one begins with what takes longest."""
    shared = hasattr(config, "workerinput")
    items.sort(key=lambda item: ("browser" in item.keywords) * 2 + ("notebook" in item.keywords), reverse=shared)


def pytest_configure(config):
    config.option.loadscopereorder = False


class ByFile(LoadScopeScheduling):
    """A process takes a whole file, so that its fixtures are made once; or all browser tests, which share one Lab."""

    def _split_scope(self, nodeid):
        file = nodeid.split("::")[0]
        return "browser" if "/browser/" in file else nodeid if "_runs_from_the_top_" in nodeid else file


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)
