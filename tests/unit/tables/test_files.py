from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from agelens.errors import TableError
from agelens.tables import SampleTable, read_table, write_table
from agelens.tables.files import read_frame, write_frame
from agelens.tables.mapping import words_of


def _written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_comma_at_the_end_of_every_row_shifts_no_column(tmp_path: Path) -> None:
    path = _written(tmp_path / "t.csv", "a,b\n1,2,\n3,4,\n")
    assert read_frame(path).to_dict("list") == {"a": ["1", "3"], "b": ["2", "4"]}


def test_values_beyond_the_header_are_refused(tmp_path: Path) -> None:
    path = _written(tmp_path / "t.csv", "a,b\nx,1,2\ny,3,4\n")
    with pytest.raises(TableError, match=r"2 value.*has a value, though .*t.csv has 2 column"):
        read_frame(path)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_any_usual_delimiter(tmp_path: Path, mark: str) -> None:
    path = _written(tmp_path / "t.csv", mark.join("ab") + "\n" + mark.join("12") + "\n")
    assert read_frame(path).to_dict("list") == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize(
    "content",
    [
        "name\nRenée\nZoë\n".encode("latin-1"),
        "name\nRenée\n".encode() + "Zoë\n".encode("latin-1"),
        "name\nRenée\nZoë\n".encode("utf-8-sig"),
        "name\nRenée\nZoë\n".encode("utf-16"),
    ],
)
def test_other_encodings(tmp_path: Path, content: bytes) -> None:
    assert read_frame(_written(tmp_path / "t.csv", content))["name"].tolist() == ["Renée", "Zoë"]


def test_an_unnamed_index_in_parquet_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [3, 1]}, index=[7, 5])
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_frame(tmp_path / "t.parquet").to_dict("list") == {"a": [3, 1]}
    frame.rename_axis("name").to_parquet(tmp_path / "t.parquet")
    assert read_frame(tmp_path / "t.parquet")["name"].tolist() == [7, 5]


def test_parquet_keeps_where_the_pictures_are(tmp_path: Path) -> None:
    columns = {"sample_id": ["d/a", "e/a"], "dataset": ["d", "e"], "path": ["a", "a"]}
    table = SampleTable.from_columns(columns).with_root({"d": tmp_path / "x", "e": tmp_path})
    write_table(table, tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet")
    assert read.roots == {"d": str(tmp_path / "x"), "e": str(tmp_path)}
    some = read.select([1]).with_columns(split=["test"], shoe=[44])
    assert (some.roots, some.extra) == (read.roots, ("shoe",))
    both = SampleTable.concat([some, read.select([0])])
    assert both.roots == read.roots
    assert both.frame["shoe"].isna().tolist() == [False, True]


def test_text_that_a_spreadsheet_would_run_is_guarded_and_comes_back(tmp_path: Path) -> None:
    texts = ["=1+1", "'=x", "-5", "''@z", "+49", "\tx", "'plain", "plain", None]
    frame = pd.DataFrame({"name": texts, "years": range(9), "group": pd.Categorical(texts)})
    write_frame(frame, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    read = read_frame(tmp_path / "t.csv")
    for column in ("name", "group"):
        assert [None if pd.isna(cell) else cell for cell in read[column]] == texts


@pytest.mark.parametrize("written", [("0", "1"), ("0.0", "1.0"), ("0.", "1.")])
def test_codes_are_the_same_with_and_without_a_zero_behind_the_point(
    written: tuple[str, str],
) -> None:
    for codes in (("0", "1"), ("0.0", "1.0")):
        meaning = dict(zip(codes, ("male", "female"), strict=True))
        assert [*words_of("gender", pd.Series(written), meaning)] == ["male", "female"]
