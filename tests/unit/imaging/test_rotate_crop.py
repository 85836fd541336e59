"""The two-pass rotate-and-crop: which way it turns, what it cuts, what its matrix says."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agelens.imaging.detectors.base import Detections, Detector
from agelens.imaging.rotate_crop import (
    RotateCropAligner,
    RotatedBox,
    cut,
    find_rotated_box,
    rotate,
    widen,
)
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB, Face, Floats

TURNS = [-20, 20]


class Finds(Detector):
    """A detector that finds the boxes it is told to."""

    name: ClassVar[str] = "finds"
    summary: ClassVar[str] = ""
    licence: ClassVar[str] = ""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        super().__init__(longest_side=4000)
        self.boxes = np.array(boxes, dtype=float).reshape(-1, 4)

    def _find(self, rgb: RGB) -> Detections:
        count = len(self.boxes)
        return Detections(self.boxes, np.zeros((count, 5, 2)), np.ones(count))


def face_at(left: float, top: float, right: float, bottom: float, roll: float = 0) -> Face:
    angle = np.radians(roll)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    eyes = np.array([[-10.0, 0.0], [10.0, 0.0], [0, 0], [0, 0], [0, 0]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Face(np.array([left, top, right, bottom]), eyes @ turn + middle, 0.9)


def chip_points(chip_matrix: Floats, points: Floats) -> Floats:
    return np.asarray(np.hstack([points, np.ones((len(points), 1))]) @ chip_matrix.T)


@pytest.mark.parametrize("degrees", [0, 20, -20, 90, 180, 211.5])
def test_rotate_is_pils(astronaut: RGB, degrees: float) -> None:
    by_pil = Image.fromarray(astronaut).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    np.testing.assert_array_equal(rotate(astronaut, degrees), np.asarray(by_pil))


@pytest.mark.parametrize("degrees", TURNS)
def test_the_roll_of_a_face_is_what_levels_it(
    astronaut: RGB, estimator: AgeEstimator, degrees: float
) -> None:
    upright = estimator.detector.detect(astronaut)[0]
    photo = rotate(astronaut, degrees)
    found = estimator.detector.detect(photo)[0]
    assert found.roll_degrees == pytest.approx(upright.roll_degrees - degrees, abs=3)
    levelled = estimator.detector.detect(rotate(photo, found.roll_degrees))[0]
    assert abs(levelled.roll_degrees) < 2


@pytest.mark.parametrize("degrees", TURNS)
def test_the_eyes_of_a_chip_are_level_and_where_the_matrix_says(
    astronaut: RGB, estimator: AgeEstimator, degrees: float
) -> None:
    photo = rotate(astronaut, degrees)
    face = estimator.detector.detect(photo)[0]
    chip = RotateCropAligner(estimator.detector, 300, expand=0.4).align(photo, face)
    assert (chip.rgb.shape, chip.rgb.dtype) == ((300, 300, 3), np.uint8)
    assert chip.template == "rotate-crop"
    # The chip is square and the box is not: back to the photo's proportions.
    narrow = np.hypot(*chip.matrix[1, :2]) / np.hypot(*chip.matrix[0, :2])
    plain = np.asarray(Image.fromarray(chip.rgb).resize((round(300 * narrow), 300)))
    again = estimator.detector.detect(plain)[0]
    assert abs(again.roll_degrees) < 2
    expected = chip_points(chip.matrix, face.landmarks) * (narrow, 1)
    assert np.abs((again.landmarks - expected).mean(axis=0)).max() < 4
    assert np.abs(again.landmarks - expected).max() < 8


@pytest.mark.parametrize("degrees", [0.0, 17.0, -75.0, 90.0, 180.0])
@pytest.mark.parametrize("expand", [0.0, 0.4])
def test_the_matrix_is_exact_to_a_fraction_of_a_pixel(degrees: float, expand: float) -> None:
    marks = np.array([[70.0, 60.0], [100.0, 66.0], [84.0, 90.0]])
    y, x = np.mgrid[:150, :170]
    level = np.max([np.exp(-(((x - a) ** 2 + (y - b) ** 2) / 8)) for a, b in marks], axis=0)
    photo = np.repeat(np.round(level * 255)[:, :, None], 3, axis=2).astype(np.uint8)
    turned = rotate(photo, degrees)
    middle, half = np.array([turned.shape[1], turned.shape[0]]) / 2, np.array([45, 40])
    box = RotatedBox(degrees, np.concatenate([middle - half, middle + half]), True)
    chip = cut(photo, turned, box, size=160, expand=expand)
    for mark in chip_points(chip.matrix, marks):
        v, u = np.mgrid[:160, :160]
        weight = chip.rgb[:, :, 0] * (np.hypot(u - mark[0], v - mark[1]) < 9)
        seen = np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()
        np.testing.assert_allclose(seen, mark, atol=0.3)


@given(st.lists(st.floats(-500, 500), min_size=4, max_size=4), st.floats(0, 3))
def test_widen_keeps_the_middle_and_grows_each_side_by_half(
    corners: list[float], expand: float
) -> None:
    low, high = np.sort(np.reshape(corners, (2, 2)), axis=0)
    wide = widen(np.concatenate([low, high]), expand)
    np.testing.assert_allclose(wide[:2] + wide[2:], low + high, atol=1e-9)
    np.testing.assert_allclose(wide[2:] - wide[:2], (high - low) * (1 + expand), atol=1e-9)


def test_expand_shows_more_of_the_photo(astronaut: RGB) -> None:
    box = RotatedBox(0.0, np.array([200.0, 80, 250, 130]), True)
    chip = cut(astronaut, astronaut, box, size=100, expand=1.0)
    np.testing.assert_array_equal(chip.rgb, astronaut[55:155, 175:275])


def test_the_nearest_find_of_the_second_pass_is_the_box() -> None:
    photo = np.zeros((200, 200, 3), dtype=np.uint8)
    face = face_at(80, 80, 120, 120)
    box = find_rotated_box(
        photo, face, Finds((0, 0, 40, 40), (84, 78, 130, 124), (70, 60, 110, 99))
    )
    assert box.found
    assert box.box_xyxy.tolist() == [84, 78, 130, 124]


@pytest.mark.parametrize("others", [(), ((0.0, 0.0, 40.0, 40.0),)])
@pytest.mark.parametrize("roll", [0.0, 30.0])
def test_without_a_near_find_the_first_box_is_carried_along(
    others: tuple[tuple[float, float, float, float], ...], roll: float
) -> None:
    photo = np.zeros((200, 300, 3), dtype=np.uint8)
    face = face_at(130, 60, 170, 110, roll)
    turned = rotate(photo, face.roll_degrees)
    box = find_rotated_box(photo, face, Finds(*others))
    assert not box.found
    assert box.roll_degrees == pytest.approx(roll)
    np.testing.assert_allclose(box.box_xyxy[2:] - box.box_xyxy[:2], [40, 50])
    # About the photo's centre, 15 px below the box's centre, turned with the photo.
    angle = np.radians(roll)
    centre = np.array([turned.shape[1], turned.shape[0]]) / 2
    expected = centre + 15 * np.array([-np.sin(angle), -np.cos(angle)])
    np.testing.assert_allclose((box.box_xyxy[:2] + box.box_xyxy[2:]) / 2, expected, atol=1e-9)


@pytest.mark.parametrize(
    "box", [(-40, -40, 20, 20), (500, 500, 560, 560), (10, 10, 10, 10), (30.4, 30, 30.1, 29)]
)
def test_boxes_at_and_beyond_the_edge_and_of_no_size(
    box: tuple[float, float, float, float],
) -> None:
    photo = np.full((100, 100, 3), 255, dtype=np.uint8)
    chip = RotateCropAligner(Finds(), 32).align(photo, face_at(*box)).rgb
    assert chip.shape == (32, 32, 3)
    if box[0] >= 500:
        assert not chip.any()
    if box[0] == -40:
        assert not chip[:18].any()
        assert (chip[26:, 26:] == 255).all()
