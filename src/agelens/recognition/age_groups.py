"""Ages as groups, as age-invariant face recognition trains its age branch on them.

IEFP (Xie, Pun and Lam, IEEE TIFS 17, 2022) classifies ages into eight groups by seven cut-offs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

IEFP_CUTOFFS: Final = (12, 18, 25, 35, 45, 55, 65)
"""Last year of each group but the last: 0-12, 13-18, 19-25, 26-35, 36-45, 46-55, 56-65, 66+."""

UNKNOWN: Final = -1


def age_groups(ages: ArrayLike, cutoffs: Sequence[float] = IEFP_CUTOFFS) -> NDArray[np.int64]:
    """The group [N] of each age: how many of the cut-offs it exceeds; -1 where it is NaN.

    An age equal to a cut-off is in the younger group: 12 is in group 0 and 13 in group 1. A
    fraction counts: 12.5 exceeds 12.

    Args:
        ages: in years [N], or of any shape, which the groups keep.
        cutoffs: strictly ascending, in years.

    Raises:
        ValueError: the cut-offs are none, or an age is negative or infinite.
    """
    edges = _checked(cutoffs)
    years = np.asarray(ages, dtype=np.float64)
    bad = (years < 0) | np.isinf(years)
    if bad.any():
        raise ValueError(f"an age is a number of years from 0, or NaN; got {years[bad][:5]}")
    groups = np.searchsorted(edges, years, side="left").astype(np.int64)
    return np.where(np.isnan(years), UNKNOWN, groups)


def age_group_names(cutoffs: Sequence[int] = IEFP_CUTOFFS) -> tuple[str, ...]:
    """What the groups are called, in whole years: ``0-12``, ``13-18``, ..., ``66+``.

    Raises:
        ValueError: the cut-offs are none.
    """
    edges = [int(edge) for edge in _checked(cutoffs)]
    between = [f"{low + 1}-{high}" for low, high in pairwise([-1, *edges])]
    return (*between, f"{edges[-1] + 1}+")


def _checked(cutoffs: Sequence[float]) -> NDArray[np.float64]:
    edges = np.asarray(cutoffs, dtype=np.float64)
    if edges.ndim != 1 or not edges.size or not np.isfinite(edges).all():
        raise ValueError(f"cut-offs are ages in a row, got {cutoffs!r}")
    if edges[0] < 0 or (np.diff(edges) <= 0).any():
        raise ValueError(f"cut-offs are strictly ascending from 0, got {cutoffs!r}")
    return edges
