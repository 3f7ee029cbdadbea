"""`import ssl_toolkit` beside `import torch`, each in an interpreter of its own, alternating."""

import os
import statistics
import subprocess
import sys
import time

ROUNDS = 1 if os.environ.get("SSL_TOOLKIT_FAST") else 9


def run() -> dict[str, float]:
    taken: dict[str, list[float]] = {"torch": [], "ssl_toolkit": []}
    for i in range(ROUNDS + 1):
        for name, times in taken.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
            if i:  # the first round fills the disk's cache
                times.append(time.perf_counter() - began)
    a, b = (statistics.median(taken[name]) for name in ("torch", "ssl_toolkit"))
    return {"torch s": round(a, 3), "ssl_toolkit s": round(b, 3), "more %": round(100 * (b / a - 1), 1)}
