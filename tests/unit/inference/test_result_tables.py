"""Results as CSV and Parquet: columns, types, and what does not apply."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agelens.inference.result_files import COLUMNS, flatten, write_csv, write_parquet
from agelens.inference.results import PhotoResult
from agelens.records import AgeEstimate, Face, Quality, TrackAge

ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def result(
    faces: int = 1,
    name: str = "a, \"b\"\n'c'.jpg",
    *,
    distribution: bool = False,
    video: bool = False,
) -> dict[str, Any]:
    estimates = tuple(
        AgeEstimate(
            30.5 + n,
            30.0,
            20.0,
            41.0,
            0.9,
            None,
            np.array([0.25, 0.75]),
            face=Face(np.array([1.0, 2, 3, 4]) + n, np.arange(10.0).reshape(5, 2) + n, 0.5),
            quality=Quality(40.0, 1.5, 0.5, -3.0, 0.1, 0.75),
            refer="too dark" if n else None,
            gender="female" if video else None,
            gender_score=0.75 if video else None,
            track=TrackAge(n + 1, 7, 31.0, 21.0, 42.0) if video else None,
        )
        for n in range(faces)
    )
    status: Any = "ok" if faces else "no_face"
    where: dict[str, Any] = {"frame": 3, "time_seconds": 0.125} if video else {}
    made = PhotoResult(
        name, status, "", estimates, model="m", detector="d", agelens_version="1", **where
    )
    return made.to_json(distribution=distribution)


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    return list(reader.fieldnames or ()), rows


def test_a_row_a_face_and_one_where_there_is_none() -> None:
    assert [row.get("face") for row in flatten(result(3))] == [0, 1, 2]
    assert [row["faces"] for row in flatten(result(3))] == [3, 3, 3]
    (empty,) = flatten(result(0))
    assert empty["faces"] == 0
    assert "estimate_years" not in empty


def test_every_value_of_a_face_has_its_column() -> None:
    _, row = flatten(result(2, video=True))
    expected = {
        **{"frame": 3, "time_seconds": 0.125, "face": 1, "faces": 2, "status": "ok"},
        **{"box_x1": 2, "box_y1": 3, "box_x2": 4, "box_y2": 5, "detection_score": 0.5},
        **{"eye_left_x": 1, "eye_left_y": 2, "eye_right_x": 3, "nose_x": 5, "nose_y": 6},
        **{"mouth_left_x": 7, "mouth_right_x": 9, "mouth_right_y": 10},
        **{"inter_eye_px": 40, "sharpness": 1.5, "exposure": 0.5, "roll_degrees": -3},
        **{
            "yaw_proxy": 0.1,
            "visible_share": 0.75,
            "refer": "too dark",
            "estimate_years": 31.5,
            "median_years": 30,
        },
        **{"low_years": 20, "high_years": 41, "interval_level": 0.9, "coverage": None},
        **{"gender": "female", "gender_score": 0.75, "track": 2, "track_frames": 7},
        **{"track_estimate_years": 31, "track_low_years": 21, "track_high_years": 42},
    }
    assert {name: row[name] for name in expected} == expected
    assert set(row) == set(COLUMNS)


def test_a_distribution_adds_its_columns() -> None:
    (row,) = flatten(result(distribution=True))
    assert (row["p_000"], row["p_001"]) == (0.25, 0.75)
    assert not any(name.startswith("p_") for name in next(flatten(result())))


def test_csv_has_all_columns_and_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "ages.csv"
    write_csv([result(0), result(2), result(1, "Zoë.jpg", video=True)], path)
    columns, rows = read_csv(path)
    assert columns == list(COLUMNS)
    assert [row["photo"] for row in rows] == [*["a, \"b\"\n'c'.jpg"] * 3, "Zoë.jpg"]
    assert [row["estimate_years"] for row in rows] == ["", "30.5", "31.5", "30.5"]
    assert [row["coverage"] for row in rows] == [""] * 4
    assert [row["track"] for row in rows] == ["", "", "", "1"]
    assert [row["refer"] for row in rows] == ["", "", "too dark", ""]


def test_parquet_has_all_columns_with_their_types_and_nulls(tmp_path: Path) -> None:
    path = tmp_path / "ages.parquet"
    write_parquet([result(0), result(2), result(1, video=True)], path)
    table = pq.read_table(path)
    assert table.schema.names == list(COLUMNS)
    for name, kind in COLUMNS.items():
        assert table.schema.field(name).type == ARROW[kind], name
    assert table["estimate_years"].to_pylist() == [None, 30.5, 31.5, 30.5]
    assert table["coverage"].null_count == 4
    assert table["face"].to_pylist() == [None, 0, 1, 0]
    assert table["track"].to_pylist() == [None, None, None, 1]


@pytest.mark.parametrize("faceless_first", [0, 3])
def test_distributions_are_found_behind_photos_without_faces(
    faceless_first: int, tmp_path: Path
) -> None:
    results = [*[result(0)] * faceless_first, result(1, distribution=True), result(0)]
    write_csv(results, tmp_path / "ages.csv")
    write_parquet(results, tmp_path / "ages.parquet")
    columns, rows = read_csv(tmp_path / "ages.csv")
    assert columns == [*COLUMNS, "p_000", "p_001"]
    assert [row["p_001"] for row in rows] == [*[""] * faceless_first, "0.75", ""]
    table = pq.read_table(tmp_path / "ages.parquet")
    assert table.schema.field("p_001").type == pa.float64()
    assert table["p_001"].to_pylist() == [*[None] * faceless_first, 0.75, None]


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_no_results_give_an_empty_table(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "ages.table"
    write([], path)
    if write is write_csv:
        assert read_csv(path) == (list(COLUMNS), [])
    else:
        assert pq.read_table(path).num_rows == 0


def test_parquet_is_written_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "ages.parquet"
    write_parquet(itertools.repeat(result(0), 9000), path)
    stored = pq.ParquetFile(path)
    assert stored.metadata.num_rows == 9000
    assert stored.metadata.num_row_groups == 2
