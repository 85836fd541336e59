"""Any metrics, of all groups at once, under weights of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from agelens.evaluation.bootstrap.groupings import (
    Codes,
    Columns,
    Grouping,
    Weights,
    complete_rows,
    drawn_weights,
    measured_columns,
)
from agelens.evaluation.bootstrap.medians import MedianMetrics
from agelens.evaluation.bootstrap.summed import SummedMetrics
from agelens.evaluation.metrics.base import DependentRatio, Median, Metric, Sums, ratio
from agelens.records import Floats


class DependentRatioMetrics:
    """Metrics of the kind `DependentRatio`, of all groups; see `SummedMetrics`."""

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        columns: Columns,
        people: Codes,
        groupings: Sequence[Grouping],
    ) -> None:
        self._groups = {
            (grouping.name, name): [
                _of_people(metric, columns, people, grouping.codes == group)
                for group in range(len(grouping))
            ]
            for name, metric in metrics.items()
            for grouping in groupings
        }
        people_of = [len(people) for groups in self._groups.values() for people, _ in groups]
        self.bytes_a_draw = 10 * max(people_of, default=0)

    def under(self, weights: Weights) -> dict[tuple[str, str], Floats]:
        """Each metric [G, D] by grouping and name, under `weights` [D, people]."""
        return {
            key: np.stack([_ratio(weights, *group) for group in groups])
            for key, groups in self._groups.items()
        }


def _of_people(
    metric: Metric, columns: Columns, people: Codes, inside: np.ndarray
) -> tuple[Codes, Floats]:
    """The people [P] of a group, and their terms [P, 2] in it."""
    if not isinstance(metric.statistic, DependentRatio):
        raise TypeError("a ratio of terms that depend on one another was expected")
    rows = np.flatnonzero(inside & complete_rows(columns, metric.needs))
    terms = metric.statistic.terms(*measured_columns(metric, columns, rows))
    present, place = np.unique(people[rows], return_inverse=True)
    return present, np.stack([np.bincount(place, weights=t) for t in terms], axis=1)


def _ratio(weights: Weights, people: Codes, terms: Floats) -> Floats:
    sums = np.take(weights, people, axis=1).astype(np.float64) @ terms
    return ratio(sums[:, 0], sums[:, 1])


class RepeatedRows:
    """Metrics that are any function of columns, of all groups; see `SummedMetrics`.

    Each is computed anew on the rows of every draw, repeated as often as their people came: exact
    for whatever function it is, and as slow as that function times the draws. Where it raises a
    ValueError, as correlations do of one sample, it is not defined; of all rows it must be.
    """

    bytes_a_draw = 0  # one draw is there at a time

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        columns: Columns,
        people: Codes,
        groupings: Sequence[Grouping],
    ) -> None:
        self._metrics, self._people, self._groupings = metrics, people, groupings
        self._columns = {
            name: (complete_rows(columns, one.needs), [columns[need] for need in one.needs])
            for name, one in metrics.items()
        }
        for name, (complete, needed) in self._columns.items():
            metrics[name](*(column[complete] for column in needed))

    def under(self, weights: Weights) -> dict[tuple[str, str], Floats]:
        """Each metric [G, D] by grouping and name, under `weights` [D, people]."""
        return {
            (grouping.name, name): np.array(
                [self._under(weights, name, grouping.codes == g) for g in range(len(grouping))]
            ).reshape(len(grouping), len(weights))
            for name in self._metrics
            for grouping in self._groupings
        }

    def _under(self, weights: Weights, name: str, inside: np.ndarray) -> list[float]:
        complete, columns = self._columns[name]
        rows = np.flatnonzero(inside & complete)
        drawn = (np.repeat(rows, times) for times in np.take(weights, self._people[rows], axis=1))
        return [self._value(name, [column[some] for column in columns]) for some in drawn]

    def _value(self, name: str, columns: Sequence[np.ndarray]) -> float:
        try:
            return self._metrics[name](*columns)
        except (ValueError, ZeroDivisionError):
            return float("nan")


class GroupedMetrics:
    """Metrics of all groups of some groupings, as a function of people's weights.

    Args:
        metrics: by name.
        columns: those that the metrics need, [N] each; a row in which one of a metric's columns
            is NaN or None is no sample of that metric.
        people: the person [N] of each row, numbered from 0 without a gap.
        groupings: of the N rows.

    Raises:
        ValueError: the lengths differ; or see the metrics.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        columns: Columns,
        people: Codes,
        groupings: Sequence[Grouping],
    ) -> None:
        count = len(people)
        lengths = {name: len(values) for name, values in columns.items()}
        lengths |= {grouping.name: len(grouping.codes) for grouping in groupings}
        wrong = [f"{name} {length}" for name, length in lengths.items() if length != count]
        if wrong:
            raise ValueError(f"{count} people's rows stand beside others: {', '.join(wrong)}")
        self.people_count = int(people.max(initial=-1)) + 1
        self.groupings = tuple(groupings)
        self.metrics = dict(metrics)
        given = (columns, people, groupings)
        self._medians = MedianMetrics(_of_kind(metrics, Median), *given)
        self._ratios = DependentRatioMetrics(_of_kind(metrics, DependentRatio), *given)
        fast = (Sums, Median, DependentRatio)
        others = {n: one for n, one in metrics.items() if not isinstance(one.statistic, fast)}
        self._others = RepeatedRows(others, *given)
        sums = _of_kind(metrics, Sums) | self._medians.sums
        with_medians = {**columns, **self._medians.columns}
        self._summed = SummedMetrics(sums, with_medians, people, groupings)

    @property
    def bytes_a_draw(self) -> int:
        """How much memory one draw takes, about."""
        parts = (self._summed, self._medians, self._ratios, self._others)
        return 2 * self.people_count + sum(part.bytes_a_draw for part in parts)

    def values(self) -> dict[str, dict[str, Floats]]:
        """Each metric [G] by grouping and name, everybody counting once."""
        found = self.under(np.ones((1, self.people_count), dtype=np.uint16))
        return {
            grouping: {name: draws[:, 0] for name, draws in metrics.items()}
            for grouping, metrics in found.items()
        }

    def under(self, weights: Weights) -> dict[str, dict[str, Floats]]:
        """Each metric [G, D] by grouping and name.

        Args:
            weights: how often each person counts [D, people], whole numbers from 0.

        Returns:
            NaN where a metric is not defined, as in a group of which nobody counts.
        """
        found = self._summed.under(weights)
        found |= self._medians.under(weights, found) | self._ratios.under(weights)
        found |= self._others.under(weights)
        return {
            grouping.name: {name: found[grouping.name, name] for name in self.metrics}
            for grouping in self.groupings
        }


def _of_kind(metrics: Mapping[str, Metric], kind: type) -> dict[str, Metric]:
    return {name: one for name, one in metrics.items() if isinstance(one.statistic, kind)}


_BYTES_AT_A_TIME: Final = 200_000_000
"""Whatever the number of rows, unless a single draw takes more."""


def bootstrap(
    measured: GroupedMetrics, *, draws: int = 1000, seed: int = 0
) -> dict[str, dict[str, Floats]]:
    """Each metric under `draws` resamplings of the people.

    The same people, `draws` and `seed` give the same resamplings, whatever the metrics: draws
    of two models on the same rows are paired.

    Returns:
        By grouping and name, [G, draws]; NaN where a metric is not defined in a draw.

    Raises:
        ValueError: `draws` is below 1.
    """
    if draws < 1:
        raise ValueError(f"a bootstrap takes at least 1 draw, got {draws}")
    found = {
        grouping.name: {name: np.full((len(grouping), draws), np.nan) for name in measured.metrics}
        for grouping in measured.groupings
    }
    at_a_time = max(1, _BYTES_AT_A_TIME // max(measured.bytes_a_draw, 1))
    start = 0
    for weights in drawn_weights(measured.people_count, draws, seed, at_a_time):
        for grouping, metrics in measured.under(weights).items():
            for name, values in metrics.items():
                found[grouping][name][:, start : start + len(weights)] = values
        start += len(weights)
    return found
