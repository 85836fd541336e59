from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data.formats import read_unified, write_unified
from agelens.data.formats.unified import ALIGNED
from agelens.errors import DatasetError, TableError
from agelens.tables import BOX, SampleTable

PUBLISHED = {
    "img_path": "AFAD/AFAD-Full/15/111/638660-1.jpg",
    "id_num": 638660,
    "age": 15,
    "gender": "M",
    "database": "AFAD-Full",
    "folder": 0,
    "aligned_bbox": [-57, -95, 372, -83, 360, 346, -69, 334],
    "alignment_source": "in the wild",
}


def _written(tmp_path, *entries: object):
    path = tmp_path / "database.json"
    path.write_text(json.dumps(list(entries)), encoding="utf-8")
    return path


def test_a_published_entry(tmp_path) -> None:
    table = read_unified(_written(tmp_path, PUBLISHED))
    row = table.frame.iloc[0]
    assert (row["dataset"], row["age_kind"]) == ("afad-full", "real")
    assert (row["age_years"], row["gender"], row["subject"], row["fold"]) == (
        15,
        "male",
        "638660",
        0,
    )
    assert row[list(ALIGNED)].tolist() == PUBLISHED["aligned_bbox"]
    assert table.frame["split"].isna().all()


@settings(max_examples=25, deadline=None)
@given(st.data(), st.lists(st.integers(0, 9), min_size=12, max_size=12), st.integers(0, 99))
def test_round_trip(tables, tmp_path_factory, data, folds, seed) -> None:
    table = data.draw(tables)
    count = len(table)
    random = np.random.default_rng(seed)
    left, top, width, height = random.integers(1, 300, (4, count)).astype(float)
    boxes = dict(zip(BOX, (left, top, left + width, top + height), strict=True))
    people = [f"{number:03d}" for number in folds[:count]]
    frame = table.frame.assign(**boxes, fold=folds[:count], subject=people, split=None)
    corners = random.integers(-99, 400, (count, 8)).astype(float)
    table = SampleTable(frame.assign(**dict(zip(ALIGNED, corners.T, strict=True))), ALIGNED)
    path = tmp_path_factory.mktemp("unified") / "own.json"
    assert write_unified(table, path).rows == count
    again = read_unified(path, age_kind="real")
    pd.testing.assert_frame_equal(again.frame, table.frame)


@pytest.mark.parametrize(
    ("database", "dataset", "kind", "split"),
    [
        ("AgeDB", "agedb", "real", None),
        ("CLAP2016", "lap2016", "apparent", "valid"),
        ("CACD2000", "cacd2000", "real", "valid"),
        ("FG-NET", "fgnet", "real", None),
        ("UTKFace", "utkface-wild", "estimated", None),
        ("IMDB-EM-CNN", "imdb", "real", None),
    ],
)
def test_published_databases_are_known(tmp_path, database, dataset, kind, split) -> None:
    entry = {"img_path": "x/a.jpg", "age": 30, "database": database, "folder": 1}
    row = read_unified(_written(tmp_path, entry)).frame.iloc[0]
    assert (row["dataset"], row["age_kind"]) == (dataset, kind)
    assert (None if pd.isna(row["split"]) else row["split"]) == split


def test_unknown_values_are_missing(tmp_path) -> None:
    entry = {"img_path": "a.jpg", "age": -1, "gender": "U", "database": "AgeDB", "folder": -1}
    row = read_unified(
        _written(tmp_path, entry, {**entry, "img_path": "b.jpg", "age": 3})
    ).frame.iloc[0]
    assert row[["age_years", "gender", "fold", "subject", "box_x1"]].isna().all()


def test_people_are_spelled_as_the_datasets_reader_does(tmp_path) -> None:
    agedb = {"img_path": "AgeDB/AgeDB/1_WillSmith _45_m.jpg", "name": "WillSmith ", "age": 45}
    fgnet = {"img_path": "FG-NET/images/001a02.jpg", "id_num": 1, "age": 2, "folder": 1}
    frame = read_unified(_written(tmp_path, agedb | {"database": "AgeDB"})).frame
    assert frame["subject"].tolist() == ["WillSmith"]
    frame = read_unified(_written(tmp_path, fgnet | {"database": "FG-NET"})).frame
    assert frame["subject"].tolist() == ["001"]


def test_a_tilted_box_becomes_the_upright_box_around_it(tmp_path) -> None:
    entry = {"img_path": "a.jpg", "age": 3, "database": "AgeDB", "bbox": [5, 0, 10, 5, 5, 10, 0, 5]}
    frame = read_unified(_written(tmp_path, entry)).frame
    assert frame[list(BOX)].to_numpy().tolist() == [[0, 0, 10, 10]]


def test_what_is_unknown_is_written_as_the_benchmark_does(listed_table, tmp_path) -> None:
    table = listed_table(
        ["a.jpg", "b.jpg"], dataset="agedb", age_years=[30, None], subject=["12", None]
    )
    write_unified(table, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == [
        {
            "img_path": "a.jpg",
            "id_num": 12,
            "age": 30,
            "gender": "U",
            "database": "AgeDB",
            "folder": -1,
        },
        {"img_path": "b.jpg", "age": -1, "gender": "U", "database": "AgeDB", "folder": -1},
    ]


def test_a_split_becomes_folders_0_to_2(listed_table, tmp_path) -> None:
    table = listed_table(["a", "b", "c", "d"], split=["test", "train", "valid", None])
    write_unified(table, tmp_path / "x.json")
    folders = [entry["folder"] for entry in json.loads((tmp_path / "x.json").read_text())]
    assert folders == [2, 0, 1, -1]


def test_half_years_are_refused_or_rounded(listed_table, tmp_path) -> None:
    table = listed_table(["a"], age_years=[30.5])
    with pytest.raises(TableError, match="whole year"):
        write_unified(table, tmp_path / "x.json")
    write_unified(table, tmp_path / "x.json", round_ages=True)
    assert json.loads((tmp_path / "x.json").read_text())[0]["age"] == 31


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "Git LFS pointer",
        ),
        (b"[{", "cannot be read as a database"),
        (b'["\xff"]', "cannot be read as a database"),
        (b"{}", "a list of objects"),
        (b"[]", "a list of objects"),
        (b"[1, {}]", "1 entries are no objects, first entry 0"),
        (b'[{"img_path": "a", "database": "d"}]', "no field age; found: img_path, database"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, data, said) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(DatasetError, match=said):
        read_unified(tmp_path / "x.json")


def test_an_absent_file_is_said(tmp_path) -> None:
    with pytest.raises(DatasetError, match="cannot be read as a database"):
        read_unified(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"age": "old"}, "'age'.*not a number: row 1: 'old'"),
        ({"age": [1]}, "'age'.*not a number: row 1"),
        ({"age": {"a": 1}}, "'age'.*not a number: row 1"),
        ({"age": True}, "'age'.*not a number: row 1"),
        ({"gender": "X"}, "'gender'.*row 1: 'X'"),
        ({"folder": 1.5}, "'fold'.*not a whole number: row 1"),
        ({"bbox": [1, 2, 3, 4]}, "'bbox'.*not eight numbers: row 1"),
        ({"bbox": 7}, "'bbox'.*not eight numbers: row 1"),
        ({"aligned_bbox": [1, 2, 3, 4, 5, 6, 7, "8"]}, "'aligned_bbox'.*eight numbers: row 1"),
        ({"img_path": 3}, "'path'.*not a text: row 1: 3"),
    ],
)
def test_wrong_values_are_named_with_their_entries(tmp_path, change, said) -> None:
    with pytest.raises(TableError, match=said):
        read_unified(_written(tmp_path, PUBLISHED, {**PUBLISHED, "img_path": "b/2-1.jpg"} | change))


def test_the_kind_of_ages_of_an_unknown_database_is_unstated(tmp_path) -> None:
    path = _written(tmp_path, PUBLISHED | {"database": "Mine"})
    assert read_unified(path).frame["age_kind"][0] == "unstated"
    assert read_unified(path, age_kind="real").frame["dataset"][0] == "mine"
