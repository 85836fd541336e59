"""Whether distributions keep their word: ages below the q quantile in a share q of cases."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.ages import AgeScale
from agelens.evaluation.metrics.columns import complete_numbers
from agelens.evaluation.metrics.sums import Sums, ratio
from agelens.records import Floats

LEVELS: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))
_ROWS_AT_A_TIME: Final = 16_384


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
