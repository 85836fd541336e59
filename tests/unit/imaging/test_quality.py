"""Quality of a face and the limits that refer it to a human."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from agelens.imaging.align import TEMPLATES, apply, similarity
from agelens.imaging.quality import QualityLimits, judge, visible_share, yaw_degrees
from agelens.records import RGB, Face, Quality

FRONTAL = np.array([[30.0, 50.0], [70.0, 50.0], [50.0, 70.0], [35.0, 100.0], [65.0, 100.0]])
GOOD = Quality(inter_eye_px=60, sharpness=300, exposure=0.5, roll_degrees=-10, yaw_proxy=-0.1)
LIMITS = QualityLimits(20, 50, 0.2, 0.8, 30, 0.4, 0.9, 0.6, 0.5, 1.0)


def face(landmarks: np.ndarray = FRONTAL) -> Face:
    return Face(np.array([20.0, 20, 80, 120]), landmarks, 0.9)


def chip(level: int) -> RGB:
    return np.full((64, 64, 3), level, dtype=np.uint8)


@pytest.mark.parametrize(("level", "exposure"), [(0, 0.0), (51, 0.2), (255, 1.0)])
def test_exposure_is_the_mean_grey(level: int, exposure: float) -> None:
    quality = judge(face(), chip(level))
    assert quality.exposure == pytest.approx(exposure, abs=0.002)
    assert quality.sharpness == 0


def test_sharpness_is_the_laplacian_over_the_contrast() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    middle = grey[16:48, 16:48].astype(float)
    padded = np.pad(middle, 1, mode="reflect")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    expected = (around - 4 * middle).var() / middle.var()
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    assert judge(face(), rgb).sharpness == pytest.approx(expected, rel=1e-6)


def test_the_rim_of_the_chip_does_not_count() -> None:
    framed = chip(100)
    framed[:16], framed[48:], framed[:, :16], framed[:, 48:] = 0, 255, 30, 90
    assert judge(face(), framed) == judge(face(), chip(100))


def test_dim_light_does_not_pass_for_blur(astronaut: RGB) -> None:
    bright = astronaut[60:180, 170:290]
    assert judge(face(), bright // 2).sharpness == pytest.approx(
        judge(face(), bright).sharpness, rel=0.02
    )


def test_blur_lowers_sharpness(astronaut: RGB) -> None:
    sharp = astronaut[80:180, 180:280]
    blurred = cv2.blur(sharp, (2, 2))
    assert judge(face(), blurred).sharpness < 0.7 * judge(face(), sharp).sharpness


@pytest.mark.parametrize(("nose_x", "yaw"), [(50, 0.0), (70, 0.5), (30, -0.5), (58, 0.2)])
@pytest.mark.parametrize("roll", [0, 35, -80])
def test_yaw_proxy_is_the_nose_along_the_eye_line(nose_x: int, yaw: float, roll: int) -> None:
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    landmarks = FRONTAL.copy()
    landmarks[2, 0] = nose_x
    quality = judge(face(landmarks @ turn * 1.5), chip(0))
    assert quality.yaw_proxy == pytest.approx(yaw)
    assert quality.roll_degrees == pytest.approx(roll)
    assert quality.inter_eye_px == pytest.approx(60)


@pytest.mark.parametrize("spread", [0.0, 1e-170, 1e-300])
def test_eyes_in_one_point_have_no_yaw(spread: float) -> None:
    landmarks = np.zeros((5, 2))
    landmarks[1, 0] = spread
    assert judge(face(landmarks), chip(0)).yaw_proxy == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"inter_eye_px": 12.34}, "inter-eye distance 12.3 px is below 20 px"),
        ({"sharpness": 7.0}, "sharpness 7 is below 50"),
        ({"exposure": 0.05}, "exposure 0.05 is below 0.2"),
        ({"exposure": 0.95}, "exposure 0.95 is above 0.8"),
        ({"roll_degrees": -44.0}, "roll 44 degrees is above 30 degrees"),
        ({"roll_degrees": 44.0}, "roll 44 degrees is above 30 degrees"),
        ({"yaw_proxy": -0.55}, "yaw proxy 0.55 is above 0.4"),
        ({"yaw_proxy": 0.55}, "yaw proxy 0.55 is above 0.4"),
        ({"visible_share": 0.8}, "share of the face in the photo 0.8 is below 0.9"),
        ({"dark_eyes": 0.7}, "the eyes may be covered: darkness about them 0.7 is above 0.6"),
        ({"mouth_edges": 0.4}, "the mouth may be covered: edges about it 0.4 is below 0.5"),
        ({"bright_eyes": 2.0}, "the photo may be a negative: brightness of the eyes 2 is above 1"),
    ],
)
def test_each_limit_says_what_is_out_of_it(change: dict[str, float], reason: str) -> None:
    values = {name: getattr(GOOD, name) for name in Quality.__dataclass_fields__}
    assert LIMITS.refer(Quality(**values | change)) == reason


def test_all_reasons_come_in_one_line() -> None:
    bad = Quality(10, 1, 0.9, 90, 1, 0.3)
    text = LIMITS.refer(bad)
    assert text is not None
    assert text.count("; ") == 5
    assert "\n" not in text


def test_values_on_the_limits_pass() -> None:
    assert LIMITS.refer(GOOD) is None
    assert LIMITS.refer(Quality(20, 50, 0.2, 30, 0.4, 0.9)) is None
    assert LIMITS.refer(Quality(20, 50, 0.8, -30, -0.4)) is None


def test_without_limits_nothing_is_referred() -> None:
    assert QualityLimits().refer(Quality(0, 0, 0, 180, 9, 0)) is None


@pytest.mark.parametrize("degrees", [-45.0, -10.0, 0.0, 20.0, 60.0])
def test_yaw_is_that_of_a_turned_head(degrees: float) -> None:
    # Across, down, towards the camera; the nose tip stands 0.6 inter-eye distances before the eyes.
    head = np.array([[-20, 0, 0], [20, 0, 0], [0, 25, 24], [-15, 45, 0], [15, 45, 0]], dtype=float)
    angle = np.radians(degrees)
    across = head @ np.array([np.cos(angle), 0, np.sin(angle)])
    landmarks = np.stack([across + 50, head[:, 1] + 50], axis=1)
    proxy = judge(face(landmarks), chip(100)).yaw_proxy
    assert yaw_degrees(proxy) == pytest.approx(degrees, abs=1e-9)


def test_yaw_of_several_with_one_unknown() -> None:
    np.testing.assert_allclose(yaw_degrees([0.6, np.nan, 0.0]), [45, np.nan, 0])


SCALE = 6.0
"""Photo pixels a pixel of the template's frame of 64, in the faces below."""


def centred(size_hw: tuple[int, int], degrees: float = 0.0) -> Face:
    """A face whose frame has its middle in that of a photo, turned by so many degrees."""
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = (TEMPLATES["dlib-64"].points + 0.5 - 32) * SCALE @ rotation
    return face(points + np.array(size_hw)[::-1] / 2 - 0.5)


@pytest.mark.parametrize("degrees", [0, 10, -30])
def test_a_face_well_inside_is_visible_whole(degrees: float) -> None:
    assert visible_share(centred((600, 500), degrees), (600, 500)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("size_hw", "share"),
    [
        # The face part is 0.8 x 0.85 of the frame's 384 pixels: 307.2 wide from 38.4, 326.4 high
        # from 19.2; the frame's middle is that of the photo.
        ((600, 200), 200 / 307.2),
        ((200, 600), 200 / 326.4),
        ((200, 200), 200 * 200 / (307.2 * 326.4)),
    ],
)
def test_the_share_is_that_of_the_area(size_hw: tuple[int, int], share: float) -> None:
    assert visible_share(centred(size_hw), size_hw) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_the_share_is_that_of_points_that_fall_inside(degrees: float) -> None:
    size_hw = (260, 300)
    moved = centred(size_hw, degrees)
    moved = replace(moved, landmarks=moved.landmarks + np.array([60.0, -40.0]))
    matrix = similarity(moved.landmarks, TEMPLATES["dlib-64"].points)
    steps = (np.arange(400) + 0.5) / 400
    x, y = np.meshgrid(0.1 + 0.8 * steps, 0.05 + 0.85 * steps)
    points = np.stack([x, y], axis=-1).reshape(-1, 2) * 64 - 0.5
    places = apply(np.asarray(cv2.invertAffineTransform(matrix)), points) + 0.5
    inside = ((places >= 0) & (places <= np.array(size_hw)[::-1])).all(axis=1).mean()
    assert 0.4 < inside < 0.95
    assert visible_share(moved, size_hw) == pytest.approx(inside, abs=0.005)


def test_a_face_outside_and_no_face_are_not_visible() -> None:
    assert visible_share(face(FRONTAL + 1000), (100, 100)) == 0
    assert visible_share(face(np.full((5, 2), 50.0)), (100, 100)) in (0, pytest.approx(1))


def test_without_the_photos_size_nothing_is_said() -> None:
    assert judge(face(), chip(100)).visible_share is None
    assert judge(face(), chip(100), (2000, 2000)).visible_share == pytest.approx(1)
    assert QualityLimits(min_visible_share=0.9).refer(judge(face(), chip(100))) is None


def test_covers_are_looked_for_where_the_chip_was_cut_from_a_known_place() -> None:
    points = TEMPLATES["dlib-64"].points
    seen = Face(np.array([0.0, 0, 64, 64]), points, 0.9)
    noise = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    assert judge(seen, noise).dark_eyes is None
    identity = np.eye(2, 3)
    plain = judge(seen, noise, matrix=identity)
    assert plain.dark_eyes is not None
    assert plain.mouth_edges == pytest.approx(0.85, abs=0.2)  # noise has edges everywhere alike
    barred, masked = noise.copy(), noise.copy()
    barred[10:27] = 0
    masked[34:] = 220
    assert judge(seen, barred, matrix=identity).dark_eyes == 1
    assert judge(seen, masked, matrix=identity).mouth_edges == 0
    # Twice as large and elsewhere in its photo, it is the same chip.
    moved = Face(np.array([0.0, 0, 200, 200]), 2 * points + 30, 0.9)
    matrix = np.array([[0.5, 0, -15], [0, 0.5, -15]])
    assert judge(moved, barred, matrix=matrix).dark_eyes == 1


def test_a_flat_chip_has_no_covers_and_no_warning() -> None:
    seen = Face(np.array([0.0, 0, 64, 64]), TEMPLATES["dlib-64"].points, 0.9)
    flat = judge(seen, chip(0), matrix=np.eye(2, 3))
    assert (flat.dark_eyes, flat.mouth_edges) == (0, 0)
