"""Label lists: encodings, ragged rows, numbers and words that are none."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.datasets.base import flag, numbers, read_labels, read_lines, with_issues, words
from agelens.errors import DatasetError


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    return path


def test_each_line_has_its_own_encoding(tmp_path: Path) -> None:
    lines = "Ren\u00e9e".encode() + b"\r\n" + "Sin\u00e9ad".encode("latin-1") + b"\n\n"
    assert read_lines(written(tmp_path, lines)) == ["Ren\u00e9e", "Sin\u00e9ad"]
    assert read_lines(written(tmp_path, "\u0412".encode("cp866")), legacy="cp866") == ["\u0412"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_order_marks_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    text = end.join(["file,age", "\u00e9.jpg,3"]) + end
    labels = read_labels(written(tmp_path, text.encode(encoding)), ["file", "age"])
    assert labels[["file", "age"]].to_numpy().tolist() == [["\u00e9.jpg", "3"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_most_frequent(tmp_path: Path, delimiter: str) -> None:
    content = delimiter.join(["File", " AGE ", "race"]) + "\n" + delimiter.join(["a b", "1", "x"])
    labels = read_labels(written(tmp_path, content.encode()), ["file", "age"])
    assert labels.iloc[0].tolist()[:3] == ["a b", "1", "x"]


def test_ragged_rows_stay_and_are_flagged(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, b"file,age\na,1\nb\n\nc,3,4\n"), ["file", "age"])
    assert labels["file"].tolist() == ["a", "b", "c"]
    assert pd.isna(labels["issue"].iloc[0])
    assert labels["issue"].tolist()[1:] == [
        "label row has 1 fields, not 2",
        "label row has 3 fields, not 2",
    ]


def test_files_that_are_no_list_of_labels(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no column age; found: file, Age class"):
        read_labels(written(tmp_path, b"file,Age class\n"), ["file", "age"])
    with pytest.raises(DatasetError, match="no column file, age"):
        read_labels(written(tmp_path, b""), ["file", "age"])
    with pytest.raises(DatasetError, match="no column twice"):
        read_labels(written(tmp_path, b"file,age,age\n"), ["file", "age"])
    with pytest.raises(DatasetError, match="no delimited text"):
        read_labels(written(tmp_path, b'file,age\n"' + b"a" * 200_000), ["file", "age"])
    with pytest.raises(DatasetError, match="cannot read"):
        read_labels(tmp_path, ["file", "age"])


def test_numbers_tell_the_unknown_from_the_wrong() -> None:
    texts = ["3", " 4.5 ", "-1", "", "None", "nan", "-inf", "old", None]
    rows = with_issues({"age": texts})
    assert numbers(rows, "age").tolist()[:2] == [3, 4.5]
    assert numbers(rows, "age").isna().tolist()[2:] == [True] * 7
    assert "'old' is no number" in rows["issue"].iloc[7]
    assert rows["issue"].notna().sum() == 1


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != -1)))
def test_numbers_keep_what_is_one(values: list[float]) -> None:
    rows = with_issues({"age": map(repr, values)})
    assert numbers(rows, "age").tolist() == pytest.approx(values, rel=1e-15)
    assert rows["issue"].isna().all()


def test_words_flag_what_has_no_meaning() -> None:
    rows = with_issues({"sex": ["0", "1", "u", "", "7", None]})
    found = words(rows, "sex", {"0": "male", "1": "female"}, unknown=("u",))
    assert found == ["male", "female", None, None, None, None]
    assert rows["issue"].tolist()[4] == "sex '7' has no meaning"
    assert rows["issue"].notna().sum() == 1


def test_issues_add_up() -> None:
    rows = with_issues({"path": ["a{}", "b"]})
    flag(rows, [True, False], "one of {}", rows["path"])
    flag(rows, [True, True], "two")
    assert rows["issue"].tolist() == ["one of a{}; two", "two"]
