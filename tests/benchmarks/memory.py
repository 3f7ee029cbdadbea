"""NT-Xent forward and backward as the batch grows: the memory it needs at its peak, and seconds, at 128 dimensions.

Ours plain, ours by blocks of 256 anchors, and lightly's, each batch in a process of its own. Memory is how far the
resident set rises at its peak. A batch whose memory, by the square of the one before it, would exceed LIMIT is left
out and the figures are None.
"""

import json
import os
import subprocess
import sys
import time

import torch

BATCHES = (256, 512) if os.environ.get("SSL_TOOLKIT_FAST") else (1024, 4096, 16384, 32768)
LOSSES = ("plain", "blocked", "lightly")
LIMIT = 12_000  # MB


def measure(name: str, b: int) -> dict[str, float]:
    """What one forward and backward pass takes, in a process that has done nothing larger before."""
    import resource

    from ssl_toolkit.losses import nt_xent

    if name == "lightly":
        from lightly.loss import NTXentLoss

        loss = NTXentLoss(temperature=0.2)
    else:

        def loss(za: torch.Tensor, zb: torch.Tensor) -> torch.Tensor:
            return sum(nt_xent(za, zb, temperature=0.2, block=256 if name == "blocked" else None).values())

    def once(za: torch.Tensor, zb: torch.Tensor) -> float:
        began = time.perf_counter()
        loss(za, zb).backward()
        return time.perf_counter() - began

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)

    za, zb = torch.randn(2, b, 128, generator=torch.Generator().manual_seed(0)).requires_grad_()
    once(za[:128], zb[:128])  # threads and kernels are there
    before = peak()
    first = once(za, zb)
    grown = peak() - before
    seconds = min([first, *(once(za, zb) for _ in range(2 if first < 5 else 0))])
    return {"MB": round(grown, 1), "s": round(seconds, 4)}


def run() -> dict[str, dict[str, dict[str, float | None]]]:
    result: dict[str, dict[str, dict[str, float | None]]] = {}
    for name in LOSSES:
        result[name], expected = {}, 0.0
        for b, larger in zip(BATCHES, (*BATCHES[1:], 0), strict=True):
            if expected > LIMIT and name != "blocked":
                result[name][str(b)] = {"MB": None, "s": None, "MB expected": round(expected)}
            else:
                code = f"import json; from memory import measure; print(json.dumps(measure({name!r}, {b})))"
                done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
                result[name][str(b)] = json.loads(done.stdout)
                expected = result[name][str(b)]["MB"]
            expected *= (larger / b) ** 2
    return result
