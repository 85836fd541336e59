"""The rows in which a metric is defined, and its columns there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.evaluation.metrics import Metric

Columns: TypeAlias = Mapping[str, NDArray[Any]]
"""Columns [N] by name; NaN or None where a row has no value."""


def complete_rows(columns: Columns, needs: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which rows [N] have a value in every column of `needs`."""
    missing = [np.asarray(pd.isna(columns[name])) for name in needs]
    return np.asarray(~np.any(missing, axis=0))


def measured_columns(
    metric: Metric, columns: Columns, rows: NDArray[Any] | slice
) -> tuple[NDArray[Any], ...]:
    """The columns that `metric` takes, of `rows` only."""
    return tuple(columns[name][rows] for name in metric.needs)
