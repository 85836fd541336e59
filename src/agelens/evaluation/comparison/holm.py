"""Several tests at once: Holm's correction."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agelens.records import Floats


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values [T] (Holm, Scandinavian Journal of Statistics 1979).

    Where those below 0.05 are called differences, any of them is called so wrongly in at most
    5 % of all studies, whatever the tests have to do with each other. The smallest is multiplied
    by T, the next by T - 1 and so on, and none is less than one before it:
    ``holm([0.01, 0.04, 0.03])`` is ``[0.03, 0.06, 0.06]``.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    stepped = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted
