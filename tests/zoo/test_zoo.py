"""Shipped models are what their cards say, and nothing else is loaded for them."""

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from ssl_toolkit import load_data, zoo
from ssl_toolkit.__main__ import main
from ssl_toolkit.diffusion.metrics import faithfulness
from ssl_toolkit.diffusion.rcdm import RCDM, conditions, sample
from ssl_toolkit.encoders import Encoder, embed
from ssl_toolkit.infusion import Operator, chain, fit_prior, prior_of
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.probes import knn_accuracy
from ssl_toolkit.training import Step
from ssl_toolkit.zoo.store import HERE

RCDMS = [name for name in zoo.names() if zoo.card(name).kind == "rcdm"]


def built(name, folder=None, **budget):
    *steps, shipped = zoo.build(name, folder=folder, **budget)
    return [step for step in steps if isinstance(step, Step)], shipped


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with an encoder that was trained for two steps."""
    folder = tmp_path_factory.mktemp("zoo")
    zoo.write(built("shapes-simclr", steps=2, limit=200)[1], folder)
    return folder


def test_names_are_sorted_and_each_has_a_recipe():
    assert list(zoo.names()) == sorted(zoo.names())
    assert set(zoo.names()) <= set(zoo.PLANS)
    assert {"shapes-simclr", "fashion-mnist-simclr", *RCDMS} <= set(zoo.names())


@pytest.mark.parametrize("name", zoo.names())
def test_a_shipped_model_is_ready(name):
    model, card = zoo.load(name), zoo.card(name)
    assert not any(module.training for module in model.modules())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    assert sum(p.numel() for p in model.parameters()) == card.parameters
    if card.kind == "rcdm":
        assert isinstance(model, RCDM)
        assert model.shape == card.shape
        h = conditions(zoo.load(card.encoder), torch.rand(2, *card.shape), depth=card.depth)
        *_, last = sample(model, h, steps=2)
        assert last.x.shape == (2, *card.shape)
    elif card.kind == "infusion":
        assert isinstance(model, Operator)
        *_, link = chain(model, prior_of(model).sample(2), steps=model.steps)
        assert link.mean.shape == (2, *card.shape)
    else:
        assert isinstance(model, Encoder)
        assert embed(model, torch.rand(2, *card.shape), depth="embedding").isfinite().all()


@pytest.mark.parametrize("name", zoo.names())
def test_a_card_says_how_to_make_the_model_again(name):
    card, plan = zoo.card(name), zoo.PLANS[name]
    recipe = plan.recipe
    if isinstance(recipe, JointRecipe):  # a card names the views that suited the data
        recipe = replace(recipe, **recipe.views(load_data(card.data, limit=2))._asdict())
    assert type(recipe)(**card.recipe) == recipe
    assert (card.name, card.kind, card.what, card.data) == (name, plan.kind, plan.what, plan.data)
    assert (card.encoder, card.depth) == (plan.encoder, plan.depth)
    assert card.needs == {other: zoo.card(other).sha256 for other in plan.needs()}
    assert card.images == {"shapes": 10_000, "fashion-mnist": 60_000, "garments": 60_000, "emoji": 2_805}[card.data]
    assert card.seconds > 1
    assert card.device.startswith(("cpu", "cuda"))
    assert all(asdict(card)[field] for field in ("torch", "date", "measures", "classes"))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in zoo.names()
        if zoo.card(name).kind == "encoder" and (name.startswith("fashion") or name.endswith("supervised"))
    ],
)  # without labels, shapes are told apart by their hue: the cards say how little is learned of the outline
def test_an_encoder_is_better_than_before_training(name):
    measures = zoo.card(name).measures
    assert measures["accuracy"] > measures["untrained accuracy"]


def test_the_files_are_small():
    sizes = {path.name: path.stat().st_size for path in HERE.glob("*.safetensors")}
    assert {name.removesuffix(".safetensors") for name in sizes} == set(zoo.names())
    assert all(zoo.card(name).size == sizes[f"{name}.safetensors"] < 3_000_000 for name in zoo.names())
    assert sum(sizes.values()) < 40_000_000


def test_what_the_card_says_of_an_encoder_can_be_measured_again():
    data, test = load_data("shapes"), load_data("shapes", split="test")
    encoder = zoo.load("shapes-simclr")
    z, z_test = embed(encoder, data.images), embed(encoder, test.images)
    accuracy = knn_accuracy(z, data.labels, z_test, test.labels)
    assert accuracy == pytest.approx(zoo.card("shapes-simclr").measures["kNN"], abs=0.01)


def test_samples_have_the_representation_that_they_were_asked_for():
    name = "shapes-simclr-rcdm-representation"
    card = zoo.card(name)
    asked = conditions(zoo.load(card.encoder), load_data(card.data, split="test").images[:100], depth=card.depth)
    *_, last = sample(zoo.load(name), asked, steps=10)
    found = faithfulness(conditions(zoo.load(card.encoder), last.x.clamp(0, 1), depth=card.depth), asked)
    assert found.mrr > card.measures["MRR"] - 0.1  # among a hundred it is easier to be the first
    assert found.mrr > 10 * found.chance


def test_the_same_recipe_gives_the_same_bytes(small):
    steps, again = built("shapes-simclr", steps=2, limit=200)
    assert [step.step for step in steps] == [1, 2]
    assert again.content == (small / "shapes-simclr.safetensors").read_bytes()
    assert again.card.sha256 == zoo.card("shapes-simclr", small).sha256
    assert again.card.measures == zoo.card("shapes-simclr", small).measures


def test_a_model_that_was_built_loads_from_its_folder(small):
    model, card = zoo.load("shapes-simclr", small), zoo.card("shapes-simclr", small)
    assert zoo.names(small) == ("shapes-simclr",)
    assert card.recipe["steps"] == 2
    assert card.images == 200
    x = torch.rand(4, 3, 32, 32)
    assert torch.equal(model(x), zoo.load("shapes-simclr", small)(x))


def test_an_operator_comes_with_its_prior_and_is_judged_by_the_encoder_in_its_folder(tmp_path):
    few = {"steps": 1, "limit": 200}
    zoo.write(built("fashion-mnist-supervised", **few)[1], tmp_path)
    shipped = built("fashion-mnist-infusion", tmp_path, **few)[1]
    zoo.write(shipped, tmp_path)
    assert shipped.card.needs == {name: zoo.card(name, tmp_path).sha256 for name in ("fashion-mnist-supervised",)}
    prior = prior_of(zoo.load("fashion-mnist-infusion", tmp_path))
    fitted = fit_prior(load_data("fashion-mnist", limit=200).images)
    assert torch.equal(prior.mean, fitted.mean)
    assert torch.equal(prior.std, fitted.std)
    measures = shipped.card.measures
    assert set(measures) == {"class score", "entropy", "balance", "test images' class score", "KID", "bound"}
    assert 1 <= measures["class score"] <= 10
    assert 0 <= measures["balance"] <= 1
    assert shipped.card.size < 3_000_000


def test_an_rcdm_is_trained_for_the_encoder_in_its_folder(small):
    _, shipped = built("shapes-simclr-rcdm-embedding", small, steps=1, limit=40)
    assert shipped.card.needs["shapes-simclr"] == zoo.card("shapes-simclr", small).sha256
    assert shipped.card.needs["shapes-supervised"] == zoo.card("shapes-supervised").sha256
    assert {"MRR", "mean rank", "chance", "KID", "class kept", "hue read", "hue kept"} <= set(shipped.card.measures)


def test_a_changed_byte_is_refused(small, tmp_path):
    copied = shutil.copytree(small, tmp_path / "copy")
    file = copied / "shapes-simclr.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="the file is damaged or another one"):
        zoo.load("shapes-simclr", copied)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', "nonsense"])
def test_a_file_that_is_no_card_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"is no card: it must be a JSON object with name, kind, .*sha256"):
        zoo.card("x", tmp_path)


def test_an_unknown_name_is_answered_with_all(tmp_path, capsys):
    for ask in (zoo.load, zoo.card):
        with pytest.raises(ValueError, match=r"'shapes-simklr': the zoo has .*shapes-simclr, "):
            ask("shapes-simklr")
    with pytest.raises(ValueError, match="the zoo has nothing in"):
        zoo.load("shapes-simclr", tmp_path)
    with pytest.raises(ValueError, match=r"there are recipes for .*shapes-simclr, "):
        next(zoo.build("shapes-simklr"))
    assert main(["zoo", "build", "shapes-simklr", "--folder", str(tmp_path)]) == 2
    assert "Choose from" in capsys.readouterr().err


def test_writing_leaves_an_older_model_whole_when_it_fails(small, tmp_path, monkeypatch):
    copied = shutil.copytree(small, tmp_path / "copy")
    card = zoo.card("shapes-simclr", copied)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        zoo.write(zoo.Shipped(replace(card, what="another"), b"new"), copied)
    assert zoo.card("shapes-simclr", copied) == card
    assert sorted(path.name for path in copied.iterdir()) == sorted(path.name for path in small.iterdir())


def test_the_command_line_lists_and_builds(tmp_path, capsys):
    assert main(["zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == list(zoo.names())
    folder = tmp_path / "made"
    assert main(["zoo", "build", "shapes-reader", "--folder", str(folder), "--steps", "1", "--limit", "150"]) == 0
    assert "R2 of hue" in capsys.readouterr().out
    assert json.loads((folder / "shapes-reader.json").read_text())["recipe"]["steps"] == 1
    assert zoo.load("shapes-reader", folder).width == 128


def test_the_page_of_models_is_the_one_that_the_command_prints(capsys):
    page = (Path(__file__).parents[2] / "notebooks" / "ZOO.md").read_text(encoding="utf-8")
    assert main(["zoo"]) == 0
    assert capsys.readouterr().out in page
    assert main(["zoo", "--page"]) == 0
    assert page == capsys.readouterr().out


def test_the_example_on_the_page_of_models_paints():
    page = (Path(__file__).parents[2] / "notebooks" / "ZOO.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.S)
    space: dict = {}
    exec(compile(example.replace("h.repeat_interleave(8, dim=0)", "h, steps=2"), "ZOO.md", "exec"), space)
    assert space["last"].x.shape == (4, 3, 32, 32)
