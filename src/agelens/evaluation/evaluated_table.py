"""One predictions table with all that was measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pandas as pd

from agelens.evaluation.all_rows import Evaluation, evaluate_all
from agelens.evaluation.by_group import FIGURE_COLUMN, GroupEvaluation, evaluate_groups
from agelens.evaluation.metrics import MetricLike
from agelens.evaluation.metrics.classification import AgeClasses
from agelens.tables import PredictionsTable

_FOR_FIGURES: Final = ("mae", "bias")


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedTable:
    """A table under its name in the report; `notes` are sentences on how it was read."""

    name: str
    predictions: PredictionsTable
    evaluation: Evaluation
    groups: GroupEvaluation
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> pd.DataFrame:
        """A row for each metric of all rows."""
        found = self.evaluation.metrics
        return pd.DataFrame([{"metric": name, **asdict(result)} for name, result in found.items()])

    def of_grouping(self, grouping: str, metric: str) -> pd.DataFrame:
        """The rows of one grouping and metric, in the groups' order."""
        rows = self.groups.groups
        chosen = (rows["grouping"] == grouping) & (rows["metric"] == metric)
        return rows[chosen].reset_index(drop=True)

    def document(self) -> dict[str, Any]:
        """All figures, by what they are of."""
        found = self.evaluation
        return {
            "name": self.name,
            "metrics": found.metrics,
            "counts": found.counts,
            "datasets": found.datasets,
            "models": found.models,
            "interval_level": found.interval_level,
            "bootstrap": {"level": found.level, "draws": found.draws, "seed": found.seed},
            "groups": self.groups.groups,
            "gaps": self.groups.gaps,
            "rows_in_no_group": self.groups.ungrouped,
        } | ({"notes": self.notes} if self.notes else {})


def evaluated_table(
    name: str,
    predictions: PredictionsTable,
    *,
    metrics: Sequence[MetricLike] | None = None,
    by: Sequence[str] | None = None,
    age_classes: AgeClasses | None = None,
    notes: Sequence[str] = (),
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> EvaluatedTable:
    """Measure all rows and every group; see `evaluate_all` and `evaluate_groups`."""
    resampled: dict[str, Any] = {"draws": draws, "level": level, "seed": seed}
    found = evaluate_all(
        predictions, metrics, age_classes=age_classes, mix_age_kinds=mix_age_kinds, **resampled
    )
    has_ages = bool(predictions.frame["age_years"].notna().any())
    if by is not None and has_ages:
        by = (*by, FIGURE_COLUMN)
    if metrics is not None and has_ages:
        metrics = tuple(dict.fromkeys((*metrics, *_FOR_FIGURES)))
    groups = evaluate_groups(predictions, by, metrics, mix_age_kinds=mix_age_kinds, **resampled)
    return EvaluatedTable(name, predictions, found, groups, tuple(notes))
