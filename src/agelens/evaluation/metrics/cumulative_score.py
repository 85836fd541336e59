"""Cumulative score CS@k: how many estimates are within k years."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.errors import absolute_errors
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats


@cache
def cumulative_score(k_years: float) -> Sums:
    """`cs_at` for one `k_years`."""

    def within(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
        return (absolute_errors(estimate_years, age_years) <= k_years).astype(np.float64)

    return Sums(within)


def cs_at(estimate_years: ArrayLike, age_years: ArrayLike, k_years: float) -> float:
    """Share of samples with ``|estimate - age| <= k_years``, NaN for none (CS@k).

    At most, as in Niu et al. (CVPR 2016) and most papers, which print it times 100.
    Nothing is added for rounding: an estimate of float32 that should be exactly k away may
    fall on either side. ``cs_at([20, 33], [25, 30], 3)`` is 0.5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return cumulative_score(k_years)(estimate_years, age_years)
