"""Any metrics, of all groups at once, under weights of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agelens.evaluation.bootstrap.dependent_ratios import DependentRatioMetrics
from agelens.evaluation.bootstrap.groupings import Codes, Grouping
from agelens.evaluation.bootstrap.measured import Columns
from agelens.evaluation.bootstrap.medians import MedianMetrics
from agelens.evaluation.bootstrap.summed import SummedMetrics
from agelens.evaluation.bootstrap.weights import Weights
from agelens.evaluation.metrics import Metric
from agelens.evaluation.metrics.dependent_ratio import DependentRatio
from agelens.evaluation.metrics.median import Median
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats


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
        sums = _of_kind(metrics, Sums) | self._medians.sums
        with_medians = {**columns, **self._medians.columns}
        self._summed = SummedMetrics(sums, with_medians, people, groupings)

    @property
    def bytes_a_draw(self) -> int:
        """How much memory one draw takes, about."""
        parts = (self._summed, self._medians, self._ratios)
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
        return {
            grouping.name: {name: found[grouping.name, name] for name in self.metrics}
            for grouping in self.groupings
        }


def _of_kind(metrics: Mapping[str, Metric], kind: type) -> dict[str, Metric]:
    return {name: one for name, one in metrics.items() if isinstance(one.statistic, kind)}
