"""Root mean square error, which large errors rule."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.errors import signed_errors
from agelens.evaluation.metrics.sums import Sums, mean_of_all
from agelens.records import Floats


def _squares(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
    return np.square(signed_errors(estimate_years, age_years))


def _root(sums: Floats, counts: Floats) -> Floats:
    return np.sqrt(mean_of_all(sums, counts))


RMSE: Final = Sums(_squares, _root)


def rmse(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Root of the mean of ``(estimate - age)**2`` in years, NaN for no sample.

    ``rmse([20, 37], [21, 30])`` is 5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return RMSE(estimate_years, age_years)
