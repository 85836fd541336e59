from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.formats import ROTATED_BOX, read_ldl, write_ldl
from agelens.errors import DatasetError, TableError, UsageError
from agelens.tables import BOX, SampleTable

HEADER = "photo,age,deg,box1,box2,box3,box4"


def _with_boxes(table: SampleTable, seed: int) -> SampleTable:
    random = np.random.default_rng(seed)
    boxes = {name: random.uniform(0, 500, len(table)) for name in ROTATED_BOX}
    roll = random.uniform(-40, 40, len(table)).astype(np.float32)
    return SampleTable(table.frame.assign(**boxes, roll_degrees=roll), ROTATED_BOX)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(0, 99))
def test_round_trip(tables, tmp_path_factory, data, seed) -> None:
    table = _with_boxes(data.draw(tables), seed)
    folder = tmp_path_factory.mktemp("ldl")
    written = write_ldl(table, folder, prefix="Own")
    assert written.rows == len(table)
    again = read_ldl(folder, dataset="own", age_kind="real")
    assert again.extra == ROTATED_BOX
    expected = table.frame.set_index("path").loc[again.frame["path"]].reset_index()
    pd.testing.assert_frame_equal(again.frame, expected[again.frame.columns], check_exact=True)


def test_the_files_of_the_original_system(tmp_path) -> None:
    (tmp_path / "Morph_train_align.csv").write_text(
        f"{HEADER},gender,race\nAlbum2/009055_1M54.JPG,54,-3.5,10,20,110,140,M,B\n"
        "Album2/134083_05F41.JPG,41,0,1.5,2,3,4,female,W\n"
    )
    (tmp_path / "Morph_valid_align.csv").write_text(
        "age,photo,deg,box4,box3,box2,box1\n30,Album2/1_1M30.JPG,2,4,3,2,1\n"
    )
    table = read_ldl(tmp_path, dataset="morph2")
    frame = table.frame
    assert frame["split"].tolist() == ["train", "train", "valid"]
    assert frame["gender"].tolist()[:2] == ["male", "female"]
    assert frame["ethnicity"].tolist()[:2] == ["Black", "White"]
    assert frame["subject"].tolist() == ["009055", "134083", "1"]
    assert frame["roll_degrees"].tolist() == [-3.5, 0, 2]
    assert frame[list(ROTATED_BOX)].to_numpy().tolist() == [
        [10, 20, 110, 140],
        [1.5, 2, 3, 4],
        [1, 2, 3, 4],
    ]
    # Only the photo that is not turned has its box as it lies.
    assert frame[list(BOX)].notna().all(axis=1).tolist() == [False, True, False]
    assert frame["age_kind"].tolist() == ["real"] * 3


def test_upright_boxes_need_no_turned_ones(listed_table, tmp_path) -> None:
    box = dict(zip(BOX, ([1.0], [2.0], [3.0], [4.5]), strict=True))
    write_ldl(listed_table(["a.jpg"], split=["train"], roll_degrees=[0.0], **box), tmp_path)
    assert (
        tmp_path / "own_train_align.csv"
    ).read_text() == f"{HEADER}\na.jpg,30.0,0.0,1.0,2.0,3.0,4.5\n"


def test_turned_faces_need_turned_boxes(listed_table, tmp_path) -> None:
    box = {name: [1.0] for name in BOX}
    table = listed_table(["a.jpg"], split=["train"], roll_degrees=[5.0], **box)
    with pytest.raises(TableError, match=r"rotated_x1.*--two-pass"):
        write_ldl(table, tmp_path)


def test_rows_without_roll_or_box_are_counted(listed_table, tmp_path) -> None:
    table = listed_table(
        ["a.jpg", "b.jpg", "c.jpg"], split=["train"] * 3, roll_degrees=[0.0, None, 0.0]
    )
    boxes = {name: [1.0, 1.0, np.nan] for name in ROTATED_BOX}
    written = write_ldl(SampleTable(table.frame.assign(**boxes), ROTATED_BOX), tmp_path)
    assert (written.rows, written.left_out) == (1, {"without a roll": 1, "without a box": 1})


def test_people_are_written_for_all_rows_or_none(listed_table, tmp_path) -> None:
    columns = {name: [1.0, 2.0] for name in BOX} | {"roll_degrees": [0.0, 0.0]}
    table = listed_table(
        ["a.jpg", "b.jpg"],
        split=["valid", "valid"],
        gender=["male", "female"],
        ethnicity=["Asian", "Indian"],
        **columns,
    )
    written = write_ldl(table, tmp_path)
    assert written.notes == ("no column race, since 1 rows have none to write",)
    assert (tmp_path / "own_valid_align.csv").read_text().startswith(f"{HEADER},gender\n")
    assert [path.name for path in written.paths] == ["own_valid_align.csv"]


def test_several_datasets_in_a_folder_need_a_prefix(tmp_path) -> None:
    for name in ("Morph_train_align.csv", "Mega_train_align.csv", "Mega_VALID_align.csv"):
        (tmp_path / name).write_text(f"{HEADER}\n{name},3,0,1,2,3,4\n")
    with pytest.raises(DatasetError, match="lists of Mega, Morph: name one as prefix"):
        read_ldl(tmp_path, dataset="megaage")
    frame = read_ldl(tmp_path, dataset="megaage", prefix="Mega").frame
    assert frame["split"].tolist() == ["train", "valid"]
    assert frame["age_kind"].tolist() == ["apparent"] * 2


def test_a_folder_without_lists_says_what_it_holds(tmp_path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(DatasetError, match=r"_align\.csv, found none\. It holds photo\.jpg"):
        read_ldl(tmp_path, dataset="morph2")
    with pytest.raises(DatasetError, match="there is no folder"):
        read_ldl(tmp_path / "none", dataset="morph2")


def test_several_datasets_in_a_table_need_a_prefix(listed_table, tmp_path) -> None:
    both = SampleTable.concat([listed_table(["a.jpg"]), listed_table(["b.jpg"], dataset="two")])
    with pytest.raises(UsageError, match="own, two"):
        write_ldl(both, tmp_path)


def test_a_missing_column_is_named_with_those_found(tmp_path) -> None:
    (tmp_path / "x_train_align.csv").write_text("photo,age,deg,box1,box2,box3\n")
    with pytest.raises(DatasetError, match="no column box4; found: photo, age, deg"):
        read_ldl(tmp_path, dataset="morph2")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.jpg,3,left,1,2,3,4,M,A", "'deg'.*row 0: 'left'"),
        ("a.jpg,3,0,1,2,3,?,M,A", "'box4'.*row 0"),
        ("a.jpg,3,0,1,2,3,4,X,A", "'gender'.*row 0: 'X'"),
        ("a.jpg,3,0,1,2,3,4,M,Z", "'race'.*row 0: 'Z'"),
    ],
)
def test_wrong_values_are_named_with_their_rows(tmp_path, row, said) -> None:
    (tmp_path / "x_train_align.csv").write_text(f"{HEADER},gender,race\n{row}\n")
    with pytest.raises(TableError, match=f"x_train_align.csv: column {said}"):
        read_ldl(tmp_path, dataset="morph2")


def test_parts_of_other_names_are_refused(listed_table, tmp_path) -> None:
    columns = {name: [1.0] for name in BOX} | {"roll_degrees": [0.0], "split": ["gallery"]}
    with pytest.raises(TableError, match="not train, valid or test: row 0: 'gallery'"):
        write_ldl(listed_table(["a.jpg"], **columns), tmp_path)
