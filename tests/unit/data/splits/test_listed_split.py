from __future__ import annotations

import pandas as pd
import pytest

from agelens.data.splits import RAPLFolds
from agelens.data.splits.listed_split import carried_over, rows_by_path
from agelens.errors import TableError
from agelens.tables import SampleTable


def _listed(paths: list[str], split: list[str | None], fold: object = None) -> SampleTable:
    return SampleTable.from_columns(
        {
            "sample_id": [f"list/{path}" for path in paths],
            "dataset": ["list"] * len(paths),
            "path": paths,
            "split": split,
            "fold": fold,
        }
    )


def test_a_table_read_from_the_list_has_its_parts(people_table) -> None:
    (split,) = RAPLFolds()(people_table([2], split=["train", "test"]))
    assert split.codes.tolist() == [0, 1]
    assert split.protocol == "rapl"


def test_parts_are_carried_over_by_file_name(people_table) -> None:
    table = people_table([3], path=["AgeDB/a.jpg", "AgeDB/B.JPG", "AgeDB/c.jpg"])
    listed = _listed(["b.jpg", "a.jpg", "gone.jpg"], ["test", "train", "train"])
    (split,) = RAPLFolds(listed)(table)
    assert split.codes.tolist() == [0, 1, -1]
    assert split.notes == (
        "1 of 3 listed samples are not in the table",
        "1 of 3 samples are in no part",
    )


def test_folds_are_carried_over_too(people_table) -> None:
    listed = _listed(["000001.jpg", "000000.jpg"], [None, None], [7, 3])
    table, notes = carried_over(listed, people_table([3]))
    assert table.frame["fold"].tolist() == [3, 7, pd.NA]
    assert notes == ()


def test_folders_tell_files_of_one_name_apart() -> None:
    paths = pd.Series(["set/1/x.jpg", "set/2/x.jpg"])
    assert rows_by_path(pd.Series(["2/x.jpg", "data/set/1/x.jpg", "3/x.jpg"]), paths).tolist() == [
        1,
        0,
        -1,
    ]


def test_accents_are_compared_composed() -> None:
    assert rows_by_path(pd.Series(["Rene\u0301e.jpg"]), pd.Series(["Ren\u00e9e.jpg"])).tolist() == [
        0
    ]


def test_a_name_that_could_be_several_is_refused() -> None:
    with pytest.raises(TableError, match=r"x.jpg could be 2 .* 1/x.jpg and 2/x.jpg"):
        rows_by_path(pd.Series(["x.jpg"]), pd.Series(["1/x.jpg", "2/x.jpg"]))


def test_a_list_of_other_pictures_is_refused(people_table) -> None:
    with pytest.raises(TableError, match=r"none of the 1 listed files.*other.jpg.*000000.jpg"):
        RAPLFolds(_listed(["other.jpg"], ["train"]))(people_table([1]))


def test_a_table_without_parts_is_refused(people_table) -> None:
    with pytest.raises(TableError, match="no row has a part"):
        RAPLFolds()(people_table([1]))
