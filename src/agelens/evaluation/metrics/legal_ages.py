"""On which side of a legal age an estimate lands: false adults and false minors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.base import ErrorRate, Marks, complete_numbers, ratio
from agelens.records import Floats

LEGAL_AGES: Final = (13, 16, 18, 21)
"""Ages that laws ask for, in years."""


@cache
def false_adult(legal_years: float) -> ErrorRate:
    """`false_adult_rate` for one legal age."""

    def marks(estimate_years: ArrayLike, age_years: ArrayLike) -> tuple[Marks, Marks]:
        estimate, age = complete_numbers(estimate_years=estimate_years, age_years=age_years)
        return (estimate >= legal_years) & (age < legal_years), age < legal_years

    return ErrorRate(_sides(legal_years), _of_the_young, marks=marks)


@cache
def false_minor(legal_years: float) -> ErrorRate:
    """`false_minor_rate` for one legal age."""

    def marks(estimate_years: ArrayLike, age_years: ArrayLike) -> tuple[Marks, Marks]:
        estimate, age = complete_numbers(estimate_years=estimate_years, age_years=age_years)
        return (estimate < legal_years) & (age >= legal_years), age >= legal_years

    return ErrorRate(_sides(legal_years), _of_the_old, marks=marks)


def false_adult_rate(estimate_years: ArrayLike, age_years: ArrayLike, legal_years: float) -> float:
    """Share of people under `legal_years` who are estimated at `legal_years` or more.

    Of nobody so young NaN. ``false_adult_rate([18, 12, 30], [17, 12, 40], 18)`` is 0.5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return false_adult(legal_years)(estimate_years, age_years)


def false_minor_rate(estimate_years: ArrayLike, age_years: ArrayLike, legal_years: float) -> float:
    """Share of people of `legal_years` or more who are estimated under `legal_years`.

    Of nobody so old NaN. ``false_minor_rate([17, 12, 30], [18, 12, 40], 18)`` is 0.5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return false_minor(legal_years)(estimate_years, age_years)


def rates_across(estimate_years: ArrayLike, age_years: ArrayLike) -> dict[str, float]:
    """Both rates at each of `LEGAL_AGES`, as ``false_adult@18``; those of nobody are left out.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    kinds = {"false_adult": false_adult_rate, "false_minor": false_minor_rate}
    found = {
        f"{name}@{legal}": rate(estimate_years, age_years, legal)
        for legal in LEGAL_AGES
        for name, rate in kinds.items()
    }
    return {name: value for name, value in found.items() if not np.isnan(value)}


@cache
def _sides(legal_years: float) -> Callable[..., Floats]:
    """Terms that both rates share, summed once: the young, their errors, the others' errors."""

    def terms(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
        estimate, age = complete_numbers(estimate_years=estimate_years, age_years=age_years)
        young, looks_old = age < legal_years, estimate >= legal_years
        return np.stack([young, young & looks_old, ~young & ~looks_old], axis=1).astype(np.float64)

    return terms


def _of_the_young(sums: Floats, _counts: Floats) -> Floats:
    young, false_adults, _ = np.moveaxis(sums.sum(axis=-2), -1, 0)
    return ratio(false_adults, young)


def _of_the_old(sums: Floats, counts: Floats) -> Floats:
    young, _, false_minors = np.moveaxis(sums.sum(axis=-2), -1, 0)
    return ratio(false_minors, counts.sum(axis=-1) - young)
