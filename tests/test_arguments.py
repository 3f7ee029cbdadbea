"""What a person gets wrong first is said in a sentence with the argument, its value, and what to do."""

import inspect
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from ssl_toolkit import Dataset, load_data, rng
from ssl_toolkit.__main__ import copy_notebooks, main
from ssl_toolkit.augment import brightness, hflip, simclr_views
from ssl_toolkit.claims import stored
from ssl_toolkit.data import as_float, batch
from ssl_toolkit.diffusion import ddim, ddim_invert, flow_schedule, from_eps, from_v, heun, linear_schedule
from ssl_toolkit.diffusion.metrics import nearest, prdc
from ssl_toolkit.diffusion.rcdm import RCDMRecipe
from ssl_toolkit.encoders import embed, resnet, set_last_block_width, small_conv
from ssl_toolkit.infusion import chain, fit_prior, mlp
from ssl_toolkit.joint import joint_embedding, supervised, tuned
from ssl_toolkit.losses import byol
from ssl_toolkit.training import load, start, train

X = torch.rand(8, 3, 16, 16, generator=rng(0))
DATA = Dataset((255 * X).byte(), torch.arange(8) % 2, ("a", "b"))
UNLABELED = Dataset(DATA.images, torch.full((8,), -1), ("a", "b"))
FLOW, DISCRETE = flow_schedule(), linear_schedule()


def plain(function):
    """The function as users call it, where nothing checks its shapes."""
    return inspect.unwrap(function)


def step(objective, data=DATA, **settings):
    return next(
        train(start(small_conv(3, width=16, projector=(8, 8)), **settings), data, objective, until=1, batch_size=8)
    )


def paths(steps, schedule=FLOW, sampler=ddim, **settings):
    return list(plain(sampler)(lambda x, t: x, X, schedule=schedule, timesteps=steps, **settings))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: simclr_views(16)(255 * X, rng(0)), r"images lie in \[.*floats in \[0, 1\]"),
        (lambda: embed(small_conv(3), 255 * X), r"images lie in \[.*floats in \[0, 1\]"),
        (lambda: as_float((255 * X).long()), r"images are torch.int64: .*uint8"),
        (lambda: small_conv(3)(X[:, :1]), r"x is torch.float32 of shape \(8, 1, 16, 16\).*\(b, 3, h, w\)"),
        (lambda: plain(brightness)(X, 0.5), r"f is 0.5: it must be a tensor of one value per image, \(8,\)"),
        (lambda: plain(hflip)(X, [True] * 8), r"mask is \[True"),
        (lambda: load_data(""), "name_or_folder is empty"),
        (lambda: load_data("Fashion-MNIST"), "Did you mean 'fashion-mnist'"),
        (lambda: plain(batch)(X, 0, batch_size=2), "data is a Tensor: give a Dataset"),
        (lambda: resnet("deeplabv3_resnet50"), "name is 'deeplabv3_resnet50'.*resnet18"),
        (lambda: start(small_conv(3), lr=float("inf")), "lr is inf"),
        (lambda: start(small_conv(3).requires_grad_(False)), "no parameter to train"),
        (lambda: step(lambda state, batch, _: state.model(batch.images).sum()), "the objective returned tensor"),
        (lambda: step(lambda state, batch, _: {}), "the objective returned {}"),
        (lambda: step(supervised(simclr_views(16)), UNLABELED), "a label is -1"),
        (lambda: byol(torch.rand(2, 4, 3), torch.rand(2, 4, 3)), r"p has shape \(2, 4, 3\): it must be \(b, d\)"),
        (lambda: RCDMRecipe().start(DATA, torch.rand(9, 4)), r"h has shape \(9, 4\).*the 8 images"),
        (lambda: paths(20), "timesteps is 20: give a list"),
        (lambda: paths([50.7, 10.2], DISCRETE), "timesteps, integers 0 ... 999"),
        (lambda: paths([999, 500, 1]), r"on the straight path t is in \[0, 1\]"),
        (lambda: paths([0.9, 0.5], clip=-1.0), "clip is -1.0"),
        (lambda: paths([0.9, 0.5], sampler=heun, churn=-1.0), "churn is -1.0"),
        (lambda: paths([0.9, 0.5], sampler=ddim_invert, refine=-1), "refine is -1"),
        (lambda: from_eps(lambda x, t: x, FLOW)(X, torch.ones(8)), "t holds 1, where alpha is 0"),
        (lambda: prdc(torch.rand(9, 3), torch.rand(9, 3), k=0), "k is 0: .* 1 ... 8"),
        (lambda: nearest(X, DATA.images), "of samples and bank holds bytes"),
        (lambda: fit_prior(X[:0]), "holds no image"),
        (lambda: fit_prior(255 * X), r"images are floats in \[0, 1\]"),
        (lambda: stored("DJ-99"), "claim_id is 'DJ-99'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_a_learning_rate_that_was_set_to_nonsense_is_refused_before_a_step():
    state = start(small_conv(3, width=16, projector=(8, 8)))
    state.lr = -1.0
    with pytest.raises(ValueError, match=r"state\.lr is -1\.0"):
        next(train(state, DATA, joint_embedding(byol, simclr_views(16)), until=1, batch_size=8))


def test_v_is_inverted_on_any_schedule():
    e = torch.randn(X.shape, generator=rng(1))
    t = torch.full((8,), 0.4)
    v = FLOW.alpha(t)[0] * e - FLOW.sigma(t)[0] * X
    assert torch.allclose(from_v(lambda x, t: v, FLOW)(FLOW.add_noise(X, t, e), t), X, atol=1e-5)


@pytest.mark.parametrize("sampler", [ddim, heun])
def test_an_edit_of_what_a_sampler_yields_does_not_steer_it(sampler):
    def run(edit):
        for step in sampler(lambda x, t: 0.5 * x, X, schedule=FLOW, timesteps=FLOW.timesteps(4)):
            last = step.x.clone()
            edit(step.x)
        return last

    assert torch.equal(run(torch.zero_), run(torch.clone))


def test_an_edit_of_what_a_chain_yields_does_not_steer_it():
    operator, z = mlp((1, 4, 4), steps=4, hidden=(8,)), torch.rand(5, 1, 4, 4)
    *_, untouched = chain(operator, z, steps=4)
    for link in chain(operator, z, steps=4):
        last = link.z.clone()
        link.z.zero_()
    assert torch.equal(last, untouched.z)


def test_a_predictor_that_reads_the_representation_is_widened_with_it():
    encoder = small_conv(3, width=16, projector=(), predictor=(8,))
    set_last_block_width(encoder, 64)
    assert isinstance(encoder.predictor, nn.Sequential)
    assert encoder.predictor(encoder(X)).shape == (8, 8)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "--data", "nothere"], "name_or_folder is 'nothere'"),
        (["train", "--data", "digits", "--save", "no/such/folder.st"], "--save is no/such/folder.st"),
        (["train", "--data", "digits", "--batch-size", "0", "--steps", "2"], "batch_size is 0"),
        (["train", "--data", "digits", "--resume", "none.st"], "none.st"),
    ],
)
def test_a_mistake_at_the_command_line_is_a_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) != 0
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_a_run_that_is_resumed_for_longer_goes_on_learning(tmp_path, capsys):
    common = ["train", "--data", "digits", "--width", "16", "--batch-size", "32"]
    assert main([*common, "--steps", "3", "--save", str(tmp_path / "a.st")]) == 0
    assert main([*common, "--steps", "3", "--resume", str(tmp_path / "a.st")]) == 2
    assert "give more steps" in capsys.readouterr().err
    assert main([*common, "--steps", "6", "--resume", str(tmp_path / "a.st"), "--save", str(tmp_path / "b.st")]) == 0
    recipe = replace(tuned("simclr"), width=16)

    def weights(name):
        state = load(tmp_path / name, recipe.start(load_data("digits")))
        return torch.cat([p.flatten() for p in state.model.parameters()])

    assert (weights("a.st") - weights("b.st")).abs().max() > 1e-4


def test_a_damaged_list_of_copied_notebooks_takes_all_that_differs_for_the_users(tmp_path):
    assert copy_notebooks(tmp_path) == []
    (tmp_path / ".ssl_toolkit.json").write_text("{")
    (tmp_path / "12_claims.ipynb").write_text("{}")
    assert copy_notebooks(tmp_path) == ["12_claims.ipynb"]
    assert json.loads((tmp_path / ".ssl_toolkit.json").read_text())
