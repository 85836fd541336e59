"""Damages against their definitions, and what all of them have in common."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.sensitivity.conditions import (
    CORRUPTIONS,
    MARGIN_STRENGTHS,
    SEVERITIES,
    changed_margin,
    corrupt,
)
from agelens.records import RGB, Face


def face_at(*box_xyxy: float) -> Face:
    return Face(np.array(box_xyxy, dtype=np.float64), np.zeros((5, 2)), 1.0)


@pytest.fixture(scope="module")
def photo(astronaut: RGB) -> RGB:
    return np.ascontiguousarray(astronaut[:224, 100:324])


WHOLE = face_at(0, 0, 224, 224)
INNER = face_at(60, 40, 160, 150)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_more_severe_is_further_from_the_photo(name: str, photo: RGB) -> None:
    before = photo.copy()
    distances = []
    for severity in SEVERITIES:
        damaged = corrupt(photo, INNER, name, severity, seed=3)
        assert (damaged.shape, damaged.dtype) == (photo.shape, np.uint8)
        np.testing.assert_array_equal(damaged, corrupt(photo, INNER, name, severity, seed=3))
        part = (slice(40, 150), slice(60, 160))
        distances.append(np.abs(damaged[part].astype(float) - photo[part]).mean())
    np.testing.assert_array_equal(photo, before)
    assert distances[0] > 0
    assert (np.diff(distances) > 0).all(), distances


@pytest.mark.parametrize("name", ["noise", "occlusion", "rotation"])
def test_faces_meet_different_damage(name: str, photo: RGB) -> None:
    found = {corrupt(photo, INNER, name, 3, seed=seed).tobytes() for seed in range(8)}
    assert len(found) > 1


def test_blur_is_a_gaussian_measured_on_the_face(photo: RGB) -> None:
    for face, sigma in ((WHOLE, 2.0), (face_at(0, 0, 112, 112), 1.0)):
        expected = ndimage.gaussian_filter(photo.astype(float), (sigma, sigma, 0), mode="mirror")
        found = corrupt(photo, face, "blur", 2).astype(float)
        assert np.abs(found - expected).mean() < 1


def test_noise_has_the_deviation_of_imagenet_c() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noise = corrupt(grey, WHOLE, "noise", 1).astype(float) / 255 - 128 / 255
    assert noise.std() == pytest.approx(0.08, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.002)


def test_jpeg_is_what_pillow_writes(photo: RGB) -> None:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=10)
    expected = np.asarray(Image.open(file)).astype(float)
    assert np.abs(corrupt(photo, WHOLE, "jpeg", 4).astype(float) - expected).mean() < 2


def test_brightness_lifts_the_value_and_contrast_keeps_the_mean(photo: RGB) -> None:
    lifted = corrupt(photo, WHOLE, "brightness", 2)
    expected = np.minimum(photo.max(axis=2).astype(float) + 0.2 * 255, 255)
    np.testing.assert_allclose(lifted.max(axis=2), expected, atol=1.5)
    flat = corrupt(photo, INNER, "contrast", 5)
    mean = photo[40:150, 60:160].mean(axis=(0, 1))
    np.testing.assert_allclose(flat, (photo - mean) * 0.05 + mean, atol=1)


def test_resolution_leaves_a_face_of_so_many_pixels(photo: RGB) -> None:
    small = cv2.resize(photo, (24, 24), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(small, (224, 224), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(corrupt(photo, WHOLE, "resolution", 5), expected)
    tiny = face_at(0, 0, 20, 20)
    np.testing.assert_array_equal(corrupt(photo, tiny, "resolution", 5), photo)


@pytest.mark.parametrize("seed", range(5))
def test_occlusion_covers_its_share_of_the_box(seed: int, photo: RGB) -> None:
    changed = (corrupt(photo, INNER, "occlusion", 4, seed=seed) != photo).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert area == pytest.approx(0.3 * 100 * 110, rel=0.05)
    assert rows.min() >= 40
    assert rows.max() < 150
    assert columns.min() >= 60
    assert columns.max() < 160


def test_rotation_turns_about_the_face() -> None:
    photo = np.zeros((200, 200, 3), np.uint8)
    photo[100, 100] = photo[100, 140] = 255
    face = face_at(60, 60, 140, 140)
    turned = corrupt(photo, face, "rotation", 4, seed=0).max(axis=2)
    assert turned[100, 100] > 200
    away = np.degrees(np.arctan2(*(np.argwhere(turned[:, 115:] > 60).mean(axis=0) - [100, -15])))
    assert abs(away) == pytest.approx(30, abs=1.5)


@given(
    box=st.tuples(*[st.floats(-50, 100)] * 4),
    name=st.sampled_from(sorted(CORRUPTIONS)),
    severity=st.sampled_from(SEVERITIES),
)
def test_any_box_will_do(box: tuple[float, ...], name: str, severity: int) -> None:
    left, top, right, bottom = box
    face = face_at(min(left, right), min(top, bottom), max(left, right), max(top, bottom))
    grey = np.full((40, 30, 3), 90, np.uint8)
    damaged = corrupt(grey, face, name, severity)
    assert (damaged.shape, damaged.dtype) == (grey.shape, np.uint8)


def test_other_names_and_severities_are_refused(photo: RGB) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'blur'"):
        corrupt(photo, WHOLE, "blurr", 1)
    for severity in (0, 6):
        with pytest.raises(UsageError, match="1 to 5"):
            corrupt(photo, WHOLE, "blur", severity)
        with pytest.raises(UsageError, match="1 to 5"):
            changed_margin(0.0, severity)


def test_margin_goes_both_ways_by_its_strength() -> None:
    for severity, strength in zip(SEVERITIES, MARGIN_STRENGTHS, strict=True):
        found = {round(changed_margin(0.4, severity, seed=seed), 9) for seed in range(20)}
        expected = {round(1.4 * (1 + strength) - 1, 9), round(1.4 * (1 - strength) - 1, 9)}
        assert found == expected
