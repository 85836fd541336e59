"""Which metrics the columns of a predictions table allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.evaluation.metrics import METRICS, Metric, named_metric

_LABELS: Final = ("age_years", "age_std", "age_class", "gender", "subject")


def choose_metrics(
    columns: Mapping[str, NDArray[Any]], names: Sequence[str] | None
) -> dict[str, Metric]:
    """The metrics of those `names`, or None for all that the columns allow.

    Raises:
        TableError: there is no label, or none that a named metric needs.
        UnknownNameError: there is no such metric.
        UsageError: a named metric needs a column that is not there.
    """
    filled = {name for name, values in columns.items() if not pd.isna(values).all()}
    if names is not None:
        chosen = {name: named_metric(name) for name in names}
        for name, metric in chosen.items():
            _refuse_unmeasurable(name, metric, columns, filled)
        return chosen
    genders = {"gender", "gender_estimate"} <= filled
    if not genders and not filled & {"age_years", "age_class"}:
        raise TableError(
            "the predictions have no labels to be measured by: no row has an age, or a gender "
            "beside an estimated one. "
            "Take them from the sample table: --labels TABLE, or "
            "predictions.with_labels(samples). Age classes count where age_classes are given"
        )
    # Where every estimate failed, that is a finding, and the metrics say so.
    return {
        name: metric
        for name, metric in METRICS.items()
        if {*metric.needs} <= filled | {"estimate_years"}
    }


def _refuse_unmeasurable(
    name: str, metric: Metric, columns: Mapping[str, object], filled: set[str]
) -> None:
    absent = [need for need in metric.needs if need not in columns]
    if absent:
        way_out = "age_classes" if "age_class" in absent else "a distribution in the table"
        raise UsageError(f"{name} needs {way_out}")
    empty = [need for need in metric.needs if need in _LABELS and need not in filled]
    if empty:
        raise TableError(
            f"{name} needs {', '.join(empty)}, which no row has. Labels are taken from a sample "
            "table by --labels TABLE, or by predictions.with_labels(samples)"
        )


def claimed_level(frame: pd.DataFrame, chosen: Mapping[str, Metric]) -> float | None:
    """The one level that the intervals in a predictions table claim, or None.

    Raises:
        UsageError: they claim several, and a chosen metric measures them.
    """
    levels = frame["interval_level"][frame["low_years"].notna()].dropna().unique()
    if len(levels) > 1 and any("low_years" in metric.needs for metric in chosen.values()):
        raise UsageError(
            f"intervals of several levels cannot be measured together: "
            f"{', '.join(f'{one:g}' for one in sorted(levels))}. Select the rows of one of them"
        )
    return float(levels[0]) if len(levels) == 1 else None
