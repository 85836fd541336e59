"""Metrics that are a median over samples, and so follow from no sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from agelens.records import Floats


@dataclass(frozen=True, slots=True)
class Median:
    """The median of one value a sample; of an even N the mean of the middle two.

    Args:
        values: from the metric's columns to the value of each sample [N].
    """

    values: Callable[..., Floats]

    def __call__(self, *columns: ArrayLike) -> float:
        """The metric of the samples in `columns`, [N] each; NaN where N is 0.

        Raises:
            ValueError: see the metric.
        """
        values = self.values(*columns)
        return float(np.median(values)) if values.size else float("nan")
