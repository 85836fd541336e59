"""What an evaluation found: figures with intervals, and what was left out of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from agelens.evaluation.metrics.metric import Better, Unit
from agelens.evaluation.row_counts import RowCounts


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric of one set of rows.

    `value` is NaN where no row has all that the metric needs. `low` and `high` bound its
    bootstrap interval; they are NaN without draws, and where fewer than two people are
    behind the value, since one person says nothing of others. `left_out` rows lack an estimate
    or a label that the metric needs; `undefined_draws` draws did not have a value.
    """

    value: float
    low: float
    high: float
    unit: Unit
    better: Better
    samples: int
    people: int
    left_out: int
    undefined_draws: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; null for NaN."""
        return {name: _plain(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The metrics of a predictions table, by name, and how they came about.

    `level` is that of the bootstrap intervals, `interval_level` what the intervals in the
    table claim (None where they claim nothing). `datasets` and `models` are those in the
    table.
    """

    metrics: dict[str, MetricResult]
    counts: RowCounts
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    interval_level: float | None
    level: float
    draws: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; null for NaN."""
        return {
            "metrics": {name: found.to_json() for name, found in self.metrics.items()},
            "counts": asdict(self.counts),
            "datasets": list(self.datasets),
            "models": list(self.models),
            "interval_level": self.interval_level,
            "bootstrap": {"level": self.level, "draws": self.draws, "seed": self.seed},
        }


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
