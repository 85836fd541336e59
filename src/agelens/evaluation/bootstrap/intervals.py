"""The interval that draws of a bootstrap leave."""

from __future__ import annotations

import numpy as np

from agelens.records import Floats


def percentile_interval(draws: Floats, level: float) -> tuple[float, float]:
    """Low and high end of the central share `level` of `draws` [D] (Efron, 1979).

    Draws in which the metric is not defined (NaN: nobody of the group was drawn) are left
    out; without any other, both ends are NaN.

    Raises:
        ValueError: `level` is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"an interval's level is strictly between 0 and 1, got {level}")
    defined = draws[~np.isnan(draws)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
