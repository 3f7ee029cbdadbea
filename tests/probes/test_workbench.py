"""The workbench as plain data: it works without widgets, goes on after a bad encoder, and repeats no work."""

import subprocess
import sys
from functools import partial

import pytest
import torch

from ssl_toolkit.data import load_data, rng
from ssl_toolkit.encoders import embed, small_conv
from ssl_toolkit.probes import duplicates, label_errors, linear_cka, outliers, pca, tsne, workbench
from ssl_toolkit.probes.tsne import pca_steps
from ssl_toolkit.probes.workbench import REVIEWS, Probed, compare, embed_all, look_for, nearest, read_all


@pytest.fixture(scope="module")
def data():
    return load_data("digits", size=8)[:80]


@pytest.fixture
def probed(data):
    probed = Probed("conv", small_conv(1, width=16, projector=(8, 4)), "representation")
    assert [work.done for work in embed_all([probed], data.images, 64)][-1] == 80
    return probed


def test_it_is_imported_where_there_are_no_widgets():
    code = "import sys; sys.modules.update(dict.fromkeys(('ipywidgets', 'anywidget', 'plotly')))\n"
    code += "import ssl_toolkit.probes.workbench"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_features_are_those_of_embed_at_the_depth_that_is_asked_for(probed, data):
    assert torch.allclose(probed.z, embed(probed.model, data.images), atol=1e-5)
    probed.depth = "embedding"
    assert probed.z.shape == (80, 4)
    assert torch.equal(probed.plane("t-SNE"), pca(probed.z))  # until there is one


def test_an_encoder_that_fails_keeps_its_error_and_the_next_ones_turn_comes(data):
    bad, good = Probed("bad", lambda x: x, "representation"), Probed("pixels", lambda x: x.flatten(1), "representation")
    list(embed_all([bad, good], data.images, 64))
    assert "bad: " in str(bad.error)
    assert (good.error, good.z.shape) == (None, (80, 64))


def test_what_is_known_is_not_done_again(probed, data):
    assert list(embed_all([probed], data.images, 64)) == []
    known = {}
    list(compare(probed, probed, known))
    assert known["stem", "embedding"] == linear_cka(probed.features["stem"], probed.features["embedding"])
    list(read_all([probed], data, seed=0))
    assert list(read_all([probed], data, seed=0)) == []


def test_the_nearest_of_an_image_are_the_others_by_cosine(probed):
    near = nearest(probed.z, 3, 5)
    cosine = torch.nn.functional.cosine_similarity(probed.z, probed.z[3:4])
    cosine[3] = -2
    assert torch.equal(near.index, cosine.topk(5).indices)
    assert len(nearest(probed.z[:3], 0, 5).index) == 2


def test_pca_in_blocks_is_pca():
    z = torch.randn(500, 12, generator=rng(0)) * torch.arange(12, 0, -1) + 100
    *waits, points = pca_steps(z, rows=60)
    assert len(waits) > 20
    assert all(wait is None for wait in waits)
    assert torch.allclose(points, pca(z), atol=1e-2)
    large = list(pca_steps(1e30 * z, rows=60))[-1]  # its squares leave float32
    assert torch.allclose(large / 1e30, points, rtol=1e-3, atol=1e-2)
    with pytest.raises(ValueError, match="has collapsed"):
        list(pca_steps(torch.ones(500, 3), rows=60))
    z[400, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        list(pca_steps(z, rows=60))


def test_beyond_the_sample_a_point_lies_among_its_nearest_three(monkeypatch):
    monkeypatch.setattr(workbench, "SAMPLE", 100)
    monkeypatch.setattr(workbench, "tsne", partial(tsne, iterations=5))
    z = torch.randn(6, 8, generator=rng(1))[torch.arange(400) % 6] * 4 + torch.randn(400, 8, generator=rng(2))
    p = Probed("one", lambda x: x, "representation", features={"representation": z})
    records = list(workbench.spread_out([p]))
    assert {r.unit for r in records if r is not None} == {"image", "iteration"}
    points = p.planes["t-SNE", "representation"]
    sample = torch.randperm(400, generator=rng(0, 0, "t-SNE"))[:100]
    near = torch.cdist(z, z[sample]).topk(3, dim=1, largest=False).indices
    inside = points[sample][near]
    assert (points >= inside.amin(dim=1) - 1e-4).all()
    assert (points <= inside.amax(dim=1) + 1e-4).all()
    *_, layout = tsne(z[sample], perplexity=30.0, iterations=5)
    assert torch.allclose(points[sample], layout.points, atol=1e-4)


def test_the_nearest_of_zeros_and_of_huge_features_are_found():
    z = torch.randn(30, 4, generator=rng(3))
    assert torch.equal(nearest(1e30 * z, 3, 5).index, nearest(z, 3, 5).index)
    z[7] = 0
    assert len(nearest(z, 7, 5).index) == 5
    assert 3 not in nearest(z, 3, 5).index


@pytest.mark.parametrize("what", REVIEWS)
def test_a_review_is_computed_once(what):
    z, labels = torch.randn(80, 6, generator=rng(4)), torch.arange(80) % 3
    p, known = Probed("one", lambda x: x, "representation", features={"representation": z}), {}
    assert [r.done for r in look_for(what, p, labels, "class", known)][-1] > 0
    assert list(look_for(what, p, labels, "class", known)) == []
    found = known[what, "representation", "class"]
    alone = {
        REVIEWS[0]: lambda: label_errors(z, labels),
        REVIEWS[1]: lambda: duplicates(z),
        REVIEWS[2]: lambda: outliers(z),
    }
    assert all(torch.equal(a, b) for a, b in zip(found, alone[what](), strict=True) if isinstance(a, torch.Tensor))
