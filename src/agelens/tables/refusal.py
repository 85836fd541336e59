"""Naming the rows of a column that hold what they must not."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from agelens.errors import TableError

_SHOWN: Final = 5


def refuse(values: pd.Series, bad: object, why: str) -> None:
    """Raise where any of `bad` [N] is true, naming column, count and the first rows.

    Raises:
        TableError: some are.
    """
    rows = np.flatnonzero(np.asarray(bad, dtype=bool))
    if not rows.size:
        return
    shown = values.iloc[rows[:_SHOWN]].tolist()  # 2.0, where NumPy says np.float64(2.0)
    first = ", ".join(f"row {row}: {value!r}" for row, value in zip(rows, shown, strict=False))
    more = ", ..." if rows.size > _SHOWN else ""
    raise TableError(f"column {values.name!r}: {rows.size} value(s) where it {why}: {first}{more}")
