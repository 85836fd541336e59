"""Figures by how many years lie between two pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from agelens.evaluation.bootstrap import Grouping
from agelens.records import Floats

GAP_EDGES: Final = (5, 10, 20, 30)
"""Where a band of age gaps ends and the next one begins, in years."""

BY_GAP: Final = "age_gap"
_FIRST, _LAST = f"under {GAP_EDGES[0]}", f"{GAP_EDGES[-1]} and more"
GAP_NAMES: Final = (
    _FIRST,
    *(f"{low} to {high - 1}" for low, high in pairwise(GAP_EDGES)),
    _LAST,
)


def by_gap(gap_years: Floats) -> Grouping:
    """The band of each gap [N]; one that is not known is in none.

    ``5 to 9`` holds all from 5 years to just under 10.
    """
    bands = np.searchsorted(GAP_EDGES, gap_years, side="right")
    return Grouping(BY_GAP, GAP_NAMES, np.where(np.isnan(gap_years), -1, bands))
