from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.splits.split import check_shares, deal
from agelens.errors import UsageError


@pytest.mark.parametrize("shares", [{}, {"train": 0.8}, {"a": 0.5, "b": 0.6}, {"a": 1.0, "b": 0.0}])
def test_shares_that_are_no_partition_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="add up to 1"):
        check_shares(shares)


def test_thirds_add_up() -> None:
    check_shares({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=60),
    st.floats(0.05, 0.9),
    st.integers(0, 1000),
)
def test_parts_are_off_by_half_a_unit_at_most(sizes, share, seed) -> None:
    prints = np.random.default_rng(seed).permutation(len(sizes)).astype(np.uint64)
    codes = deal(prints, np.array(sizes), {"train": share, "test": 1 - share})
    got = np.array(sizes)[codes == 0].sum()
    assert abs(got - share * sum(sizes)) <= max(sizes) / 2 + 1e-9
    assert {*codes.tolist()} <= {0, 1}


def test_parts_of_single_samples_are_exact() -> None:
    codes = deal(np.arange(10, dtype=np.uint64), np.ones(10, int), {"a": 0.6, "b": 0.2, "c": 0.2})
    assert codes.tolist() == [0] * 6 + [1] * 2 + [2] * 2


def test_nothing_to_deal() -> None:
    assert deal(np.empty(0, np.uint64), np.empty(0, int), {"a": 0.5, "b": 0.5}).size == 0
