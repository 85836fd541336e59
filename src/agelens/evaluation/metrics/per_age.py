"""Balanced errors: every age counts alike, however many people have it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.base import (
    Cells,
    DependentRatio,
    Sums,
    complete_numbers,
    mean_of_all,
    ratio,
    same_length,
)
from agelens.evaluation.metrics.errors import absolute_errors
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


GROUPS: Final = ("0-10", "11-20", "21-30", "31-40", "41-50", "51-60", "61-70", "71+")
_LAST: Final = (10, 20, 30, 40, 50, 60, 70)


def _groups(estimate_years: ArrayLike, age_years: ArrayLike) -> Cells:
    return np.searchsorted(_LAST, whole_years(estimate_years, age_years), side="left")


def _score(sums: Floats, counts: Floats) -> Floats:
    overall = mean_of_all(sums, counts)
    groups = ratio(sums[..., 0], counts)
    present = counts > 0
    squares = np.where(present, np.square(groups - overall[..., np.newaxis]), 0)
    spread = np.sqrt(ratio(squares.sum(axis=-1), present.sum(axis=-1).astype(np.float64)))
    return np.asarray(np.maximum(7 - overall, 0) + np.maximum(3 - spread, 0))


AAR: Final = Sums(absolute_errors, _score, _groups)


def aar(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """``max(0, 7 - MAE) + max(0, 3 - s)``: 10 points at best, 0 at worst; NaN for no sample.

    After Greco, "Guess the Age 2021" (CAIP 2021), whose index of the two this is; the constants
    and the eight decades are as they are commonly given, and were not checked against the paper.
    s is the root of the mean squared difference
    between the MAE of each of the eight `GROUPS` and the overall MAE; groups that do not
    occur are left out. Ages with fractions count with the nearest whole year.

    Raises:
        ValueError: the columns differ in length or hold NaN, or an age is negative.
    """
    return AAR(estimate_years, age_years)


def _shares(
    estimate_years: ArrayLike, age_years: ArrayLike, subject: ArrayLike
) -> tuple[Floats, Floats]:
    """Each photo's error and 1, both divided by the photos of its person."""
    errors, subjects = absolute_errors(estimate_years, age_years), np.asarray(subject)
    same_length(estimate_years=errors, subject=subjects)
    _, person, photos = np.unique(subjects, return_inverse=True, return_counts=True)
    shares = 1 / photos[person]
    return errors * shares, shares


SUBJECT_MAE: Final = DependentRatio(_shares)


def subject_mae(estimate_years: ArrayLike, age_years: ArrayLike, subject: ArrayLike) -> float:
    """Mean over people of each person's MAE, in years; NaN for no sample.

    On FG-NET, leave one person out has two aggregates: this one over 82 people, as some
    scripts have it, and the `mae` over all 1,002 photos, which differs because people
    have 6 to 18 photos. Report the pooled one, list both.

    Args:
        estimate_years: [N].
        age_years: [N].
        subject: who is on each photo [N], names or numbers, none missing.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return SUBJECT_MAE(estimate_years, age_years, subject)
