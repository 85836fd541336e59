"""Balanced errors: every age counts alike, however many people have it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.columns import complete_numbers
from agelens.evaluation.metrics.errors import absolute_errors
from agelens.evaluation.metrics.sums import Cells, Sums, ratio
from agelens.records import Floats


def whole_years(_estimate_years: ArrayLike, age_years: ArrayLike) -> Cells:
    """The nearest whole year [N] of each age, halves upwards: 24.5 is 25.

    Raises:
        ValueError: an age is missing or negative.
    """
    (age,) = complete_numbers(age_years=age_years)
    if (age < 0).any():
        raise ValueError(f"age_years is negative, first at {int((age < 0).argmax())}")
    return np.floor(age + 0.5).astype(np.int64)


def _per_age(sums: Floats, counts: Floats) -> Floats:
    return ratio(sums[..., 0], counts)


def _mean_over_ages(sums: Floats, counts: Floats) -> Floats:
    errors, present = _per_age(sums, counts), counts > 0
    total = np.where(present, errors, 0).sum(axis=-1)
    return ratio(total, present.sum(axis=-1).astype(np.float64))


def _worst_age(sums: Floats, counts: Floats) -> Floats:
    errors = np.where(counts > 0, _per_age(sums, counts), -np.inf)
    worst = errors.max(axis=-1, initial=-np.inf)
    return np.where(np.isneginf(worst), np.nan, worst)


AMAE: Final = Sums(absolute_errors, _mean_over_ages, whole_years)
MMAE: Final = Sums(absolute_errors, _worst_age, whole_years)


def amae(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Balanced MAE: mean over the ages that occur of the MAE at that age, in years.

    Baccianella et al. (2009); "mMAE" in papers on age mostly means this one. Ages with
    fractions count with the nearest whole year. NaN for no sample.
    ``amae([20, 20, 33], [20, 20, 30])`` is 1.5 where the MAE is 1.

    Raises:
        ValueError: the columns differ in length or hold NaN, or an age is negative.
    """
    return AMAE(estimate_years, age_years)


def mmae(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Worst MAE of any age that occurs, in years: the maximum where `amae` has the mean.

    Cruz-Ramirez et al. (2014). One person of a rare age may decide it. NaN for no sample.

    Raises:
        ValueError: the columns differ in length or hold NaN, or an age is negative.
    """
    return MMAE(estimate_years, age_years)
