"""Labels of any type, and none: the number of the class, or -1."""

import numpy as np
import pytest
import torch

from ssl_toolkit.data import Dataset, FewClasses, batch, long_tail
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import JointRecipe
from ssl_toolkit.probes import probe_depths
from ssl_toolkit.training import train

X = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize(
    "labels, numbers, classes",
    [
        (torch.tensor([0, 2, 1, 0], dtype=torch.uint8), [0, 2, 1, 0], ("0", "1", "2")),
        (torch.tensor([True, False, True, True]), [1, 0, 1, 1], ("0", "1")),
        (np.array([3, 0, -1, 1], dtype=np.int16), [3, 0, -1, 1], ("0", "1", "2", "3")),
        (np.array([1, 0, 1, 1], dtype=np.uint64), [1, 0, 1, 1], ("0", "1")),
        ([1.0, float("nan"), 0.0, 1.0], [1, -1, 0, 1], ("0", "1")),
        (torch.tensor([[1], [0], [0], [1]]), [1, 0, 0, 1], ("0", "1")),
        (["dog", "cat", None, "dog"], [1, 0, -1, 1], ("cat", "dog")),
        (["dog", float("nan"), "cat", "dog"], [1, -1, 0, 1], ("cat", "dog")),
        (np.array(["b", "a", "b", "c"]), [1, 0, 1, 2], ("a", "b", "c")),
        (torch.tensor([10**9, 7, -1, 10**9]), [1, 0, -1, 1], ("7", "1000000000")),
        (None, [-1] * 4, ()),
    ],
)
def test_labels_of_any_type_become_numbers_of_classes(labels, numbers, classes):
    data = Dataset(X, labels, ())
    assert data.labels.dtype == torch.int64
    assert (data.labels.tolist(), data.classes) == (numbers, classes)


def test_names_are_numbered_by_the_classes_that_are_given():
    assert Dataset(X, ["dog", "cat", "dog", "dog"], ("dog", "cow", "cat")).labels.tolist() == [0, 2, 0, 0]


@pytest.mark.parametrize(
    "labels, classes, words",
    [
        (torch.zeros(4, 3), (), r"labels have shape \(4, 3\).*one label for each"),
        ([["a"], ["b", "c"], [], []], (), "one"),
        (torch.zeros(3), (), r"shape \(3,\), and there are 4 images"),
        (torch.tensor([0, 1, 2, 3]), ("a", "b"), "labels reach 3, and there are 2 classes"),
        (torch.tensor([0, -100, 0, 0]), (), "labels hold -100.*-1 is an image without"),
        ([0.5, 0, 0, 0], (), "labels hold 0.5"),
        (["a", "b", "a", "a"], ("a",), "labels hold 'b', which is not among"),
    ],
)
def test_labels_that_do_not_fit_are_named(labels, classes, words):
    with pytest.raises(ValueError, match=words):
        Dataset(X, labels, classes)


def test_factors_and_names_are_one_for_each_image():
    with pytest.raises(ValueError, match="hue has 3 values, and there are 4 images"):
        Dataset(X, None, (), {"hue": torch.zeros(3)})
    with pytest.raises(ValueError, match="names has 1 values"):
        Dataset(X, None, (), names=("a",))


def some_unlabeled(n: int = 60) -> Dataset:
    """Bright and dark images; every third one has no label."""
    images = (torch.arange(n) % 2 * 200).byte().view(n, 1, 1, 1).expand(n, 1, 8, 8).contiguous()
    images[:, :, 0, 0] = torch.arange(n).byte().view(n, 1)
    return Dataset(images, torch.where(torch.arange(n) % 3 == 0, -1, torch.arange(n) % 2), ("dark", "bright"))


@pytest.mark.parametrize("method", ["simclr", "supcon"])
def test_training_needs_no_label(method):
    data = some_unlabeled()
    recipe = JointRecipe(method, steps=2, batch_size=20, width=8, projector=(8,))
    steps = list(train(recipe.start(data), data, recipe.objective(data), until=2, batch_size=20))
    assert len(steps) == 2


def test_an_unlabeled_image_is_a_class_of_its_own_to_supcon():
    data = some_unlabeled(12)
    recipe = JointRecipe("supcon", width=8, projector=(8,))
    unlabeled = Dataset(data.images, None, data.classes)
    apart = Dataset(data.images, torch.arange(12), ())
    terms = [
        recipe.objective(some)(recipe.start(some), batch(some, 0, batch_size=12), torch.Generator().manual_seed(0))
        for some in (unlabeled, apart)
    ]
    assert terms[0] == terms[1]


def test_scores_leave_out_what_has_no_label_and_say_how_many():
    data = some_unlabeled()
    assert repr(data).endswith("2 classes, 20 images without a label)")
    with pytest.warns(UserWarning, match=r"20 of 60 images have no label \(-1\)"):
        probes = probe_depths(small_conv(1, width=8), data, data, depths=("representation",))
    with pytest.warns(UserWarning, match="20 of 60"):
        labeled = data.labeled()
    assert labeled.labeled() is labeled
    same = probe_depths(small_conv(1, width=8), labeled, labeled, depths=("representation",))
    assert probes["representation"].accuracy == same["representation"].accuracy
    with pytest.raises(ValueError, match="none of the 4 images has a label"):
        Dataset(X, None, ()).labeled()


def test_no_label_is_no_class_to_draw_from():
    data = some_unlabeled()
    assert set(FewClasses(data, 2).batch(0, batch_size=8).labels.tolist()) == {0, 1}
    with pytest.raises(ValueError, match="the data have 2"):
        FewClasses(data, 3)
    with pytest.warns(UserWarning, match="20 of 60"):
        assert long_tail(data, ratio=10.0).labels.bincount().tolist() == [20, 2]


@pytest.mark.parametrize(
    "images, words",
    [
        (255 * torch.rand(8, 1, 8, 8), "divide by 255"),
        (4 * torch.rand(8, 1, 8, 8) - 2, r"x \* std \+ mean"),
        (torch.full((8, 1, 8, 8), torch.nan), "nan"),
    ],
)
def test_training_refuses_images_outside_0_1_by_name(images, words):
    data, recipe = Dataset(images, None, ()), JointRecipe(width=8, projector=(8,))
    with pytest.raises(ValueError, match=f"images lie in .*{words}"):
        next(train(recipe.start(data), data, recipe.objective(data), until=1, batch_size=4))
