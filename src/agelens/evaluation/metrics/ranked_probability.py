"""CRPS: how far a whole distribution is from the true age, in years."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.ages import AgeScale
from agelens.evaluation.metrics.columns import complete_numbers
from agelens.evaluation.metrics.sums import Sums
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
