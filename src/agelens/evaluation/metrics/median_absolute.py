"""Median absolute error: what half of the people do not exceed."""

from __future__ import annotations

from typing import Final

from numpy.typing import ArrayLike

from agelens.evaluation.metrics.errors import absolute_errors
from agelens.evaluation.metrics.median import Median

MEDIAN_ABSOLUTE_ERROR: Final = Median(absolute_errors)


def median_absolute_error(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Median of ``|estimate - age|`` in years; of an even N the mean of the middle two.

    NaN for no sample. ``median_absolute_error([20, 33, 90], [21, 30, 30])`` is 3.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return MEDIAN_ABSOLUTE_ERROR(estimate_years, age_years)
