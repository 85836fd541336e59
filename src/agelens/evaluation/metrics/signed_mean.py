"""Bias: whether people are taken for older or for younger than they are."""

from __future__ import annotations

from typing import Final

from numpy.typing import ArrayLike

from agelens.evaluation.metrics.errors import signed_errors
from agelens.evaluation.metrics.sums import Sums

BIAS: Final = Sums(signed_errors)


def bias(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Mean of ``estimate - age`` in years: positive is too old. NaN for no sample.

    ``bias([20, 33], [21, 30])`` is 1.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return BIAS(estimate_years, age_years)
