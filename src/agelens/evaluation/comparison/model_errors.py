"""Errors of models on common samples, under the same draws of people for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agelens.evaluation.bootstrap import GroupedMetrics, Grouping, bootstrap, percentile_interval
from agelens.evaluation.comparison.common_samples import CommonSamples
from agelens.evaluation.metrics import Metric
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats

WITHIN_YEARS: Final = 5
FIGURES: Final = ("mae", "cs@5", "bias")
"""What is measured of each model; each is a mean over samples, and then over seeds."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its bootstrap interval; the ends are NaN where fewer than two people are."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class ModelErrors:
    """The figures of models on M common samples.

    `absolute` by model is the absolute error of each sample [M], mean of the seeds;
    `draws` by model are D resampled MAEs, the same people being drawn for every model;
    `by_seed` by model the MAE of each seed.
    """

    figures: dict[str, dict[str, Interval]]
    absolute: dict[str, Floats]
    draws: dict[str, Floats]
    by_seed: dict[str, tuple[float, ...]]


def model_errors(
    common: CommonSamples, *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> ModelErrors:
    """Measure every model of `common`, with intervals clustered by person.

    A model of several seeds is measured by the mean of its seeds' figures. Its interval says how
    the figure moves with other people; how it moves with other seeds says `by_seed`.
    """
    errors = {model: one - common.age_years for model, one in common.estimates.items()}
    columns = {
        (model, name): column
        for model, error in errors.items()
        for name, column in _of_samples(error).items()
    }
    keyed = {f"{name} {model}": column for (model, name), column in columns.items()}
    everybody = Grouping.everybody(len(common.age_years))
    metrics = {key: Metric(_MEAN, (key,), "years", "lower", "mean") for key in keyed}
    measured = GroupedMetrics(metrics, keyed, common.people, [everybody])
    drawn = bootstrap(measured, draws=draws, seed=seed)[everybody.name] if draws else {}
    figures: dict[str, dict[str, Interval]] = {model: {} for model in errors}
    for (model, name), column in columns.items():
        key = f"{name} {model}"
        low, high = _ends(drawn[key][0], level, common) if draws else (np.nan, np.nan)
        figures[model][name] = Interval(float(column.mean()), low, high)
    return ModelErrors(
        figures,
        {model: columns[model, "mae"] for model in errors},
        {model: drawn[f"mae {model}"][0] if draws else np.empty(0) for model in errors},
        {model: tuple(np.abs(error).mean(axis=1).tolist()) for model, error in errors.items()},
    )


def interval_of_difference(
    errors: ModelErrors, model: str, other: str, common: CommonSamples, level: float
) -> Interval:
    """MAE of `model` less MAE of `other`, from draws of the same people (paired bootstrap)."""
    value = errors.figures[model]["mae"].value - errors.figures[other]["mae"].value
    drawn = errors.draws[model] - errors.draws[other]
    return Interval(value, *_ends(drawn, level, common))


def _of_samples(errors: Floats) -> dict[str, Floats]:
    """The figures of each sample [M], of errors [seeds, M]: means over seeds."""
    return {
        "mae": np.abs(errors).mean(axis=0),
        "cs@5": (np.abs(errors) <= WITHIN_YEARS).mean(axis=0),
        "bias": errors.mean(axis=0),
    }


def _ends(drawn: Floats, level: float, common: CommonSamples) -> tuple[float, float]:
    """One person says nothing of others: an interval of one would have no width."""
    return percentile_interval(drawn, level) if common.people_count > 1 else (np.nan, np.nan)


def _itself(column: Floats) -> Floats:
    return np.asarray(column, dtype=np.float64)


_MEAN: Final = Sums(_itself)
