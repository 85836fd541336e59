"""Catastrophic errors CE@k: how many estimates are k years off or more."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.errors import absolute_errors
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats


def catastrophic_error(k_years: float) -> Sums:
    """`ce_at` for one `k_years`."""

    def far_off(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
        return (absolute_errors(estimate_years, age_years) >= k_years).astype(np.float64)

    return Sums(far_off)


def ce_at(estimate_years: ArrayLike, age_years: ArrayLike, k_years: float) -> float:
    """Share of samples with ``|estimate - age| >= k_years``, NaN for none.

    As in MiVOLO (Kuprashevich and Tolstykh, 2023). ``ce_at([20, 33], [40, 30], 20)`` is 0.5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return catastrophic_error(k_years)(estimate_years, age_years)
