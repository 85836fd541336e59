from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.splits import RandomSplit, describe_leaks
from agelens.errors import UsageError
from agelens.tables import SampleTable


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 80), st.integers(0, 1000))
def test_shares_are_exact_to_one_sample(people_table, count, seed) -> None:
    (split,) = RandomSplit()(people_table([], unknown=count), seed=seed)
    assert abs(split.counts["train"] - 0.8 * count) <= 0.5
    assert sum(split.counts.values()) == count


def test_repeats_are_the_splits_of_the_next_seeds(people_table) -> None:
    table = people_table([4] * 20)
    splits = RandomSplit(repeats=3)(table, seed=7)
    assert [split.seed for split in splits] == [7, 8, 9]
    assert [split.name for split in splits] == ["seed_7", "seed_8", "seed_9"]
    (third,) = RandomSplit()(table, seed=9)
    assert np.array_equal(splits[2].codes, third.codes)
    assert not np.array_equal(splits[0].codes, splits[1].codes)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50))
def test_row_order_does_not_matter(people_table, seed) -> None:
    table = people_table([3] * 15)
    mixed = SampleTable(table.frame.sample(frac=1, random_state=seed))
    (one,), (other,) = RandomSplit()(table, seed=2), RandomSplit()(mixed, seed=2)
    assert set(one.ids("test")) == set(other.ids("test"))


def test_by_sample_leaks_and_by_subject_does_not(people_table) -> None:
    table = people_table([5] * 30)
    (by_sample,) = RandomSplit()(table)
    (by_subject,) = RandomSplit(by="subject")(table)
    assert describe_leaks(by_sample, table).subject_exclusive is False
    assert describe_leaks(by_subject, table).subject_exclusive is True


def test_there_is_at_least_one_repeat() -> None:
    with pytest.raises(UsageError, match="not 0 times"):
        RandomSplit(repeats=0)


def test_a_validation_part_comes_off_the_train_part_alone(people_table) -> None:
    table = people_table([2] * 100)
    (plain,), (held,) = RandomSplit()(table, seed=3), RandomSplit(valid_share=0.1)(table, seed=3)
    assert held.part_names == ("train", "valid", "test")
    assert held.counts == {"train": 144, "valid": 16, "test": 40}
    assert set(held.ids("test")) == set(plain.ids("test"))
    with pytest.raises(UsageError, match="validate on"):
        RandomSplit(valid_share=1.0)
