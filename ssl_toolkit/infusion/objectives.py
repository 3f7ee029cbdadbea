"""What an operator is trained for: to point from every state of the infused chain to its target, or to raise the bound.

    prior = fit_prior(data.images)
    state = start(mlp((1, 28, 28)), lr=1e-3)
    for step in train(state, data, denoising(prior), until=600): ...

Both walk the chains of a batch once and detach each state, so that no gradient passes through time.
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
    """The paper's objective: each state says what the target is, the later the more it counts,

        - sum_t  t/T  log p_t(x | z_{t-1}),   per dimension, in nats.

    The operator says how many steps there are. Images are dequantized first, as in the released code: see `dequantize`.
    """

    def objective(state: TrainState, batch: Batch, generator: torch.Generator) -> Terms:
        x = _targets(batch.images, generator, dequantized)
        links = _chains(state.model, prior, x, rate, infusion, generator)
        return {"denoising": _weighted(links, x).mean()}

    return objective


def variational(
    prior: Prior, *, rate: Rate | None = None, infusion: Infusion = NOISY, dequantized: bool = True
) -> Objective:
    """The negative lower bound, in two terms, per dimension, in nats:

    reconstruction  - log p_T(x | z_{T-1})
    divergence      sum_t KL(q_t(z_t | z_{t-1}, x) || p_t(z_t | z_{t-1})),   t = 0 ... T-1

    The value is the bound's, the gradient not: states are drawn by the operator and detached, as in the released code.
    With `Mixture`, whose divergence is estimated at the state, what is left of its gradient is in expectation that of
    -alpha_t log p_t(x | z_{t-1}): denoising by other weights. With `Gaussian` each divergence is exact given its state.
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
    """What each step of an infused chain z_0 ... z_T gives to the bound on log p(x), which is their sum: T divergences,
    -KL(q_t || p_t), then log p_T(x | z_{T-1}).
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
    """Images of 256 levels as numbers with a density, in [0, 1]: k/255 becomes (k + u)/256 with u uniform in [0, 1)."""
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
    """Make BatchNorm's averages anew, of the chains infused by all these targets; yield how many batches have passed.

    The released code does so once after training, where a moving average would still hold older weights' statistics.
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
    """BatchNorm takes the plain mean over all batches since the last reset."""
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
        raise TypeError(f"the model is a {type(model).__name__}: infusion trains an Operator, as mlp and conv make it.")
    seed = fork(generator) + rank_and_world_size()[0]  # each process has chains of its own
    return infused(model, prior, x, steps=model.steps, rate=rate, infusion=infusion, seed=seed)


def _weighted(links: Iterable[Link], x: Float[Tensor, "b *x"]) -> Float[Tensor, " b"]:
    """- sum_t (t/T) log p_t(x | z_{t-1}) / d"""
    losses = [-log_density(x, link.mean, link.std).flatten(1).mean(dim=1) for link in links if link.t]
    weights = torch.arange(1, len(losses) + 1, dtype=x.dtype, device=x.device) / len(losses)
    return weights @ torch.stack(losses)
