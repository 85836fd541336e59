"""The sample table: dtypes, checks, and the way to disk and back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.errors import OutputError, TableError
from agelens.tables import AGE_KINDS, COLUMNS, GENDERS, SampleTable, read_table, write_table

ROW = {"sample_id": "d/a.jpg", "dataset": "d", "path": "a.jpg"}

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
years = st.floats(0, 120) | st.floats(0, 120, width=32)
pixels = st.floats(-1e4, 1e4, width=32)
optional_values = {
    "age_years": years,
    "age_std": years,
    "age_low": years,
    "age_high": years,
    "gender": st.sampled_from(GENDERS),
    "ethnicity": words,
    "subject": words | st.sampled_from(["007", "NA", "None", "nan", "1e5"]),
    "photo_year": st.integers(1800, 2100),
    "split": st.sampled_from(["train", "valid", "test"]),
    "fold": st.integers(0, 99),
    "box_x1": pixels,
    "roll_degrees": pixels,
    "mouth_right_y": pixels,
    "issue": words,
}


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(0, 5))
    kind = st.sampled_from(AGE_KINDS)
    optional = st.fixed_dictionaries({"age_kind": kind}, optional=optional_values)
    identity = [
        {**ROW, "sample_id": f"d/{row}", "path": f"f\u00e9/{row}.jpg"} for row in range(count)
    ]
    return [{**one, **draw(optional)} for one in identity]


@given(rows=rows(), kind=st.sampled_from(["csv", "parquet"]))
@settings(max_examples=40, deadline=None)
def test_a_table_comes_back_from_disk_identical(rows: list[dict[str, Any]], kind: str) -> None:
    table = SampleTable.from_rows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table.{kind}"
        write_table(table, path)
        again = read_table(path)
        assert [entry.name for entry in Path(folder).iterdir()] == [path.name]
    pd.testing.assert_frame_equal(again.frame, table.frame, check_exact=True)


def test_columns_have_a_fixed_order_and_compact_dtypes() -> None:
    scrambled = SampleTable.from_rows([{"gender": "male", "path": "b.jpg", **ROW}]).frame
    assert list(scrambled.columns) == list(COLUMNS)
    again = SampleTable(scrambled[sorted(COLUMNS)]).frame
    pd.testing.assert_frame_equal(again, scrambled)
    assert scrambled["age_years"].dtype == np.float64
    assert scrambled["eye_left_x"].dtype == np.float32
    assert scrambled["fold"].dtype == pd.Int16Dtype()
    assert scrambled["gender"].cat.categories.tolist() == list(GENDERS)
    assert scrambled["subject"].cat.categories.empty


def test_equal_values_get_equal_dtypes_however_they_came() -> None:
    plain = SampleTable.from_columns(pd.DataFrame([ROW]).assign(subject="x", fold=3.0))
    other = pd.Categorical(["x"], categories=["unused", "x", "b"])
    built = SampleTable.from_columns(pd.DataFrame([ROW]).assign(subject=other, fold=[3]))
    pd.testing.assert_frame_equal(plain.frame, built.frame)


def test_the_index_of_a_selection_is_dropped() -> None:
    two = [ROW, {**ROW, "sample_id": "2", "subject": "s"}]
    frame = SampleTable.from_rows(two).frame
    one = SampleTable(frame[frame["subject"] == "s"]).frame
    assert one.index.tolist() == [0]
    assert one["sample_id"].tolist() == ["2"]


def test_empty_text_is_missing() -> None:
    frame = SampleTable.from_rows([{**ROW, "subject": "", "issue": ""}]).frame
    assert frame[["subject", "issue"]].isna().all(axis=None)


def test_tables_join() -> None:
    first = SampleTable.from_rows([{**ROW, "subject": "b"}])
    second = SampleTable.from_rows(
        [{**ROW, "sample_id": "e/a.jpg", "dataset": "e", "subject": "a"}]
    )
    both = SampleTable.concat([first, second])
    assert len(both) == 2
    assert both.frame["dataset"].tolist() == ["d", "e"]
    assert both.frame["subject"].tolist() == ["b", "a"]
    with pytest.raises(TableError, match="more than once"):
        SampleTable.concat([first, first])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"gender": "1"},
            r"'gender': 1 value\(s\) where it is not one of female, male: row 1: '1'",
        ),
        ({"age_kind": "guess"}, "'age_kind'.*real, apparent, estimated, unstated: row 1: 'guess'"),
        ({"age_years": 3}, "'age_kind'.*missing beside an age"),
        ({"age_low": 3}, "'age_kind'.*missing beside an age"),
        ({"age_years": "old"}, "'age_years'.*not a number: row 1: 'old'"),
        ({"fold": 1.5}, "'fold'.*not a whole number"),
        ({"photo_year": 70000}, "'photo_year'.*too large"),
        ({"path": "/a.jpg"}, "'path'.*relative posix.*row 1: '/a.jpg'"),
        ({"path": "C:/a.jpg"}, "'path'.*relative posix"),
        ({"path": "../a.jpg"}, "'path'.*relative posix"),
        ({"path": "a/../../b.jpg"}, "'path'.*relative posix"),
        ({"path": "a\\b.jpg"}, "'path'.*relative posix"),
        ({"path": ""}, "'path'.*is missing"),
        ({"path": "a\udc8a.jpg"}, "'path'.*UTF-8"),
        ({"dataset": None}, "'dataset'.*is missing"),
        ({"sample_id": "d/a.jpg"}, r"'sample_id': 2 value\(s\).*more than once: row 0.*row 1"),
        ({"skin": "pale"}, "does not know: skin"),
        ({"estimate_years": 30.0}, "a table of predictions; .* one of samples"),
    ],
)
def test_a_value_that_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        SampleTable.from_rows([ROW, {**ROW, "sample_id": "d/b.jpg", **change}])


@pytest.mark.parametrize("path", ["a..b/c...jpg", "..a/b.jpg", "a b/\u00e9'(1).jpg"])
def test_paths_that_only_look_bad_pass(path: str) -> None:
    assert SampleTable.from_rows([{**ROW, "path": path}]).frame["path"].tolist() == [path]


def test_a_message_shows_the_first_rows_and_the_count() -> None:
    bad = [{**ROW, "sample_id": str(row), "gender": "x"} for row in range(9)]
    with pytest.raises(TableError, match=r"9 value\(s\).*row 4: 'x', \.\.\.$"):
        SampleTable.from_rows(bad)


def test_a_missing_column_is_named_beside_those_found() -> None:
    with pytest.raises(TableError, match=r"lacks the columns sample_id, age_years.*it has .*path"):
        SampleTable(SampleTable.from_rows([ROW]).frame.drop(columns=["sample_id", "age_years"]))


def test_further_columns_stay_where_they_are_asked_for(tmp_path: Path) -> None:
    frame = SampleTable.from_rows([ROW]).frame.assign(makeup="none")
    table = SampleTable(frame, extra=("makeup",))
    assert table.frame.columns[-1] == "makeup"
    write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", extra=["makeup"]).frame["makeup"].tolist() == ["none"]
    with pytest.raises(TableError, match="does not know: makeup"):
        read_table(tmp_path / "t.parquet")
    with pytest.raises(TableError, match="lacks the column glasses"):
        read_table(tmp_path / "t.parquet", extra=["makeup", "glasses"])


def test_a_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_table(SampleTable.from_rows([ROW]), path)
    before = path.read_bytes()
    blocked = path.with_name("folder.csv")
    blocked.mkdir()
    with pytest.raises(OutputError, match=r"folder\.csv"):
        write_table(SampleTable.from_rows([]), blocked)
    with pytest.raises(OutputError, match="cannot write"):
        write_table(SampleTable.from_rows([]), tmp_path / "gone" / "t.csv")
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder.csv", "t.csv"]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe not a table", b"<html>"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError):
        read_table(tmp_path / name)


def test_other_suffixes_and_absent_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"\.parquet or \.csv"):
        write_table(SampleTable.from_rows([]), tmp_path / "t.xlsx")
    with pytest.raises(TableError, match=r"no table at .*t\.csv"):
        read_table(tmp_path / "t.csv")
