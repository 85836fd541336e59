from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.formats import read_mapped, write_mapped
from agelens.errors import DatasetError, TableError, UnknownNameError, UsageError

MAPPING = {
    "path": "file",
    "age_years": "Age",
    "gender": ("sex", {"0": "male", "1": "female"}),
    "split": ["part", {"tr": "train", "va": "valid", "te": "test"}],
}


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from([".csv", ".parquet"]))
def test_round_trip(tables, tmp_path_factory, data, suffix) -> None:
    table = data.draw(tables)
    path = tmp_path_factory.mktemp("mapped") / f"own{suffix}"
    assert write_mapped(table, path, MAPPING).rows == len(table)
    again = read_mapped(path, MAPPING, dataset="own", age_kind="real")
    pd.testing.assert_frame_equal(again.frame, table.frame)


def _csv(tmp_path, text: str | bytes, suffix: str = ".csv"):
    path = tmp_path / f"own{suffix}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_any_usual_delimiter(tmp_path, mark) -> None:
    path = _csv(tmp_path, mark.join(["file", "Age"]) + "\n" + mark.join(["a.jpg", "31.5"]), ".txt")
    columns = {"path": "file", "age_years": "Age"}
    assert read_mapped(path, columns, dataset="own", age_kind="real").frame["age_years"][0] == 31.5


def test_codes_out(listed_table, tmp_path) -> None:
    table = listed_table(["a.jpg", "b.jpg"], gender=["female", None], split=["train", "test"])
    write_mapped(table, tmp_path / "x.csv", MAPPING)
    assert (
        tmp_path / "x.csv"
    ).read_text() == "file,Age,sex,part\na.jpg,30.0,1,tr\nb.jpg,30.0,,te\n"


def test_codes_in_parquet_may_be_numbers_with_gaps(tmp_path) -> None:
    frame = pd.DataFrame({"file": ["a", "b", "c"], "SEX": [0.0, None, 1.0], "n": [7, 8, 9]})
    frame.to_parquet(tmp_path / "own.parquet")
    columns = {"path": "file", "gender": ("sex", {0: "male", 1: "female"}), "subject": "n"}
    found = read_mapped(tmp_path / "own.parquet", columns, dataset="own").frame
    assert found["gender"].astype(object).where(found["gender"].notna(), None).tolist() == [
        "male",
        None,
        "female",
    ]
    assert found["subject"].tolist() == ["7", "8", "9"]


def test_gender_words_are_understood_without_codes(tmp_path) -> None:
    path = _csv(tmp_path, "file,g\na,F\nb,Male\nc,female\nd,\n")
    frame = read_mapped(path, {"path": "file", "gender": "g"}, dataset="own").frame
    assert frame["gender"].tolist()[:3] == ["female", "male", "female"]
    assert frame["gender"].isna().tolist() == [False, False, False, True]


def test_codes_of_gender_need_their_meaning(tmp_path) -> None:
    path = _csv(tmp_path, "file,g\na,0\nb,1\n")
    with pytest.raises(TableError, match=r"'g': 2 value.*'female', 'male'.*row 0: '0', row 1: '1'"):
        read_mapped(path, {"path": "file", "gender": "g"}, dataset="own")


def test_absolute_paths_become_relative_to_the_root(tmp_path) -> None:
    path = _csv(tmp_path, "file\n/data/faces/x/a.jpg\nx/b.jpg\nx\\c.jpg\n")
    frame = read_mapped(path, {"path": "file"}, dataset="own", root="/data/faces/").frame
    assert frame["path"].tolist() == ["x/a.jpg", "x/b.jpg", "x/c.jpg"]


@pytest.mark.parametrize("file", ["/data/facesother/a.jpg", "/elsewhere/a.jpg", "D:\\faces\\a.jpg"])
def test_paths_outside_the_root_are_refused(tmp_path, file) -> None:
    with pytest.raises(TableError, match="not below the root /data/faces: row 0"):
        read_mapped(
            _csv(tmp_path, f"file\n{file}\n"), {"path": "file"}, dataset="own", root="/data/faces"
        )


def test_mixed_encodings_are_read_line_by_line(tmp_path) -> None:
    data = "file,who\na.jpg,Renée\n".encode() + "b.jpg,Zoë\n".encode("latin-1")
    frame = read_mapped(
        _csv(tmp_path, data), {"path": "file", "subject": "who"}, dataset="own"
    ).frame
    assert frame["subject"].tolist() == ["Renée", "Zoë"]


def test_the_kind_of_ages_is_said_once(tmp_path) -> None:
    path = _csv(tmp_path, "file,Age,kind\na.jpg,30,apparent\nb.jpg,31,real\n")
    columns = {"path": "file", "age_years": "Age"}
    assert set(read_mapped(path, columns, dataset="own").frame["age_kind"]) == {"unstated"}
    columns["age_kind"] = "kind"
    with pytest.raises(UsageError, match="kind of the ages once"):
        read_mapped(path, columns, dataset="own", age_kind="real")
    assert read_mapped(path, columns, dataset="own").frame["age_kind"].tolist() == [
        "apparent",
        "real",
    ]


def test_impossible_ages_are_kept_with_an_issue(tmp_path) -> None:
    path = _csv(tmp_path, "file,Age\na.jpg,300\n")
    frame = read_mapped(
        path, {"path": "file", "age_years": "Age"}, dataset="own", age_kind="real"
    ).frame
    assert frame["age_years"].tolist() == [300]
    assert "outside 0 to 120" in frame["issue"][0]


def test_a_missing_column_is_named_with_those_found(tmp_path) -> None:
    with pytest.raises(DatasetError, match="no column Age, sex; found: file, years"):
        read_mapped(
            _csv(tmp_path, "file,years\na,3\n"),
            {"path": "file", "age_years": "Age", "gender": "sex"},
            dataset="own",
            age_kind="real",
        )
    pd.DataFrame({"file": ["a"]}).to_parquet(tmp_path / "own.parquet")
    with pytest.raises(DatasetError, match="no column years; found: file"):
        read_mapped(tmp_path / "own.parquet", {"path": "file", "fold": "years"}, dataset="own")


def test_wrong_values_are_named_with_their_rows(tmp_path) -> None:
    path = _csv(tmp_path, "file,Age\na.jpg,30\nb.jpg,old\n")
    with pytest.raises(TableError, match=r"'Age'.*not a number: row 1: 'old'"):
        read_mapped(path, {"path": "file", "age_years": "Age"}, dataset="own", age_kind="real")
    path = _csv(tmp_path, "file,n\na.jpg,1\n,2\n")
    with pytest.raises(TableError, match=r"'path'.*is missing in .*: row 1"):
        read_mapped(path, {"path": "file", "fold": "n"}, dataset="own")


def test_all_that_is_wrong_is_told_at_once(tmp_path) -> None:
    path = _csv(tmp_path, "file,Age,g\na.jpg,30,0\n,old,F\n")
    with pytest.raises(TableError, match=r"(?s)'path'.*row 1.*'Age'.*row 1: 'old'.*'g'.*row 0"):
        read_mapped(path, {"path": "file", "age_years": "Age", "gender": "g"})


def test_without_a_mapping_the_columns_are_the_tables_own(tmp_path) -> None:
    path = _csv(tmp_path, "path,age_years,shoe_size\na.jpg,30,44\n")
    frame = read_mapped(path).frame
    assert frame["sample_id"].tolist() == ["own/a.jpg"]
    assert frame["age_years"].tolist() == [30]
    path = _csv(tmp_path, "Image,Age\na.jpg,30\n")
    with pytest.raises(UsageError, match="Perhaps: --columns path=image,age_years=age"):
        read_mapped(path)


def test_a_comma_at_the_end_of_every_row_is_no_column(tmp_path) -> None:
    path = _csv(tmp_path, "file,Age\na.jpg,30,\nb.jpg,31,\n")
    frame = read_mapped(path, {"path": "file", "age_years": "Age"}).frame
    assert frame["path"].tolist() == ["a.jpg", "b.jpg"]
    assert frame["issue"].isna().all()


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        ({"path": "f", "age": "a"}, UnknownNameError, "unknown table column 'age'"),
        ({"path": "f", "sample_id": "a"}, UnknownNameError, "unknown table column 'sample_id'"),
        ({"age_years": "a"}, UsageError, "which column is the `path`"),
        ({"path": 3}, UsageError, "not to 3"),
        ({"path": "f", "gender": ("sex",)}, UsageError, "a pair"),
        ({"path": "f", "gender": ("sex", "male")}, UsageError, "a pair"),
    ],
)
def test_a_mapping_of_another_form_is_refused(tmp_path, columns, error, said) -> None:
    with pytest.raises(error, match=said):
        read_mapped(_csv(tmp_path, "f\na\n"), columns, dataset="own", age_kind="real")


def test_files_of_another_kind_are_refused(listed_table, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"\.csv, \.tsv, \.txt or \.parquet"):
        read_mapped(tmp_path / "own.xlsx", {"path": "file"}, dataset="own")
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        write_mapped(listed_table(["a.jpg"]), tmp_path / "own.xlsx", {"path": "file"})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_damaged_and_absent_files_are_refused(tmp_path, suffix) -> None:
    with pytest.raises(DatasetError, match="own"):
        read_mapped(tmp_path / f"own{suffix}", {"path": "file"}, dataset="own")
    path = _csv(tmp_path, b"PAR1 not really", suffix)
    with pytest.raises(DatasetError, match="own"):
        read_mapped(path, {"path": "file"}, dataset="own")


def test_a_word_without_a_code_is_refused(listed_table, tmp_path) -> None:
    table = listed_table(["a.jpg"], split=["gallery"])
    with pytest.raises(TableError, match=r"'split'.*row 0: 'gallery'"):
        write_mapped(table, tmp_path / "x.csv", MAPPING)
