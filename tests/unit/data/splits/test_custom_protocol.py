from __future__ import annotations

import numpy as np
import pytest
import yaml

from agelens.data.splits import CustomProtocol, describe_leaks
from agelens.data.splits.custom import rows_where
from agelens.errors import TableError, UnknownNameError, UsageError

BY_SHARES = """
name: adults
keep:
  age_years: {at_least: 20, below: 60}
shares: {train: 0.6, valid: 0.2, test: 0.2}
by: subject
repeats: 2
"""

BY_CONDITIONS = """
splits:
  - train: {fold: [0, 1], gender: female}
    test: {fold: 2}
  - train: {subject: [p0000, p0001]}
    test: {subject: p0002, age_years: {above: 0}}
"""


def test_shares_go_over_the_rows_that_are_kept(people_table) -> None:
    table = people_table([5] * 60)
    splits = CustomProtocol.from_object(yaml.safe_load(BY_SHARES))(table, seed=5)
    years = table.frame["age_years"].to_numpy()
    assert [split.seed for split in splits] == [5, 6]
    for split in splits:
        assert np.array_equal(split.codes >= 0, (years >= 20) & (years < 60))
        assert abs(split.counts["train"] / sum(split.counts.values()) - 0.6) < 0.03
        assert describe_leaks(split, table).leaks == ()
        assert split.protocol == "adults"


def test_parts_follow_their_conditions(people_table) -> None:
    gender = ["female", "male", "female", "male", "female", "female"]
    table = people_table([2, 2, 2], fold=[0, 0, 1, 2, 2, None], gender=gender)
    first, second = CustomProtocol.from_object(yaml.safe_load(BY_CONDITIONS))(table)
    assert first.codes.tolist() == [0, -1, 0, 1, 1, -1]
    assert second.codes.tolist() == [0, 0, 0, 0, 1, 1]
    assert first.notes == ("2 of 6 samples are in no part",)


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        ({}, [1, 1, 1, 1]),
        ({"age_years": 7}, [1, 0, 0, 0]),
        ({"age_years": [7, 8]}, [1, 1, 0, 0]),
        ({"age_years": {"above": 7}}, [0, 1, 1, 0]),
        ({"age_years": {"at_least": 7, "at_most": 8}}, [1, 1, 0, 0]),
        ({"gender": "female"}, [1, 0, 0, 0]),
        ({"gender": ["female", "male"]}, [1, 1, 0, 0]),
        ({"subject": 7}, [0, 1, 0, 0]),
        ({"fold": {"below": 2}}, [1, 0, 0, 0]),
    ],
)
def test_a_missing_value_fulfils_nothing(people_table, conditions, rows) -> None:
    table = people_table(
        [],
        unknown=4,
        age_years=[7, 8, 9, np.nan],
        gender=["female", "male", None, None],
        subject=["8", "7", None, None],
        fold=[1, 2, None, None],
    )
    assert rows_where(table, conditions).tolist() == [bool(row) for row in rows]


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        ("x", UsageError, "a protocol is a mapping"),
        ({"share": {"train": 1.0}}, UnknownNameError, "Did you mean 'shares'"),
        ({"name": "x"}, UsageError, "either `splits` or `shares`"),
        ({"splits": [{"train": {"fold": 1}}], "shares": {"a": 1.0}}, UsageError, "either"),
        ({"splits": {"train": {}}}, UsageError, "list of mappings"),
        ({"splits": [{"train": {}}]}, UsageError, "list of mappings"),
        ({"shares": {"a": 1.0}, "keep": ["x"]}, UsageError, "`keep` is a mapping"),
    ],
)
def test_a_document_of_another_form_is_refused(document, error, said) -> None:
    with pytest.raises(error, match=said):
        CustomProtocol.from_object(document)


@pytest.mark.parametrize(
    ("document", "error", "said"),
    [
        ({"splits": [{"a": {"age": 3}}]}, UnknownNameError, "unknown column 'age'"),
        ({"splits": [{"a": {"age_years": {"over": 3}}}]}, UnknownNameError, "unknown bound"),
        ({"splits": [{"a": {"age_years": {"above": "3"}}}]}, UsageError, "above is a number"),
        ({"splits": [{"a": {"subject": {"above": 3}}}]}, UsageError, "holds no numbers"),
        ({"splits": [{"a": {"fold": 1}, "b": {"fold": [1]}}]}, TableError, "2 rows of part 'b'"),
        ({"keep": {"fold": 9}, "shares": {"a": 1.0}}, TableError, "no row fulfils `keep`"),
        ({"shares": {"a": 0.5}}, UsageError, "add up to 1"),
        ({"shares": {"a": 1.0}, "by": "person"}, UsageError, "'person'"),
    ],
)
def test_what_does_not_fit_the_table_is_refused(people_table, document, error, said) -> None:
    protocol = CustomProtocol.from_object(document)
    with pytest.raises(error, match=said):
        protocol(people_table([2], fold=[1, 1]))
