"""Any metrics, of all groups at once, under weights of people."""

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
    drawn_weights,
    measured_columns,
)
from agelens.evaluation.bootstrap.summed import SummedMetrics
from agelens.evaluation.metrics.base import DependentRatio, Median, Metric, Sums, ratio
from agelens.records import Floats

_DEVIATIONS: Final = 6  # that the window of a median reaches from the middle
_LEAST_REACH: Final = 32  # rows


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

    A median follows from no sums, but nearly: of a million sorted values a resampled median is one
    of the few thousand in the middle. So it takes the weight of all values before that window,
    which is a sum, and the weights inside. In the draw, if ever, whose median is outside,
    all values are looked at: the answer is exact either way.

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
