"""Several processes, one run: under `accelerate launch`, W processes take the same steps as a single one.

Process r of W holds the r-th part of every batch. Losses that compare images must see the whole batch: `all_gather`
brings the embeddings of all processes to each before the loss, and `sync_batchnorm` shares BatchNorm statistics. It is
easy to get the gradient wrong by a factor of W, so it is derived here, once for all losses.

Process r computes the loss L_r, and L = mean_r L_r is the loss of the whole batch: with gathered embeddings every L_r
already equals L, and a loss of single images (BYOL, cross entropy) is the mean of its parts. The weights are the same
numbers on W processes, theta_1 = ... = theta_W, so by the chain rule

    dL/dtheta  =  sum_s dL/dtheta_s  =  mean_s g_s   with   g_s = d(sum_r L_r) / dtheta_s

Backward on process s starts from L_s only. It yields g_s if each message is differentiated as a function of all
processes: the gradient of a gathered part is the *sum* of its gradients from the losses of all processes. Then
`all_reduce_mean` takes the mean. For a gathered loss the sum is W times the gradient, and the mean cancels that W;
without the sum, only 1/W of the gradient would remain.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from accelerate import Accelerator


def accelerator() -> "Accelerator":
    """Accelerate's view of the devices; if several processes were launched, this one joins the others.

    Raises RuntimeError if Accelerate was set up earlier so that each process would train alone.
    """
    from accelerate import Accelerator

    launched = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1
    # without an accelerator, processes join on the CPU only if Accelerate is told to; otherwise each trains alone
    made = Accelerator(cpu=launched > 1 and not (torch.cuda.is_available() or torch.xpu.is_available()))
    if made.num_processes < launched:
        raise RuntimeError(
            f"this is one of {launched} processes, but Accelerate was set up for {made.num_processes} before: "
            "call start() first, or make your own Accelerator(cpu=True)."
        )
    return made


def rank_and_world_size() -> tuple[int, int]:
    """(r, W): this is process r of W; (0, 1) if there is no other."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def all_gather(z: Shaped[Tensor, "b *x"]) -> Shaped[Tensor, "n *x"]:
    """Concatenate the parts of all processes, in order and with gradient; z itself if there is only one process."""
    return z if rank_and_world_size()[1] == 1 else _AllGather.apply(z)


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        parts = [torch.empty_like(z, memory_format=torch.contiguous_format) for _ in range(rank_and_world_size()[1])]
        dist.all_gather(parts, z.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rank, processes = rank_and_world_size()
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.chunk(processes)[rank]


@torch.no_grad()
def all_reduce_mean(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over the processes, in one message."""
    _, processes = rank_and_world_size()
    if processes == 1:
        return
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    for t, mean in zip(tensors, flat.div_(processes).split([t.numel() for t in tensors]), strict=True):
        t.copy_(mean.view_as(t))


@torch.no_grad()
def broadcast(tensors: Sequence[Tensor]) -> None:
    """Set each tensor to its values in the first process."""
    if rank_and_world_size()[1] == 1:
        return
    for t in tensors:
        value = t.contiguous()
        dist.broadcast(value, 0)
        t.copy_(value)


def sync_batchnorm() -> AbstractContextManager:
    """A context in which every BatchNorm in training mode normalizes over the batch of all processes.

    `torch.nn.SyncBatchNorm` needs an accelerator and is a different module. This replaces the function that every
    BatchNorm calls, so the network, its names and its checkpoints do not change. All parts must have the same size.
    """
    return nullcontext() if rank_and_world_size()[1] == 1 else _SyncStatistics()


class _SyncStatistics(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    dtype = torch.promote_types(x.dtype, torch.float32)
    weight = torch.ones(x.shape[1], dtype=dtype, device=x.device) if weight is None else weight
    bias = torch.zeros_like(weight) if bias is None else bias
    y, mean, var = _BatchNorm.apply(x, weight, bias, eps)
    if running_mean is not None and running_var is not None:
        n = rank_and_world_size()[1] * x.numel() / x.shape[1]
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * n / (n - 1), momentum)
    return y


class _BatchNorm(torch.autograd.Function):
    """y = scale (x - mean) + bias with scale = weight / sqrt(var + eps), the mean and var of all processes' x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        unused = torch.zeros(2, x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
        # torch.var_mean takes twenty times as long in channels-last format
        mine = torch.stack(torch.batch_norm_update_stats(x, unused[0], unused[1], 1.0))
        means, variances = all_gather(mine[None]).unbind(1)  # (W, c) each
        # total variance of equal parts = mean of their variances + variance of their means
        mean, var = means.mean(0), variances.mean(0) + means.var(0, correction=0)
        ctx.save_for_backward(x, weight, mean, var)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, var)
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps), mean, var

    @staticmethod
    def backward(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, var = ctx.saved_tensors
        # with fixed statistics: dx = scale g, dw = sum g xhat and db = sum g over this process's x
        dx, dw, db = torch.ops.aten.native_batch_norm_backward(
            g, x, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        # through the statistics: dx -= scale (mean g + xhat mean(g xhat)), with means over all processes' x
        sums = torch.stack([db, dw]) / (x.numel() / x.shape[1])
        all_reduce_mean([sums])
        invstd = (var + ctx.eps).rsqrt()
        scale = weight * invstd
        slope = scale * invstd * sums[1]
        channels = (1, -1, *(1,) * (x.ndim - 2))
        dx -= torch.addcmul((scale * sums[0] - slope * mean).view(channels), x, slope.view(channels))
        return dx, dw, db, None
