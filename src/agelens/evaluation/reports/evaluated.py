"""A predictions table with all that was measured on it, as reports take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import seaborn as sns

from agelens.evaluation.by_group import GroupEvaluation
from agelens.evaluation.evaluation import Evaluation
from agelens.tables import PredictionsTable

GREY: Final = "#b0b0b0"
"""Of groups with few samples."""


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedTable:
    """A table under its name in the report."""

    name: str
    predictions: PredictionsTable
    evaluation: Evaluation
    groups: GroupEvaluation

    def of_grouping(self, grouping: str, metric: str) -> pd.DataFrame:
        """The rows of one grouping and metric, in the groups' order."""
        rows = self.groups.groups
        chosen = (rows["grouping"] == grouping) & (rows["metric"] == metric)
        return rows[chosen].reset_index(drop=True)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; null for what is not defined."""
        return {
            "name": self.name,
            **self.evaluation.to_json(),
            "groups": _records(self.groups.groups),
            "gaps": _records(self.groups.gaps),
            "rows_in_no_group": dict(self.groups.ungrouped),
        }


def colours(count: int) -> list[Any]:
    """A colour for each of several tables, told apart by colour-blind readers."""
    return list(sns.color_palette("colorblind", count))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]
