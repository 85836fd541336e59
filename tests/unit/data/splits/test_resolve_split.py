from __future__ import annotations

import numpy as np
import pytest

from agelens.data.splits import SubjectKFold, write_split, write_splits
from agelens.data.splits.resolve_split import SplitOptions, resolve_split
from agelens.data.splits.split import HashSplit
from agelens.errors import UnknownNameError, UsageError
from agelens.tables import SampleTable


def table(rows: int = 60, **columns: object) -> SampleTable:
    return SampleTable.from_columns(
        {
            "sample_id": [f"a/{n}" for n in range(rows)],
            "dataset": "a",
            "path": [str(n) for n in range(rows)],
            "age_years": 30.0,
            "age_kind": "real",
            "subject": [f"s{n // 2}" for n in range(rows)],
            **columns,
        }
    )


def test_a_protocol_by_name_and_seed() -> None:
    one, same, other = (
        resolve_split(table(), SplitOptions("hash", seed=seed)) for seed in (1, 1, 2)
    )
    assert one.part_names == ("train", "valid", "test")
    assert np.array_equal(one.codes, same.codes)
    assert not np.array_equal(one.codes, other.codes)
    assert np.array_equal(one.codes, HashSplit()(table(), seed=1)[0].codes)


def test_the_tables_own_column() -> None:
    column = ["train", "valid", "test", None] * 15
    split = resolve_split(table(split=column), SplitOptions("column"))
    assert split.counts == {"train": 15, "valid": 15, "test": 15}


def test_a_written_folder(tmp_path) -> None:
    whole = table()
    written = HashSplit()(whole, seed=3)[0]
    write_split(written, whole, tmp_path / "split")
    split = resolve_split(whole, SplitOptions(str(tmp_path / "split")))
    assert np.array_equal(split.codes_for(whole), written.codes)


def test_one_of_several_by_name_or_place(tmp_path) -> None:
    whole = table()
    splits = SubjectKFold()(whole)
    write_splits(splits, whole, tmp_path / "folds")
    expected = [split.codes.tolist() for split in splits]
    for options in (
        SplitOptions("subject-k-fold", fold=1),
        SplitOptions("subject-k-fold", fold=splits[1].name),
        SplitOptions(str(tmp_path / "folds"), fold=1),
        SplitOptions(str(tmp_path / "folds"), fold=splits[1].name),
    ):
        assert resolve_split(whole, options).codes_for(whole).tolist() == expected[1]


@pytest.mark.parametrize("fold", [None, 99, -1, "fold_x"])
def test_an_absent_fold_lists_those_there_are(fold) -> None:
    whole = table()
    names = [split.name for split in SubjectKFold()(whole)]
    with pytest.raises(UsageError, match=names[0]) as refused:
        resolve_split(whole, SplitOptions("subject-k-fold", fold=fold))
    assert ("--data.fold" if fold is None else repr(fold)) in str(refused.value)


def test_a_valid_part_is_taken_from_train_by_subject() -> None:
    whole = table(split=["train"] * 40 + ["test"] * 20)
    split = resolve_split(whole, SplitOptions("column", valid_share=0.3))
    counts = split.counts
    assert counts["test"] == 20
    assert counts["train"] + counts["valid"] == 40
    assert 4 <= counts["valid"] <= 20
    parts = split.codes_for(whole).reshape(-1, 2)
    assert (parts[:, 0] == parts[:, 1]).all()  # two rows a subject
    assert "samples taken from train" in split.notes[-1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_valid_part_is_taken_where_nobody_knows_the_people(seed: int) -> None:
    whole = table(100, subject=None)  # both would be drawn by the same hashes
    split = resolve_split(whole, SplitOptions("random-80-20", seed, valid_share=0.1))
    assert split.counts == {"train": 72, "valid": 8, "test": 20}


def test_no_train_part_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no train part; its parts are test \(60\)"):
        resolve_split(table(split="test"), SplitOptions("column"))


def test_unknown_splits_are_refused(tmp_path) -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'hash'\?.*data split"):
        resolve_split(table(), SplitOptions("hsah"))
    with pytest.raises(UsageError, match="holds no split"):
        resolve_split(table(), SplitOptions(str(tmp_path)))
    with pytest.raises(UsageError, match="--protocol FILE"):
        resolve_split(table(), SplitOptions("custom"))
    with pytest.raises(UsageError, match="between 0 and 1"):
        SplitOptions(valid_share=1)


def test_a_fold_of_a_protocol_that_makes_none_is_told() -> None:
    with pytest.raises(UsageError, match=r"not folds: leave out --data\.fold 7"):
        resolve_split(table(60), SplitOptions("hash", fold=7))
