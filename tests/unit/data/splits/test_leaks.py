from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.splits import Split, check_leaks, describe_leaks
from agelens.errors import LeakError


def _split(table, codes) -> Split:
    ids = table.frame["sample_id"]
    return Split("s", ids, ("train", "valid", "test"), np.array(codes, dtype=np.int8))


def test_shared_people_are_counted_and_named(people_table) -> None:
    table = people_table([3, 2, 2, 1], unknown=1)
    split = _split(table, [0, 0, 1, 0, 1, 1, 1, 2, 2])
    report = describe_leaks(split, table)
    assert str(report) == (
        "split s: 2 of 3 validation subjects also in training, with 2 validation samples "
        "(set/p0000, set/p0001); the subject of 1 of 9 is not known; near-duplicates were not "
        "checked"
    )
    assert report.subject_exclusive is False


def test_near_duplicates_are_counted_and_named(people_table) -> None:
    table = people_table([1] * 6)
    duplicates = pd.Series(["g", "g", "h", "h"], index=table.frame["sample_id"].iloc[[0, 3, 1, 2]])
    report = describe_leaks(_split(table, [0, 0, 0, 2, 2, -1]), table, duplicates)
    assert str(report) == (
        "split s: 1 of 1 test near-duplicate groups also in training, with 1 test samples "
        "(set/000000.jpg)"
    )
    assert report.subject_exclusive is True


def test_nothing_is_claimed_where_no_person_is_known(people_table) -> None:
    table = people_table([], unknown=3)
    report = describe_leaks(_split(table, [0, 1, 2]), table)
    assert report.subject_exclusive is None
    assert "the subject of 3 of 3 is not known" in str(report)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 2)), min_size=1, max_size=40))
def test_counts_equal_those_of_sets(people_table, rows) -> None:
    table = people_table([], unknown=len(rows), subject=[f"p{person}" for person, _ in rows])
    report = describe_leaks(_split(table, [part for _, part in rows]), table)
    found = {
        (leak.part, leak.other): (leak.shared, leak.total, leak.samples) for leak in report.leaks
    }
    names = ("train", "valid", "test")
    people = [{person for person, part in rows if part == code} for code in range(3)]
    expected = {}
    for other in range(3):
        for part in range(other + 1, 3):
            both = people[part] & people[other]
            samples = sum(person in both and code == part for person, code in rows)
            if both:
                expected[names[part], names[other]] = (len(both), len(people[part]), samples)
    assert found == expected


def test_the_report_is_plain_json(people_table) -> None:
    table = people_table([2, 1])
    document = describe_leaks(_split(table, [0, 2, 2]), table).as_json()
    assert json.loads(json.dumps(document)) == {
        "subject_exclusive": False,
        "subjects_unknown": 0,
        "near_duplicates_checked": False,
        "leaks": [
            {
                "text": "1 of 2 test subjects also in training, with 1 test samples (set/p0000)",
                "kind": "subject",
                "part": "test",
                "other": "train",
                "shared": 1,
                "total": 2,
                "samples": 1,
                "examples": ["set/p0000"],
            }
        ],
    }


def test_refusal_lists_counts_examples_and_the_way_out(people_table) -> None:
    table = people_table([2] * 9)
    report = describe_leaks(_split(table, [0, 2] * 9), table)
    with pytest.raises(LeakError) as refused:
        check_leaks([report] * 7)
    text = str(refused.value)
    assert "9 of 9 test subjects also in training, with 9 test samples (set/p0000, " in text
    assert "set/p0004, ...)" in text
    assert "and 2 more splits" in text
    assert "subject-k-fold" in text


def test_a_clean_split_passes(people_table) -> None:
    table = people_table([2, 2])
    check_leaks([describe_leaks(_split(table, [0, 0, 2, 2]), table)])
