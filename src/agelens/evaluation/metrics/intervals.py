"""Intervals: how often they hold the true age, and how wide they are. Only both together count."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.columns import complete_numbers
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats


def _inside(low_years: ArrayLike, high_years: ArrayLike, age_years: ArrayLike) -> Floats:
    low, high, age = complete_numbers(
        low_years=low_years, high_years=high_years, age_years=age_years
    )
    return ((low <= age) & (age <= high)).astype(np.float64)


def _width(low_years: ArrayLike, high_years: ArrayLike) -> Floats:
    low, high = complete_numbers(low_years=low_years, high_years=high_years)
    return np.asarray(high - low)


COVERAGE: Final = Sums(_inside)
MEAN_WIDTH: Final = Sums(_width)


def coverage(low_years: ArrayLike, high_years: ArrayLike, age_years: ArrayLike) -> float:
    """Share of samples with ``low <= age <= high``; NaN for no sample.

    To be near the level that the intervals claim.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return COVERAGE(low_years, high_years, age_years)


def mean_width(low_years: ArrayLike, high_years: ArrayLike) -> float:
    """Mean of ``high - low`` in years; NaN for no sample.

    Of two with the same coverage the narrower is better.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return MEAN_WIDTH(low_years, high_years)
