"""Whether distributions keep their word: ages below the q quantile in a share q of cases."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.ages import AgeScale
from agelens.evaluation.metrics.base import Sums, complete_numbers, ratio
from agelens.records import Floats

_ROWS_AT_A_TIME: Final = 16_384


def crps_of_each(distribution: ArrayLike, age_years: ArrayLike, scale: AgeScale) -> Floats:
    """Continuous ranked probability score [N] in years of each distribution.

    The integral over all ages x of ``(P(X <= x) - [age <= x])**2``, with the mass of each class
    on its age (Gneiting and Raftery, JASA 2007). All mass on one age makes it the absolute
    error. One half each on 20 and 30 at the true age 20 gives 2.5.

    Args:
        distribution: [N, K] over `scale`.
        age_years: [N], anywhere.
        scale: the K ages.

    Raises:
        ValueError: an age is missing, or see `AgeScale.normalise`.
    """
    (ages,) = complete_numbers(age_years=age_years)
    rows = np.asarray(distribution)
    if len(rows) != len(ages):
        raise ValueError(f"{len(rows)} distributions stand beside {len(ages)} ages")
    scores = np.empty(len(ages))
    for start in range(0, len(ages), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        scores[part] = _scores(scale.normalise(rows[part]), ages[part], scale)
    return scores


def _scores(posterior: Floats, ages: Floats, scale: AgeScale) -> Floats:
    years = np.asarray(scale.years)
    steps = np.diff(years)
    below = np.cumsum(posterior, axis=1)[:, :-1]
    # Of each step between two classes, the part before the true age and the part from it on.
    before = np.clip(ages[:, np.newaxis] - years[:-1], 0, steps)
    inside = before * np.square(below) + (steps - before) * np.square(1 - below)
    outside = np.maximum(years[0] - ages, 0) + np.maximum(ages - years[-1], 0)
    return np.asarray(inside.sum(axis=1) + outside)


def _scored(crps_years: ArrayLike) -> Floats:
    (scores,) = complete_numbers(crps_years=crps_years)
    return scores


CRPS: Final = Sums(_scored)
"""Of the scores that `crps_of_each` gives."""


def crps(distribution: ArrayLike, age_years: ArrayLike, scale: AgeScale) -> float:
    """Mean continuous ranked probability score in years; NaN for no sample.

    Comparable with the MAE of a model that answers with one age. See `crps_of_each`.

    Raises:
        ValueError: an age is missing, or see `AgeScale.normalise`.
    """
    return CRPS(crps_of_each(distribution, age_years, scale))


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


LEVELS: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))


def pit_of_each(distribution: ArrayLike, age_years: ArrayLike, scale: AgeScale) -> Floats:
    """Probability integral transform [N]: the mass below the true age, from 0 to 1.

    Uniform over samples where the distributions are calibrated (Dawid, 1984; Gneiting et
    al., JRSS B 2007). Each class's mass is spread over its cell, as `AgeScale.quantile`
    spreads it; for an age that is a class of the scale this is the middle of its step.

    Args:
        distribution: [N, K] over `scale`.
        age_years: [N].
        scale: the K ages.

    Raises:
        ValueError: an age is missing, or see `AgeScale.normalise`.
    """
    (ages,) = complete_numbers(age_years=age_years)
    rows = np.asarray(distribution)
    if len(rows) != len(ages):
        raise ValueError(f"{len(rows)} distributions stand beside {len(ages)} ages")
    edges = scale.edges_years
    shares = np.empty(len(ages))
    for start in range(0, len(ages), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        above = ages[part, np.newaxis] - edges[:-1]
        filled = np.clip(above / np.diff(edges), 0, 1)
        shares[part] = (scale.normalise(rows[part]) * filled).sum(axis=1)
    return np.clip(shares, 0, 1)  # sums of many shares may end a rounding above 1


def _at_most(pit: ArrayLike) -> Floats:
    (shares,) = complete_numbers(pit=pit)
    return (shares[:, np.newaxis] <= LEVELS).astype(np.float64)


def _mean_gap(sums: Floats, counts: Floats) -> Floats:
    observed = ratio(sums.sum(axis=-2), counts.sum(axis=-1, keepdims=True))
    return np.asarray(np.abs(observed - LEVELS).mean(axis=-1))


CALIBRATION_ERROR: Final = Sums(_at_most, _mean_gap)
"""Of the shares that `pit_of_each` gives."""


def calibration_error(distribution: ArrayLike, age_years: ArrayLike, scale: AgeScale) -> float:
    """How far the quantiles are from their word: 0 is calibrated; NaN for no sample.

    Mean over the levels 5 %, 10 %, ..., 95 % of the distance between the level and the share
    of ages that are at most that quantile (Kuleshov et al., ICML 2018, with absolute
    differences).

    Raises:
        ValueError: an age is missing, or see `AgeScale.normalise`.
    """
    return CALIBRATION_ERROR(pit_of_each(distribution, age_years, scale))
