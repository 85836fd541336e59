"""What every member of DETECTORS promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage

from agelens.errors import UnknownNameError
from agelens.imaging.detectors import DETECTORS, Detector, detector_class
from agelens.records import RGB, Face, Floats

MIRRORED_ORDER = [1, 0, 2, 4, 3]


@pytest.fixture(scope="module", params=list(DETECTORS))
def detector(request: pytest.FixtureRequest) -> Detector:
    return detector_class(request.param)()


@pytest.fixture(scope="module")
def astronaut() -> RGB:
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def face(detector: Detector, astronaut: RGB) -> Face:
    return detector.detect(astronaut)[0]


def overlap(first: Floats, second: Floats) -> float:
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    shared = np.clip(high - low, 0, None).prod()
    areas = [(box[2:] - box[:2]).prod() for box in (first, second)]
    return float(shared / (sum(areas) - shared))


def apart(first: Floats, second: Floats, face: Face) -> float:
    """The largest distance between two sets of landmarks in units of the eyes' distance."""
    return float(np.hypot(*(first - second).T).max() / face.inter_eye_px)


def test_finds_the_one_face_where_the_others_see_it(
    detector: Detector, astronaut: RGB, face: Face
) -> None:
    assert len(detector.detect(astronaut)) == 1
    for name in DETECTORS:
        (other,) = detector_class(name)().detect(astronaut)
        assert overlap(face.box_xyxy, other.box_xyxy) > 0.4
        assert apart(face.landmarks[:2], other.landmarks[:2], other) < 0.2


def test_a_face_is_float64_of_the_stated_shapes(face: Face) -> None:
    assert (face.box_xyxy.shape, face.box_xyxy.dtype) == ((4,), np.float64)
    assert (face.landmarks.shape, face.landmarks.dtype) == ((5, 2), np.float64)
    assert isinstance(face.score, float)


def test_answers_in_pixels_of_an_enlarged_photo(
    detector: Detector, astronaut: RGB, face: Face
) -> None:
    large = cv2.resize(astronaut, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    found = detector.detect(large)[0]
    assert overlap(found.box_xyxy / 3, face.box_xyxy) > 0.6
    assert apart(found.landmarks / 3, face.landmarks, face) < 0.15


def test_answers_in_pixels_of_the_photo_when_it_is_searched_smaller(
    detector: Detector, astronaut: RGB, face: Face
) -> None:
    (found,) = type(detector)(longest_side=400).detect(astronaut)
    assert overlap(found.box_xyxy, face.box_xyxy) > 0.6
    assert apart(found.landmarks, face.landmarks, face) < 0.15


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (5, 200), (240, 320)], ids=str)
@pytest.mark.parametrize("content", ["black", "white", "noise"])
def test_no_face_is_an_empty_tuple(
    detector: Detector, shape: tuple[int, int], content: str
) -> None:
    noise = np.random.default_rng(11).integers(0, 256, (*shape, 3), dtype=np.uint8)
    flat = np.full((*shape, 3), 255 if content == "white" else 0, dtype=np.uint8)
    assert detector.detect(noise if content == "noise" else flat) == ()


def test_finds_the_face_of_a_grey_photo(detector: Detector, astronaut: RGB, face: Face) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    (found,) = detector.detect(grey)
    assert overlap(found.box_xyxy, face.box_xyxy) > 0.8


def test_a_photo_that_is_a_view_gives_what_its_copy_gives(
    detector: Detector, astronaut: RGB
) -> None:
    view = astronaut[:300, 500:80:-1]
    (seen,), (copied,) = detector.detect(view), detector.detect(view.copy())
    np.testing.assert_array_equal(seen.landmarks, copied.landmarks)


def test_left_and_right_are_those_of_the_picture(
    detector: Detector, astronaut: RGB, face: Face
) -> None:
    left_eye, right_eye, _, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    (mirrored,) = detector.detect(np.ascontiguousarray(astronaut[:, ::-1]))
    back = mirrored.landmarks[MIRRORED_ORDER]
    back[:, 0] = astronaut.shape[1] - back[:, 0]
    assert apart(back, face.landmarks, face) < 0.1


@pytest.mark.parametrize("degrees", [-15, 15])
def test_landmarks_turn_with_the_head(
    detector: Detector, astronaut: RGB, face: Face, degrees: float
) -> None:
    turn = cv2.getRotationMatrix2D(face.box_xyxy.reshape(2, 2).mean(axis=0).tolist(), degrees, 1)
    turned = face.landmarks @ turn[:, :2].T + turn[:, 2]
    found = detector.detect(cv2.warpAffine(astronaut, turn, astronaut.shape[:2]))
    # The black corners of the turned photo may make a find of their own.
    assert min(apart(other.landmarks, turned, face) for other in found) < 0.1


def test_landmarks_of_an_upright_face_go_from_eyes_to_nose_to_mouth(face: Face) -> None:
    height = face.landmarks[:, 1]
    assert max(height[:2]) < height[2] < min(height[3:])


def test_one_instance_serves_eight_threads(detector: Detector, astronaut: RGB) -> None:
    photos = [np.roll(astronaut, shift, axis=1) for shift in range(0, 160, 10)]
    alone = [detector.detect(photo) for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(detector.detect, photos))
    assert all(alone)
    for expected, found in zip(alone, together, strict=True):
        assert [f.score for f in found] == [f.score for f in expected]
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one.box_xyxy, other.box_xyxy)
            np.testing.assert_array_equal(one.landmarks, other.landmarks)


@pytest.mark.parametrize("name", DETECTORS)
def test_says_what_it_is(name: str) -> None:
    loaded = detector_class(name)
    assert issubclass(loaded, Detector)
    assert loaded.name == name
    assert loaded.summary
    assert loaded.licence


def test_an_unknown_name_lists_the_valid_ones_and_guesses() -> None:
    with pytest.raises(UnknownNameError) as caught:
        detector_class("retinaFace")
    message = str(caught.value)
    assert "Did you mean 'retinaface'?" in message
    assert all(name in message for name in DETECTORS)
