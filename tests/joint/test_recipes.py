"""Recipes: every method starts from its tuned numbers, and the paper's are the paper's."""

import inspect
from dataclasses import replace

import pytest
import torch

from ssl_toolkit.data import Dataset, load_data, rng
from ssl_toolkit.joint import METHODS, JointRecipe, Method, Views, joint_embedding, paper_recipe, tuned
from ssl_toolkit.joint.recipes import OPTIMIZERS
from ssl_toolkit.training import LARS, train

DATA = load_data("digits", limit=200)


@pytest.mark.parametrize("method", METHODS)
def test_every_tuned_method_makes_two_finite_steps(method):
    recipe = replace(tuned(method), width=32, steps=2)
    state = recipe.start(DATA)
    steps = list(train(state, DATA, recipe.objective(DATA), until=2, batch_size=recipe.batch_size))
    assert [s.step for s in steps] == [1, 2]


def test_a_method_of_ones_own_is_an_entry(monkeypatch):
    def closeness(za, zb):
        return {"distance": (za - zb).square().mean()}

    mine = Method("Mine", lambda recipe, augment: joint_embedding(closeness, augment), {"projector": (16, 8)})
    monkeypatch.setitem(METHODS, "mine", mine)
    recipe = replace(tuned("mine"), width=32, steps=2)
    state = recipe.start(DATA)
    (*_, last) = train(state, DATA, recipe.objective(DATA), until=2, batch_size=16)
    assert list(last.terms) == ["distance"]
    assert list(state.model.projector)[-1].out_features == 8
    with pytest.raises(ValueError, match=r"method is 'none': it must be one of simclr, .*, mine\."):
        tuned("none")


def test_views_are_the_recipes_where_it_says_so_and_else_suit_the_data():
    garments, shapes = load_data("garments", limit=64), load_data("shapes", limit=64)
    assert JointRecipe().views(garments).hue == JointRecipe().views(shapes).hue == 0.5  # color must not tell
    assert JointRecipe(hue=0.0, scale=(0.9, 1.0)).views(garments) == JointRecipe().views(garments)._replace(
        hue=0.0, scale=(0.9, 1.0)
    )
    unknown = Dataset(garments.images, garments.labels, garments.classes, name="mine")
    assert JointRecipe().views(unknown) == Views()
    drawn = {data.name: JointRecipe().augment(data)(data.images, rng(0)).params for data in (garments, unknown)}
    turns = {name: params["jitter.hue"].abs().max().item() for name, params in drawn.items()}
    assert 0.4 < turns["garments"] <= 0.5
    assert turns["mine"] <= 0.2


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_is_chosen_by_name(optimizer):
    state = JointRecipe(optimizer=optimizer, width=16).start(DATA)
    kinds = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD, "lars": LARS}
    assert type(state.optimizer) is kinds[optimizer]


def test_the_papers_rate_grows_with_the_batch_and_its_settings_are_those_of_its_script():
    small, large = (paper_recipe("simclr", batch_size=b, steps=100, warmup=10) for b in (256, 2048))
    assert (small.lr, large.lr) == (1.0, 4.0)
    assert (small.optimizer, small.temperature, small.weight_decay) == ("lars", 0.15, 1e-6)
    assert (paper_recipe("vicreg", batch_size=256, steps=100, warmup=10).lr, small.projector) == (1.5, (8192,) * 3)


def test_what_there_is_not_is_named():
    with pytest.raises(ValueError, match=r"\('vicreg', 256\)"):
        inspect.unwrap(paper_recipe)("vicreg", batch_size=64, steps=1, warmup=0)
    recipe = JointRecipe()
    object.__setattr__(recipe, "optimizer", "adam")  # past the type hooks of the tests
    with pytest.raises(ValueError, match=r"optimizer is 'adam'.* adamw"):
        recipe.start(DATA)
