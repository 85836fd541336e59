from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.formats import read_coral, write_coral
from agelens.errors import DatasetError, TableError


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(0, 20))
def test_round_trip_of_a_folder(tables, tmp_path_factory, data, below) -> None:
    table = data.draw(tables)
    least = int(table.frame["age_years"].min()) - below
    folder = tmp_path_factory.mktemp("coral")
    least = max(least, 0)
    written = write_coral(table, folder, minimum_age=least)
    assert written.rows == len(table)
    again = read_coral(folder, dataset="own", age_kind="real", minimum_age=least).frame
    expected = table.frame.set_index("path").loc[again["path"]].reset_index()
    columns = ["sample_id", "path", "age_years", "age_kind", "split"]
    pd.testing.assert_frame_equal(again[columns], expected[columns])


def test_the_least_age_is_recovered_from_the_two_columns(listed_table, tmp_path) -> None:
    table = listed_table(["a.jpg", "b.jpg"], age_years=[16, 70])
    written = write_coral(table, tmp_path / "list.csv")
    assert (tmp_path / "list.csv").read_text() == (
        "ID,Path,Age,scaled\nown/a.jpg,a.jpg,16,0\nown/b.jpg,b.jpg,70,54\n"
    )
    assert written.notes == ("label 0 is age 16, and there are 55 labels",)
    again = read_coral(tmp_path / "list.csv", dataset="own", age_kind="real")
    assert again.frame["age_years"].tolist() == [16, 70]


def _read(tmp_path, text: str, **options):
    path = tmp_path / "list.csv"
    path.write_text(text)
    return read_coral(path, **({"dataset": "own", "age_kind": "real"} | options)).frame


@pytest.mark.parametrize("header", ["ID,Path,Age,scaled\n1,a.jpg,3,3", "file,age\na.jpg,3"])
def test_shifted_labels_without_a_least_age_are_refused(tmp_path, header) -> None:
    with pytest.raises(TableError, match=r"give minimum_age \(CORAL: AFAD 15"):
        _read(tmp_path, header)
    assert _read(tmp_path, header, minimum_age=21)["age_years"].tolist() == [24]


@pytest.mark.parametrize(
    ("dataset", "text", "expected"),
    [
        (
            "afad-full",
            "file,path,age,gender\n406208-0.jpg,39/112/406208-0.jpg,24,female\n",
            [(39, "406208", "female")],
        ),
        (
            "cacd2000",
            ",file,age\n127559,54_Bill_Pullman_0006.jpg,40\n3,42_Renée_Zellweger_0004.jpg,28\n",
            [(54, "Bill_Pullman", None), (42, "Renée_Zellweger", None)],
        ),
        (
            "morph2",
            ",id_num,picture_num,race,Male,facial_hair,age,glasses,quality\n"
            "273546_01M22.jpg,273546,1,B,1,,6,,GOOD\n100000_1F16.jpg,100000,1,W,-1,,0,,GOOD\n",
            [(22, "273546", "male"), (16, "100000", "female")],
        ),
        ("utkface", "file,age\n25_0_2_20170116.jpg.chip.jpg,4\n", [(25, None, None)]),
    ],
)
def test_published_lists_tell_it_in_their_file_names(tmp_path, dataset, text, expected) -> None:
    frame = _read(tmp_path, text, dataset=dataset, age_kind=None)
    found = frame[["age_years", "subject", "gender"]].astype(object)
    assert [*found.where(found.notna(), None).itertuples(index=False, name=None)] == expected


def test_a_given_least_age_must_agree_with_the_file_names(tmp_path) -> None:
    text = "file,age\n54_Bill_Pullman_0006.jpg,40\n"
    with pytest.raises(TableError, match="minimum_age is 15, but by the file names it is 14"):
        _read(tmp_path, text, dataset="cacd2000", minimum_age=15)


def test_a_given_least_age_must_agree_with_the_columns(tmp_path) -> None:
    with pytest.raises(TableError, match="minimum_age is 16, but by Age - scaled it is 15"):
        _read(tmp_path, "Path,Age,scaled\na.jpg,15,0\n", minimum_age=16)


def test_columns_that_differ_by_several_numbers_are_refused(tmp_path) -> None:
    text = "Path,Age,scaled\na.jpg,15,0\nb.jpg,16,1\nc.jpg,17,3\n"
    with pytest.raises(TableError, match=r"'Age - scaled'.*like 15.*row 2: .*14"):
        _read(tmp_path, text)


def test_names_that_differ_by_several_numbers_are_refused(tmp_path) -> None:
    text = "file,age\n54_A_B_0006.jpg,40\n54_A_B_0007.jpg,40\n54_A_B_0008.jpg,41\n"
    with pytest.raises(TableError, match=r"age in the file name - Age.*row 2"):
        _read(tmp_path, text, dataset="cacd2000")


@pytest.mark.parametrize("label", ["-1", "2.5"])
def test_a_label_is_a_whole_number_from_0(tmp_path, label) -> None:
    with pytest.raises(TableError, match=f"no label.*row 0: .*{label}"):
        _read(tmp_path, f"Path,Age\na.jpg,{label}\n", minimum_age=15)


def test_missing_columns_are_named_with_those_found(tmp_path) -> None:
    with pytest.raises(DatasetError, match="no column path or file or filename; found: id, age"):
        _read(tmp_path, "ID,Age\n1,3\n")
    with pytest.raises(DatasetError, match="no column age; found: ID, Path"):
        _read(tmp_path, "ID,Path\n1,a\n")


def test_ages_below_the_least_are_refused(listed_table, tmp_path) -> None:
    with pytest.raises(TableError, match=r"below the least age 31: row 0: .*30"):
        write_coral(listed_table(["a.jpg"]), tmp_path / "x.csv", minimum_age=31)


def test_a_folder_takes_the_rows_in_a_part(listed_table, tmp_path) -> None:
    table = listed_table(["a.jpg", "b.jpg", "c.jpg"], split=["train", "test", None])
    written = write_coral(table, tmp_path / "lists", prefix="set")
    assert [path.name for path in written.paths] == ["set_train.csv", "set_test.csv"]
    assert written.left_out == {"in no part": 1}
