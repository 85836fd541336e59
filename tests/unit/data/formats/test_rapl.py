from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.formats import read_rapl, write_rapl
from agelens.data.splits import OfficialSplit, describe_leaks
from agelens.errors import DatasetError, OutputError, TableError, UsageError

PUBLISHED = """filename,age,gender,fold
7865_ChristopherPlummer_40_m.jpg,40,0,train
12083_ElsaMartinelli_74_f.jpg,74,1,val
9_ChristopherPlummer_71_m.jpg,71,0,test
10_WillSmith _45_m.jpg,45,0,train
"""


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_round_trip(tables, tmp_path_factory, data) -> None:
    table = data.draw(tables)
    path = tmp_path_factory.mktemp("rapl") / "own.csv"
    written = write_rapl(table, path)
    assert (written.rows, written.left_out) == (len(table), {})
    again = read_rapl(path, dataset="own", age_kind="real")
    pd.testing.assert_frame_equal(again.frame, table.frame)


def test_a_published_list(tmp_path) -> None:
    path = tmp_path / "agedb.csv"
    path.write_text(PUBLISHED)
    frame = read_rapl(path, dataset="agedb").frame
    assert frame["age_years"].tolist() == [40, 74, 71, 45]
    assert frame["gender"].tolist() == ["male", "female", "male", "male"]
    assert frame["split"].tolist() == ["train", "valid", "test", "train"]
    assert frame["age_kind"].tolist() == ["real"] * 4
    assert frame["subject"].tolist()[:3] == [
        "ChristopherPlummer",
        "ElsaMartinelli",
        "ChristopherPlummer",
    ]
    assert frame["subject"].iat[3] == "WillSmith"


def test_the_leak_of_a_list_drawn_per_image_shows(tmp_path) -> None:
    """The published AgeDB list, at a tenth: 55 of its 56 validation people are trained on."""
    lines = ["filename,age,gender,fold"]
    number = iter(range(10_000))
    for person in range(56):
        lines += [f"{next(number)}_Person{person}_{30 + person}_f.jpg,{30 + person},1,val"]
        lines += [f"{next(number)}_Person{person}_50_f.jpg,50,1,train"] * (person > 0)
        lines += [f"{next(number)}_Person{person}_51_f.jpg,51,1,test"] * (person > 0)
    path = tmp_path / "agedb.csv"
    path.write_text("\n".join(lines))
    table = read_rapl(path, dataset="agedb")
    report = describe_leaks(OfficialSplit()(table)[0], table)
    assert "55 of 56 validation subjects also in training" in str(report)
    assert "55 of 55 test subjects also in training" in str(report)


def test_cacd_has_no_gender(tmp_path) -> None:
    path = tmp_path / "cacd.csv"
    path.write_text("filename,age,fold\n54_Bill_Pullman_0006.jpg,54,train\n")
    frame = read_rapl(path, dataset="cacd2000").frame
    assert frame["gender"].isna().all()
    assert frame["subject"].tolist() == ["Bill_Pullman"]


def test_a_gender_unknown_for_some_is_written_for_none(listed_table, tmp_path) -> None:
    table = listed_table(["a.jpg", "b.jpg"], gender=["male", None], split=["train", "test"])
    written = write_rapl(table, tmp_path / "x.csv")
    assert written.notes == ("no column gender, since it is unknown for some rows",)
    assert (tmp_path / "x.csv").read_text() == "filename,age,fold\na.jpg,30,train\nb.jpg,30,test\n"


def test_rows_that_cannot_be_listed_are_counted(listed_table, tmp_path) -> None:
    table = listed_table(
        ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        age_years=[30, None, 31, 200],
        split=["train", "train", None, "train"],
        issue=[None, None, None, "too old"],
    )
    written = write_rapl(table, tmp_path / "x.csv")
    assert written.rows == 1
    assert written.left_out == {"with an issue": 1, "without an age": 1, "in no part": 1}


def test_half_years_are_refused_or_rounded(listed_table, tmp_path) -> None:
    table = listed_table(["a.jpg", "b.jpg"], age_years=[30.5, 31.0], split=["train", "test"])
    with pytest.raises(TableError, match=r"not a whole year.*row 0: .*30\.5"):
        write_rapl(table, tmp_path / "x.csv")
    write_rapl(table, tmp_path / "x.csv", round_ages=True)
    assert (tmp_path / "x.csv").read_text().splitlines()[1] == "a.jpg,31,train"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "filename,age,fold\na.jpg,x,train\n",
            "column 'age': 1 value.*is not a number: row 0: 'x'",
        ),
        (
            "filename,age,fold\na.jpg,1,train\nb.jpg,inf,val\n",
            "column 'age'.*not a number: row 1: 'inf'",
        ),
        ("filename,age,fold\na.jpg,1,dev\n", "column 'fold'.*'train', 'val'.*row 0: 'dev'"),
        ("filename,age,gender,fold\na.jpg,1,m,val\n", "column 'gender'.*'0', '1': row 0: 'm'"),
    ],
)
def test_wrong_values_are_named_with_their_rows(tmp_path, text, said) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=f"list.csv: {said}"):
        read_rapl(path, dataset="agedb")


@pytest.mark.parametrize("text", ["", "filename,age\na.jpg,3\n", "a.jpg,3,train\n"])
def test_a_missing_column_is_named_with_those_found(tmp_path, text) -> None:
    (tmp_path / "list.csv").write_text(text)
    found = ", ".join(text.partition("\n")[0].split(","))
    with pytest.raises(DatasetError, match=rf"no column .*fold; found: {found}"):
        read_rapl(tmp_path / "list.csv", dataset="agedb")


def test_an_absent_file_is_said(tmp_path) -> None:
    with pytest.raises(DatasetError, match=r"none\.csv"):
        read_rapl(tmp_path / "none.csv", dataset="agedb")


def test_mixed_encodings_are_read_line_by_line(tmp_path) -> None:
    path = tmp_path / "list.csv"
    lines = ["\ufefffilename,age,fold\r\n".encode(), "1_Renée_30_f.jpg,30,train\r\n".encode()]
    path.write_bytes(b"".join(lines) + "2_Renée_31_f.jpg,31,val\r\n".encode("latin-1"))
    frame = read_rapl(path, dataset="agedb").frame
    assert frame["path"].tolist() == ["1_Renée_30_f.jpg", "2_Renée_31_f.jpg"]
    assert frame["subject"].tolist() == ["Renee", "Renee"]


def test_the_kind_of_ages_of_an_unknown_dataset_is_unstated(tmp_path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("filename,age,fold\na.jpg,3,train\n")
    assert read_rapl(path, dataset="mine").frame["age_kind"][0] == "unstated"
    with pytest.raises(UsageError, match="give age_kind as one of real, apparent, estimated"):
        read_rapl(path, dataset="appa-real")
    assert read_rapl(path, dataset="mine", age_kind="apparent").frame["age_kind"][0] == "apparent"


def test_nothing_to_write_is_refused(listed_table, tmp_path) -> None:
    with pytest.raises(TableError, match="no row can be written: 1 in no part; agelens data split"):
        write_rapl(listed_table(["a.jpg"]), tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_a_place_that_cannot_be_written_is_said(listed_table, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"x\.csv"):
        write_rapl(listed_table(["a.jpg"], split=["train"]), tmp_path / "file" / "x.csv")
