"""Annotated pictures: marks where the face is, nothing where it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agelens.errors import OutputError
from agelens.inference.drawing import annotate, label, save_picture
from agelens.inference.estimator import AgeEstimator
from agelens.inference.results import PhotoResult
from agelens.records import RGB, AgeEstimate, Face, TrackAge

GREY = np.full((300, 400, 3), 128, dtype=np.uint8)
GREEN, ORANGE = (40, 200, 90), (255, 150, 30)


def estimate(
    box: tuple[float, ...] = (150, 100, 250, 220), refer: str | None = None
) -> AgeEstimate:
    face = Face(np.array(box, dtype=float), np.zeros((5, 2)), 0.9)
    return AgeEstimate(29.4, 29, 22.4, 35.6, 0.9, None, None, face=face, refer=refer)


def result(*faces: AgeEstimate) -> PhotoResult:
    return PhotoResult("a.jpg", "ok", "", faces)


def count(rgb: RGB, colour: tuple[int, int, int]) -> int:
    return int((rgb == colour).all(axis=2).sum())


def test_a_photo_without_faces_stays_as_it_is_and_is_a_copy() -> None:
    drawn = annotate(GREY, result())
    np.testing.assert_array_equal(drawn, GREY)
    assert not np.shares_memory(drawn, GREY)


def test_the_box_is_drawn_and_its_inside_kept() -> None:
    drawn = annotate(GREY, result(estimate()))
    assert drawn.shape == GREY.shape
    for y, x in [(160, 150), (160, 250), (220, 200)]:
        np.testing.assert_allclose(drawn[y, x], GREEN, atol=10)  # the line is smoothed
    np.testing.assert_array_equal(drawn[110:210, 160:240], GREY[110:210, 160:240])
    np.testing.assert_array_equal(drawn[230:250], GREY[230:250])
    assert (GREY == 128).all()


def test_a_real_face_is_marked_around_and_not_in_it(
    estimator: AgeEstimator, astronaut: RGB
) -> None:
    drawn = annotate(astronaut, estimator.estimate(astronaut))
    changed = (drawn != astronaut).any(axis=2)
    assert drawn.shape == astronaut.shape
    assert changed.any()
    assert changed[57, 190:270].all()
    assert not changed[70:170, 185:265].any()
    assert not changed[200:-40].any()
    assert changed[-5, :50].all()  # what the interval is


def test_a_referred_face_is_orange() -> None:
    sure, refer = (annotate(GREY, result(estimate(refer=why))) for why in (None, "too dark"))
    assert count(sure, GREEN) > 300
    assert count(sure, ORANGE) == 0
    assert count(refer, ORANGE) > 300
    assert count(refer, GREEN) == 0


def test_the_label_says_age_interval_and_what_else_there_is() -> None:
    assert label(estimate()) == "29 [22-36]"
    assert label(replace(estimate(), interval_shown=False)) == "29"
    full = replace(
        estimate(refer="too dark"),
        gender="female",
        gender_score=0.9,
        track=TrackAge(4, 9, 31.2, 20.0, 44.0),
    )
    assert label(full) == "#4 31 [20-44] female refer"


@pytest.mark.parametrize(
    "box",
    [
        (-80, -60, 60, 70),
        (350, 250, 480, 390),
        (-50, -50, 450, 350),
        (900, 900, 990, 990),
        (10, 10, 10, 10),
        (100, -500, 200, -400),
    ],
)
def test_faces_at_and_beyond_the_edge_keep_the_size(box: tuple[float, ...]) -> None:
    assert annotate(GREY, result(estimate(box))).shape == GREY.shape


@pytest.mark.parametrize("shape", [(1, 1), (8, 300), (300, 8)])
def test_tiny_photos(shape: tuple[int, int]) -> None:
    photo = np.zeros((*shape, 3), dtype=np.uint8)
    assert annotate(photo, result(estimate((0, 0, 5, 5)))).shape == photo.shape


def test_a_photo_that_may_not_be_written_to_is_fine() -> None:
    locked = GREY.copy()
    locked.setflags(write=False)
    assert count(annotate(locked, result(estimate())), GREEN) > 300


def test_an_estimate_without_a_place_is_not_drawn() -> None:
    np.testing.assert_array_equal(annotate(GREY, result(replace(estimate(), face=None))), GREY)


def test_saved_pictures_are_plain_jpegs(tmp_path: Path, astronaut: RGB) -> None:
    path = tmp_path / "a.jpg"
    save_picture(astronaut, path)
    with Image.open(path) as saved:
        assert saved.format == "JPEG"
        assert not saved.getexif()
        assert np.abs(np.asarray(saved, dtype=int) - astronaut).mean() < 4
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*a\.jpg: No such file"):
        save_picture(GREY, tmp_path / "none" / "a.jpg")
    (tmp_path / "b.jpg").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*b\.jpg"):
        save_picture(GREY, tmp_path / "b.jpg")
