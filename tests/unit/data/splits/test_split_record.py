from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agelens.data.splits import Split
from agelens.data.splits.split import places
from agelens.errors import TableError, UsageError


def _split(**changes: object) -> Split:
    given = {
        "name": "split",
        "sample_id": pd.Series(["a", "b", "c", "d"], dtype=pd.StringDtype("pyarrow")),
        "part_names": ("train", "test"),
        "codes": np.array([0, 1, 0, -1], dtype=np.int8),
    }
    return Split(**(given | changes))


def test_parts_are_disjoint_lists_of_ids() -> None:
    split = _split()
    assert {part: list(ids) for part, ids in split.parts.items()} == {
        "train": ["a", "c"],
        "test": ["b"],
    }
    assert split.counts == {"train": 2, "test": 1}


def test_from_parts_is_the_inverse_of_parts() -> None:
    again = Split.from_parts("split", _split().parts)
    assert {part: list(ids) for part, ids in again.parts.items()} == {
        "train": ["a", "c"],
        "test": ["b"],
    }


def test_from_parts_refuses_a_sample_in_two_parts() -> None:
    with pytest.raises(TableError, match=r"1 sample\(s\) listed twice: b"):
        Split.from_parts("split", {"train": ["a", "b"], "test": ["b"]})


@pytest.mark.parametrize("parts", [("train", "train"), ("a/b", "c"), ("", "x")])
def test_part_names_must_be_file_names(parts: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        _split(part_names=parts)


@pytest.mark.parametrize("codes", [[0, 1], [0, 1, 2, 0], [-2, 0, 0, 0]])
def test_codes_must_fit(codes: list[int]) -> None:
    with pytest.raises(TableError, match="one part code"):
        _split(codes=np.array(codes, dtype=np.int8))


def test_an_unknown_part_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="train, test"):
        _split().ids("valid")


def test_codes_follow_the_rows_of_another_order(people_table) -> None:
    table = people_table([2, 2])
    ids = table.frame["sample_id"]
    split = _split(sample_id=ids.iloc[[3, 1, 0]], codes=np.array([0, 1, -1], dtype=np.int8))
    assert split.codes_for(table).tolist() == [-1, 1, -1, 0]


def test_codes_for_another_table_are_refused(people_table) -> None:
    with pytest.raises(TableError, match=r"3 of its samples are not there, such as a, b, c"):
        _split().codes_for(people_table([4]))


def test_places_finds_ids_of_either_string_type() -> None:
    ids = pd.Series(["b", "x", "a"], dtype=object)
    among = pd.Series(["a", "b"], dtype=pd.StringDtype("pyarrow"))
    assert places(ids, among).tolist() == [1, -1, 0]
