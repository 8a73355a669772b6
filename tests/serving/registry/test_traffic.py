"""Traffic: any 100 requests in a row are split exactly, and shares that cannot be are refused."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhelpers.errors import UsageError
from mlhelpers.serving.registry.traffic import check_traffic, rotation


@st.composite
def _shares(draw: st.DrawFn) -> dict[str, int]:
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=6)))
    edges = [0, *cuts, 100]
    return {f"v{i}": high - low for i, (low, high) in enumerate(pairwise(edges))}


@given(_shares(), st.integers(0, 250))
def test_any_hundred_requests_in_a_row_are_split_exactly(shares, start):
    row = Counter(islice(rotation(shares), start, start + 100))
    assert row == Counter({version: share for version, share in shares.items() if share})


def test_an_even_split_alternates():
    assert list(islice(rotation({"v1": 50, "v2": 50}), 4)) == ["v1", "v2", "v1", "v2"]


def test_a_small_share_is_not_sent_all_at_once():
    places = [i for i, version in enumerate(islice(rotation({"v1": 90, "v2": 10}), 100)) if version == "v2"]
    assert all(later - earlier == 10 for earlier, later in pairwise(places))


@pytest.mark.parametrize("shares", [{}, {"v1": 99}, {"v1": 50, "v2": 51}, {"v1": 101, "v2": -1}])
def test_shares_that_do_not_sum_to_100_are_refused(shares):
    with pytest.raises(UsageError, match="100"):
        check_traffic(shares)


@pytest.mark.parametrize("share", [50.0, "50", True, None])
def test_a_share_that_is_no_whole_number_is_refused(share):
    with pytest.raises(UsageError, match="whole percentage"):
        check_traffic({"v1": share, "v2": 50})
