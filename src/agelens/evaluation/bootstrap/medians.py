"""Metrics that are medians, under weights of people.

A median follows from no sums, but nearly: of a million sorted values a resampled median is one
of the few thousand in the middle. So it takes the weight of all values before that window,
which is a sum, and the weights inside. In the draw, if ever, whose median is outside,
all values are looked at: the answer is exact either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agelens.evaluation.bootstrap.groupings import (
    Codes,
    Columns,
    Grouping,
    Weights,
    complete_rows,
    measured_columns,
)
from agelens.evaluation.metrics.base import Median, Metric, Sums
from agelens.records import Floats

_DEVIATIONS: Final = 6
_LEAST_REACH: Final = 32


def _itself(column: ArrayLike) -> Floats:
    return np.asarray(column, dtype=np.float64)


def _weight_of_ones(sums: Floats, _counts: Floats) -> Floats:
    return np.asarray(sums[..., 0].sum(axis=-1))


def _weight_of_all(_sums: Floats, counts: Floats) -> Floats:
    return np.asarray(counts.sum(axis=-1))


_BEFORE: Final = Sums(_itself, _weight_of_ones)
_TOTAL: Final = Sums(_itself, _weight_of_all)


class MedianMetrics:
    """Metrics of the kind `Median`, of all groups; see `SummedMetrics` for the arguments.

    `sums` are metrics of the kind `Sums` that must be measured beside them, by name, and
    `columns` what those need.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        columns: Columns,
        people: Codes,
        groupings: Sequence[Grouping],
    ) -> None:
        self.sums: dict[str, Metric] = {}
        self.columns: dict[str, NDArray[Any]] = {}
        self._groups: dict[tuple[str, str], list[_GroupMedian]] = {}
        for name, metric in metrics.items():
            ascending = _sorted(metric, columns, people)
            for grouping in groupings:
                groups = list(_groups(*ascending, grouping))
                self._groups[grouping.name, name] = groups
                self._add_sums(f"{name} by {grouping.name}", groups, len(people))
        self.bytes_a_draw = 8 * max(
            (group.end - group.start for groups in self._groups.values() for group in groups),
            default=0,
        )

    def _add_sums(self, what: str, groups: Sequence[_GroupMedian], count: int) -> None:
        before = np.full(count, np.nan)
        for group in groups:
            before[group.rows] = 0
            before[group.rows[: group.start]] = 1
        self.columns[what] = before
        for kind, statistic in (("before", _BEFORE), ("total", _TOTAL)):
            self.sums[f"{what}: {kind}"] = Metric(statistic, (what,), "points", "lower", kind)

    def under(
        self, weights: Weights, sums: Mapping[tuple[str, str], Floats]
    ) -> dict[tuple[str, str], Floats]:
        """Each metric [G, D] by grouping and name.

        Args:
            weights: [D, people].
            sums: the `sums` under these weights, by grouping and name.
        """
        found = {}
        for (grouping, name), groups in self._groups.items():
            before = sums[grouping, f"{name} by {grouping}: before"]
            total = sums[grouping, f"{name} by {grouping}: total"]
            medians = [
                group.under(weights, *each)
                for group, *each in zip(groups, before, total, strict=True)
            ]
            found[grouping, name] = np.array(medians).reshape(len(groups), len(weights))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _GroupMedian:
    """A group's values [n], ascending, their rows and people [n], and the median's window."""

    values: Floats
    rows: Codes
    people: Codes
    start: int
    end: int

    def under(self, weights: Weights, before: Floats, total: Floats) -> Floats:
        """The median [D], given the weight [D] before the window and in all."""
        window = slice(self.start, self.end)
        running = np.cumsum(np.take(weights, self.people[window], axis=1), axis=1, dtype=np.int64)
        medians = np.full(len(weights), np.nan)
        for draw in np.flatnonzero(total):
            middle = ((total[draw] - 1) // 2, total[draw] // 2)
            inside = before[draw] + running[draw]
            values = self.values[window]
            if middle[0] < before[draw] or inside[-1] <= middle[1]:
                inside, values = np.cumsum(weights[draw, self.people], dtype=np.int64), self.values
            medians[draw] = values[np.searchsorted(inside, middle, side="right")].mean()
        return medians


def _sorted(metric: Metric, columns: Columns, people: Codes) -> tuple[Floats, Codes, Codes]:
    """The values [n] that the metric is a median of, ascending, their rows and their people."""
    if not isinstance(metric.statistic, Median):
        raise TypeError("a median was expected")
    rows = np.flatnonzero(complete_rows(columns, metric.needs))
    values = metric.statistic.values(*measured_columns(metric, columns, rows))
    order = np.argsort(values, kind="stable")
    return values[order], rows[order], people[rows[order]]


def _groups(
    values: Floats, rows: Codes, people: Codes, grouping: Grouping
) -> Iterator[_GroupMedian]:
    """Each group's part of values that are sorted."""
    codes = grouping.codes[rows]
    for group in range(len(grouping)):
        places = np.flatnonzero(codes == group)
        who, middle = people[places], len(places) // 2
        reach = _reach(who)
        start, end = max(0, middle - reach), min(len(places), middle + reach)
        yield _GroupMedian(values[places], rows[places], who, start, end)


def _reach(people: Codes) -> int:
    """How far from the middle of their values, in rows, the median of a draw may well be."""
    # What each person adds to the weight before the middle, less half of all weight.
    half = np.where(np.arange(len(people)) < len(people) // 2, 0.5, -0.5)
    deviation = np.sqrt(np.square(np.bincount(people, weights=half)).sum())
    return _LEAST_REACH + int(_DEVIATIONS * deviation)
