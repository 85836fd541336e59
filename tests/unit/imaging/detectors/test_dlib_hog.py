from __future__ import annotations

import threading
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import skimage
from hypothesis import given
from hypothesis import strategies as st

from agelens.imaging.detectors.dlib import DlibHOG, five_landmarks
from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.records import RGB, Floats

# Outer and inner corner of the eye on the right, of the eye on the left, base of the nose.
UPRIGHT = np.array([[70.0, 40], [50, 40], [10, 40], [30, 40], [40, 70]])


@pytest.fixture(scope="module")
def hog() -> DlibHOG:
    return DlibHOG()


@pytest.fixture(scope="module")
def astronaut() -> RGB:
    return skimage.data.astronaut()


def test_eye_centres_are_the_middles_of_the_corners() -> None:
    landmarks = five_landmarks(UPRIGHT)
    assert landmarks[:2].tolist() == [[20, 40], [60, 40]]


def test_a_symmetric_face_gets_a_symmetric_nose_and_mouth() -> None:
    _, _, nose, left, right = five_landmarks(UPRIGHT)
    assert nose[0] == pytest.approx(40)
    assert left[0] + right[0] == pytest.approx(80)
    assert left[1] == pytest.approx(right[1])
    assert left[0] < 40 < right[0]
    assert 40 < nose[1] < 70 < left[1]


@given(
    st.integers(-180, 180),
    st.floats(0.2, 20),
    st.tuples(st.integers(-500, 500), st.integers(-500, 500)),
    st.tuples(st.floats(20, 60), st.floats(50, 90)),
)
def test_landmarks_turn_scale_and_shift_with_the_face(
    degrees: int, scale: float, shift: tuple[int, int], base: tuple[float, float]
) -> None:
    points = np.vstack([UPRIGHT[:4], base])
    turn = np.radians(degrees)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def moved(face: Floats) -> Floats:
        return face @ matrix.T + shift

    np.testing.assert_allclose(
        five_landmarks(moved(points)), moved(five_landmarks(points)), atol=1e-8
    )


@given(st.floats(20, 60), st.floats(50, 90))
def test_the_mirrored_face_has_mirrored_landmarks(x: float, y: float) -> None:
    points = np.vstack([UPRIGHT[:4], [x, y]])
    mirrored = (points * (-1, 1))[[2, 3, 0, 1, 4]]
    expected = (five_landmarks(points) * (-1, 1))[[1, 0, 2, 4, 3]]
    np.testing.assert_allclose(five_landmarks(mirrored), expected, atol=1e-9)


def test_the_score_is_a_margin_not_a_probability(hog: DlibHOG, astronaut: RGB) -> None:
    (face,) = hog.detect(astronaut)
    assert face.score > 1


def test_landmarks_are_dlibs_own_points_half_a_pixel_on(hog: DlibHOG, astronaut: RGB) -> None:
    """dlib's points are pixel numbers, so centres; agelens counts from the edge of the photo."""
    (face,) = hog.detect(astronaut)
    left, top, right, bottom = (round(edge) for edge in face.box_xyxy)
    shape = hog._predictor(astronaut, dlib.rectangle(left, top, right - 1, bottom - 1))
    points = np.array([(point.x, point.y) for point in shape.parts()], dtype=float)
    np.testing.assert_allclose(face.landmarks, five_landmarks(points) + 0.5)


def test_a_face_below_eighty_pixels_is_not_found(astronaut: RGB) -> None:
    assert DlibHOG(longest_side=200).detect(astronaut) == ()


def test_the_box_ends_where_its_last_pixel_ends(hog: DlibHOG, astronaut: RGB) -> None:
    (face,) = hog.detect(astronaut)
    left, top, right, bottom = face.box_xyxy
    assert right - left == bottom - top == 88


def test_each_thread_has_a_detector_and_keeps_it(hog: DlibHOG) -> None:
    seen = []

    def look() -> None:
        seen.append((hog._detector(), hog._detector()))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (first, first_again), (second, second_again) = seen
    assert first is first_again
    assert second is second_again
    assert first is not second
    assert hog._pattern not in (first, second)


@pytest.mark.real_data
def test_estimated_landmarks_stay_near_those_of_retinaface(real_data: Path, hog: DlibHOG) -> None:
    retinaface = RetinaFace()
    miss = []
    people = sorted((real_data / "lfw").iterdir())[::30]
    for person in people:
        photo = cv2.cvtColor(cv2.imread(str(min(person.iterdir()))), cv2.COLOR_BGR2RGB)
        dlib_faces, faces = hog.detect(photo), retinaface.detect(photo)
        if len(dlib_faces) == len(faces) == 1:
            difference = dlib_faces[0].landmarks - faces[0].landmarks
            miss.append(difference / faces[0].inter_eye_px)
    assert len(miss) > 20
    distance = np.sqrt((np.array(miss) ** 2).sum(axis=2).mean(axis=0))
    assert np.all(distance < [0.1, 0.1, 0.13, 0.2, 0.2])
    assert np.abs(np.mean(miss, axis=0)).max() < 0.08
