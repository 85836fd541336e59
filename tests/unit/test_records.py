"""Records: geometry of a face, and the JSON that DESIGN states."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.inference.results import PhotoResult
from agelens.records import AgeEstimate, Face, Quality, TrackAge

BOX = np.array([10.123, 20.456, 110.0, 140.0])
LANDMARKS = np.array([[30.0, 50.0], [70.0, 50.0], [50.0, 70.0], [35.0, 100.0], [65.0, 100.0]])
FACE = Face(BOX, LANDMARKS, float(np.float32(0.9987654321)))
QUALITY = Quality(40.0, 123.456, 0.51234567, 0.0, -0.01234567)
ESTIMATE = AgeEstimate(
    31.23456,
    30.0,
    22.5,
    41.0,
    0.9,
    None,
    np.array([0.25, 0.75]),
    face=FACE,
    quality=QUALITY,
)
RESULT = PhotoResult(
    "party.jpg", "ok", "", (ESTIMATE,), model="m", detector="d", agelens_version="1"
)
PLAIN = (dict, list, str, int, float, bool, type(None))


def values(node: Any) -> list[Any]:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [node, *(value for child in inner for value in values(child))]


def test_inter_eye_distance_and_roll_of_known_faces() -> None:
    assert FACE.inter_eye_px == 40
    assert FACE.roll_degrees == 0
    down = np.array([[0.0, 0.0], [0.0, 40.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    lower_right = replace(FACE, landmarks=LANDMARKS + down)
    assert lower_right.roll_degrees == pytest.approx(45)
    assert lower_right.inter_eye_px == pytest.approx(40 * 2**0.5)


@given(st.floats(-179, 179))
def test_roll_is_the_turn_of_the_picture(degrees: float) -> None:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    face = replace(FACE, landmarks=LANDMARKS @ turn)
    assert face.roll_degrees == pytest.approx(degrees, abs=1e-6)
    assert face.inter_eye_px == pytest.approx(40)


def test_records_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        FACE.score = 1.0  # type: ignore[misc]


def test_json_has_the_keys_of_the_design_in_its_order() -> None:
    row = RESULT.to_json(distribution=True)
    assert list(row) == [
        *("photo", "status", "message", "faces", "model", "detector", "agelens_version"),
    ]
    assert list(row["faces"][0]) == [
        *("box_xyxy", "landmarks", "detection_score", "quality", "refer"),
        *(
            "estimate_years",
            "median_years",
            "low_years",
            "high_years",
            "interval",
            "interval_level",
            "coverage",
        ),
        "distribution",
    ]
    assert list(row["faces"][0]["quality"]) == [
        *("inter_eye_px", "sharpness", "exposure", "roll_degrees", "yaw_proxy"),
        *("visible_share", "dark_eyes", "mouth_edges", "bright_eyes"),
    ]


def test_json_is_plain_types_only_and_valid() -> None:
    track = TrackAge(1, 3, 30.0, 20.0, 40.0)
    full = replace(ESTIMATE, gender="female", gender_score=0.75, track=track, refer="dark")
    row = replace(RESULT, faces=(full,), frame=4, time_seconds=0.123456).to_json(distribution=True)
    assert all(type(value) in PLAIN for value in values(row))
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    face = row["faces"][0]
    assert (row["frame"], row["time_seconds"]) == (4, 0.123)
    assert (face["gender"], face["gender_score"], face["refer"]) == ("female", 0.75, "dark")
    assert face["track"] == {
        **{"track": 1, "frames": 3, "estimate_years": 30.0, "low_years": 20.0, "high_years": 40.0}
    }


def test_numbers_keep_the_digits_that_mean_something() -> None:
    face = RESULT.to_json()["faces"][0]
    assert face["box_xyxy"] == [10.12, 20.46, 110.0, 140.0]
    assert face["estimate_years"] == 31.235
    assert face["detection_score"] == pytest.approx(0.998765)
    assert face["coverage"] is None


def test_distribution_comes_only_where_it_is_asked_for() -> None:
    assert "distribution" not in RESULT.to_json()["faces"][0]
    assert RESULT.to_json(distribution=True)["faces"][0]["distribution"] == [0.25, 0.75]


def test_an_estimate_of_a_chip_has_no_place_in_a_photo() -> None:
    row = replace(ESTIMATE, face=None, quality=None).to_json()
    assert "box_xyxy" not in row
    assert "quality" not in row
    assert row["estimate_years"] == 31.235


def test_an_interval_says_whether_it_is_calibrated_or_is_not_there() -> None:
    shown = replace(ESTIMATE, coverage=0.92).to_json()
    assert shown["interval"] == "90 %, calibrated"
    assert ESTIMATE.to_json()["interval"] == "90 %, not calibrated"
    track = TrackAge(1, 2, 30.0, 20.0, 40.0)
    hidden = replace(ESTIMATE, interval_shown=False, track=track).to_json()
    assert hidden["interval"] is hidden["low_years"] is hidden["high_years"] is None
    assert hidden["track"]["low_years"] is hidden["track"]["high_years"] is None
    assert hidden["estimate_years"] == 31.235
