"""Alignment: the similarity, the warp, and faces that hang out of the photo."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.transform import estimate_transform

from agelens.imaging.align import TEMPLATES, SimilarityAligner, similarity, warp
from agelens.records import RGB, Face, Floats

SIZE = 64
TEMPLATE = TEMPLATES["dlib-64"]
POINTS = hnp.arrays(np.float64, (5, 2), elements=st.floats(-1e4, 1e4))
SCALES = (0.1, 0.25, 0.5, 0.9, 1.0, 1.7, 3.0)


def placed(scale: float, degrees: float, middle: tuple[float, float]) -> Floats:
    """The template's points in a photo where the chip is `scale` times the face's size."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centred = TEMPLATE.points - TEMPLATE.points.mean(axis=0)
    return np.asarray(centred @ turn / scale + middle)


def blobs(points: Floats, radius: float, side: int) -> RGB:
    """A black photo with a smooth white spot on each point."""
    y, x = np.mgrid[:side, :side]
    distance = [np.hypot(x - px, y - py) for px, py in points]
    level = np.max([np.exp(-((d / radius) ** 2)) for d in distance], axis=0)
    return np.repeat(np.round(255 * level)[:, :, None], 3, axis=2).astype(np.uint8)


def spot_near(chip: RGB, point: Floats, reach: int = 5) -> Floats:
    """Centre of mass of the light around `point`."""
    y, x = np.mgrid[: chip.shape[0], : chip.shape[1]]
    weight = chip[:, :, 0] * (np.hypot(x - point[0], y - point[1]) <= reach)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def face(landmarks: Floats) -> Face:
    return Face(np.array([0.0, 0, 10, 10]), landmarks, 0.9)


@given(POINTS, POINTS)
def test_similarity_is_that_of_scikit_image(source: Floats, target: Floats) -> None:
    assume(np.ptp(source, axis=0).max() > 1e-3)
    ours = similarity(source, target)
    # Umeyama's closed form turns even an optimal mirror into a rotation, and so do we; but it
    # takes a zero scale for no solution.
    assume(np.hypot(*ours[0, :2]) > 1e-6)
    reference = estimate_transform("similarity", source, target).params[:2]
    spread = max(1.0, float(np.abs(target).max()))
    carried = np.hstack([source, np.ones((5, 1))])
    np.testing.assert_allclose(carried @ ours.T, carried @ reference.T, atol=1e-6 * spread)


@given(
    hnp.arrays(np.float64, (5, 2), elements=st.floats(-100, 100)),
    st.floats(0.05, 20),
    st.floats(-180, 180),
    st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
)
def test_a_true_similarity_is_found_exactly(
    source: Floats, scale: float, degrees: float, shift: tuple[float, float]
) -> None:
    assume(np.ptp(source, axis=0).max() > 1)
    a, b = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    truth = np.array([[a, -b, shift[0]], [b, a, shift[1]]])
    target = np.hstack([source, np.ones((5, 1))]) @ truth.T
    np.testing.assert_allclose(similarity(source, target), truth, atol=1e-7)


def test_least_squares_beats_every_nearby_similarity() -> None:
    rng = np.random.default_rng(5)
    source, target = rng.normal(0, 10, (2, 5, 2))
    ones = np.hstack([source, np.ones((5, 1))])
    best = similarity(source, target)
    error = ((ones @ best.T - target) ** 2).sum()
    for a, b, x, y in itertools.product((-1e-3, 0, 1e-3), repeat=4):
        near = best + np.array([[a, -b, x], [b, a, y]])
        assert ((ones @ near.T - target) ** 2).sum() >= error - 1e-12


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("degrees", [0, 13, -45, 90, 180])
def test_landmarks_land_on_the_template(scale: float, degrees: float) -> None:
    side = int(110 / scale)
    landmarks = placed(scale, degrees, (side / 2 - 3.3, side / 2 + 1.7))
    photo = blobs(landmarks, radius=2.2 / scale, side=side)
    chip = SimilarityAligner(TEMPLATE, SIZE).align(photo, face(landmarks))
    carried = np.hstack([landmarks, np.ones((5, 1))]) @ chip.matrix.T
    np.testing.assert_allclose(carried, TEMPLATE.points, atol=1e-9)
    seen = [spot_near(chip.rgb, point) for point in TEMPLATE.points]
    assert np.abs(seen - TEMPLATE.points).max() < 0.6
    assert (chip.rgb.shape, chip.rgb.dtype, chip.template) == ((64, 64, 3), np.uint8, "dlib-64")


@pytest.mark.parametrize("margin", [-0.16, 0.0, 0.4, 1.0])
@pytest.mark.parametrize("size", [32, 100])
def test_size_and_margin_reach_the_chip(size: int, margin: float) -> None:
    landmarks = placed(0.5, 10, (120, 120))
    photo = blobs(landmarks, radius=6, side=240)
    aligner = SimilarityAligner(TEMPLATE, size, margin)
    targets = TEMPLATE.points_in(size, margin)
    chip = aligner.align(photo, face(landmarks)).rgb
    seen = [spot_near(chip, point, reach=3) for point in targets]
    assert np.abs(seen - targets).max() < 0.6


@pytest.mark.parametrize("scale", [0.5, 0.3, 0.1])
@pytest.mark.parametrize("degrees", [0, 30])
def test_a_fine_pattern_turns_grey_when_it_shrinks(scale: float, degrees: float) -> None:
    side = int(110 / scale)
    y, x = np.mgrid[:side, :side]
    photo = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    matrix = similarity(placed(scale, degrees, (side / 2, side / 2)), TEMPLATE.points)
    chip = warp(photo, matrix, SIZE).astype(int)
    assert np.abs(chip - 127).max() <= 12
    if degrees:
        plain = cv2.warpAffine(photo, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR).astype(int)
        assert np.abs(plain - 127).max() > 60, "the pattern must be one that can alias"


def test_no_change_of_scale_keeps_every_pixel(astronaut: RGB) -> None:
    matrix = np.array([[1.0, 0, -200], [0, 1, -80]])
    np.testing.assert_array_equal(warp(astronaut, matrix, SIZE), astronaut[80:144, 200:264])


def test_shrinking_comes_near_the_mean_of_blocks(astronaut: RGB) -> None:
    matrix = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])  # pixel centres: (u + 1/2) 4 - 1/2
    means = astronaut[:256, :256].reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    plain = cv2.warpAffine(astronaut, matrix, (64, 64), flags=cv2.INTER_LINEAR)
    away = np.abs(warp(astronaut, matrix, SIZE) - means).mean()
    assert away < 3
    assert away < np.abs(plain - means).mean() * 0.75


def test_the_photo_outside_the_chip_does_not_matter(astronaut: RGB) -> None:
    landmarks = placed(0.7, -12, (225, 120))
    aligner = SimilarityAligner(TEMPLATE, SIZE)
    whole = aligner.align(astronaut, face(landmarks)).rgb
    masked = np.zeros_like(astronaut)
    masked[20:230, 120:330] = astronaut[20:230, 120:330]
    np.testing.assert_array_equal(aligner.align(masked, face(landmarks)).rgb, whole)


@pytest.mark.parametrize("scale", [0.2, 1.0, 2.5])
def test_what_lies_beyond_the_photo_is_black(scale: float) -> None:
    white = np.full((100, 100, 3), 255, dtype=np.uint8)
    chip = SimilarityAligner(TEMPLATE, SIZE).align(white, face(placed(scale, 0, (0, 50)))).rgb
    left, right = chip[:, : SIZE // 2 - 6], chip[28:36, SIZE // 2 + 4 : SIZE // 2 + 6]
    assert not left.any()
    assert (right == 255).all()


@pytest.mark.parametrize("middle", [(-5e3, 50), (50, 9e4), (-1e7, -1e7)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_a_face_wholly_beyond_the_photo_is_black(middle: tuple[float, float], scale: float) -> None:
    white = np.full((100, 100, 3), 255, dtype=np.uint8)
    chip = SimilarityAligner(TEMPLATE, SIZE).align(white, face(placed(scale, 0, middle))).rgb
    assert chip.shape == (SIZE, SIZE, 3)
    assert not chip.any()


def test_landmarks_in_one_point_are_only_shifted() -> None:
    matrix = similarity(np.full((5, 2), 7.0), TEMPLATE.points)
    middle = TEMPLATE.points.mean(axis=0)
    np.testing.assert_allclose(matrix, [[1, 0, middle[0] - 7], [0, 1, middle[1] - 7]], atol=1e-12)


@given(POINTS | hnp.arrays(np.float64, (5, 2), elements=st.floats(-1e-300, 1e-300)))
def test_no_landmarks_make_it_fail(landmarks: Floats) -> None:
    photo = np.full((40, 50, 3), 200, dtype=np.uint8)
    chip = SimilarityAligner(TEMPLATE, SIZE).align(photo, face(landmarks))
    assert chip.rgb.shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_matrix_without_a_scale_gives_black(value: float) -> None:
    photo = np.full((40, 50, 3), 200, dtype=np.uint8)
    assert not warp(photo, np.full((2, 3), value), SIZE).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_photos_of_a_pixel_or_a_line(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 200, dtype=np.uint8)
    for scale in SCALES:
        chip = SimilarityAligner(TEMPLATE, SIZE).align(photo, face(placed(scale, 20, (0, 0))))
        assert chip.rgb.shape == (SIZE, SIZE, 3)


def test_beyond_the_photo_a_mirrored_chip_shows_its_rim() -> None:
    rng = np.random.default_rng(4)
    photo = np.repeat(cv2.resize(rng.integers(0, 256, (6, 6), np.uint8), (60, 60))[..., None], 3, 2)
    matrix = np.array([[1.0, 0, 20], [0, 1, 20]])  # 20 pixels of the chip lie beyond on each side
    black, mirrored = (warp(photo, matrix, 100, fill) for fill in ("black", "mirror"))
    inside = slice(20, 80)
    np.testing.assert_array_equal(mirrored[inside, inside], photo)
    np.testing.assert_array_equal(black[inside, inside], photo)
    assert not black[:19].any() and not black[:, 81:].any()
    above, reflected = mirrored[10:19, inside].mean(0), photo[1:10].mean(0)
    assert np.abs(above.astype(float) - reflected).mean() < 25  # mirrored, but blurred
    rough = np.abs(np.diff(mirrored[:15, inside].astype(float), axis=1)).mean()
    assert rough < 0.7 * np.abs(np.diff(photo[5:20].astype(float), axis=1)).mean()


def test_inside_the_photo_a_fill_changes_nothing() -> None:
    photo = np.random.default_rng(5).integers(0, 256, (200, 200, 3), np.uint8)
    matrix = np.array([[0.4, 0.02, -12], [-0.02, 0.4, -8]])
    np.testing.assert_array_equal(warp(photo, matrix, 50, "mirror"), warp(photo, matrix, 50))


def test_an_aligner_fills_as_it_is_told() -> None:
    photo = np.full((40, 40, 3), 200, np.uint8)
    someone = face(placed(1.5, 0, (20.0, 20.0)))
    chips = [
        SimilarityAligner(TEMPLATE, SIZE, 1.0, fill).align(photo, someone).rgb
        for fill in ("black", "mirror")
    ]
    assert (chips[0] == 0).any()
    assert (chips[1] == 200).all()
