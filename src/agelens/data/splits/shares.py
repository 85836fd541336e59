"""Parts by share: 80/20, 60/20/20."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agelens.data.splits.fingerprints import Prints
from agelens.data.splits.split import PartCodes
from agelens.errors import UsageError


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares that are no partition.

    Raises:
        UsageError: there is none, one is not above 0, or they do not add up to 1.
    """
    good = all(0 < share <= 1 for share in shares.values())
    if not shares or not good or not math.isclose(sum(shares.values()), 1, abs_tol=1e-9):
        raise UsageError(f"shares must be above 0 and add up to 1, not {dict(shares)}")


def deal(prints: Prints, sizes: NDArray[np.int64], shares: Mapping[str, float]) -> PartCodes:
    """Part code [U] of each unit: units in order of their prints fill one part after another.

    A unit goes to the part in which its middle falls, so that a part's share is off by at
    most half of the units at its two ends, and exact (to one sample) for units of one sample.
    """
    order = np.argsort(prints, kind="stable")
    ends = np.cumsum(sizes[order])
    middles = ends - sizes[order] / 2
    bounds = np.cumsum(list(shares.values()))[:-1] * (ends[-1] if len(ends) else 0)
    codes = np.empty(len(prints), dtype=np.int8)
    codes[order] = np.searchsorted(bounds, middles, side="right")
    return codes
