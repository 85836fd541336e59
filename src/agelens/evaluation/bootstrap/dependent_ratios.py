"""Metrics that count every person alike, under weights of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agelens.evaluation.bootstrap.groupings import Codes, Grouping
from agelens.evaluation.bootstrap.measured import Columns, complete_rows, measured_columns
from agelens.evaluation.bootstrap.weights import Weights
from agelens.evaluation.metrics import Metric
from agelens.evaluation.metrics.dependent_ratio import DependentRatio
from agelens.evaluation.metrics.sums import ratio
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
