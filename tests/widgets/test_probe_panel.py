"""ProbePanel as data: what its controls do, what it holds for the next cell, and that it outlives every bad encoder."""

import base64
import io
from functools import partial

import pytest
import torch
from PIL import Image
from torch import nn

from ssl_toolkit.data import Dataset, load_data
from ssl_toolkit.encoders import embed, small_conv
from ssl_toolkit.encoders.statistics import neighbors
from ssl_toolkit.probes import linear_cka, pca, tsne
from ssl_toolkit.probes.enrichment import enrichment
from ssl_toolkit.probes.layerwise import KNN, LINEAR, Score
from ssl_toolkit.probes.workbench import nearest
from ssl_toolkit.widgets import ProbePanel
from ssl_toolkit.widgets.panels.probe_views import depth_curves, group_words, skill


@pytest.fixture(scope="module")
def data():
    return load_data("shapes", limit=120)


@pytest.fixture(scope="module")
def model():
    return small_conv(3, projector=(16, 8))


@pytest.fixture
def panel(model, data):
    panel = ProbePanel(model, data)
    panel.wait()
    return panel


def test_it_starts_by_itself_and_shows_pca_of_the_representation(panel, model, data):
    points = torch.frombuffer(bytearray(panel.scatter.points), dtype=torch.float32).view(-1, 2)
    expected = pca(embed(model, data.images))
    centered = expected - (expected.amax(0) + expected.amin(0)) / 2
    assert torch.allclose(points, centered / centered.abs().max(), atol=1e-3)
    assert panel.depth.options == tuple(model.features(torch.rand(2, 3, 32, 32)))
    assert panel.depth.value == "representation"
    assert panel.player.state == "done"


def test_a_pick_selects_the_image_and_its_neighbors(panel, model, data):
    panel.pick(5)
    z = embed(model, data.images)
    cosine, index = neighbors(z, z[5:6], k=8)
    assert set(panel.selection.tolist()) == set(index[0].tolist())
    assert panel.selection[0] == 5
    assert len(data[panel.selection]) == 8
    assert panel.scatter.picked == 5
    assert f"cosine {cosine[0, 1]:.3f}" in panel.grid.captions[1]
    with pytest.raises(IndexError, match="image 120 is not there"):
        panel.pick(120)


def test_an_image_of_the_grid_is_the_next_pick(panel):
    panel.pick(5)
    then = int(panel._shown[3])
    panel.grid._handle_custom_msg({"type": "pick", "index": 3}, [])
    assert panel.selection[0] == then


def test_a_group_says_what_it_shares(panel, data):
    index = (data.labels == 2).nonzero().squeeze(1)
    panel.scatter._handle_custom_msg({"type": "select", "indices": index.tolist()}, [])
    assert torch.equal(panel.selection, index)
    assert data.classes[2] in panel.words.value
    assert panel.grid.shape[0] == len(index)
    panel.select(torch.empty(0, dtype=torch.int64))
    assert "Lasso" in panel.words.value


def test_another_depth_gives_other_neighbors(panel, model, data):
    panel.depth.value = "stem"
    panel.wait()
    panel.pick(5)
    z = embed(model, data.images, depth="stem")
    assert set(panel.selection.tolist()) == set(neighbors(z, z[5:6], k=8)[1][0].tolist())


def test_colors_are_classes_and_factors(panel, data):
    assert panel.color.options == ("class", "texture", "hue", "x", "y", "scale", "angle", "background")
    panel.color.value = "texture"
    assert panel.scatter.legend["words"] == ["plain", "stripes", "dots", "checker"]
    panel.color.value = "x"
    assert panel.scatter.legend["words"] == []


def test_tsne_is_watched_and_kept(panel, monkeypatch):
    monkeypatch.setattr("ssl_toolkit.probes.workbench.tsne", partial(tsne, iterations=10))
    before = panel.scatter.points
    panel.projection.value = "t-SNE"
    panel.wait()
    assert panel.scatter.points != before
    after = panel.scatter.points
    panel.projection.value = "PCA"
    panel.wait()
    assert panel.scatter.points == before
    panel.projection.value = "t-SNE"
    *_, last = panel._work()  # nothing is left to do
    panel.wait()
    assert last == ("image", 120, 120)
    assert panel.scatter.points == after


def test_half_of_a_tsne_is_not_kept(panel):
    panel.projection.value = "t-SNE"
    work = panel._work()
    while (record := next(work)) is None or record.unit != "iteration":
        pass
    assert ("t-SNE", "representation") in panel.probed[0].planes
    work.close()
    assert ("t-SNE", "representation") not in panel.probed[0].planes


def test_probes_and_factors_by_depth_are_those_of_the_functions(panel):
    panel.view.value = "Factors"
    panel.wait()
    (probed,) = panel.probed
    heat = panel.maps[0]
    assert heat.columns == ["pixels", *probed.features]
    assert heat.rows == ["class", "texture", "hue", "x", "y", "scale", "angle", "background"]
    linear = next(s for s in probed.scores if (s.depth, s.what) == ("stage1", LINEAR))
    assert f"{round(max(0, skill(linear)), 2):.3g}" == heat.tiles[heat.columns.index("stage1")]["text"]
    panel.view.value = "Probes"
    panel.wait()
    assert [trace.name for trace in panel.figure.data[:3]] == [LINEAR, KNN, "pixels: linear probe"]
    assert list(panel.figure.data[0].x) == list(probed.features)


def test_a_place_of_a_table_leads_to_its_depth(panel):
    panel.view.value = "Factors"
    panel.maps[0]._handle_custom_msg({"type": "pick", "row": 2, "column": 1}, [])
    assert panel.depth.value == "stem"
    panel.maps[0]._handle_custom_msg({"type": "pick", "row": -1, "column": -1}, [])
    assert panel.depth.value == "stem"
    panel.similarity._handle_custom_msg({"type": "pick", "row": 0, "column": 2}, [])
    assert panel.depth.value == "stage2"


def test_two_encoders_share_points_selection_and_cka(model, data):
    other = small_conv(3, projector=(), seed=1)
    panel = ProbePanel({"ours": model, "other": other}, data, view="CKA")
    panel.wait()
    assert panel.scatter.titles == ["ours", "other"]
    assert panel.similarity.rows == list(panel.probed[0].features)
    assert panel.similarity.columns == ["stem", "stage1", "stage2", "representation"]
    expected = linear_cka(embed(model, data.images, depth="stem"), embed(other, data.images, depth="stem"))
    assert panel.similarity.tiles[0]["text"] == f"{round(expected, 2):.3g}"
    panel.pick(3)
    assert len(panel.scatter.marks) == 2
    assert panel.grid.shape[0] == 16


@pytest.mark.parametrize(
    "encoder, words",
    [
        (lambda x: x, r"bad: the encoder returned a tensor of shape \(64, 3, 32, 32\)"),
        (lambda x: (x.flatten(1), x), "bad: the encoder returned a tuple"),
        (lambda x: x.flatten(1) * torch.nan, "bad: .*NaN"),
        (lambda x: x[0], "bad: the encoder returned"),
        (nn.Linear(5, 2), "bad: mat1 and mat2"),
    ],
)
def test_a_broken_encoder_is_told_and_the_other_one_lives_on(model, data, encoder, words):
    panel = ProbePanel({"good": model, "bad": encoder}, data)
    with pytest.raises((TypeError, ValueError, RuntimeError), match=words):
        panel.wait()
    assert panel.player.state == "failed"
    assert "failed" in panel.player.status.value
    assert panel.scatter.titles == ["good"]
    panel.pick(2)
    assert len(panel.selection) == 8
    panel.color.value = "hue"
    assert panel.scatter.legend["name"] == "hue"


def test_a_depth_that_is_not_there_is_told_with_those_that_are(model, data):
    panel = ProbePanel(model, data, depth="layer9")
    with pytest.raises(ValueError, match="'layer9': encoder has stem, stage1"):
        panel.wait()
    assert panel.depth.value == "embedding"
    panel.pick(0)


def test_a_collapsed_encoder_is_told(data):
    panel = ProbePanel(lambda x: torch.ones(len(x), 4), data)
    with pytest.raises(ValueError, match="collapsed"):
        panel.wait()


def test_one_class_leaves_the_points_and_is_told_where_probes_are_asked_for(model, data):
    one = Dataset(data.images, torch.zeros(120, dtype=torch.int64), ("thing",))
    panel = ProbePanel(model, one)
    panel.wait()
    panel.view.value = "Probes"
    with pytest.raises(ValueError, match="one class"):
        panel.wait()
    panel.view.value = "Images"
    panel.wait()
    assert panel.player.state == "done"
    panel.pick(1)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"projection": "UMAP"}, "'UMAP': it must be one of PCA, t-SNE"),
        ({"color": "taste"}, "'taste': it must be one of class, texture"),
        ({"view": "?"}, "it must be one of Images"),
        ({"encoders": {}}, "encoders are 0"),
    ],
)
def test_arguments_that_cannot_be_are_errors_at_once(model, data, arguments, words):
    with pytest.raises(ValueError, match=words):
        ProbePanel(**{"encoders": model, "data": data} | arguments)


def test_a_handful_of_images_will_do(model, data):
    panel = ProbePanel(model, data, limit=4)
    panel.wait()
    panel.pick(0)
    assert len(panel.selection) == 4


def test_a_saved_notebook_shows_the_points(panel):
    bundle, _ = panel._repr_mimebundle_()
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size == (560, 560)


def test_the_nearest_leave_out_the_image_itself_even_among_equals():
    near = nearest(torch.ones(6, 3), 2, 3)
    assert 2 not in near.index
    assert len(near.index) == 3


def test_curves_have_chance_and_the_pixels_beside_them():
    scores = [Score(d, w, s, 0.125) for d, s in (("pixels", 0.3), ("a", 0.5), ("b", 0.6)) for w in (LINEAR, KNN)]
    curves, chance = depth_curves({"one": scores})
    assert chance == 0.125
    assert [(c.name, list(c.x), list(c.y)) for c in curves] == [
        (LINEAR, ["a", "b"], [0.5, 0.6]),
        (KNN, ["a", "b"], [0.5, 0.6]),
        ("pixels: linear probe", ["a", "b"], [0.3, 0.3]),
    ]
    assert depth_curves({"one": []}) == ([], None)


def test_words_of_a_group_are_escaped_and_say_when_there_is_nothing():
    assert "nothing more than" in group_words(torch.arange(3), [])


def test_a_mask_is_a_group_and_one_of_another_length_is_refused():
    data = load_data("shapes", limit=200)
    mask, panel = data.labels == 3, ProbePanel(lambda x: x.flatten(1)[:, :16], data)
    panel.wait()
    for group in (mask, mask.tolist(), mask.numpy(), mask.nonzero().squeeze(1).int()):
        panel.select(group)
        assert panel.selection.tolist() == mask.nonzero().squeeze(1).tolist()
        assert enrichment(data, group) == enrichment(data, mask.nonzero().squeeze(1))
    assert panel.selected().labels.tolist() == int(mask.sum()) * [3]
    for wrong, error in ((mask[:9], IndexError), ([200], IndexError), ([0.5], TypeError)):
        with pytest.raises(error, match="index"):
            panel.select(wrong)


def test_a_class_that_is_named_like_a_tag_is_written_letter_by_letter():
    evil = "<img src=x onerror=alert(1)>"
    data = load_data("shapes", limit=40)
    panel = ProbePanel({evil: lambda x: x.flatten(1)[:, :16]}, Dataset(data.images, data.labels % 2, (evil, "b")))
    panel.wait()
    for see in (lambda: panel.pick(0), lambda: panel.select(range(9)), lambda: panel.select(data.labels % 2 == 0)):
        see()
        assert "<img" not in panel.words.value
    panel.view.value = "Probes"
    panel.wait()
    assert "<img" not in str(panel.figure.to_dict())


@pytest.fixture
def twice(model, data):
    """A panel whose last five images are copies of the first."""
    panel = ProbePanel(
        model,
        Dataset(torch.cat([data.images, data.images[:5]]), torch.cat([data.labels, data.labels[:5]]), data.classes),
    )
    panel.wait()
    return panel


def test_what_was_looked_for_is_ranked_and_selected(twice, data):
    twice.review.value = "duplicates"
    twice.wait()
    pairs = [set(pair) for pair in zip(twice._ranking[::2].tolist(), twice._ranking[1::2].tolist(), strict=True)]
    assert all({i, 120 + i} in pairs for i in range(5))
    assert set(twice.selection.tolist()) >= set(range(5)) | set(range(120, 125))
    assert len(twice.selected()) == len(twice.selection)
    assert "pairs among" in twice.ranked_words.value
    twice.ranked._handle_custom_msg({"type": "pick", "index": 0}, [])
    assert twice.scatter.picked == int(twice._ranking[0])
    assert twice.beside.children == (twice.ranked_words, twice.ranked, twice.words, twice.grid)
    for review in ("outliers", "labels that may be wrong"):
        twice.review.value = review
        twice.wait()
        assert twice.ranked.shape[0] == 40
    assert "rather" in twice.ranked.captions[0]
    twice.review.value = "nothing"
    assert twice.ranked not in twice.beside.children


def test_tags_are_a_column_a_color_and_a_name(panel, data):
    panel.tag("lonely")
    assert "Nothing is selected" in panel.message.value
    panel.select([3, 5])
    panel.tag(" odd ")
    panel.select([5])
    panel.tag("even")
    assert panel.tags == ["", "", "", "odd", "", "even", *[""] * 114]
    panel.color.value = "tag"
    assert panel.scatter.legend["words"] == ["even", "odd"]
    panel.find("odd")
    assert panel.selection.tolist() == [3]
    panel.tag("")
    assert set(panel.tags) == {"", "even"}
    panel.pick(7)
    assert panel.tag_button.description == "Tag image 7"
    panel.tag("one")
    assert [i for i, tag in enumerate(panel.tags) if tag == "one"] == [7]
    panel.tag("two", data.labels == 0)
    assert panel.tags.count("two") == int((data.labels == 0).sum())


def test_a_search_selects_by_class(panel, data):
    panel.find(data.classes[1].upper())
    assert torch.equal(panel.selection, (data.labels == 1).nonzero().squeeze(1))
    panel.find("no such thing")
    assert len(panel.selection) == 0
    assert "Nothing is called" in panel.message.value
