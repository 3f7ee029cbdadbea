"""How likely images are: a chain's lower bound, an importance estimate that converges to log p(x), and Parzen's window.

All are in nats, for dequantized images in [0, 1] (see `dequantize`). The variance has a floor of 1e-4, so no pixel's
log density exceeds 3.69 nats; constant pixels reach that. Compare only models with the same floor and the same
infusion: for one operator, a q that fits it better gives a tighter bound.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ssl_toolkit.data import checked, checked_finite, rng
from ssl_toolkit.encoders import to_device_of
from ssl_toolkit.encoders.statistics import distances
from ssl_toolkit.infusion.chains import (
    Infusion,
    Link,
    Prior,
    Rate,
    Transition,
    evaluated,
    fork,
    in_range,
    infused,
    log_density,
    rate_at,
)
from ssl_toolkit.infusion.objectives import NOISY, steps_of_bound

SIGMAS = tuple(10 ** (-1 + i / 9) for i in range(10))  # widths of Parzen's window, 0.1 ... 1


@checked
def bound_by_step(
    operator: Transition,
    x: Float[Tensor, "b *x"],
    *,
    prior: Prior,
    steps: int | None = None,
    rate: Rate | None = None,
    infusion: Infusion = NOISY,
    seed: int = 0,
) -> Float[Tensor, "steps b"]:
    """The T + 1 terms whose sum is the bound, from one infused chain for each x (see `steps_of_bound`).

    Raises ValueError if `steps` is not the operator's own T, and for images outside [0, 1].
    """
    if x.ndim == 4:
        in_range("x", x)
    x = to_device_of(operator, x)
    with evaluated(operator):
        links = infused(operator, prior, x, steps=_steps(operator, steps), rate=rate, infusion=infusion, seed=seed)
        return steps_of_bound(links, x, rate=rate, infusion=infusion)


@checked
def lower_bound(
    operator: Transition,
    x: Float[Tensor, "b *x"],
    *,
    prior: Prior,
    steps: int | None = None,
    rate: Rate | None = None,
    infusion: Infusion = NOISY,
    seed: int = 0,
) -> Float[Tensor, " b"]:
    """An unbiased estimate of the lower bound, in nats, from one chain for each x:

        log p(x) >= E_q[ log p_T(x | z_{T-1}) - sum_{t<T} KL(q_t(z_t | z_{t-1}, x) || p_t(z_t | z_{t-1})) ]

    The operator runs in evaluation mode; its mode is restored. T is the operator's own; give `steps` for a plain
    function.
    """
    terms = bound_by_step(operator, x, prior=prior, steps=steps, rate=rate, infusion=infusion, seed=seed)
    return terms.sum(dim=0)


@checked
def importance_estimates(
    operator: Transition,
    x: Float[Tensor, "b *x"],
    *,
    k: int,
    prior: Prior,
    steps: int | None = None,
    rate: Rate | None = None,
    infusion: Infusion = NOISY,
    seed: int = 0,
) -> Iterator[Float[Tensor, " b"]]:
    """Yield the estimate after each of 1 ... k chains: log 1/j sum_{i<=j} exp(w_i), with the chains' log weights

        w = log p_T(x | z_{T-1}) + sum_{t<T} log p_t(z_t | z_{t-1}) - log q_t(z_t | z_{t-1}, x).

    Its mean rises with j, toward log p(x). Memory does not grow with k.
    """
    if k < 1:
        raise ValueError(f"k is {k}: an estimate needs at least 1 chain.")
    if x.ndim == 4:
        in_range("x", x)
    x = to_device_of(operator, x)
    total = torch.full((len(x),), -math.inf, dtype=x.dtype, device=x.device)
    for j in range(1, k + 1):
        with evaluated(operator):
            links = infused(
                operator, prior, x, steps=_steps(operator, steps), rate=rate, infusion=infusion,
                seed=fork(rng(seed, j, "importance")),
            )  # fmt: skip
            total = torch.logaddexp(total, _log_weight(links, x, rate, infusion))
        yield total - math.log(j)


@checked
def importance_estimate(
    operator: Transition,
    x: Float[Tensor, "b *x"],
    *,
    k: int,
    prior: Prior,
    steps: int | None = None,
    rate: Rate | None = None,
    infusion: Infusion = NOISY,
    seed: int = 0,
) -> Float[Tensor, " b"]:
    """The last of `importance_estimates`, in nats per image."""
    *_, last = importance_estimates(operator, x, k=k, prior=prior, steps=steps, rate=rate, infusion=infusion, seed=seed)
    return last


def _log_weight(links: Iterator[Link], x: Tensor, rate: Rate | None, infusion: Infusion) -> Float[Tensor, " b"]:
    previous, weight = next(links), torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for link in links:
        moments = (previous.mean, previous.std)
        weight = weight + infusion.log_ratio(previous.z, moments, x, rate_at(rate, previous.t))
        previous = link
    return weight + log_density(x, previous.mean, previous.std).flatten(1).sum(dim=1)


def _steps(operator: Transition, steps: int | None) -> int:
    own = getattr(operator, "steps", None)
    if steps is None and own is None:
        raise ValueError("steps is None, and this operator does not store how many it was trained for: give steps.")
    if steps is not None and own is not None and steps != own:
        raise ValueError(f"steps is {steps}: this operator was trained for {own}, so its bound is for {own} steps.")
    length = steps or own or 0
    if length < 1:
        raise ValueError(f"steps is {steps}: a chain has at least 1.")
    return length


@checked_finite
def parzen(
    samples: Float[Tensor, "n *x"], test: Float[Tensor, "m *x"], sigma: float, *, batch_size: int = 256
) -> Float[Tensor, " m"]:
    """log p(x) in nats per image under Parzen's window, log 1/n sum_i N(x; s_i, sigma^2 I).

    Goodfellow et al. (2014) report it. The released code averages over the test set, with the last step's means of
    10,000 chains as samples.

    It is misleading (Theis et al., 2016): in hundreds of dimensions no number of samples is enough, and k-means centers
    score higher than real images. Use it only to compare with old tables.
    """
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}: it must be positive; choose_sigma picks the best on validation images.")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: it must be at least 1.")
    return _windows(samples, test, (sigma,), batch_size)[0]


@checked_finite
def choose_sigma(
    samples: Float[Tensor, "n *x"],
    validation: Float[Tensor, "m *x"],
    sigmas: Sequence[float] = SIGMAS,
) -> float:
    """The window width with the best mean on validation images."""
    if not sigmas or not min(sigmas) > 0:
        raise ValueError(f"sigmas is {sigmas}: it must hold positive numbers; 0.1 to 1 are usual.")
    if not len(validation):
        raise ValueError("validation holds no image: give at least one.")
    means = _windows(samples, validation, sigmas, 256).mean(dim=1)
    return sigmas[int(means.argmax())]


def _windows(
    samples: Float[Tensor, "n *x"], test: Float[Tensor, "m *x"], sigmas: Sequence[float], batch_size: int
) -> Float[Tensor, "k m"]:
    """log p(x) under windows of these widths; distances are computed once."""
    if not samples.numel():
        raise ValueError(f"samples has shape {tuple(samples.shape)}: a window needs at least one sample.")
    s, d, log_p = samples.flatten(1), test.shape[1:].numel(), [test.new_zeros(len(sigmas), 0)]
    constants = [math.log(len(s)) + d * math.log(sigma * math.sqrt(2 * math.pi)) for sigma in sigmas]
    for far in distances(test.flatten(1), s, portion=batch_size):
        exponents = (torch.logsumexp(-(far / sigma).square() / 2, dim=1) for sigma in sigmas)
        log_p.append(torch.stack([e - c for e, c in zip(exponents, constants, strict=True)]).to(test.dtype))
    return torch.cat(log_p, dim=1)
