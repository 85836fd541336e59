"""Metrics that divide two sums over samples, where what one adds depends on the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.sums import ratio
from agelens.records import Floats


@dataclass(frozen=True, slots=True)
class DependentRatio:
    """A metric whose terms must be made anew for every group of samples.

    Args:
        terms: from the columns of a whole group to its samples' terms above and below the
            line, [N] each.
    """

    terms: Callable[..., tuple[Floats, Floats]]

    def __call__(self, *columns: ArrayLike) -> float:
        """The metric of the samples in `columns`, [N] each; NaN where N is 0.

        Raises:
            ValueError: see the metric.
        """
        above, below = self.terms(*columns)
        return float(ratio(np.asarray(above.sum()), np.asarray(below.sum())))
