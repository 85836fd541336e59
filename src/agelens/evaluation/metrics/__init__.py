"""Metrics: one definition of each, over samples, in NumPy.

`METRICS` names them. A metric takes the columns it needs, [N] each, and gives one number:
NaN for no sample, and an error for a missing value, since no metric leaves out a row by
itself. Shares are between 0 and 1.

    mae(estimate_years, age_years)
    METRICS["cs@5"](estimate_years, age_years)

Any plain function ``f(y_true, y_pred)`` is a metric as well, under its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from inspect import getdoc
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.metrics.base import Better, Metric, Statistic, Unit
from agelens.evaluation.metrics.classification import (
    CLASS_ACCURACY,
    GENDER_ACCURACY,
    ONE_OFF_ACCURACY,
    AgeClasses,
    class_accuracy,
    gender_accuracy,
    one_off_accuracy,
)
from agelens.evaluation.metrics.errors import (
    AAR,
    AMAE,
    BIAS,
    EPSILON_ERROR,
    MAE,
    MEDIAN_ABSOLUTE_ERROR,
    MMAE,
    RMSE,
    SUBJECT_MAE,
    Convention,
    aar,
    amae,
    bias,
    ca_at,
    catastrophic_error,
    ce_at,
    cs_at,
    cumulative_accuracy,
    cumulative_score,
    epsilon_error,
    mae,
    median_absolute_error,
    mmae,
    rmse,
    subject_mae,
)
from agelens.evaluation.metrics.probabilistic import (
    CALIBRATION_ERROR,
    COVERAGE,
    CRPS,
    MEAN_WIDTH,
    calibration_error,
    coverage,
    crps,
    crps_of_each,
    mean_width,
    pit_of_each,
)

__all__ = [
    "METRICS",
    "AgeClasses",
    "Convention",
    "Metric",
    "MetricLike",
    "aar",
    "amae",
    "bias",
    "ca_at",
    "calibration_error",
    "ce_at",
    "chosen_metrics",
    "class_accuracy",
    "coverage",
    "crps",
    "crps_of_each",
    "cs_at",
    "epsilon_error",
    "gender_accuracy",
    "mae",
    "mean_width",
    "median_absolute_error",
    "mmae",
    "named_metric",
    "one_off_accuracy",
    "pit_of_each",
    "rmse",
    "subject_mae",
]

_AGE: Final = ("estimate_years", "age_years")
_CLASS: Final = ("estimate_class", "age_class")


def _of_ages(statistic: Statistic, unit: Unit, better: Better, summary: str) -> Metric:
    return Metric(statistic, _AGE, unit, better, summary)


def _share(statistic: Statistic, bound: str, better: Better = "higher", of: str = "") -> Metric:
    return _of_ages(statistic, "share", better, f"{of}share with |error| {bound} years")


def _accuracy(k: int, convention: Convention) -> Metric:
    where, sign = {"below": ("paper", "<"), "at_most": ("code", "<=")}[convention]
    of = f"CA@{k} of SSR-Net's {where}: "
    return _share(cumulative_accuracy(k, convention), f"{sign} {k}", of=of)


METRICS: Final[dict[str, Metric]] = {
    "mae": _of_ages(MAE, "years", "lower", "mean absolute error"),
    "rmse": _of_ages(RMSE, "years", "lower", "root mean square error"),
    "median_absolute_error": _of_ages(
        MEDIAN_ABSOLUTE_ERROR, "years", "lower", "median absolute error"
    ),
    "bias": _of_ages(BIAS, "years", "nearer 0", "mean of estimate - age: positive is too old"),
    "amae": _of_ages(AMAE, "years", "lower", "balanced MAE: mean over ages of the age's MAE"),
    "mmae": _of_ages(MMAE, "years", "lower", "worst MAE of any age"),
    "subject_mae": Metric(
        SUBJECT_MAE, (*_AGE, "subject"), "years", "lower", "mean over people of the person's MAE"
    ),
    **{f"cs@{k}": _share(cumulative_score(k), f"<= {k}") for k in (3, 5, 7)},
    **{f"ca_below@{k}": _accuracy(k, "below") for k in (3, 5, 7)},
    **{f"ca_at_most@{k}": _accuracy(k, "at_most") for k in (3, 5, 7)},
    **{f"ce@{k}": _share(catastrophic_error(k), f">= {k}", "lower") for k in (10, 20)},
    "epsilon_error": Metric(
        EPSILON_ERROR,
        (*_AGE, "age_std"),
        "share",
        "lower",
        "ChaLearn's error, less where people's votes differ more",
    ),
    "aar": _of_ages(AAR, "points", "higher", "age accuracy and regularity, at most 10"),
    "class_accuracy": Metric(
        CLASS_ACCURACY, _CLASS, "share", "higher", "share in exactly the right age class"
    ),
    "one_off_accuracy": Metric(
        ONE_OFF_ACCURACY, _CLASS, "share", "higher", "share at most one age class off"
    ),
    "gender_accuracy": Metric(
        GENDER_ACCURACY,
        ("gender_estimate", "gender"),
        "share",
        "higher",
        "share whose estimated gender is the labelled one",
    ),
    "coverage": Metric(
        COVERAGE,
        ("low_years", "high_years", "age_years"),
        "share",
        "nearer its level",
        "share of ages inside the interval",
    ),
    "mean_width": Metric(
        MEAN_WIDTH, ("low_years", "high_years"), "years", "lower", "mean width of the interval"
    ),
    "crps": Metric(CRPS, ("crps_years",), "years", "lower", "continuous ranked probability score"),
    "calibration_error": Metric(
        CALIBRATION_ERROR,
        ("pit",),
        "share",
        "lower",
        "mean distance between a quantile's level and the share of ages below it",
    ),
}

MetricLike: TypeAlias = str | Callable[..., Any]
"""A name of `METRICS`, ``module.function``, or a function ``f(y_true, y_pred)`` itself."""


def named_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name]


def chosen_metrics(given: Iterable[MetricLike]) -> dict[str, Metric]:
    """Metrics by name; a function's name is its own.

    Raises:
        UnknownNameError: a name is none of `METRICS`, nor of a function that can be imported.
        UsageError: a function without a name, or two of one name.
    """
    found: dict[str, Metric] = {}
    for one in given:
        function = _imported(one) if isinstance(one, str) else one
        name = one if function is None else getattr(function, "__name__", None)
        if not isinstance(name, str) or name in found:
            raise UsageError(f"metrics are functions with names of their own, got {one!r}")
        found[name] = named_metric(name) if function is None else _plain_metric(function)
    return found


def _imported(name: str) -> Callable[..., Any] | None:
    """The function ``module.function``; None for any other name."""
    module, _, function = name.rpartition(".")
    if not module or name in METRICS:
        return None
    try:
        found: Callable[..., Any] = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UnknownNameError("metric", name, METRICS, f" {error}") from error
    return found


def _plain_metric(function: Callable[..., Any]) -> Metric:
    def statistic(*columns: ArrayLike) -> float:
        return float(function(*columns)) if np.size(columns[0]) else float("nan")

    summary = (getdoc(function) or "").partition("\n")[0]
    return Metric(statistic, ("age_years", "estimate_years"), "not stated", "not stated", summary)
