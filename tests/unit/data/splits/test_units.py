from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.splits.split import fingerprints, subject_codes, units_of
from agelens.errors import TableError, UsageError
from agelens.tables import SampleTable


def _groups(codes) -> set[frozenset[int]]:
    rows = pd.Series(range(len(codes))).groupby(list(codes)).agg(frozenset)
    return set(rows)


def test_people_are_whole_and_nameless_rows_stand_alone(people_table) -> None:
    units = units_of(people_table([2, 1], unknown=2), "subject")
    assert _groups(units.codes) == {
        frozenset({0, 1}),
        frozenset({2}),
        frozenset({3}),
        frozenset({4}),
    }
    assert units.sizes.tolist() == [2, 1, 1, 1]
    assert units.notes == ("2 of 5 samples have no subject: each stands alone",)
    assert (
        units.prints.tolist()
        == fingerprints(["set/p0000", "set/p0001", "set/000003.jpg", "set/000004.jpg"]).tolist()
    )


def test_a_subject_of_two_datasets_is_two_people(people_table) -> None:
    one = people_table([2])
    other = SampleTable(one.frame.assign(dataset="other", sample_id="other/" + one.frame["path"]))
    codes, names = subject_codes(SampleTable.concat([one, other]))
    assert codes.tolist() == [1, 1, 0, 0]
    assert names.tolist() == ["other/p0000", "set/p0000"]


def test_no_table_needs_a_subject(people_table) -> None:
    units = units_of(people_table([], unknown=3), "subject")
    assert units.codes.tolist() == [0, 1, 2]


def test_by_sample_every_row_is_a_unit(people_table) -> None:
    assert units_of(people_table([3]), "sample").codes.tolist() == [0, 1, 2]


def test_another_word_is_refused(people_table) -> None:
    with pytest.raises(UsageError, match="'person'"):
        units_of(people_table([1]), "person")


def test_a_sample_in_two_groups_is_refused(people_table) -> None:
    twice = pd.Series([1, 2], index=["set/000000.jpg"] * 2)
    with pytest.raises(TableError, match=r"twice, such as set/000000.jpg"):
        units_of(people_table([2]), "sample", twice)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=8),
    st.lists(st.integers(0, 5), max_size=20),
)
def test_duplicates_join_people_as_plain_loops_do(people_table, photos, groups) -> None:
    table = people_table(photos)
    ids = table.frame["sample_id"].iloc[: len(groups)]
    duplicates = pd.Series(groups[: len(ids)], index=ids, dtype=object)
    codes, _ = subject_codes(table)
    wholes = [set(rows) for rows in _groups(codes)]
    for group in set(groups[: len(ids)]):
        rows = {row for row, one in enumerate(groups[: len(ids)]) if one == group}
        touched = [whole for whole in wholes if whole & rows]
        wholes = [whole for whole in wholes if not whole & rows] + [set().union(*touched)]
    units = units_of(table, "subject", duplicates)
    assert _groups(units.codes) == {frozenset(whole) for whole in wholes}
    single = units_of(table, "subject").prints
    people = [{*codes[sorted(whole)]} for whole in wholes]
    assert sorted(units.prints) == sorted(min(single[list(each)]) for each in people)


def test_groups_of_absent_samples_do_nothing(people_table) -> None:
    table = people_table([1, 1])
    duplicates = pd.Series([7, 7], index=["set/000000.jpg", "elsewhere/1.jpg"])
    assert len(units_of(table, "subject", duplicates).prints) == 2
