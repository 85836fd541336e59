"""Occlusion against plain loops, and what windows must hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.heat_maps.occlusion import (
    OcclusionExplainer,
    Windows,
    filled,
    occlusion_map,
)
from agelens.inference.estimator import AgeEstimator
from agelens.records import RGB, Floats

SIDE = 12


def chip_of_noise(side: int = SIDE, seed: int = 0) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def crooked(chips: RGB) -> Floats:
    """An age that hangs on every pixel, and not in a straight line."""
    weights = np.random.default_rng(1).normal(size=chips.shape[1:])
    return 30 + 20 * np.tanh((chips / 255 * weights).sum(axis=(1, 2, 3)) / 5)


@pytest.mark.parametrize("fill", ["mean", "blur"])
@pytest.mark.parametrize(("patch", "stride"), [(4, 2), (3, 3), (5, 1), (11, 4)])
def test_as_plain_loops_have_it(patch: int, stride: int, fill: str) -> None:
    chip = chip_of_noise()
    starts = sorted({*range(0, SIDE - patch, stride), SIDE - patch})
    effects: list[list[list[float]]] = [[[] for _ in range(SIDE)] for _ in range(SIDE)]
    for top in starts:
        for left in starts:
            spoilt = chip.copy()
            for row in range(top, top + patch):
                for column in range(left, left + patch):
                    spoilt[row, column] = filled(chip, fill)[row, column]
            effect = crooked(chip[None])[0] - crooked(spoilt[None])[0]
            for row in range(top, top + patch):
                for column in range(left, left + patch):
                    effects[row][column].append(effect)
    expected = [[np.mean(found) for found in row] for row in effects]
    found = occlusion_map(crooked, chip, Windows(SIDE, patch, stride), fill)
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert (found.unit, found.patch) == ("years", patch)
    assert found.estimate_years == crooked(chip[None])[0]


def test_what_makes_older_is_above_zero() -> None:
    chip = np.full((SIDE, SIDE, 3), 100, np.uint8)
    chip[:4, :4] = 200  # what this network takes for age

    def older_where_bright(chips: RGB) -> Floats:
        return np.asarray(chips[:, :4, :4].mean(axis=(1, 2, 3)) / 4)

    found = occlusion_map(older_where_bright, chip, Windows(SIDE, 4, 4))
    assert found.values[:4, :4].min() > 20
    assert np.abs(found.values[4:, 4:]).max() == 0


@given(side=st.integers(3, 40), data=st.data())
def test_windows_cover_each_pixel_and_stay_inside(side: int, data: st.DataObject) -> None:
    patch = data.draw(st.integers(1, side - 1))
    stride = data.draw(st.integers(1, patch))
    hidden = np.zeros((side, side), bool)
    for left, top in Windows(side, patch, stride).corners:
        assert 0 <= left <= side - patch
        assert 0 <= top <= side - patch
        hidden[top : top + patch, left : left + patch] = True
    assert hidden.all()


def test_defaults_are_an_eighth_and_half_of_it() -> None:
    assert Windows.over(64) == Windows(64, 8, 4)
    assert Windows.over(64, patch=5) == Windows(64, 5, 2)
    assert len(Windows.over(64).corners) == 15 * 15


@pytest.mark.parametrize(
    ("patch", "stride", "complaint"),
    [
        (0, 1, "1 to 11 pixels"),
        (12, 1, "1 to 11 pixels"),
        (4, 0, "leaves no gaps"),
        (4, 5, "leaves no gaps"),
    ],
)
def test_windows_that_cannot_be(patch: int, stride: int, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Windows(SIDE, patch, stride)


def test_a_fill_that_does_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="blur, mean"):
        occlusion_map(crooked, chip_of_noise(), Windows(SIDE, 4, 4), "black")


def test_fills() -> None:
    chip = chip_of_noise(32)
    mean, blur = filled(chip, "mean"), filled(chip, "blur")
    assert (mean == np.round(chip.mean(axis=(0, 1)))).all()
    assert 0 < blur.std() < chip.std() / 3
    assert abs(float(blur.mean()) - float(chip.mean())) < 2


def test_an_estimators_stated_ages_are_explained(
    write_card: Callable[..., Path], tmp_path: Path
) -> None:
    estimator = AgeEstimator(write_card(tmp_path), workers=1)
    chip = chip_of_noise(16)
    explain = OcclusionExplainer(estimator, Windows(16, 8, 8), "mean")
    spoilt = chip.copy()
    spoilt[8:, :8] = filled(chip, "mean")[8:, :8]
    before, after = (one.estimate_years for one in estimator.estimate_chips([chip, spoilt]))
    found = explain(chip)
    np.testing.assert_allclose(found.values[8:, :8], before - after, atol=1e-6)
    assert found.estimate_years == pytest.approx(before)
