from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agelens.data.splits import RandomSplit, SubjectKFold, read_split, write_split, write_splits
from agelens.errors import LeakError, OutputError, TableError, UsageError


@pytest.fixture
def table(people_table):
    years = [31.0, 32.5, np.nan, 40, 41, 42]
    return people_table(
        [2, 2, 2],
        path=['a,"b".jpg', "é.jpg", "c\nd.jpg", "4.jpg", "5.jpg", "6.jpg"],
        age_years=years,
    )


def _clean(table):
    return SubjectKFold(folders=2, arrangement=({"train": [0], "test": [1]},))(table)[0]


def _leaking(table):
    return RandomSplit({"train": 0.5, "test": 0.5})(table, seed=1)[0]


def test_a_split_comes_back_as_written(table, tmp_path) -> None:
    split = _clean(table)
    write_split(split, table, tmp_path / "out")
    again = read_split(tmp_path / "out")
    assert again.codes_for(table).tolist() == split.codes.tolist()
    assert (again.name, again.protocol, again.seed, again.notes) == (
        split.name,
        split.protocol,
        split.seed,
        split.notes,
    )


def test_each_part_is_a_csv_with_its_labels(table, tmp_path) -> None:
    split = _clean(table)
    write_split(split, table, tmp_path / "out")
    for part in split.part_names:
        listed = pd.read_csv(tmp_path / "out" / f"{part}.csv", encoding="utf-8")
        expected = table.frame[split.codes == split.part_names.index(part)]
        assert listed["sample_id"].tolist() == expected["sample_id"].tolist()
        assert listed["path"].tolist() == expected["path"].tolist()
        np.testing.assert_array_equal(listed["age_years"], expected["age_years"])
        assert listed["subject"].tolist() == expected["subject"].tolist()


def test_the_figure_is_a_picture_with_a_panel_a_part(table, tmp_path) -> None:
    write_split(_clean(table), table, tmp_path / "out")
    with Image.open(tmp_path / "out" / "ages.png") as figure:
        assert figure.format == "PNG"
        assert len(figure.convert("RGB").getcolors(1 << 24)) > 10


def test_the_report_says_what_was_checked(table, tmp_path) -> None:
    none = pd.Series([], index=pd.Index([], dtype=object), dtype=object)
    write_split(_clean(table), table, tmp_path / "out", duplicates=none)
    report = json.loads((tmp_path / "out" / "split.json").read_text())
    assert report["subject_exclusive"] is True
    assert report["near_duplicates_checked"] is True
    assert report["leaks"] == []
    assert report["leaks_allowed"] is False
    assert report["samples"] == _clean(table).counts


def test_a_leaking_split_is_refused_and_nothing_is_written(table, tmp_path) -> None:
    with pytest.raises(LeakError, match="subjects also in training"):
        write_split(_leaking(table), table, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_allowed_leaks_are_in_the_report(table, tmp_path) -> None:
    write_split(_leaking(table), table, tmp_path / "out", allow_leaks=True)
    report = json.loads((tmp_path / "out" / "split.json").read_text())
    assert report["subject_exclusive"] is False
    assert report["leaks_allowed"] is True
    assert "subjects also in training" in report["leaks"][0]["text"]


def test_several_splits_have_a_folder_each(people_table, tmp_path) -> None:
    table = people_table([3] * 30)
    write_splits(SubjectKFold()(table), table, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"split_{number}" for number in range(5)
    ]
    assert sorted(path.name for path in (tmp_path / "out" / "split_3").iterdir()) == [
        "ages.png",
        "split.json",
        "test.csv",
        "train.csv",
        "valid.csv",
    ]


def test_a_folder_that_holds_something_is_refused(table, tmp_path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        write_split(_clean(table), table, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(table, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    write_split(_clean(table), table, tmp_path / "out")
    assert (tmp_path / "out" / "split.json").is_file()


def test_a_place_that_cannot_be_written_is_said(table, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write the split"):
        write_split(_clean(table), table, tmp_path / "file" / "out")


def test_a_changed_part_is_noticed(table, tmp_path) -> None:
    write_split(_clean(table), table, tmp_path / "out")
    (tmp_path / "out" / "test.csv").write_text("sample_id\nset/x.jpg\n")
    with pytest.raises(TableError, match="rows, not"):
        read_split(tmp_path / "out")


@pytest.mark.parametrize("text", [None, "{", "{}", "[]"])
def test_a_folder_of_something_else_is_refused(tmp_path, text) -> None:
    if text is not None:
        (tmp_path / "split.json").write_text(text)
    with pytest.raises(TableError, match="a split that agelens wrote"):
        read_split(tmp_path)


def test_the_parts_keep_every_label(people_table, tmp_path) -> None:
    table = people_table([2] * 10)
    labels = {"age_std": 2.5, "ethnicity": "asian", "photo_year": 2004}
    table = table.with_columns(**{name: [value] * len(table) for name, value in labels.items()})
    (split,) = RandomSplit(by="subject")(table)
    write_split(split, table, tmp_path / "split")
    part = pd.read_csv(tmp_path / "split" / "train.csv")
    assert {"age_kind", "age_low", "age_high"} <= set(part)
    for name, value in labels.items():
        assert part[name].unique().tolist() == [value]
