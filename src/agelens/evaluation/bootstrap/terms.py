"""What each row adds to each sum, as one matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from agelens.evaluation.bootstrap.groupings import Codes
from agelens.evaluation.bootstrap.measured import Columns, complete_rows, measured_columns
from agelens.evaluation.metrics import Metric
from agelens.evaluation.metrics.sums import Sums, as_terms
from agelens.records import Floats

_Key: TypeAlias = tuple[Callable[..., Floats] | None, tuple[str, ...]]
"""A function of terms and the columns it takes; None counts the rows that have all of them."""


class Terms:
    """The terms of metrics of the kind `Sums`: each once, however many metrics share it.

    Args:
        metrics: by name.
        columns: [N] each.
        order: of the rows [N] in the matrix.
    """

    def __init__(self, metrics: Mapping[str, Metric], columns: Columns, order: Codes) -> None:
        self._places: dict[_Key, list[int]] = {}
        keys = {key: metric for metric in metrics.values() for key in _keys(metric)}
        for key in keys:
            first = self.count
            self._places[key] = list(range(first, first + _width(key, columns)))
        # Filled in place: the parts beside the whole would take the memory twice.
        self._matrix = np.empty((len(order), self.count))
        for key, places in self._places.items():
            part = slice(places[0], places[-1] + 1)
            self._matrix[:, part] = _spread(keys[key], columns, key[0])[order]

    @property
    def count(self) -> int:
        """How many columns there are."""
        return sum(map(len, self._places.values()))

    def places(self, metric: Metric) -> list[int]:
        """The columns of a metric's terms, and of its count as the last."""
        return [place for key in _keys(metric) for place in self._places[key]]

    def summed_from(self, starts: Codes) -> Floats:
        """The sums of the rows from each start up to the next; the terms are then given up."""
        matrix, self._matrix = self._matrix, np.empty((0, 0))
        return matrix if len(starts) == len(matrix) else np.add.reduceat(matrix, starts, axis=0)


def _keys(metric: Metric) -> tuple[_Key, _Key]:
    if not isinstance(metric.statistic, Sums):
        raise TypeError("a metric that follows from sums was expected")
    return (metric.statistic.terms, metric.needs), (None, metric.needs)


def _width(key: _Key, columns: Columns) -> int:
    """How many terms there are, which those of no row show as well."""
    terms, needs = key
    return as_terms(terms(*(columns[name][:0] for name in needs))).shape[1] if terms else 1


def _spread(metric: Metric, columns: Columns, terms: Callable[..., Floats] | None) -> Floats:
    """Terms, or ones for counting, as [N, t]: 0 where the metric is not defined."""
    rows = complete_rows(columns, metric.needs)
    if terms is None:
        return rows[:, np.newaxis].astype(np.float64)
    values = as_terms(terms(*measured_columns(metric, columns, rows)))
    spread = np.zeros((len(rows), values.shape[1]))
    spread[rows] = values
    return spread
