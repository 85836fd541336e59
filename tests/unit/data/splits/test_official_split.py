from __future__ import annotations

import pytest

from agelens.data.splits import OfficialSplit
from agelens.errors import TableError


def test_the_split_column_is_taken(people_table) -> None:
    table = people_table([1] * 5, split=["test", "train", "valid", None, "train"])
    (split,) = OfficialSplit()(table)
    assert split.part_names == ("train", "valid", "test")
    assert split.codes.tolist() == [2, 0, 1, -1, 0]
    assert split.notes == ("1 of 5 samples are in no part",)


def test_words_of_the_owner_come_last(people_table) -> None:
    (split,) = OfficialSplit()(people_table([1] * 3, split=["gallery", "train", "probe"]))
    assert split.part_names == ("train", "gallery", "probe")


def test_folds_are_tested_in_turn(people_table) -> None:
    table = people_table([1] * 5, fold=[0, 1, 2, 2, None])
    splits = OfficialSplit()(table)
    assert [split.name for split in splits] == ["fold_0", "fold_1", "fold_2"]
    assert [split.codes.tolist() for split in splits] == [
        [1, 0, 0, 0, -1],
        [0, 1, 0, 0, -1],
        [0, 0, 1, 1, -1],
    ]


def test_a_table_without_either_is_refused(people_table) -> None:
    with pytest.raises(TableError, match="neither a split nor folds"):
        OfficialSplit()(people_table([2]))
