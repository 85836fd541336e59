"""Mean absolute error, the field's headline."""

from __future__ import annotations

from typing import Final

from numpy.typing import ArrayLike

from agelens.evaluation.metrics.errors import absolute_errors
from agelens.evaluation.metrics.sums import Sums

MAE: Final = Sums(absolute_errors)


def mae(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Mean of ``|estimate - age|`` in years over all N samples, NaN for none.

    Over samples, never over batches: the mean of batch means gives a short last batch too
    much weight. ``mae([20, 33], [21, 30])`` is 2.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return MAE(estimate_years, age_years)
