"""Numbers that constructors refuse."""

from __future__ import annotations

import math

import pytest

from agelens.models.methods.base import above_zero, not_negative


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_above_zero_names_what_it_refuses(value: float) -> None:
    with pytest.raises(ValueError, match="sigma must be above 0 and finite, got"):
        above_zero(width=1.0, sigma=value)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_not_negative_names_what_it_refuses(value: float) -> None:
    with pytest.raises(ValueError, match="weight must be at least 0 and finite, got"):
        not_negative(other=0.0, weight=value)


def test_good_numbers_pass() -> None:
    above_zero(sigma=1e-9)
    not_negative(weight=0.0)
