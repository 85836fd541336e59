"""Metrics that follow from sums, under weights of people.

The rows are put into joint cells: same group in every grouping, same cell of every metric
(such as the same whole year of age). The weighted sums of all terms in all joint cells are one
matrix product each; what any metric needs in any group is a sum of a few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from scipy import sparse

from agelens.evaluation.bootstrap.groupings import (
    Codes,
    Columns,
    Grouping,
    Weights,
    complete_rows,
    measured_columns,
)
from agelens.evaluation.metrics.base import Metric, Sums, as_terms
from agelens.records import Floats

_Key: TypeAlias = tuple[Callable[..., Floats] | None, tuple[str, ...]]
"""A function of terms and the columns it takes; None counts the rows that have all of them."""


class Terms:
    """The terms of metrics of the kind `Sums`: each once, however many metrics share it.

    Args:
        metrics: by name.
        columns: [N] each.
        order: of the rows [N].
        starts: where, in that order, rows begin that are summed to one.
    """

    def __init__(
        self, metrics: Mapping[str, Metric], columns: Columns, order: Codes, starts: Codes
    ) -> None:
        self._places: dict[_Key, list[int]] = {}
        keys = {key: metric for metric in metrics.values() for key in _keys(metric)}
        for key in keys:
            first = self.count
            self._places[key] = list(range(first, first + _width(key, columns)))
        # Summed one by one: all terms of ten million rows beside their sums take gigabytes.
        self.sums = np.empty((len(starts), self.count))
        for key, places in self._places.items():
            part = slice(places[0], places[-1] + 1)
            terms = _spread(keys[key], columns, key[0])[order]
            whole = len(starts) == len(order)
            self.sums[:, part] = terms if whole else np.add.reduceat(terms, starts, axis=0)

    @property
    def count(self) -> int:
        """How many columns there are."""
        return sum(map(len, self._places.values()))

    def places(self, metric: Metric) -> list[int]:
        """The columns of a metric's terms, and of its count as the last."""
        return [place for key in _keys(metric) for place in self._places[key]]


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


_LARGEST: Final = 2**62
"""A product of more radices would overflow; until then, sorting is put off."""


def joint_cells(parts: Sequence[Codes], count: int) -> tuple[Codes, list[Codes]]:
    """The crossing of several codings of `count` samples, of the combinations that occur.

    Args:
        parts: codes [N] each, from -1.
        count: N.

    Returns:
        The joint cell [N] of each sample, and for each part the code [J] of every joint cell.
    """
    joint, most = np.zeros(count, dtype=np.int64), 1
    for part in parts:
        radix = int(part.max(initial=-1)) + 2
        if most * radix >= _LARGEST:
            _, joint = np.unique(joint, return_inverse=True)
            most = int(joint.max(initial=0)) + 1
        joint, most = joint * radix + part + 1, most * radix
    _, first, joint = np.unique(joint, return_index=True, return_inverse=True)
    return joint, [part[first] for part in parts]


_ROWS_AT_A_TIME: Final = 1024

_CellKey: TypeAlias = tuple[Callable[..., Any] | None, tuple[str, ...]]
"""A way of telling cells, and the columns it takes; None is one cell for all."""


class SummedMetrics:
    """Metrics of the kind `Sums`, of all groups at once.

    Args:
        metrics: by name.
        columns: [N] each.
        people: the person [N] of each row, from 0.
        groupings: of the N rows.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        columns: Columns,
        people: Codes,
        groupings: Sequence[Grouping],
    ) -> None:
        cells = _cells(metrics, columns, len(people))
        parts = [grouping.codes for grouping in groupings] + list(cells.values())
        joint, of_cells = joint_cells(parts, len(people))
        # Rows of one person in one joint cell always come together: they are one row.
        order = np.lexsort((people, joint))
        joint, people = joint[order], people[order]
        starts = np.flatnonzero(_new(joint) | _new(people))
        terms = Terms(metrics, columns, order, starts)
        self._matrix = terms.sums
        self._people, self._edges = people[starts], _edges(joint[starts])
        # A cell of many rows stands there as several, each of which fits into the cache.
        cell_of_part = joint[starts][self._edges[:-1]]
        of_parts = [codes[cell_of_part] for codes in of_cells]
        self._totals = [
            _Total(grouping, group, cell, _of_key(metrics, key), terms)
            for grouping, group in zip(groupings, of_parts, strict=False)
            for key, cell in zip(cells, of_parts[len(groupings) :], strict=True)
        ]

    @property
    def bytes_a_draw(self) -> int:
        """How much memory one draw takes, about."""
        numbers = 2 * (len(self._edges) - 1) * self._matrix.shape[1]
        return int(2 * len(self._people) + 8 * numbers)

    def under(self, weights: Weights) -> dict[tuple[str, str], Floats]:
        """Each metric [G, D] by grouping and name, under `weights` [D, people]."""
        rows = np.take(weights, self._people, axis=1)
        sums = np.empty((len(self._edges) - 1, len(weights), self._matrix.shape[1]))
        for number, (start, end) in enumerate(zip(self._edges, self._edges[1:], strict=False)):
            part = rows[:, start:end].astype(np.float64)
            np.matmul(part, self._matrix[start:end], out=sums[number])
        return {key: found for total in self._totals for key, found in total.of(sums)}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a metric's sums and its count stand among those of its `_Total`."""

    statistic: Sums
    terms: list[int]
    count: int


class _Total:
    """Adds up joint cells to the cells [C] of some metrics in the groups [G] of a grouping."""

    def __init__(
        self,
        grouping: Grouping,
        group: Codes,
        cell: Codes,
        metrics: Mapping[str, Metric],
        terms: Terms,
    ) -> None:
        self._name, self._groups = grouping.name, len(grouping)
        self._cells = int(cell.max(initial=0)) + 1
        kept = np.flatnonzero((group >= 0) & (cell >= 0))
        target = group[kept] * self._cells + cell[kept]
        shape = (self._groups * self._cells, len(group))
        self._matrix = sparse.csr_array((np.ones(len(kept)), (target, kept)), shape=shape)
        self._columns, at = _chosen(metrics, terms)
        self._places = {}
        for name, one in metrics.items():
            *of_terms, count = (at[place] for place in terms.places(one))
            if isinstance(one.statistic, Sums):
                self._places[name] = _Place(one.statistic, of_terms, count)

    def of(self, sums: Floats) -> list[tuple[tuple[str, str], Floats]]:
        """Each metric [G, D] by grouping and name, of sums [J, D, T] in all joint cells."""
        wanted = sums if self._columns is None else sums[:, :, self._columns]
        cells, draws, terms = wanted.shape
        total = self._matrix @ wanted.reshape(cells, draws * terms)
        shape = (self._groups, self._cells, draws, terms)
        found = np.moveaxis(total.reshape(shape), 1, 2)
        return [
            ((self._name, name), one.statistic.finish(found[..., one.terms], found[..., one.count]))
            for name, one in self._places.items()
        ]


def _chosen(metrics: Mapping[str, Metric], terms: Terms) -> tuple[list[int] | None, dict[int, int]]:
    """The columns that some metrics take, and where each of them then stands; None is all."""
    wanted = sorted({place for one in metrics.values() for place in terms.places(one)})
    if 2 * len(wanted) > terms.count:  # picking most of them costs more than carrying the rest
        return None, {place: place for place in wanted}
    return wanted, {place: number for number, place in enumerate(wanted)}


def _cells(metrics: Mapping[str, Metric], columns: Columns, count: int) -> dict[_CellKey, Codes]:
    """The cell [N] of each row for each way of telling cells; -1 where it is not defined."""
    found: dict[_CellKey, Codes] = {}
    for metric in metrics.values():
        key = _key(metric)
        if key in found:
            continue
        found[key] = np.zeros(count, dtype=np.int64)
        if key[0] is not None:
            rows = complete_rows(columns, metric.needs)
            found[key] = np.full(count, -1, dtype=np.int64)
            found[key][rows] = key[0](*measured_columns(metric, columns, rows))
    return found


def _key(metric: Metric) -> _CellKey:
    cells = metric.statistic.cells if isinstance(metric.statistic, Sums) else None
    return (cells, metric.needs if cells else ())


def _of_key(metrics: Mapping[str, Metric], key: _CellKey) -> dict[str, Metric]:
    return {name: metric for name, metric in metrics.items() if _key(metric) == key}


def _new(codes: Codes) -> np.ndarray:
    """Where [N] a code differs from the one before it."""
    return np.asarray(np.diff(codes, prepend=-1) != 0)


def _edges(joint: Codes) -> Codes:
    """Where [P] runs of one cell begin, none longer than the most there may be, and the end."""
    runs = np.flatnonzero(_new(joint))
    whole = np.arange(0, len(joint), _ROWS_AT_A_TIME)
    return np.append(np.union1d(runs, whole), len(joint))
