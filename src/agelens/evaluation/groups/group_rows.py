"""The rows of a report by group: each group, each metric, with interval and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation.bootstrap import Grouping, percentile_interval
from agelens.evaluation.bootstrap.groupings import Codes
from agelens.evaluation.bootstrap.measured import Columns, complete_rows
from agelens.evaluation.metrics import Metric
from agelens.records import Floats

Row: TypeAlias = dict[str, Any]

FEW: Final = 30
"""Groups of fewer samples are greyed in every report, and not compared."""

GROUPS_COLUMNS: Final = (
    *("grouping", "group", "metric", "value", "low", "high", "samples", "people", "few"),
)


@dataclass(slots=True, eq=False)
class Measured:
    """What is measured: columns and people [N], metrics by name, and the intervals' level."""

    columns: Columns
    people: Codes
    metrics: Mapping[str, Metric]
    level: float
    complete: dict[tuple[str, ...], NDArray[np.bool_]] = field(init=False)

    def __post_init__(self) -> None:
        needs = {metric.needs for metric in self.metrics.values()}
        self.complete = {one: complete_rows(self.columns, one) for one in needs}


def group_rows(
    measured: Measured,
    grouping: Grouping,
    values: Mapping[str, Floats],
    drawn: Mapping[str, Floats] | None,
) -> list[Row]:
    """A row (`GROUPS_COLUMNS`) for each group and metric, metric by metric.

    Args:
        measured: the samples.
        grouping: of them.
        values: each metric [G].
        drawn: each metric [G, D] under resampling; None leaves the intervals out.
    """
    counts = {
        needs: _counted(grouping, measured.people, rows)
        for needs, rows in measured.complete.items()
    }
    rows = []
    for name, metric in measured.metrics.items():
        for place, (samples, people) in enumerate(zip(*counts[metric.needs], strict=True)):
            known = drawn is not None and people > 1  # one person says nothing of others
            draws = drawn[name][place] if drawn is not None and known else None
            row: Row = {"grouping": grouping.name, "group": grouping.groups[place], "metric": name}
            row |= {"value": float(values[name][place])} | ends(draws, measured.level)
            row |= {"samples": int(samples), "people": int(people), "few": bool(samples < FEW)}
            rows.append(row)
    return rows


def ends(draws: Floats | None, level: float, prefix: str = "") -> Row:
    """The interval's ends as columns; NaN without draws."""
    nothing = (float("nan"), float("nan"))
    low, high = nothing if draws is None else percentile_interval(draws, level)
    return {f"{prefix}low": low, f"{prefix}high": high}


def _counted(grouping: Grouping, people: Codes, complete: NDArray[np.bool_]) -> tuple[Codes, Codes]:
    """Samples and people [G] in each group, of the rows that a metric is measured on."""
    inside = complete & (grouping.codes >= 0)
    codes, count = grouping.codes[inside], len(grouping)
    samples = np.bincount(codes, minlength=count)
    if int(people.max(initial=-1)) + 1 == len(people):  # everybody has one row
        return samples, samples
    pairs = np.unique(people[inside] * count + codes)
    return samples, np.bincount(pairs % count, minlength=count)
