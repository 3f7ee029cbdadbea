"""Training objectives for an operator: predict the target from every state of the infused chain, or raise the bound.

    prior = fit_prior(data.images)
    state = start(mlp((1, 28, 28)), lr=1e-3)
    for step in train(state, data, denoising(prior), until=600): ...

Both run the chains of a batch once and detach each state, so no gradient flows back through time.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssl_toolkit.data import Batch, rng
from ssl_toolkit.encoders import to_device_of
from ssl_toolkit.infusion.chains import (
    Infusion,
    Link,
    Mixture,
    Prior,
    Rate,
    fork,
    in_range,
    infused,
    log_density,
    rate_at,
)
from ssl_toolkit.infusion.operators import Operator
from ssl_toolkit.losses import Terms
from ssl_toolkit.training import Objective, TrainState
from ssl_toolkit.training.distributed import rank_and_world_size

NOISY = Mixture(1e-4)


def denoising(
    prior: Prior, *, rate: Rate | None = None, infusion: Infusion = NOISY, dequantized: bool = True
) -> Objective:
    """The paper's objective: predict the target from each state, with more weight on later steps,

        - sum_t  t/T  log p_t(x | z_{t-1}),   per dimension, in nats.

    T is the operator's own. Images are dequantized first, as in the released code: see `dequantize`.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        x = _targets(batch.images, generator, dequantized)
        links = _chains(state.model, prior, x, rate, infusion, generator)
        return {"denoising": _weighted(links, x).mean()}

    return objective


def variational(
    prior: Prior, *, rate: Rate | None = None, infusion: Infusion = NOISY, dequantized: bool = True
) -> Objective:
    """The negative lower bound, in nats per dimension, in two terms:

    reconstruction  - log p_T(x | z_{T-1})
    divergence      sum_t KL(q_t(z_t | z_{t-1}, x) || p_t(z_t | z_{t-1})),   t = 0 ... T-1

    The value is the bound's, but the gradient is not: the operator draws the states, and they are detached, as in the
    released code. `Mixture` estimates its divergence at the state; the expected gradient that remains is that of
    -alpha_t log p_t(x | z_{t-1}), denoising with other weights. With `Gaussian`, each divergence is exact given its
    state.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        x = _targets(batch.images, generator, dequantized)
        links = _chains(state.model, prior, x, rate, infusion, generator)
        terms = -steps_of_bound(links, x, rate=rate, infusion=infusion).mean(dim=1) / x[0].numel()
        return {"reconstruction": terms[-1], "divergence": terms[:-1].sum()}

    return objective


def steps_of_bound(
    links: Iterable[Link], x: Float[Tensor, "b *x"], *, rate: Rate | None, infusion: Infusion
) -> Float[Tensor, "steps b"]:
    """What each step of an infused chain z_0 ... z_T contributes to the bound on log p(x).

    The bound is the sum of T divergences -KL(q_t || p_t) and log p_T(x | z_{T-1}), in this order.
    """
    terms: list[Tensor] = []
    previous: Link | None = None
    for link in links:
        if previous is not None:
            moments = (previous.mean, previous.std)
            terms.append(-infusion.divergence(previous.z, moments, x, rate_at(rate, previous.t)))
        previous = link
    assert previous is not None
    terms.append(log_density(x, previous.mean, previous.std).flatten(1).sum(dim=1))
    return torch.stack(terms)


def dequantize(x: Float[Tensor, "*b c h w"], generator: torch.Generator) -> Float[Tensor, "*b c h w"]:
    """Dequantize images of 256 levels, so that they have a density: k/255 becomes (k + u)/256, u uniform in [0, 1)."""
    in_range("x", x)
    return (x * 255 + torch.rand(x.shape, generator=generator).to(x.device)) / 256


def recalibrate(
    operator: Operator,
    batches: Iterable[Float[Tensor, "b *x"]],
    prior: Prior,
    *,
    rate: Rate | None = None,
    infusion: Infusion = NOISY,
    seed: int = 0,
) -> Iterator[int]:
    """Recompute BatchNorm's averages on chains infused with these targets; yield the number of batches done so far.

    The released code does this once after training, when the moving averages still hold statistics of older weights.
    """
    norms = [module for module in operator.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
    for i, x in enumerate(batches):
        with _averaging(operator, norms), torch.no_grad():
            links = infused(
                operator, prior, to_device_of(operator, x),
                steps=operator.steps, rate=rate, infusion=infusion, seed=fork(rng(seed, i)),
            )  # fmt: skip
            for _ in links:
                pass
        yield i + 1


@contextmanager
def _averaging(operator: nn.Module, norms: list) -> Iterator[None]:
    """Make BatchNorm take the plain mean over all batches since the last reset."""
    momenta, modes = [norm.momentum for norm in norms], {module: module.training for module in operator.modules()}
    operator.train()
    try:
        for norm in norms:
            norm.momentum = None
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _targets(images: Tensor, generator: torch.Generator, dequantized: bool) -> Tensor:
    return dequantize(images, generator) if dequantized else images


def _chains(
    model: nn.Module, prior: Prior, x: Tensor, rate: Rate | None, infusion: Infusion, generator: torch.Generator
) -> Iterator[Link]:
    if not isinstance(model, Operator):
        raise TypeError(f"the model is a {type(model).__name__}: infusion trains an Operator, made by mlp or conv.")
    seed = fork(generator) + rank_and_world_size()[0]  # each process has its own chains
    return infused(model, prior, x, steps=model.steps, rate=rate, infusion=infusion, seed=seed)


def _weighted(links: Iterable[Link], x: Float[Tensor, "b *x"]) -> Float[Tensor, " b"]:
    """- sum_t (t/T) log p_t(x | z_{t-1}) / d"""
    losses = [-log_density(x, link.mean, link.std).flatten(1).mean(dim=1) for link in links if link.t]
    weights = torch.arange(1, len(losses) + 1, dtype=x.dtype, device=x.device) / len(losses)
    return weights @ torch.stack(losses)
