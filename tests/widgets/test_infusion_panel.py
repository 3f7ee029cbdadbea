"""The infusion panel as data: each control is an argument of a plain function."""

import pytest
import torch

from ssl_toolkit.data import rng
from ssl_toolkit.infusion import Mixture, bound_by_step, chain, complete, first, fit_prior, increasing, mlp
from ssl_toolkit.widgets import InfusionPanel
from ssl_toolkit.widgets.panels.infusion import INFUSED, MODEL, PRESETS

IMAGES = torch.randint(0, 256, (5, 1, 8, 8), generator=rng(0), dtype=torch.uint8)
PRIOR = fit_prior(IMAGES)


@pytest.fixture(scope="module")
def operator():
    return mlp((1, 8, 8), steps=6, hidden=(16,))


@pytest.fixture
def panel(operator):
    return InfusionPanel(operator, PRIOR, IMAGES, n=4, growth=0.02, seed=3)


def same(links, others) -> bool:
    return all(torch.equal(a.z, b.z) and torch.equal(a.mean, b.mean) for a, b in zip(links, others, strict=True))


def test_its_chains_are_those_of_the_functions(panel, operator):
    x, rate, copies = IMAGES[:4] / 255, increasing(0.02), Mixture(1e-4)
    model = list(chain(operator, PRIOR.sample(4, seed=3), steps=6, seed=3))
    z = first(PRIOR, x, rate=rate, infusion=copies, seed=3).z
    infused = list(chain(operator, z, steps=6, target=x, rate=rate, infusion=copies, seed=3))
    assert same(panel.links[MODEL][1:], model)
    assert same(panel.links[INFUSED][1:], infused)
    assert panel.canvas.shape == [3, 7, 4, 1, 8, 8]
    bound = bound_by_step(operator, x, prior=PRIOR, rate=rate, seed=3).mean(dim=1)
    assert list(panel.figure.data[0].y) == pytest.approx(bound.tolist(), abs=1e-3)
    assert f"{bound.sum().item():,.0f} nats" in panel.figure.layout.title.text


def test_without_infusion_both_chains_are_one_and_the_preset_says_so(panel):
    panel.preset.value = "no infusion"
    assert (panel.first.value, panel.growth.value) == (0.0, 0.0)
    assert same(panel.links[MODEL], panel.links[INFUSED])
    assert panel.why.value == PRESETS["no infusion"].why
    panel.growth.value = 0.05
    assert (panel.preset.value, panel.why.value) == ("your own settings", "")
    assert not same(panel.links[MODEL], panel.links[INFUSED])


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_drawn(panel, name):
    panel.preset.value = name
    assert panel.preset.value == name
    assert panel.canvas.captions[-1].startswith("z 6 of 6")


@pytest.mark.parametrize("steps", [1, 12])
def test_a_chain_may_be_shorter_and_longer_than_the_operators(panel, steps):
    panel.steps.value = steps
    assert panel.canvas.shape[1] == steps + 1 == len(panel.links[MODEL])


def test_what_is_painted_is_completed(panel, operator):
    hidden = torch.zeros(8, 8, dtype=torch.bool)
    hidden[:3, 2:] = True
    panel.pick(2)
    panel.mask = hidden
    assert same(
        panel.completions, complete(operator, IMAGES[2] / 255, hidden, prior=PRIOR, steps=6, n=4, gradual=True, seed=3)
    )
    assert "4 completions of 28%" in panel.note.value
    shown = panel.tries.chains["completions"][-1]
    assert torch.equal(shown[..., ~hidden], IMAGES[2:3].expand(4, -1, -1, -1)[..., ~hidden])
    panel.buttons["Clear"].click()
    assert not panel.mask.any()
    assert "Paint" in panel.note.value


def test_it_shows_what_the_operator_does_now():
    operator = mlp((1, 8, 8), steps=3, hidden=(8,))
    panel = InfusionPanel(operator, PRIOR, IMAGES, n=2)
    before = panel.links[MODEL][-1].mean
    with torch.no_grad():
        operator.net.last.bias += 1
    panel.draw()
    assert bool((panel.links[MODEL][-1].mean > before).all())


def test_a_saved_notebook_shows_the_chains(panel):
    assert "image/png" in panel._repr_mimebundle_()[0]
    with pytest.raises(ValueError, match="images is empty"):
        InfusionPanel(panel.operator, PRIOR, IMAGES[:0])
