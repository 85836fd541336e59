"""The error of an estimate: how many years too old it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.columns import complete_numbers
from agelens.records import Floats


def signed_errors(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
    """Estimate minus age [N] in years: positive is too old.

    Raises:
        ValueError: see `complete_numbers`.
    """
    estimate, age = complete_numbers(estimate_years=estimate_years, age_years=age_years)
    return np.asarray(estimate - age)


def absolute_errors(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
    """Distance of estimate and age [N] in years.

    Raises:
        ValueError: see `complete_numbers`.
    """
    return np.asarray(np.abs(signed_errors(estimate_years, age_years)))
