"""Age accuracy and regularity (AAR) of the Guess the Age contest."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.errors import absolute_errors
from agelens.evaluation.metrics.per_age import whole_years
from agelens.evaluation.metrics.sums import Cells, Sums, mean_of_all, ratio
from agelens.records import Floats

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
