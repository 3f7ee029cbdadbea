"""The workbench as plain data: it works without widgets, goes on after a bad encoder, and repeats no work."""

import subprocess
import sys

import pytest
import torch

from ssl_toolkit.data import load_data
from ssl_toolkit.encoders import embed, small_conv
from ssl_toolkit.probes import linear_cka, pca
from ssl_toolkit.probes.workbench import Probed, compare, embed_all, nearest, read_all


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
