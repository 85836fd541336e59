"""The number that makes intervals wide enough, by mapie.

Of the two packages at hand it alone has conformalised quantile regression (crepes takes
absolute residuals only).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin

from agelens.errors import UsageError
from agelens.evaluation.conformal.labelled import Labelled
from agelens.inference.calibration import IntervalScore
from agelens.records import Floats

_FAR: Final = 1000.0
"""Ends of an interval that no correction turns round."""


def correction(labelled: Labelled, score: IntervalScore) -> float:
    """The number that widens every interval enough for `labelled.level`.

    Raises:
        UsageError: a normalised score, and an interval of no width.
    """
    level, probe = labelled.level, np.array([[-_FAR, _FAR, 0.0]])
    if score == "quantile":
        low, high = labelled.low_years, labelled.high_years
        # In the place of the estimate, which mapie would complain of where it is outside.
        columns = np.stack([low, high, (low + high) / 2], axis=1)
        ends = ConformalizedQuantileRegressor(
            [_Column(0), _Column(1), _Column(2)], confidence_level=level, prefit=True
        )
        ends.conformalize(columns, labelled.age_years)
        _, interval = ends.predict_interval(probe, symmetric_correction=True)
        return float(interval[0, 1, 0]) - _FAR
    error = labelled.age_years - labelled.estimate_years
    if score == "normalised":
        half = (labelled.high_years - labelled.low_years) / 2
        if (half <= 0).any():
            raise UsageError("a normalised score needs intervals wider than nothing")
        error = error / half
    sides = SplitConformalRegressor(_Column(0), confidence_level=level, prefit=True)
    sides.conformalize(np.zeros((len(error), 3)), error)
    _, interval = sides.predict_interval(np.zeros((1, 3)))
    return float(interval[0, 1, 0])


class _Column(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A regressor that is fitted already: it answers with one of its inputs."""

    fitted_ = True  # mapie asks

    def __init__(self, place: int) -> None:
        self.place = place

    def fit(self, *_: ArrayLike) -> _Column:
        return self

    def predict(self, columns: ArrayLike) -> Floats:
        return np.asarray(columns, dtype=np.float64)[:, self.place]
