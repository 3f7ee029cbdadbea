"""Batches of a few classes and long tails: what is drawn is counted."""

import pytest
import torch
from hypothesis import given, strategies as st

from ssl_toolkit.augment import simclr_views
from ssl_toolkit.data import Dataset, FewClasses, batch, long_tail
from ssl_toolkit.encoders import small_conv
from ssl_toolkit.joint import supervised
from ssl_toolkit.training import start, train


def data_of(*counts: int) -> Dataset:
    """So many images of each class, mixed; each image is filled with its own index."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)
    return Dataset(images, labels, tuple(map(str, range(len(counts)))), {"row": torch.arange(len(labels))})


@given(st.integers(0, 50), st.integers(1, 4), st.integers(0, 3))
def test_a_batch_holds_as_many_images_of_each_of_its_classes_and_none_twice(step, classes, seed):
    images, labels, index = batch(FewClasses(data_of(30, 20, 25, 40), classes), step, batch_size=12, seed=seed)
    present, counts = labels.unique(return_counts=True)
    assert len(present) == classes
    assert (counts == 12 // classes).all()
    assert index.unique().numel() == 12
    assert torch.equal((255 * images[:, 0, 0, 0]).round().long(), index)


def test_classes_change_from_step_to_step_and_all_come():
    source = FewClasses(data_of(10, 10, 10, 10))
    seen = [tuple(source.batch(step, batch_size=4).labels.unique().tolist()) for step in range(60)]
    assert len(set(seen)) == 6  # all pairs of four
    assert torch.equal(source.batch(7, batch_size=4).index, source.batch(7, batch_size=4).index)
    assert not torch.equal(source.batch(7, batch_size=4).index, source.batch(7, batch_size=4, seed=1).index)


def test_processes_share_a_batch_and_each_has_all_of_its_classes():
    source = FewClasses(data_of(20, 20, 20))
    whole = source.batch(3, batch_size=8)
    halves = [source.batch(3, batch_size=8, share=part) for part in (slice(0, 4), slice(4, 8))]
    assert torch.equal(torch.cat([half.index for half in halves]), whole.index)
    assert all(half.labels.unique().numel() == 2 for half in halves)


def test_it_trains_as_data_do():
    data = data_of(20, 20, 20)
    data.images = data.images.repeat_interleave(8, 2).repeat_interleave(8, 3)
    state = start(small_conv(1, width=8, projector=(3,)), total=2)
    steps = train(state, FewClasses(data), supervised(simclr_views(32)), until=2, batch_size=8)
    assert [step.step for step in steps] == [1, 2]


@given(st.integers(1, 6), st.floats(1, 200))
def test_a_long_tail_shrinks_geometrically(classes, ratio):
    tail = long_tail(data_of(*[40] * classes), ratio=ratio)
    expected = [max(1, round(40 * ratio ** (-i / max(1, classes - 1)))) for i in range(classes)]
    assert tail.labels.bincount().tolist() == expected
    rows = tail.factors["row"]
    assert torch.equal(rows, rows.unique())  # none twice, and in their old order
    assert torch.equal(tail.images[:, 0, 0, 0].long(), rows)


def test_a_ratio_of_one_keeps_a_balanced_set_whole():
    data = data_of(9, 9, 9)
    assert torch.equal(long_tail(data, ratio=1.0).labels, data.labels)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda d: FewClasses(d, 4), "classes is 4: the data have 3"),
        (lambda d: FewClasses(d, 2).batch(0, batch_size=5), "batch_size is 5: it must be a multiple of 2"),
        (lambda d: FewClasses(d, 2).batch(0, batch_size=12), "at most 10, as the rarest class has 5"),
        (lambda d: long_tail(d, ratio=0.5), "ratio is 0.5"),
    ],
)
def test_what_cannot_be_drawn_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(data_of(9, 5, 7))
