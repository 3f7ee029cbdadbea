"""The U-Net and RCDM: what a network is told must matter, and what it is not told must not."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from ssl_toolkit.data import Batch, Dataset, rng
from ssl_toolkit.diffusion import UNet, ddim, heun
from ssl_toolkit.diffusion.rcdm import RCDM, RCDMRecipe, conditions, paper_recipe, representation_conditioned, sample
from ssl_toolkit.encoders import embed, small_conv
from ssl_toolkit.training import load, save, start, train
from ssl_toolkit.training.loop import warmup_momentum

KINDS = pytest.mark.parametrize("kind", ["film", "cbn", "adaln"])


def network(kind="film", **settings):
    """A small network whose zero weights are drawn, so that everything has an effect."""
    net = UNet(1, condition=6, conditioning=kind, width=8, multipliers=(1, 2), blocks=1, attention=(1,), **settings)
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            if p.abs().sum() == 0:
                p.copy_(0.2 * torch.randn(p.shape, generator=rng(i)))
    return net.eval()


def inputs(b=5):
    return (
        torch.randn(b, 1, 8, 8, generator=rng(0)),
        torch.rand(b, generator=rng(1)),
        torch.randn(b, 6, generator=rng(2)),
    )


@KINDS
def test_every_input_matters_and_no_sample_depends_on_another(kind):
    net, (x, t, h) = network(kind), inputs()
    out = net(x, t, h)
    assert out.shape == x.shape
    for changed in ((x + 1, t, h), (x, t / 2, h), (x, t, h + 1)):
        assert not torch.allclose(net(*changed), out, atol=1e-3)
    assert torch.allclose(net(x[:2], t[:2], h[:2]), out[:2], atol=1e-5)
    forgetful = net(x, t, h, null=torch.tensor([True, False, False, False, True]))
    assert torch.allclose(forgetful[1:4], out[1:4], atol=1e-5)
    assert torch.allclose(forgetful[[0, 4]], net(x, t, net.null.expand(5, -1))[[0, 4]], atol=1e-5)


@KINDS
def test_every_weight_learns(kind):
    net, (x, t, h) = network(kind).train(), inputs()
    net(x, t, h, null=torch.arange(5) == 0).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@KINDS
def test_an_untrained_network_says_zero(kind):
    x, t, h = inputs()
    assert UNet(1, condition=6, conditioning=kind, width=8, multipliers=(1, 2))(x, t, h).abs().max() == 0


def test_the_presets_have_the_sizes_that_they_promise():
    def millions(net):
        return sum(p.numel() for p in net.parameters()) / 1e6

    assert 0.6 < millions(UNet(1, condition=128)) < 0.85
    assert 0.5 < millions(RCDMRecipe().network(1, 128)) < 0.7
    assert UNet(3)(torch.rand(2, 3, 32, 32), torch.rand(2)).shape == (2, 3, 32, 32)
    with torch.device("meta"):
        big = paper_recipe().network(3, 2048)
    assert 200 < millions(big) < 600


def test_squares_of_pixels_are_folded_before_the_network_and_unfolded_after_it():
    settings = {"condition": 6, "width": 8, "multipliers": (1, 2), "outputs": 2}
    folded, plain = UNet(1, patch=2, **settings), UNet(4, **settings | {"outputs": 8})
    assert [p.shape for p in folded.parameters()] == [p.shape for p in plain.parameters()]
    with torch.no_grad():
        for i, (a, b) in enumerate(zip(folded.parameters(), plain.parameters(), strict=True)):
            b.copy_(a.copy_(0.2 * torch.randn(a.shape, generator=rng(i))))
    x, t, h = inputs()
    squares = torch.stack([x[:, 0, i::2, j::2] for i in (0, 1) for j in (0, 1)], dim=1)
    expected = torch.empty(5, 2, 8, 8)
    for k, part in enumerate(plain(squares, t, h).unbind(dim=1)):
        expected[:, k // 4, k // 2 % 2 :: 2, k % 2 :: 2] = part
    assert torch.allclose(folded(x, t, h), expected, atol=1e-6)


def test_a_seed_gives_the_same_network_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    a, b, c = (UNet(1, condition=6, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.fixture(scope="module")
def toy():
    """Stripes: h is the angle's place and the brightness; a decoder has to find the image from them."""
    draw = torch.rand(512, 2, generator=rng(0))
    ramp = torch.linspace(0, 1, 8)
    images = draw[:, :1, None] * torch.ones(8, 8) * 0.6 + 0.4 * (ramp > draw[:, 1:, None]) * torch.ones(8, 1)
    return Dataset((images[:, None] * 255).byte(), torch.zeros(512, dtype=torch.int64), ("x",)), 7 * draw + 3


TOY = RCDMRecipe(steps=50, batch_size=32, patch=1, width=8, multipliers=(1,), blocks=1, lr=1e-2, warmup=5, ema=0.95)


@pytest.mark.parametrize("predicts", ["velocity", "image"])
def test_a_trained_model_paints_what_h_says(toy, predicts):
    (data, h), recipe = toy, dataclasses.replace(TOY, predicts=predicts)
    state = recipe.start(data, h)
    losses = [s.loss for s in train(state, data, recipe.objective(h), until=50, batch_size=32)]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    *_, last = sample(state.ema, h[:100], steps=6)
    *_, blind = sample(state.ema, h[:100], steps=6, guidance=0.0)
    real = data.images[:100].float() / 255
    told, foreign = F.mse_loss(last.x0, real), F.mse_loss(last.x0, real.roll(1, 0))
    assert told < 0.5 * foreign
    assert told < 0.5 * F.mse_loss(blind.x0, real)


def test_the_velocity_of_a_predicted_image_leads_from_the_noise_to_it():
    x, t, h = inputs()
    net = network()
    model = RCDM(net, h, (1, 8, 8), "image")
    t = t.clamp(min=0.05)
    said = net(x, t, (h - model.mean) / model.std, None)
    velocity = model(x, t, h)
    assert torch.allclose(x - t[:, None, None, None] * velocity, said, atol=1e-5)
    late = model(x, torch.full_like(t, 1e-6), h)  # where it would blow up, it stays what it is at t = 0.05
    assert late.abs().max() < 40 * (x.abs().max() + said.abs().max())


def test_samples_come_step_by_step_in_units_of_images(toy):
    data, h = toy
    model = TOY.start(data, h).ema.train()
    steps = list(sample(model, h[:3], steps=5, sampler=ddim))
    assert [s.i for s in steps] == list(range(5))
    assert all(s.x0.min() >= 0 and s.x0.max() <= 1 for s in steps)
    assert torch.allclose(steps[-1].x, steps[-1].x0)
    assert model.training
    assert torch.is_grad_enabled()
    noise = torch.zeros(3, 1, 8, 8)
    *_, same = sample(model, h[:1].expand(3, -1), steps=3, sampler=heun, noise=noise)
    assert torch.allclose(same.x0[0], same.x0[2])


def test_training_that_stops_and_goes_on_is_that_which_did_not(toy, tmp_path):
    data, h = toy

    def run(state, until):
        return [s.loss for s in train(state, data, TOY.objective(h), until=until, batch_size=32, precision="fp32")]

    whole, first = TOY.start(data, h), TOY.start(data, h)
    losses = run(whole, 6)
    run(first, 3)
    save(first, tmp_path / "rcdm.safetensors")
    second = load(tmp_path / "rcdm.safetensors", TOY.start(data, 0 * h))  # the file knows how h is standardized
    assert run(second, 6) == losses[3:]
    assert all(torch.equal(a, b) for a, b in zip(whole.ema.parameters(), second.ema.parameters(), strict=True))


def test_an_average_that_warms_up_forgets_the_untrained_weights():
    state = start(torch.nn.Linear(1, 1), ema=0.999, ema_schedule=warmup_momentum)
    assert warmup_momentum(state) == pytest.approx(0.1)
    state.step = 90
    assert warmup_momentum(state) == pytest.approx(0.91)
    state.step = 10**6
    assert warmup_momentum(state) == 0.999


def test_the_average_has_the_batch_norm_of_the_model(toy):
    data, h = toy
    recipe = dataclasses.replace(TOY, conditioning="cbn")
    state = recipe.start(data, h)
    list(train(state, data, recipe.objective(h), until=3, batch_size=32))
    mine, average = (
        [buffer for name, buffer in model.named_buffers() if name.endswith(("running_mean", "running_var"))]
        for model in (state.model, state.ema)
    )
    assert mine
    assert all(torch.equal(a, b) for a, b in zip(mine, average, strict=True))


def test_a_dimension_that_never_changes_says_nothing_and_the_scale_of_h_does_not_matter(toy):
    _, h = toy
    tiny = 1e-9 * h
    assert torch.allclose(RCDM(UNet(1, condition=2, width=8), tiny, (1, 8, 8)).std, 1e-9 * h.std(dim=0))
    model = RCDM(UNet(1, condition=2, width=8), torch.cat([h[:, :1], torch.full_like(h[:, :1], 5.0)], dim=1), (1, 8, 8))
    assert model.std[1] == torch.inf
    assert model.mean.tolist() == pytest.approx([h[:, 0].mean().item(), 5.0])


def test_conditions_are_the_features_of_one_depth_or_of_several():
    encoder, images = small_conv(1, width=16, projector=(8, 4)), torch.randint(0, 256, (7, 1, 28, 28)).byte()
    features = embed(encoder, images, depth=None)
    assert torch.equal(conditions(encoder, images), features["representation"])
    both = conditions(encoder, images, depth=("representation", "embedding"), batch_size=3)
    assert torch.allclose(both, torch.cat([features["representation"], features["embedding"]], dim=1), atol=1e-5)


def test_dropping_every_condition_is_the_unconditional_model(toy):
    data, h = toy
    state = TOY.start(data, h)
    batch = Batch(data.images[:9].float() / 255, data.labels[:9], torch.arange(9))
    with torch.no_grad():
        state.model.network.out.weight.normal_(generator=rng(0))
        for block in state.model.network.middle.blocks:
            block.modulation.weight.normal_(generator=rng(1))
            block.conv2.weight.normal_(generator=rng(2))

    def loss(given, drop):
        return representation_conditioned(given, drop=drop)(state, batch, rng(0))["velocity"].item()

    assert loss(h, 1.0) == loss(h + 1, 1.0)
    assert loss(h, 0.0) != loss(h + 1, 0.0)


BAD = [
    (lambda net, h: net(torch.rand(2, 1, 9, 8), torch.rand(2), h[:2]), "9 x 8: .* multiples of 2"),
    (lambda net, h: UNet(1, patch=2)(torch.rand(2, 1, 28, 28), torch.rand(2)), "28 x 28: .* multiples of 8"),
    (lambda net, h: UNet(1, patch=0), "patch is 0: .* at least 1"),
    (lambda net, h: net(torch.rand(2, 1, 8, 8), torch.rand(2)), "conditioned on h of 2"),
    (lambda net, h: net(torch.rand(2, 1, 8, 8), torch.rand(2), torch.rand(2, 7)), "h has 7 dimensions .* made for 2"),
    (lambda net, h: RCDM(net, torch.rand(9, 7), (1, 8, 8)), "h has 7 dimensions and the network is conditioned on 2"),
    (lambda net, h: next(sample(RCDM(net, h, (1, 8, 8)), torch.rand(3, 7))), "h has 7 .* this model was made for 2"),
    (lambda net, h: next(sample(RCDM(net, h, (1, 8, 8)), h[:3], noise=torch.rand(3, 1, 4, 4))), "noise has shape"),
    (lambda net, h: next(sample(RCDM(net, h, (1, 8, 8)), h[:3], steps=0)), "steps is 0"),
    (lambda net, h: representation_conditioned(h, drop=1.5), "drop is 1.5"),
    (lambda net, h: UNet(1, attention=(3,)), r"attention holds 3: the levels are 0 \.\.\. 2"),
    (lambda net, h: UNet(1, conditioning="cbn"), "give its width as condition="),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call, message, toy):
    with pytest.raises(ValueError, match=message):
        call(UNet(1, condition=2, width=8, multipliers=(1, 2)), toy[1])


def test_a_model_trained_without_null_cannot_be_guided(toy):
    data, h = toy
    recipe = dataclasses.replace(TOY, drop=0.0)
    state = recipe.start(data, h)
    list(train(state, data, recipe.objective(h), until=1, batch_size=8))
    list(sample(state.ema, h[:2], steps=1))
    with pytest.raises(ValueError, match="no learned null"):
        next(sample(state.ema, h[:2], steps=1, guidance=2.0))
    with pytest.raises(ValueError, match="no learned null"):
        next(train(state, data, TOY.objective(h), until=9, batch_size=64))


def test_conditions_of_other_data_are_named(toy):
    data, h = toy
    with pytest.raises(ValueError, match="h has 100 rows"):
        next(train(TOY.start(data, h), data, TOY.objective(h[:100]), until=1, batch_size=512))
