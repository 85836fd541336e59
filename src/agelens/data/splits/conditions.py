"""Conditions on a table's columns, as a user's protocol states them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UnknownNameError, UsageError
from agelens.tables import COLUMNS, SampleTable

_BOUNDS: Final[dict[str, Callable[[pd.Series, Any], pd.Series]]] = {
    "at_least": lambda values, bound: values >= bound,
    "above": lambda values, bound: values > bound,
    "at_most": lambda values, bound: values <= bound,
    "below": lambda values, bound: values < bound,
}


def rows_where(table: SampleTable, conditions: Mapping[str, object]) -> NDArray[np.bool_]:
    """Which rows [N] fulfil all of the conditions; a missing value fulfils none.

    A condition is a value, a list of values, or bounds such as `{at_least: 18, below: 60}`.

    Raises:
        UnknownNameError: there is no such column, or no such bound.
        UsageError: a bound is no number, or the column holds no numbers.
    """
    rows = np.ones(len(table), dtype=bool)
    for column, condition in conditions.items():
        if column not in COLUMNS:
            raise UnknownNameError("column", column, COLUMNS)
        rows &= _fulfilled(table.frame[column], condition).fillna(False).to_numpy(bool)
    return rows


def _fulfilled(values: pd.Series, condition: object) -> pd.Series:
    if isinstance(condition, Mapping):
        return _within(values, condition)
    listed = isinstance(condition, Sequence) and not isinstance(condition, str)
    wanted = list(condition) if listed else [condition]  # type: ignore[call-overload]
    if not pd.api.types.is_numeric_dtype(values.dtype):
        wanted = [str(value) for value in wanted]  # YAML reads the subject 007 as a number
    return values.isin(wanted)


def _within(values: pd.Series, bounds: Mapping[str, object]) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise UsageError(f"column {values.name!r} holds no numbers, so it has no bounds")
    inside = values.notna()
    for word, bound in bounds.items():
        if word not in _BOUNDS:
            raise UnknownNameError("bound", str(word), _BOUNDS)
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise UsageError(f"column {values.name!r}: {word} is a number, not {bound!r}")
        inside &= _BOUNDS[word](values, bound).fillna(False)
    return inside
