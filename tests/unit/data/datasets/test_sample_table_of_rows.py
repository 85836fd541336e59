"""Rows with a path become a sample table: what is wrong is said, nothing is dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agelens.data.datasets.base import sample_table, with_issues
from agelens.data.datasets.folder import PictureFiles


def issues(table: object) -> list[str | None]:
    column = table.frame["issue"].astype(object)  # type: ignore[attr-defined]
    return [None if isinstance(text, float) else text for text in column]


@pytest.mark.parametrize(
    ("age", "issue"),
    [
        (0, None),
        (120, None),
        (-1, "age_years -1 is outside 0 to 120"),
        (120.5, "age_years 120.5 is outside 0 to 120"),
        (np.nan, None),
    ],
)
def test_impossible_ages_stay_with_an_issue(age: float, issue: str | None) -> None:
    table = sample_table("d", with_issues({"path": ["a.jpg"], "age_years": [age]}), age_kind="real")
    assert table.frame["age_years"].equals(table.frame["age_years"].map(lambda _: float(age)))
    assert issues(table) == [issue]
    assert table.frame["age_kind"].isna().iloc[0] == np.isnan(age)


def test_bounds_and_boxes_the_wrong_way_round() -> None:
    rows = {"path": ["a", "b"], "age_low": [5, 5], "age_high": [3, np.nan]}
    rows |= {"box_x1": [1, np.nan], "box_y1": [1, 0], "box_x2": [0, 1], "box_y2": [2, 1]}
    table = sample_table("d", with_issues(rows), age_kind="apparent")
    assert issues(table) == ["age_low is above age_high; box is empty", None]


def test_a_repeated_path_keeps_its_first_row_sound() -> None:
    rows = with_issues({"path": ["a", "a", "b", "b", "c"], "age_years": [1, 1, 2, 3, 4]})
    table = sample_table("d", rows, age_kind="real")
    other = "duplicate path with other labels"
    assert issues(table) == [None, "duplicate path", other, other, None]
    assert table.frame["sample_id"].tolist() == ["d/a", "d/a#2", "d/b", "d/b#2", "d/c"]
    shared = sample_table("d", rows, age_kind="real", people_share_pictures=True)
    assert issues(shared) == [None] * 5


@pytest.mark.parametrize(
    ("listed", "spelled"),
    [
        ("/abs/a.jpg", "abs/a.jpg"),
        ("../a.jpg", "a.jpg"),
        ("C:\\x\\a.jpg", "C_/x/a.jpg"),
        ("", "(no name)"),
        ("a\udc8a.jpg", "a\ufffd.jpg"),
    ],
)
def test_a_listed_path_that_no_table_can_hold_is_no_end_of_the_run(
    listed: str, spelled: str
) -> None:
    table = sample_table("d", with_issues({"path": [listed, "b.jpg"]}))
    assert table.frame["path"].tolist() == [spelled, "b.jpg"]
    assert "rename the file" in str(issues(table)[0])
    assert issues(table)[1] is None


def test_listed_and_present_pictures_are_matched(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    files = PictureFiles(tmp_path, ["."])
    rows = with_issues({"path": ["A.jpg", "c.jpg"]})
    part = sample_table("d", rows, files)
    assert part.frame["path"].tolist() == ["a.JPG", "c.jpg"]
    assert issues(part) == [None, "file absent"]
    whole = sample_table("d", with_issues({"path": ["A.jpg"]}), files, every_picture_labelled=True)
    assert issues(whole) == [None, "no label"]
