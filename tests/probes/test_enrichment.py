"""What a group of images shares: the values and ranges that chance does not explain."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from ssl_toolkit.data import Dataset, load_data, rng
from ssl_toolkit.probes import enrichment


@pytest.fixture(scope="module")
def data():
    return load_data("shapes", limit=1000)


def test_a_class_is_found_with_its_shares_and_its_score(data):
    index = (data.labels == 3).nonzero().squeeze(1)
    first = enrichment(data, index)[0]
    assert (first.name, first.value, first.group) == ("class", data.classes[3], 1.0)
    s, m, n = first.everywhere, len(index), 1000
    assert s == pytest.approx(m / n)
    assert first.z == pytest.approx((m - m * s) / math.sqrt(m * s * (1 - s) * (n - m) / (n - 1)))


def test_the_class_is_not_told_twice_under_its_factor_s_name(data):
    shares = enrichment(data, (data.labels == 3).nonzero().squeeze(1))
    assert [share.name for share in shares].count("shape") == 0


def test_a_range_of_a_measured_factor_is_found(data):
    index = ((data.factors["x"] > 0.4) & (data.factors["x"] < 0.45)).nonzero().squeeze(1)
    share = enrichment(data, index)[0]
    low, high = (float(word) for word in share.value.split(" to "))
    assert share.name == "x"
    assert 0.4 <= low < high <= 0.45
    assert share.group >= 0.5
    assert share.everywhere < 0.15
    assert "of the group" in str(share)


def test_a_range_of_hues_may_cross_red(data):
    index = ((data.factors["hue"] > 0.95) | (data.factors["hue"] < 0.05)).nonzero().squeeze(1)
    share = enrichment(data, index)[0]
    low, high = (float(word) for word in share.value.split(" to "))
    assert share.name == "hue"
    assert low > 0.9 or high < 0.1
    assert share.group >= 0.5
    assert share.everywhere < 0.12


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_random_group_shares_next_to_nothing(data, seed):
    index = torch.randperm(1000, generator=rng(seed))[:80]
    assert len(enrichment(data, index)) <= 2
    assert all(share.z < 9 for share in enrichment(data, index))


def test_empty_single_and_whole_groups_share_nothing(data):
    for index in (torch.arange(0), torch.arange(1), torch.arange(1000)):
        assert enrichment(data, index) == []


def test_a_constant_factor_and_unnamed_classes_do_no_harm():
    labels = torch.arange(40) // 10
    odd = Dataset(torch.zeros(40, 1, 4, 4, dtype=torch.uint8), labels, (), {"flat": torch.ones(40), "kind": labels % 2})
    shares = enrichment(odd, torch.arange(10))
    assert [(share.name, share.value) for share in shares] == [("class", "0")]
    assert ("kind", "0") in [(s.name, s.value) for s in enrichment(odd, torch.arange(10), least=1.0)]


def test_indices_that_are_not_there_are_an_error(data):
    with pytest.raises(IndexError, match="the data have 1000"):
        enrichment(data, torch.tensor([4, 1000]))
