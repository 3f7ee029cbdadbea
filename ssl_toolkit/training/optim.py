"""LARS, and the linear rule that scales the learning rate with the batch: both are used for large batches.

    state = start(model, lr=scaled_lr(0.5, 2048), optimizer=LARS)
    state = start(model, lr=scaled_lr(0.1, 64), optimizer=partial(torch.optim.SGD, momentum=0.9))

`start` takes any PyTorch optimizer; LARS is not in PyTorch.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def scaled_lr(base_lr: float, batch_size: int) -> float:
    """lr = base_lr * batch_size / 256: the linear rule, so that papers can state one rate for all batch sizes.

    It suits SGD and LARS. Bordes et al. (2023) retune `base_lr` for each batch size: small batches need a larger one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: it must be at least 1.")
    return base_lr * batch_size / 256


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman and Ginsburg, 2017): every layer moves by a share of its own norm.

        trust = eta |w| / (|g| + weight_decay |w|)
        v <- momentum v + lr trust (g + weight_decay w)
        w <- w - v

    The trust ratio is 1 if |w| or the denominator is 0. One-dimensional parameters (biases, normalization scales) are
    neither adapted nor decayed, as in the code of Bordes et al. (2023): they move as in SGD.
    Raises ValueError for numbers out of range.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.2,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eta: float = 1e-3,
    ):
        if not lr >= 0:
            raise ValueError(f"lr is {lr}: it must not be negative; 0.1 to 5 are usual for LARS.")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}: it lies in [0, 1); 0.9 is usual.")
        if not weight_decay >= 0 or not eta > 0:
            raise ValueError(
                f"weight_decay={weight_decay} must be >= 0 and eta={eta} positive; 1e-6 and 1e-3 are usual."
            )
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eta": eta})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; `closure`, if any, is called first for its loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            layers, others = [p for p in moving if p.ndim > 1], [p for p in moving if p.ndim <= 1]
            if layers:
                self._move(layers, _adapted(layers, group["eta"], group["weight_decay"]), group)
            if others:
                self._move(others, _gradients(others), group)
        return loss

    def _move(self, w: list[Tensor], update: tuple[Tensor, ...], group: dict[str, Any]) -> None:
        for p in w:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        v = [self.state[p]["momentum_buffer"] for p in w]
        torch._foreach_mul_(v, group["momentum"])
        torch._foreach_add_(v, update, alpha=group["lr"])
        torch._foreach_sub_(w, v)


def _adapted(w: list[Tensor], eta: float, weight_decay: float) -> tuple[Tensor, ...]:
    """trust (g + weight_decay w) for each parameter."""
    g = _gradients(w)
    size, slope = torch.stack(torch._foreach_norm(w)), torch.stack(torch._foreach_norm(g))
    denominator = slope + weight_decay * size
    trust = torch.where((size > 0) & (denominator > 0), eta * size / denominator, 1.0)
    return torch._foreach_mul(torch._foreach_add(g, w, alpha=weight_decay), trust.unbind())


def _gradients(w: list[Tensor]) -> tuple[Tensor, ...]:
    return tuple(p.grad for p in w if p.grad is not None)
