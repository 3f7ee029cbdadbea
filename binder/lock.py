"""Print binder/requirements.txt: what ssl-toolkit[lab] needs, in the versions of this environment.

    python binder/lock.py > binder/requirements.txt

Run it where the tests have just passed. PyTorch's build for the CPU is taken where its index has the version, since
2.9.0+cpu counts as newer than 2.9.0; PyPI's own build brings several GB of CUDA, which Binder has no use for.
"""

import re
from importlib.metadata import requires, version

from packaging.requirements import Requirement

CUDA = re.compile(r"nvidia|cuda|triton")
HEAD = "# made by lock.py\n--extra-index-url https://download.pytorch.org/whl/cpu"


def closure(name: str, extras: frozenset[str], seen: set[tuple[str, str]]) -> None:
    """Collect the names of all that this package needs, with these of its extras."""
    for text in requires(name) or ():
        need = Requirement(text)
        wanted = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras | {""})
        other = re.sub(r"[-_.]+", "-", need.name).lower()
        new = {(other, extra) for extra in {"", *need.extras}} - seen
        if wanted and new and not CUDA.match(other):
            seen |= new
            closure(other, frozenset(need.extras), seen)


if __name__ == "__main__":
    found: set[tuple[str, str]] = set()
    closure("ssl-toolkit", frozenset({"lab"}), found)
    names = sorted({name for name, _ in found} - {"ssl-toolkit"})
    print(HEAD, *(f"{name}=={version(name).split('+')[0]}" for name in names), sep="\n")
