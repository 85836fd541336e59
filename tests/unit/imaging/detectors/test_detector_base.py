from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.imaging.detectors.base import Detections, Detector, bounded_copy
from agelens.records import RGB


class Fixed(Detector):
    """Answers with the boxes it was given, whatever the picture."""

    name = "fixed"
    summary = "for tests"
    licence = "MIT"

    def __init__(self, boxes: list[list[float]], *, longest_side: int = 640) -> None:
        super().__init__(longest_side=longest_side)
        self.boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        self.searched: tuple[int, ...] = ()

    def _find(self, rgb: RGB) -> Detections:
        self.searched = rgb.shape
        corners = self.boxes[:, None, :2] + np.zeros((1, 5, 2))
        return Detections(self.boxes, corners, np.arange(len(self.boxes), dtype=np.float64))


def blank(height: int, width: int) -> RGB:
    return np.zeros((height, width, 3), dtype=np.uint8)


def test_no_detections_have_the_shapes_of_some() -> None:
    none = Detections.none()
    assert none.boxes_xyxy.shape == (0, 4)
    assert none.landmarks.shape == (0, 5, 2)
    assert none.scores.shape == (0,)


def test_finding_nothing_is_an_empty_tuple() -> None:
    assert Fixed([]).detect(blank(50, 50)) == ()


def test_largest_box_comes_first_and_ties_keep_their_order() -> None:
    small, large = [0, 0, 2, 2], [0, 0, 9, 9]
    found = Fixed([small, large, [20, 20, 22, 22]]).detect(blank(50, 50))
    assert [face.score for face in found] == [1, 0, 2]
    assert found[0].box_xyxy.tolist() == large


def test_boxes_and_landmarks_return_to_the_photos_pixels() -> None:
    detector = Fixed([[10, 20, 30, 40]], longest_side=100)
    (face,) = detector.detect(blank(500, 1000))
    assert detector.searched == (50, 100, 3)
    assert face.box_xyxy.tolist() == [100, 200, 300, 400]
    assert face.landmarks.tolist() == [[100, 200]] * 5


def test_each_axis_returns_by_its_own_scale() -> None:
    detector = Fixed([[0, 0, 1, 1]], longest_side=100)
    (face,) = detector.detect(blank(3, 1000))
    assert detector.searched == (1, 100, 3)
    assert face.box_xyxy.tolist() == [0, 0, 10, 3]


def test_a_photo_within_bounds_is_searched_as_it_is() -> None:
    photo = blank(100, 80)
    assert bounded_copy(photo, 100) is photo


@given(st.integers(1, 300), st.integers(1, 300), st.integers(32, 200))
def test_the_picture_searched_is_bounded_and_keeps_its_shape(
    height: int, width: int, longest_side: int
) -> None:
    small = bounded_copy(blank(height, width), longest_side)
    assert max(small.shape[:2]) == min(max(height, width), longest_side)
    assert min(small.shape[:2]) >= 1
    factor = max(small.shape[:2]) / max(height, width)
    assert abs(small.shape[0] - height * factor) <= 1
    assert abs(small.shape[1] - width * factor) <= 1


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = blank(64, 64)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(bounded_copy(stripes, 32), 100)


@pytest.mark.parametrize("longest_side", [31, 0, -640])
def test_a_picture_too_small_to_search_is_refused(longest_side: int) -> None:
    with pytest.raises(ValueError, match=f"at least 32 pixels, got {longest_side}"):
        Fixed([], longest_side=longest_side)
