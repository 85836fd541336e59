"""Checks that need the table alone."""

import pandas as pd
import pytest

from agelens.data.auditing.auditing import (
    ages_that_run_backwards,
    labels_out_of_range,
    malformed_names,
    reader_issues,
    subjects_with_two_genders,
)
from agelens.tables import SampleTable

CHECKS = [
    ages_that_run_backwards, labels_out_of_range, malformed_names, reader_issues,
    subjects_with_two_genders,
]  # fmt: skip


def table(*rows: dict) -> SampleTable:
    plain = {"dataset": "d", "age_kind": "real"}
    named = [
        {"sample_id": str(at), "path": f"{at}.jpg", **plain, **row} for at, row in enumerate(rows)
    ]
    return SampleTable.from_rows(named)


def details(found: pd.DataFrame) -> dict[str, str]:
    return dict(zip(found["sample_id"], found["detail"], strict=True))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("rows", [0, 1])
def test_clean_and_empty_tables_pass(check, rows):
    found = check(table(*[{"age_years": 3}] * rows))
    assert list(found.columns) == ["sample_id", "detail"]
    assert not len(found)


def test_issues_of_the_reader_are_passed_on():
    assert details(reader_issues(table({}, {"issue": "odd"}))) == {"1": "odd"}


def test_malformed_names_are_told():
    paths = [
        "a.jpg", "b.txt", "c\u200b.jpg", "d?.jpg", "e /f.jpg", "cafe\u0301.jpg", "X.jpg", "x.jpg",
        "café.png",
    ]  # fmt: skip
    found = details(malformed_names(table(*[{"path": path} for path in paths])))
    assert list(found) == ["1", "2", "3", "4", "5", "6", "7"]
    assert "case only" in found["7"]


def test_labels_out_of_range_are_told():
    rows = [
        {"age_years": 0}, {"age_years": 120}, {"age_years": 121}, {"age_years": -1},
        {"age_years": 5, "age_std": -1}, {"age_low": 9, "age_high": 3},
        {"age_years": 50, "age_low": 20, "age_high": 30},
        {"box_x1": 5, "box_x2": 5, "box_y1": 0, "box_y2": 9}, {"photo_year": 1800},
    ]  # fmt: skip
    found = details(labels_out_of_range(table(*rows)))
    assert list(found) == ["2", "3", "4", "5", "6", "7", "8"]
    assert found["5"] == "age_low above age_high"


def test_the_rarer_gender_of_a_subject_is_listed():
    rows = [{"subject": "a", "gender": g} for g in ("female", "female", "male")]
    rows += [{"subject": "b", "gender": "male"}, {"subject": "b"}, {"gender": "female"}]
    assert details(subjects_with_two_genders(table(*rows))) == {"2": "a: 2 female, 1 male"}


def test_a_tie_of_genders_lists_both():
    rows = [{"subject": "a", "gender": g} for g in ("female", "male")]
    assert list(details(subjects_with_two_genders(table(*rows)))) == ["0", "1"]


def test_subjects_of_two_datasets_are_two_people():
    rows = [
        {"dataset": "x", "subject": "1", "gender": "female", "age_years": 9, "photo_year": 2000},
        {"dataset": "y", "subject": "1", "gender": "male", "age_years": 3, "photo_year": 2004},
    ]
    assert not len(subjects_with_two_genders(table(*rows)))
    assert not len(ages_that_run_backwards(table(*rows)))


def test_ages_that_fall_while_years_grow_are_listed():
    years = [(2000, 30), (2000, 29), (2004, 33), (2005, 31), (2006, 33), (2008, 35)]
    rows = [{"subject": "a", "photo_year": year, "age_years": age} for year, age in years[::-1]]
    found = details(ages_that_run_backwards(table(*rows)))
    assert found == {"2": "a: 31 in 2005, but 33 in an earlier year"}
