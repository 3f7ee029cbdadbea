"""Infusion: chains that must obey laws, bounds beside a chain whose likelihood is known, objectives written out."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from ssl_toolkit.data import Batch, Dataset, rng
from ssl_toolkit.infusion import (
    PRESETS,
    Gaussian,
    InfusionRecipe,
    Mixture,
    Prior,
    bound_by_step,
    chain,
    choose_sigma,
    complete,
    conv,
    denoising,
    dequantize,
    first,
    fit_prior,
    importance_estimate,
    importance_estimates,
    increasing,
    log_density,
    lower_bound,
    mlp,
    parzen,
    past,
    prior_of,
    recalibrate,
    variational,
    vary,
)
from ssl_toolkit.infusion.chains import infused
from ssl_toolkit.infusion.objectives import _weighted
from ssl_toolkit.training import load, save, start, train

T = 4


class Linear(nn.Module):
    """z_t ~ N(A z_{t-1} + b_t, s^2): the distribution of z_T is a Gaussian that can be written down."""

    def __init__(self, d: int = 3, steps: int = T):
        super().__init__()
        self.steps, self.s = steps, 0.6
        self.A = 0.5 * torch.eye(d).double() + 0.2 * torch.randn(d, d, generator=rng(1), dtype=torch.float64)
        self.b = 0.4 * torch.randn(steps, d, generator=rng(2), dtype=torch.float64)

    def forward(self, z, t):
        return z @ self.A.T + self.b[t - 1], torch.full_like(z, self.s)

    def log_p(self, x, prior):
        mean, cov = prior.mean, prior.std.square().diag()
        for b in self.b:
            mean, cov = self.A @ mean + b, self.A @ cov @ self.A.T + self.s**2 * torch.eye(len(mean)).double()
        return torch.distributions.MultivariateNormal(mean, cov).log_prob(x)


@pytest.fixture
def linear():
    """The operator, its prior, and four points that it makes."""
    operator, prior = Linear(), Prior(torch.zeros(3).double(), torch.tensor([1.0, 0.5, 0.8]).double())
    *_, last = chain(operator, prior.sample(4, seed=3), steps=T, seed=3)
    return operator, prior, last.z


def many(x, n):
    return x.repeat_interleave(n, dim=0)


images = torch.rand(16, 1, 4, 4, generator=rng(0))


def small(**options):
    return mlp((1, 4, 4), steps=T, hidden=(8,), **options)


# Chains.


@settings(max_examples=20)
@given(seed=st.integers(0, 2**40), shape=st.sampled_from([(5, 2), (3, 1, 4, 4), (2, 3, 4, 4)]))
def test_a_rate_of_zero_is_the_models_chain_and_a_rate_of_one_the_target(seed, shape):
    operator = mlp(shape[1:], steps=T, hidden=(6,))
    z, x = torch.rand(shape, generator=rng(seed)), torch.rand(shape, generator=rng(seed + 1))
    model = list(chain(operator, z, steps=T, seed=seed))
    for infusion in (Mixture(), Mixture(1e-4), Gaussian()):
        none = chain(operator, z, steps=T, target=x, rate=0.0, infusion=infusion, seed=seed)
        assert all(torch.equal(p.z, q.z) for p, q in zip(model, none, strict=True))
    whole = list(chain(operator, z, steps=T, target=x, rate=1.0, seed=seed))
    assert all(torch.equal(link.z, x) and bool(link.infused.all()) for link in whole)
    assert [link.t for link in whole] == [1, 2, 3, 4]
    assert model[0].infused is None


def test_a_link_is_drawn_from_its_mean_and_std_and_infused_where_it_says():
    operator, x = small(), images
    z = torch.rand(16, 1, 4, 4, generator=rng(5))
    for link in chain(operator, z, steps=T, target=x, rate=increasing(0.2), seed=7):
        drawn = link.mean + link.std * torch.randn(z.shape, generator=rng(7, link.t, "noise"))
        assert torch.equal(link.z, torch.where(link.infused, x, drawn))
        assert abs(link.infused.float().mean() - 0.2 * link.t) < 0.15
        operator.eval()
        with torch.no_grad():
            assert torch.equal(operator(z, link.t)[0], link.mean)
        z = link.z


def test_a_pixel_is_copied_with_all_its_channels():
    x = torch.rand(4, 3, 4, 4, generator=rng(1))
    link = first(Prior(torch.zeros(3, 4, 4), torch.ones(3, 4, 4)), x, rate=0.5)
    assert torch.equal(link.infused[:, 0], link.infused[:, 2])
    assert 0 < link.infused.float().mean() < 1
    assert torch.equal(link.z[link.infused], x[link.infused])


def test_a_copy_with_a_variance_lies_around_the_target():
    x = torch.full((1, 20000), 0.5)
    link = first(Prior(torch.zeros(20000), torch.ones(20000)), x, rate=0.5, infusion=Mixture(1e-4))
    off = (link.z - x)[link.infused]
    assert off.std().item() == pytest.approx(0.01, rel=0.03)


def test_gaussian_infusion_moves_the_mean_and_keeps_the_noise():
    operator, prior, x = Linear(), Prior(torch.zeros(3).double(), torch.ones(3).double()), torch.ones(5, 3).double()
    model = next(chain(operator, prior.sample(5), steps=1))
    moved = next(chain(operator, prior.sample(5), steps=1, target=x, rate=0.3, infusion=Gaussian()))
    torch.testing.assert_close(moved.z - model.z, 0.3 * (x - model.mean))
    assert moved.infused is None


def test_bernoulli_chains_hold_only_zeros_and_ones():
    operator, x = small(bernoulli=True), images.round()
    prior = fit_prior(x, bernoulli=True)
    links = list(chain(operator, prior.sample(16), steps=T, target=x, rate=0.5))
    assert all(set(link.z.unique().tolist()) <= {0.0, 1.0} and link.std is None for link in links)
    assert torch.equal(links[1].z[links[1].infused], x[links[1].infused])


def test_a_chain_leaves_the_operator_as_it_found_it():
    operator = small()
    before = {name: value.clone() for name, value in operator.state_dict().items()}
    list(chain(operator, images, steps=T))
    lower_bound(operator, images, prior=fit_prior(images))
    assert operator.training
    assert all(torch.equal(value, before[name]) for name, value in operator.state_dict().items())


def test_chains_of_one_seed_are_alike_and_those_of_another_not():
    operator = small()
    a, b, c = ([link.z for link in chain(operator, images, steps=T, seed=seed)][-1] for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_the_prior_is_fitted_to_each_pixel():
    data = torch.randint(0, 256, (5000, 1, 3, 3), generator=rng(0), dtype=torch.uint8)
    data[:, :, 0, 0] = 7
    prior = fit_prior(data)
    x = data.double() / 255
    torch.testing.assert_close(prior.mean.double(), x.mean(dim=0), atol=1e-6, rtol=0)
    torch.testing.assert_close(prior.std.double(), (x.var(dim=0, correction=0) + 1e-5).sqrt(), atol=1e-6, rtol=0)
    torch.testing.assert_close(fit_prior(x.float()).mean, prior.mean)
    z = prior.sample(4000)
    torch.testing.assert_close(z.std(dim=0), prior.std, atol=0.02, rtol=0)


# Operators.


@pytest.mark.parametrize("make", [small, lambda **options: conv((1, 16, 16), steps=T, width=4, **options)])
@pytest.mark.parametrize("apart", ["batchnorm", "embedding", "shared"])
def test_the_steps_are_told_apart_as_asked(make, apart):
    operator = make(apart=apart).train()
    z = torch.rand(8, *operator.shape, generator=rng(0))
    if apart == "batchnorm":
        operator(z + 1, 1)  # moves the averages of step 1 alone
    operator.eval()
    (one, std), (two, _) = operator(z, 1), operator(z, 2)
    assert one.shape == std.shape == z.shape
    assert torch.equal(one, two) == (apart == "shared")
    assert 1e-4 <= std.square().min().item() <= std.square().max().item() <= 0.1001


@pytest.mark.parametrize("apart", ["batchnorm", "embedding", "shared"])
def test_evaluation_normalizes_each_step_as_training_did(apart):
    """Batches of step t lie around t: averages pooled over the steps would fit none of them."""
    operator, z = small(apart=apart), torch.rand(4096, 1, 4, 4, generator=rng(0))
    with torch.no_grad():
        for _ in range(100):
            in_training = [operator(z + t, t)[0] for t in range(1, T + 1)]
        operator.eval()
        for t, mean in enumerate(in_training, start=1):
            torch.testing.assert_close(operator(z + t, t)[0], mean, atol=2e-3, rtol=0)
        other = operator(z + 1, T)[0]  # by the averages of another step
    assert (other - in_training[0]).abs().mean() > 0.02


@pytest.mark.parametrize("size", [28, 32, 64])
def test_the_convolutional_operator_takes_the_sizes_of_the_papers_data(size):
    operator = conv((3, size, size), steps=2, width=4, variance=0.01).eval()
    mean, std = operator(torch.rand(2, 3, size, size), 2)
    assert mean.shape == (2, 3, size, size)
    torch.testing.assert_close(std, torch.full_like(std, 0.1))


def test_presets_say_where_code_and_paper_differ():
    paper, released = PRESETS["paper"], PRESETS["released"]
    assert [round(released.rate(t), 2) for t in range(10)] == [0.02, 0.02, *[0.02 * t for t in range(2, 10)]]
    assert [round(paper.rate(t), 2) for t in (0, 1, 14)] == [0, 0.01, 0.14]
    assert (paper.T, paper.hidden, released.T, released.hidden) == (15, (1200, 1200), 10, (1200,))


@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_a_recipe_starts_an_operator_that_keeps_its_prior_and_trains_it(net):
    data = Dataset((torch.rand(40, 1, 28, 28, generator=rng(0)) * 255).byte(), torch.zeros(40).long(), ("a",))
    recipe = InfusionRecipe(T=3, net=net, hidden=(8,), width=4, steps=2, batch_size=8)
    state = recipe.start(data)
    for kept, fitted in zip(prior_of(state.model), fit_prior(data.images), strict=True):
        assert torch.equal(kept, fitted)
    *_, step = train(state, data, recipe.objective(data), until=2, batch_size=8)
    assert step.step == 2
    other = recipe.start(data[:5])
    other.model.load_state_dict(state.model.state_dict())
    assert torch.equal(prior_of(other.model).mean, prior_of(state.model).mean)


def test_a_recipe_names_the_nets_that_there_are():
    recipe = InfusionRecipe()
    object.__setattr__(recipe, "net", "unet")  # as without the types' check
    with pytest.raises(ValueError, match="net is 'unet': it must be 'mlp' or 'conv'"):
        recipe.model(Dataset(torch.zeros(2, 1, 28, 28).byte(), torch.zeros(2).long(), ("a",)))


# Objectives.


def written_out(operator, x, prior, rate, seed, var=1e-4):
    """The denoising loss and the bound, pixel by pixel, from the same draws."""
    normal = torch.distributions.Normal
    noise = lambda t, stream: torch.randn(x.shape, generator=rng(seed, t, stream), dtype=x.dtype)  # noqa: E731
    mean, std, z, loss, bound = prior.mean, prior.std, None, 0.0, 0.0
    for t in range(operator.steps + 1):
        if t:
            mean, std = operator(z, t)
            loss = loss - t / operator.steps * normal(mean, std).log_prob(x).flatten(1).mean(dim=1)
        if t == operator.steps:
            return loss, bound + normal(mean, std).log_prob(x).flatten(1).sum(dim=1)
        copied = torch.rand(x.shape, generator=rng(seed, t, "mask")) < rate(t)
        z = torch.where(copied, x + var**0.5 * noise(t, "copy"), mean + std * noise(t, "noise")).detach()
        p, delta = normal(mean, std).log_prob(z).exp(), normal(x, var**0.5).log_prob(z).exp()
        ratio = p.log() - ((1 - rate(t)) * p + rate(t) * delta).log()
        bound = bound + ratio.flatten(1).sum(dim=1)
    raise AssertionError


def test_both_objectives_are_those_of_the_paper_written_out():
    operator, prior, x = small().eval(), fit_prior(images), images
    loss, bound = written_out(operator, x, prior, increasing(0.05, 0.02), 11)
    links = infused(operator, prior, x, steps=T, rate=increasing(0.05, 0.02), infusion=Mixture(1e-4), seed=11)
    with torch.no_grad():
        assert _weighted(links, x).mean().item() == pytest.approx(loss.mean().item(), abs=1e-5)
    per_image = lower_bound(operator, x, prior=prior, rate=increasing(0.05, 0.02), seed=11)
    torch.testing.assert_close(per_image, bound.detach(), atol=1e-3, rtol=1e-5)
    steps = bound_by_step(operator, x, prior=prior, rate=increasing(0.05, 0.02), seed=11)
    assert steps.shape == (T + 1, 16)
    torch.testing.assert_close(steps.sum(dim=0), per_image)


@pytest.mark.parametrize("objective", [denoising, variational])
@pytest.mark.parametrize("infusion", [Mixture(1e-3), Gaussian()])
def test_the_gradient_is_that_of_finite_differences(objective, infusion):
    """Of the last layer's bias, which moves no state that is not detached: one step, started at z_0."""
    operator = mlp((1, 1, 2), steps=1, hidden=(), seed=3).double()
    prior = Prior(torch.full((1, 1, 2), 0.5).double(), torch.ones(1, 1, 2).double())
    state = start(operator, lr=1e-3, device="cpu")
    x = torch.rand(6, 1, 1, 2, generator=rng(0), dtype=torch.float64)

    def loss(bias):
        operator.net.last.bias.data.copy_(bias)
        given = Batch(x, torch.zeros(6).long(), torch.arange(6))
        terms = objective(prior, rate=0.2, infusion=infusion, dequantized=False)(state, given, rng(4))
        return sum(terms.values())

    bias = torch.zeros(4).double()
    loss(bias).backward()
    ours, h = operator.net.last.bias.grad.clone(), 1e-6
    numeric = [(loss(bias + h * e) - loss(bias - h * e)).item() / (2 * h) for e in torch.eye(4).double()]
    torch.testing.assert_close(ours, torch.tensor(numeric).double(), atol=1e-7, rtol=1e-5)


def test_no_gradient_passes_through_a_state():
    operator, prior = small(), fit_prior(images)
    state = start(operator, lr=1e-3, device="cpu")
    given = Batch(images, torch.zeros(16).long(), torch.arange(16))
    denoising(prior)(state, given, rng(0))["denoising"].backward()
    whole = operator.net.last.weight.grad.clone()
    assert whole.abs().sum() > 0
    operator.zero_grad()
    variational(prior)(state, given, rng(0))["divergence"].backward()  # z_t only, never x from z_{T-1}
    assert operator.net.norms[0].norms[T - 1].weight.grad.abs().sum() == 0


@pytest.mark.parametrize("objective", [denoising, variational])
@pytest.mark.parametrize("infusion", [Mixture(1e-4), Gaussian()])
def test_training_makes_both_better_and_goes_on_where_it_stopped(objective, infusion, tmp_path):
    data = Dataset((images * 255).round().byte(), torch.zeros(16).long(), ("one",))
    prior, goal = fit_prior(data.images), objective(fit_prior(data.images), rate=0.1, infusion=infusion)

    def begin():
        return start(small(), lr=1e-2, device="cpu")

    whole = begin()
    steps = list(train(whole, data, goal, until=30, batch_size=16, precision="fp32"))
    assert steps[-1].loss < steps[0].loss
    half = begin()
    list(train(half, data, goal, until=15, batch_size=16, precision="fp32"))
    save(half, tmp_path / "half.safetensors")
    again = load(tmp_path / "half.safetensors", begin())
    list(train(again, data, goal, until=30, batch_size=16, precision="fp32"))
    pairs = zip(whole.model.state_dict().values(), again.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    trained, untrained = (
        lower_bound(operator, images, prior=prior, rate=0.1, infusion=infusion).mean()
        for operator in (whole.model, small())
    )
    assert trained > untrained


def test_recalibrated_averages_are_the_plain_means_over_the_chains():
    operator, prior = small(), fit_prior(images)
    norm = operator.net.norms[0].norms[0]
    norm.running_mean.fill_(99.0)
    assert list(recalibrate(operator, images.split(8), prior, rate=0.0)) == [1, 2]
    seeds = [int(torch.randint(2**62, (1,), generator=rng(0, i))) for i in range(2)]
    z = torch.cat([first(prior, x, rate=0.0, seed=seed).z for x, seed in zip(images.split(8), seeds, strict=True)])
    torch.testing.assert_close(norm.running_mean, operator.net.linears[0](z.flatten(1)).mean(dim=0).detach())
    assert norm.momentum == 0.1
    assert operator.training


# Likelihood.


@pytest.mark.parametrize("infusion, rate", [(Mixture(0.01), increasing(0.1)), (Gaussian(), 0.3), (Mixture(0.2), 0.3)])
def test_the_bound_is_below_the_truth_and_the_estimate_rises_to_it(linear, infusion, rate):
    operator, prior, x = linear
    truth, n = operator.log_p(x, prior), 2000
    options = {"prior": prior, "rate": rate, "infusion": infusion}
    bounds = lower_bound(operator, many(x, n), **options).view(4, n)
    assert bool((bounds.mean(dim=1) < truth - 4 * bounds.std(dim=1) / n**0.5).all())
    rises = [e.view(4, n).mean(dim=1) for e in importance_estimates(operator, many(x, n), k=8, **options)]
    gains = torch.stack([rises[0], rises[1], rises[3], rises[7], truth]).diff(dim=0)
    assert bool((gains > -0.02).all())
    far = importance_estimate(operator, many(x, 1000), k=60, **options).view(4, 1000)
    pooled = torch.logsumexp(far, dim=1) - math.log(1000)  # 60,000 chains for each x
    torch.testing.assert_close(pooled, truth, atol=0.08, rtol=0)


def test_without_infusion_one_chain_is_an_unbiased_likelihood(linear):
    """p(x) = E p_T(x | z_{T-1}) over the model's own chains."""
    operator, prior, x = linear
    weights = lower_bound(operator, many(x, 20000), prior=prior, rate=0.0).view(4, -1)
    torch.testing.assert_close(weights.logsumexp(dim=1) - math.log(20000), operator.log_p(x, prior), atol=0.1, rtol=0)


def test_a_bernoulli_bound_is_below_the_likelihood_by_enumeration():
    """Two pixels: p(x) is a sum over the four states at each step."""
    operator = mlp((2,), steps=2, hidden=(4,), bernoulli=True, seed=2).double().eval()
    prior = Prior(torch.tensor([0.3, 0.6]).double(), None)
    states = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).double()
    p = log_density(states, *prior.over(4)).sum(dim=1).exp()
    with torch.no_grad():
        for t in (1, 2):
            mean, _ = operator(states, t)
            moves = torch.stack([log_density(s.expand(4, 2), mean, None).sum(dim=1).exp() for s in states], dim=1)
            p = p @ moves
    bounds = lower_bound(operator, many(states, 4000), prior=prior, rate=0.3, infusion=Mixture()).view(4, -1)
    assert bool((bounds.mean(dim=1) < p.log() + 4 * bounds.std(dim=1) / 4000**0.5).all())
    estimate = importance_estimate(operator, many(states, 500), k=20, prior=prior, rate=0.3, infusion=Mixture())
    torch.testing.assert_close(estimate.view(4, -1).logsumexp(dim=1) - math.log(500), p.log(), atol=0.05, rtol=0)


def test_the_divergence_of_gaussian_infusion_is_the_kl_of_two_gaussians():
    mean, x = torch.rand(5, 3, generator=rng(0)), torch.rand(5, 3, generator=rng(1))
    std = torch.rand(5, 3, generator=rng(2)) + 0.1
    p, q = (torch.distributions.Normal(m, std) for m in (mean, mean + 0.3 * (x - mean)))
    ours = Gaussian().divergence(mean, (mean, std), x, 0.3)
    torch.testing.assert_close(ours, torch.distributions.kl_divergence(q, p).sum(dim=1))
    z = q.sample((1000,))
    monte_carlo = torch.stack([Gaussian().log_ratio(row, (mean, std), x, 0.3) for row in z]).mean(dim=0)
    torch.testing.assert_close(-monte_carlo, ours, atol=0.15, rtol=0.05)


def test_memory_does_not_grow_with_k(linear):
    operator, prior, x = linear
    estimates = importance_estimates(operator, x, k=10**9, prior=prior, rate=0.1)
    assert inspect.isgenerator(estimates)
    assert next(estimates).shape == next(estimates).shape == (4,)


def test_parzen_is_the_mean_of_gaussians_written_out():
    samples, test = torch.rand(7, 1, 2, 2, generator=rng(0)), torch.rand(5, 1, 2, 2, generator=rng(1))
    ours = parzen(samples, test, 0.3, batch_size=2)
    for x, log_p in zip(test, ours, strict=True):
        densities = [torch.distributions.Normal(s, 0.3).log_prob(x).sum().exp() for s in samples]
        assert log_p.item() == pytest.approx((sum(densities) / 7).log().item(), abs=1e-4)
    near = samples + 0.01 * torch.randn(samples.shape, generator=rng(2))
    assert choose_sigma(samples, near) == pytest.approx(0.1)
    assert choose_sigma(samples, 5 * near) > 0.5


def test_dequantized_levels_are_uniform_and_stay_in_order():
    x = torch.arange(256).view(1, 1, 16, 16) / 255
    noisy = dequantize(x, rng(0))
    assert torch.equal((noisy * 256).floor(), (x * 255).round())
    many_draws = torch.stack([dequantize(x, rng(0, i)) for i in range(200)]) * 256 - x * 255
    assert many_draws.mean().item() == pytest.approx(0.5, abs=0.01)
    assert 0 <= noisy.min() <= noisy.max() < 1


# Uses.


def test_a_completion_keeps_what_is_known_at_every_step_and_differs_where_it_is_not():
    operator, prior, hidden = small(), fit_prior(images), torch.zeros(4, 4, dtype=torch.bool)
    hidden[2:] = True
    links = list(complete(operator, images[0], hidden, prior=prior, steps=T, n=6))
    assert [link.t for link in links] == [0, 1, 2, 3, 4]
    for link in links:
        assert torch.equal(link.z[..., :2, :], images[:1, :, :2].expand(6, 1, 2, 4))
        assert bool((link.z[..., 2:, :].std(dim=0) > 0).all())


def test_a_gradual_completion_lets_the_known_part_in_and_ends_with_all_of_it():
    operator, prior, hidden = small(), fit_prior(images), torch.zeros(4, 4, dtype=torch.bool)
    hidden[2:] = True
    links = list(complete(operator, images[0], hidden, prior=prior, steps=T, n=400, gradual=True))
    for t, link in enumerate(links):
        assert not link.infused[..., 2:, :].any()
        assert link.infused[..., :2, :].float().mean().item() == pytest.approx(t / T, abs=0.03)
    assert torch.equal(links[-1].z[..., :2, :], images[:1, :, :2].expand(400, 1, 2, 4))


def test_variations_keep_a_share_of_the_image_at_the_start():
    *_, keep_all = vary(small(), images[0], prior=fit_prior(images), steps=T, keep=1.0, n=3)
    start_, *_ = vary(small(), images[0], prior=fit_prior(images), steps=T, keep=0.5, n=400)
    assert start_.infused.float().mean().item() == pytest.approx(0.5, abs=0.02)
    again = [link.z for link in chain(small(), images[:1].expand(3, -1, -1, -1), steps=T)][-1]
    assert torch.equal(keep_all.z, again)


def test_past_its_end_a_chain_repeats_the_last_step():
    operator = small()
    long = list(chain(past(operator), images, steps=2 * T))
    short = list(chain(operator, images, steps=T))
    assert torch.equal(long[T - 1].z, short[-1].z)
    operator.eval()
    assert torch.equal(long[T].mean, operator(long[T - 1].z, T)[0].detach())


# Bad input.

prior, every = fit_prior(images), torch.ones(4, 4, dtype=torch.bool)
WRONG = {
    "steps is 0": lambda: chain(small(), images, steps=0),
    r"rate is 1.2 at t = 1: .*\[0, 1\]": lambda: next(chain(small(), images, steps=2, target=images, rate=1.2)),
    "rate is -0.5": lambda: first(prior, images, rate=lambda t: -0.5),
    "rate is nan": lambda: first(prior, images, rate=math.nan),
    "rate is given without a target": lambda: chain(small(), images, steps=2, rate=0.1),
    r"target has shape \(8, 1, 4, 4\)": lambda: chain(small(), images, steps=2, target=images[:8]),
    r"target lies in .*\[0, 1\]": lambda: chain(small(), images, steps=2, target=255 * images),
    "t is 5: .* 4 steps": lambda: list(chain(small(), images, steps=T + 1)),
    "steps is 3: .* trained for 4": lambda: lower_bound(small(), images, prior=prior, steps=3),
    "steps is None": lambda: lower_bound(lambda z, t: (z, z), images, prior=prior),
    r"z has shape \(16, 1, 4, 4\)": lambda: list(chain(mlp((1, 5, 5), hidden=(4,)), images, steps=1)),
    r"x lies in .*\[0, 1\]": lambda: lower_bound(small(), images + 1, prior=prior),
    "k is 0": lambda: importance_estimate(small(), images, prior=prior, k=0),
    "keeps no prior": lambda: prior_of(small()),
    "sigma is 0": lambda: parzen(images, images, 0.0),
    r"hidden has shape \(3, 4\)": lambda: next(complete(small(), images[0], every[:3], prior=prior, steps=T)),
    "hidden is false": lambda: next(complete(small(), images[0], ~every, prior=prior, steps=T)),
    "var is 0": lambda: lower_bound(small(), images, prior=prior, infusion=Mixture()),
    "steps is -1": lambda: mlp((2,), steps=-1),
    "variance is -1": lambda: mlp((2,), variance=-1.0),
    "shape is": lambda: conv((3, 30, 30)),
    "lies in": lambda: dequantize(255 * images, rng(0)),
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_bad_input_gets_one_clear_sentence(message):
    with pytest.raises((ValueError, TypeError), match=message):
        WRONG[message]()


def test_a_chain_longer_than_memory_is_no_trouble():
    links = chain(past(small()), images, steps=10**9)
    assert [next(links).t for _ in range(3)] == [1, 2, 3]


def test_bernoulli_states_take_exact_copies_only():
    x = (torch.rand(4, 1, 6, 6, generator=rng(0)) > 0.5).float()
    prior, operator = fit_prior(x, bernoulli=True), mlp((1, 6, 6), steps=3, hidden=(16,), bernoulli=True)
    with pytest.raises(ValueError, match=r"Bernoulli, 0 or 1: take Mixture\(\)"):
        first(prior, x, rate=0.5, infusion=Mixture(1e-4))
    with pytest.raises(ValueError, match="Bernoulli"):
        list(chain(operator, x, steps=3, target=x, rate=0.5, infusion=Gaussian()))
    states = [link.z for link in chain(operator, x, steps=3, target=x, rate=0.5)]
    assert all(set(z.unique().tolist()) <= {0.0, 1.0} for z in states)
