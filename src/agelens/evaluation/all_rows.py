"""Metrics of all rows of a predictions table, wherever it comes from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.ages import AgeScale
from agelens.errors import TableError, UsageError
from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import (
    Codes,
    Grouping,
    complete_rows,
    percentile_interval,
    person_codes,
)
from agelens.evaluation.groups import RatesOfRows
from agelens.evaluation.metrics import METRICS, MetricLike, chosen_metrics
from agelens.evaluation.metrics.base import Better, ErrorRate, Metric, Unit
from agelens.evaluation.metrics.classification import AgeClasses
from agelens.evaluation.metrics.probabilistic import crps_of_each, pit_of_each
from agelens.evaluation.table_checks import RowCounts, check_unmeasurable, count_rows, words_in_use
from agelens.records import Floats
from agelens.tables import QUALITY, PredictionsTable

MOST: Final = 500
_SHOWN: Final = (
    *("sample_id", "dataset", "path", "age_years", "age_kind", "estimate_years", "error_years"),
    *("low_years", "high_years", "gender", "ethnicity", "subject", "model"),
)


def worst_errors(predictions: PredictionsTable, count: int = MOST) -> pd.DataFrame:
    """The `count` rows furthest from their label, furthest first; `error_years` is signed.

    The label may be as wrong as the estimate: of the worst errors on scraped data, many are.
    Rows without age or estimate are in none.
    """
    frame = predictions.frame
    error = frame["estimate_years"] - frame["age_years"]
    worst = error.abs().dropna().sort_values(ascending=False, kind="stable").index[:count]
    columns = [name for name in (*_SHOWN, *QUALITY) if name in frame or name == "error_years"]
    return frame.assign(error_years=error).loc[worst, columns].reset_index(drop=True)


NUMBERS: Final = ("estimate_years", "low_years", "high_years", "age_years", "age_std")
WORDS: Final = ("gender", "gender_estimate", "ethnicity", "ethnicity_estimate")
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
        there = name in frame  # few models tell an ethnicity
        columns[name] = (
            frame[name].astype(object).to_numpy() if there else np.full(len(frame), None)
        )
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


_LABELS: Final = ("age_years", "age_std", "age_class", "gender", "ethnicity", "subject")


def choose_metrics(
    columns: Mapping[str, NDArray[Any]], names: Sequence[MetricLike] | None
) -> dict[str, Metric]:
    """The metrics of those `names`, or all that the columns allow where they are None.

    Raises:
        TableError: there is no label, or none that a named metric needs.
        UnknownNameError: there is no such metric.
        UsageError: a named metric needs a column that is not there.
    """
    filled = {name for name, values in columns.items() if not pd.isna(values).all()}
    if names is not None:
        chosen = chosen_metrics(names)
        for name, metric in chosen.items():
            _check_unmeasurable(name, metric, columns, filled)
        return chosen
    genders = {"gender", "gender_estimate"} <= filled
    if not genders and not filled & {"age_years", "age_class"}:
        raise TableError(
            "the predictions have no labels to be measured by: no row has an age, or a gender "
            "beside an estimated one. Say which column has the ages (--columns age_years=COLUMN), "
            "or take them from a table of labels (--labels TABLE, or "
            "predictions.with_labels(samples)). Age classes count where age_classes are given"
        )
    if not _words_in_common(columns["ethnicity_estimate"], columns["ethnicity"]):
        filled -= {"ethnicity_estimate"}  # the words of two datasets, and not all of them wrong
    # Where every estimate failed, that is a finding, and the metrics say so.
    return {
        name: metric
        for name, metric in METRICS.items()
        if {*metric.needs} <= filled | {"estimate_years"}
    }


def _words_in_common(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return not set(first[~pd.isna(first)]).isdisjoint(second[~pd.isna(second)])


def _check_unmeasurable(
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


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric of one set of rows.

    `value` is NaN where no row has all that the metric needs. `low` and `high` bound its
    bootstrap interval, which holds it (see `percentile_interval`), or of an `ErrorRate` that of
    `agelens.evaluation.rates`; they are NaN without draws, and where fewer than two people are
    behind the value, since one person says nothing of others. `samples` of an `ErrorRate` are those
    that errors are counted among. `left_out` rows lack an estimate
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


def evaluate_all(
    predictions: PredictionsTable,
    metrics: Sequence[MetricLike] | None = None,
    *,
    age_classes: AgeClasses | None = None,
    mix_age_kinds: bool = False,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Metrics of all rows, with bootstrap intervals clustered by subject.

    A row without estimate or without the label that a metric needs is left out of that metric
    and counted. People are told apart by `subject` within each dataset; a row of unknown
    subject is somebody of its own.

    Args:
        predictions: with one estimate a sample.
        metrics: names out of `METRICS`, or functions ``f(y_true, y_pred)``; None takes all that
            the table has the columns for.
        age_classes: what `class_accuracy` and `one_off_accuracy` count in.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        draws: of the bootstrap; 0 leaves the intervals out.
        level: of the bootstrap intervals.
        seed: of the draws.

    Raises:
        TableError: no row has a label, or none has the one that a named metric needs.
        UnknownNameError: there is no such metric.
        UsageError: a sample has several estimates; kinds of age are mixed without
            `mix_age_kinds`; intervals of several levels are mixed; a named metric needs a
            distribution or age classes that are not there; `draws` or `level` is no such thing.
    """
    if draws < 0 or not 0 < level < 1:
        raise UsageError(f"draws are 0 or more, a level is between 0 and 1; got {draws}, {level}")
    frame = predictions.frame
    check_unmeasurable(frame, mix_age_kinds=mix_age_kinds)
    columns = metric_columns(predictions, age_classes)
    chosen = choose_metrics(columns, metrics)
    interval_level = claimed_level(frame, chosen)
    people = person_codes(frame)
    everybody = Grouping.everybody(len(frame))
    rates = {name for name, one in chosen.items() if isinstance(one.statistic, ErrorRate)}
    resampled = {name: metric for name, metric in chosen.items() if name not in rates}
    measured = GroupedMetrics(resampled, columns, people, [everybody])
    values = measured.values()[everybody.name]
    drawn = bootstrap(measured, draws=draws, seed=seed)[everybody.name] if draws else {}
    found = {
        name: _rate(metric, columns, people, level=level if draws else None)
        if name in rates
        else _result(metric, columns, people, values[name][0], drawn.get(name), level=level)
        for name, metric in chosen.items()
    }
    return Evaluation(
        found,
        count_rows(frame),
        words_in_use(frame["dataset"]),
        words_in_use(frame["model"]),
        interval_level,
        *(level, draws, seed),
    )


def _result(
    metric: Metric,
    columns: Mapping[str, NDArray[Any]],
    people: Codes,
    value: float,
    draws: Floats | None,
    *,
    level: float,
) -> MetricResult:
    rows = complete_rows(columns, metric.needs)
    # Counting is a hundred times as fast as np.unique, which hashes successive numbers badly.
    present = int(np.count_nonzero(np.bincount(people[rows])))
    low = high = float("nan")
    if draws is not None and present > 1:
        low, high = percentile_interval(draws[0], level, holding=float(value))
    return MetricResult(
        *(float(value), low, high, metric.unit, metric.better),
        samples=int(rows.sum()),
        people=present,
        left_out=int((~rows).sum()),
        undefined_draws=0 if draws is None else int(np.isnan(draws[0]).sum()),
    )


def _rate(
    metric: Metric, columns: Mapping[str, NDArray[Any]], people: Codes, *, level: float | None
) -> MetricResult:
    """Of an `ErrorRate`; without a level there is no interval."""
    rates = RatesOfRows(metric, columns, people)
    found = rates.of(np.ones(len(people), dtype=bool), level=level or 0.95)
    present = int(np.count_nonzero(np.bincount(people[rates.among])))
    known = level is not None and present > 1
    return MetricResult(
        found.share,
        found.low if known else float("nan"),
        found.high if known else float("nan"),
        *(metric.unit, metric.better),
        samples=found.samples,
        people=present,
        left_out=int((~complete_rows(columns, metric.needs)).sum()),
        undefined_draws=0,
    )
