"""The record, the way back to the photo, and what alike means."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from skimage.metrics import structural_similarity as skimage_ssim

from agelens.evaluation.heat_maps.heat_map import HeatMap, per_patch
from agelens.evaluation.heat_maps.sanity_check import rank_correlation, structural_similarity
from agelens.evaluation.reports.heat_map_page import over_photo
from agelens.records import Floats


def noise(side: int = 24, seed: int = 0) -> Floats:
    rough = np.random.default_rng(seed).normal(size=(side, side))
    return np.asarray(cv2.GaussianBlur(rough, (0, 0), 2))


def test_values_at_points_and_extremes() -> None:
    values = np.zeros((8, 8))
    values[2, 5], values[6, 1] = 3.0, -2.0
    found = HeatMap(values, "years", "toy", 4, 31.0, {"gap_years": 0.25})
    points = np.array([[5.4, 1.6], [1, 6], [0, 0], [-0.6, 3], [7.5, 0]])
    np.testing.assert_array_equal(found.at(points), [3, -2, 0, np.nan, np.nan])
    document = found.to_json(points)
    assert document["most"] == {"value": 3.0, "x": 5, "y": 2}
    assert document["least"] == {"value": -2.0, "x": 1, "y": 6}
    assert document["at"]["eye_left"] == 3.0
    assert document["at"]["mouth_right"] is None
    assert document["gap_years"] == 0.25
    assert "at" not in found.to_json()


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_years_a_patch_are_sums_of_years_a_pixel(patch: int) -> None:
    density, half = noise(9), patch // 2
    padded = np.pad(density, half)
    expected = [
        [padded[row : row + patch, column : column + patch].sum() for column in range(9)]
        for row in range(9)
    ]
    np.testing.assert_allclose(per_patch(density, patch), expected, atol=1e-12)


@given(
    scale=st.floats(0.2, 3), turn=st.floats(-3.1, 3.1), x=st.floats(-20, 20), y=st.floats(-20, 20)
)
def test_a_map_lies_over_the_photo_where_its_chip_was_cut(
    scale: float, turn: float, x: float, y: float
) -> None:
    side = 16
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[cos, -sin, x], [sin, cos, y]])
    columns, _ = np.meshgrid(np.arange(side, dtype=float), np.arange(side))
    warped = over_photo(columns, matrix, (40, 50))
    rows, cols = np.mgrid[0:40, 0:50]
    in_chip = np.einsum("ij,jhw->ihw", matrix[:, :2], np.stack([cols, rows]).astype(float))
    in_chip += matrix[:, 2][:, None, None]
    well_inside = ((in_chip > 0.1) & (in_chip < side - 1.1)).all(axis=0)
    well_outside = ((in_chip < -1) | (in_chip > side)).any(axis=0)
    assert np.isnan(warped[well_outside]).all()
    # OpenCV's bilinear warp rounds places to a 32nd of a pixel
    np.testing.assert_allclose(warped[well_inside], in_chip[0][well_inside], atol=0.1)


@pytest.mark.parametrize("seed", [1, 2])
def test_structural_similarity_as_scikit_image_has_it(seed: int) -> None:
    first, second = noise(), noise(seed=seed) + 0.5 * noise()
    expected = skimage_ssim(
        first / np.abs(first).max(),
        second / np.abs(second).max(),
        data_range=2.0,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    assert structural_similarity(first, second) == pytest.approx(expected, abs=1e-9)


def test_rank_correlation_as_of_ranks() -> None:
    first, second = noise(), noise(seed=1)
    expected = np.corrcoef(rankdata(first.ravel()), rankdata(second.ravel()))[0, 1]
    assert rank_correlation(first, second) == pytest.approx(expected)
    assert rank_correlation(first, np.exp(first)) == pytest.approx(1)


def test_maps_without_a_shape_have_no_alikeness() -> None:
    flat = np.zeros((24, 24))
    assert np.isnan(rank_correlation(flat, noise()))
    assert np.isnan(structural_similarity(noise(), flat))
    assert structural_similarity(noise(), noise()) == pytest.approx(1)
