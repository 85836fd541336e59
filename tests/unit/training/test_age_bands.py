"""Errors by decade."""

from __future__ import annotations

import pytest

from agelens.training.epoch_metrics import BANDS, band_maes


def test_errors_go_to_the_decade_of_the_true_age() -> None:
    ages = [0.25, 9.9, 10.0, 69.0, 70.0, 101.0]
    estimates = [1.25, 12.9, 15.0, 70.0, 72.0, 91.0]
    expected = {"mae/0-9": 2.0, "mae/10-19": 5.0, "mae/60-69": 1.0, "mae/70+": 6.0}
    assert band_maes(estimates, ages) == pytest.approx(expected)


def test_bands_are_eight_decades() -> None:
    assert BANDS == ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
