from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.datasets.fgnet import read_fgnet
from agelens.data.splits import LeaveOnePersonOut, describe_leaks
from agelens.errors import TableError, UsageError


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 10), min_size=2, max_size=15), st.integers(0, 50))
def test_each_person_is_tested_once(people_table, photos, seed) -> None:
    table = people_table(photos)
    splits = LeaveOnePersonOut()(table, seed=seed)
    tested = pd.concat([split.ids("test") for split in splits])
    assert sorted(tested) == sorted(table.frame["sample_id"])
    assert [split.counts["test"] for split in splits] == photos
    for split in splits:
        assert sum(split.counts.values()) == len(table)
        assert describe_leaks(split, table).leaks == ()


def test_validation_people_are_a_tenth_of_the_others_and_drawn_anew(people_table) -> None:
    splits = LeaveOnePersonOut()(people_table([10] * 41))
    assert {split.counts["valid"] for split in splits} == {40}
    assert len({tuple(split.ids("valid")) for split in splits}) > 30


def test_without_validation_there_are_two_parts(people_table) -> None:
    split = LeaveOnePersonOut(valid_share=0)(people_table([2, 3]))[0]
    assert split.counts == {"train": 3, "test": 2}


def test_a_twin_of_the_person_left_out_is_in_no_part(people_table) -> None:
    table = people_table([2, 2, 2])
    duplicates = pd.Series([1, 1], index=table.frame["sample_id"].iloc[[0, 2]])
    splits = LeaveOnePersonOut(valid_share=0)(table, duplicates=duplicates)
    assert splits[0].codes.tolist() == [1, 1, -1, -1, 0, 0]
    assert splits[0].notes[1].startswith("2 samples are in no part")
    assert describe_leaks(splits[0], table, duplicates).leaks == ()


def test_rows_without_a_person_are_refused(people_table) -> None:
    with pytest.raises(TableError, match="2 of 5 rows have no subject"):
        LeaveOnePersonOut()(people_table([2, 1], unknown=2))


@pytest.mark.parametrize("people", [1, 11])
def test_too_few_and_too_many_people_are_refused(people_table, people) -> None:
    with pytest.raises(TableError, match=f"has {people} people"):
        LeaveOnePersonOut(most_subjects=10)(people_table([2] * people))


def test_the_share_has_a_range() -> None:
    with pytest.raises(UsageError, match=r"not 1\.0"):
        LeaveOnePersonOut(valid_share=1.0)


@pytest.mark.real_data
def test_fgnet_has_a_split_a_person(real_data) -> None:
    table = read_fgnet(real_data / "fgnet")
    splits = LeaveOnePersonOut()(table)
    assert len(splits) == table.frame["subject"].nunique() == 41
    valid = np.array([split.counts["valid"] / len(table) for split in splits])
    assert ((valid > 0.07) & (valid < 0.13)).all()
