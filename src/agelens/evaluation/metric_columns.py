"""The columns that metrics read, out of a predictions table."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agelens.ages import AgeScale
from agelens.evaluation.bootstrap import person_codes
from agelens.evaluation.metrics import AgeClasses, crps_of_each, pit_of_each
from agelens.records import Floats
from agelens.tables import PredictionsTable

NUMBERS: Final = ("estimate_years", "low_years", "high_years", "age_years", "age_std")
WORDS: Final = ("gender", "gender_estimate")
CLASSES: Final = ("estimate_class", "age_class")
DISTRIBUTIONS: Final[dict[str, Callable[..., Floats]]] = {
    "crps_years": crps_of_each,
    "pit": pit_of_each,
}


def metric_columns(
    predictions: PredictionsTable,
    age_classes: AgeClasses | None = None,
    *,
    distributions: Collection[str] = tuple(DISTRIBUTIONS),
) -> dict[str, NDArray[Any]]:
    """Columns [N] by the names that `METRICS` know; NaN or None where a row has no value.

    `estimate_class` and `age_class` are there with `age_classes` only, `crps_years` and
    `pit` with a distribution only, and of these, which take long, those named.
    """
    frame = predictions.frame
    columns: dict[str, NDArray[Any]] = {name: frame[name].to_numpy() for name in NUMBERS}
    for name in WORDS:
        columns[name] = frame[name].astype(object).to_numpy()
    known = frame["subject"].notna().to_numpy()
    columns["subject"] = np.where(known, person_codes(frame), np.nan)
    if age_classes is not None:
        columns |= _class_columns(predictions, age_classes)
    for name in distributions:
        if predictions.distribution is not None and predictions.scale is not None:
            columns[name] = _of_rows(predictions, predictions.scale, DISTRIBUTIONS[name])
    return columns


def _class_columns(predictions: PredictionsTable, classes: AgeClasses) -> dict[str, NDArray[Any]]:
    frame = predictions.frame
    by_bounds = classes.index_of_bounds(frame["age_low"], frame["age_high"])
    by_age = classes.index_of_age(frame["age_years"])
    return {
        "estimate_class": classes.index_of_age(frame["estimate_years"]),
        "age_class": np.where(np.isnan(by_bounds), by_age, by_bounds),
    }


def _of_rows(
    predictions: PredictionsTable, scale: AgeScale, of_each: Callable[..., Floats]
) -> Floats:
    """A figure [N] of each distribution and its true age; NaN where one of them is missing."""
    ages, distribution = predictions.frame["age_years"].to_numpy(), predictions.distribution
    values = np.full(len(ages), np.nan)
    if distribution is None:
        return values
    there = ~np.isnan(ages) & ~np.isnan(distribution[:, 0])
    # Without a copy of the rows where all are there, which is nearly always.
    rows = distribution if there.all() else distribution[there]
    values[there] = of_each(rows, ages[there], scale)
    return values
