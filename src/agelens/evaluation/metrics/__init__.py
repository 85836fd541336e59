"""Metrics: one definition of each, over samples, in NumPy.

`METRICS` names them. A metric takes the columns it needs, [N] each, and gives one number:
NaN for no sample, and an error for a missing value, since no metric leaves out a row by
itself. Shares are between 0 and 1.

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
from agelens.evaluation.metrics import classification, errors, probabilistic
from agelens.evaluation.metrics.base import Better, Metric, Statistic, Unit

_AGE: Final = ("estimate_years", "age_years")
_CLASS: Final = ("estimate_class", "age_class")


def _of_ages(statistic: Statistic, unit: Unit, better: Better, summary: str) -> Metric:
    return Metric(statistic, _AGE, unit, better, summary)


def _share(statistic: Statistic, bound: str, better: Better = "higher", of: str = "") -> Metric:
    return _of_ages(statistic, "share", better, f"{of}share with |error| {bound} years")


def _accuracy(k: int, convention: errors.Convention) -> Metric:
    where, sign = {"below": ("paper", "<"), "at_most": ("code", "<=")}[convention]
    of = f"CA@{k} of SSR-Net's {where}: "
    return _share(errors.cumulative_accuracy(k, convention), f"{sign} {k}", of=of)


def _across(legal: int) -> dict[str, Metric]:
    adult, minor = errors.false_adult(legal), errors.false_minor(legal)
    old, young = f"{legal} or older", f"under {legal}"
    return {
        f"false_adult@{legal}": _rate(adult, f"share of people {young} estimated {old}"),
        f"false_minor@{legal}": _rate(minor, f"share of people {old} estimated {young}"),
    }


def _rate(statistic: Statistic, summary: str) -> Metric:
    return _of_ages(statistic, "share", "lower", summary)


METRICS: Final[dict[str, Metric]] = {
    "mae": _of_ages(errors.MAE, "years", "lower", "mean absolute error"),
    **{name: one for legal in errors.LEGAL_AGES for name, one in _across(legal).items()},
    "rmse": _of_ages(errors.RMSE, "years", "lower", "root mean square error"),
    "median_absolute_error": _of_ages(
        errors.MEDIAN_ABSOLUTE_ERROR, "years", "lower", "median absolute error"
    ),
    "bias": _of_ages(
        errors.BIAS, "years", "nearer 0", "mean of estimate - age: positive is too old"
    ),
    "amae": _of_ages(
        errors.AMAE, "years", "lower", "balanced MAE: mean over ages of the age's MAE"
    ),
    "mmae": _of_ages(errors.MMAE, "years", "lower", "worst MAE of any age"),
    "subject_mae": Metric(
        errors.SUBJECT_MAE,
        (*_AGE, "subject"),
        "years",
        "lower",
        "mean over people of the person's MAE",
    ),
    **{f"cs@{k}": _share(errors.cumulative_score(k), f"<= {k}") for k in (3, 5, 7)},
    **{f"ca_below@{k}": _accuracy(k, "below") for k in (3, 5, 7)},
    **{f"ca_at_most@{k}": _accuracy(k, "at_most") for k in (3, 5, 7)},
    **{f"ce@{k}": _share(errors.catastrophic_error(k), f">= {k}", "lower") for k in (10, 20)},
    "epsilon_error": Metric(
        errors.EPSILON_ERROR,
        (*_AGE, "age_std"),
        "share",
        "lower",
        "ChaLearn's error, less where people's votes differ more",
    ),
    "aar": _of_ages(errors.AAR, "points", "higher", "age accuracy and regularity, at most 10"),
    "class_accuracy": Metric(
        classification.CLASS_ACCURACY,
        _CLASS,
        "share",
        "higher",
        "share in exactly the right age class",
    ),
    "one_off_accuracy": Metric(
        classification.ONE_OFF_ACCURACY,
        _CLASS,
        "share",
        "higher",
        "share at most one age class off",
    ),
    "gender_accuracy": Metric(
        classification.GENDER_ACCURACY,
        ("gender_estimate", "gender"),
        "share",
        "higher",
        "share whose estimated gender is the labelled one",
    ),
    "ethnicity_accuracy": Metric(
        classification.ETHNICITY_ACCURACY,
        ("ethnicity_estimate", "ethnicity"),
        "share",
        "higher",
        "share whose told ethnicity is the labelled word, where a model tells it",
    ),
    "coverage": Metric(
        probabilistic.COVERAGE,
        ("low_years", "high_years", "age_years"),
        "share",
        "nearer its level",
        "share of ages inside the interval",
    ),
    "mean_width": Metric(
        probabilistic.MEAN_WIDTH,
        ("low_years", "high_years"),
        "years",
        "lower",
        "mean width of the interval",
    ),
    "crps": Metric(
        probabilistic.CRPS, ("crps_years",), "years", "lower", "continuous ranked probability score"
    ),
    "calibration_error": Metric(
        probabilistic.CALIBRATION_ERROR,
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
