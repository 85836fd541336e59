from __future__ import annotations

import csv
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agelens.errors import MissingDependencyError, TableError
from agelens.tables import SampleTable, read_table, write_table
from agelens.tables.columns import as_floats
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


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    twice = pd.DataFrame([[1, 2, 3]], columns=["age", "b", "age"])
    if kind == "parquet":
        columns = [pa.array([value]) for value in (1, 2, 3)]
        pq.write_table(pa.Table.from_arrays(columns, names=list(twice)), path)
    else:
        (twice.to_csv if kind == "csv" else twice.to_excel)(path, index=False)
    with pytest.raises(TableError, match=r"several columns are called 'age'"):
        read_frame(path)


def test_a_spreadsheet_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with ZipFile(path, "w", ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", bytes(201_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(TableError, match="unpacks to 201 MB, more than the 200 MB"):
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


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_decimal_comma_is_one_where_commas_do_not_part_columns(tmp_path: Path, mark: str) -> None:
    rows = [["who", "age", "p_000"], ["Ä, B", "31,5", "0,25"], ["C", "4", "1"]]
    text = "\n".join(mark.join(row) for row in rows)
    frame = read_frame(
        _written(tmp_path / "t.csv", text), small_floats=lambda name: name == "p_000"
    )
    assert frame["who"].tolist() == ["Ä, B", "C"]
    assert frame["p_000"].tolist() == [0.25, 1]
    assert as_floats(frame["age"], np.dtype(np.float64)).tolist() == [31.5, 4]
    quoted = read_frame(_written(tmp_path / "q.csv", 'age\n"31,5"\nNA\n'))["age"]
    np.testing.assert_array_equal(as_floats(quoted, np.dtype(np.float64)), [31.5, np.nan])
    with pytest.raises(TableError, match=r"'age'.*not a number: row 0: '1,234.5'"):
        as_floats(pd.Series(["1,234.5"], name="age"), np.dtype(np.float64))


def test_a_spreadsheet_is_its_first_sheet(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with pd.ExcelWriter(path) as book:
        frame = pd.DataFrame({"subject": ["007", "NA"], "age": [31.5, None], "seed": [1, 2]})
        frame.to_excel(book, sheet_name="people", index=False)
        pd.DataFrame({"other": [1]}).to_excel(book, sheet_name="notes", index=False)
    read = read_frame(path)
    assert read["subject"].tolist() == ["007", "NA"]
    assert read["seed"].astype(str).tolist() == ["1", "2"]
    np.testing.assert_array_equal(read["age"].astype(float), [31.5, np.nan])
    with pytest.raises(TableError, match=r"x\.xlsx: cannot be read as a xlsx table"):
        read_frame(_written(tmp_path / "x.xlsx", b"no spreadsheet"))


def test_a_spreadsheet_without_its_package_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingDependencyError, match=r"agelens\[excel\]"):
        read_frame(_written(tmp_path / "t.xlsx", b"PK"))


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
