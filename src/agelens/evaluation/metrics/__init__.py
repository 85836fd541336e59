"""Metrics: one definition of each, over samples, in NumPy.

`METRICS` names them. A metric takes the columns it needs, [N] each, and gives one number:
NaN for no sample, and an error for a missing value, since no metric leaves out a row by
itself. Shares are between 0 and 1.

    mae(estimate_years, age_years)
    METRICS["cs@5"](estimate_years, age_years)
"""

from __future__ import annotations

from typing import Final

from agelens.errors import UnknownNameError
from agelens.evaluation.metrics.base import Metric
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
    BIAS,
    EPSILON_ERROR,
    MAE,
    MEDIAN_ABSOLUTE_ERROR,
    RMSE,
    Convention,
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
    rmse,
)
from agelens.evaluation.metrics.per_age import (
    AAR,
    AMAE,
    MMAE,
    SUBJECT_MAE,
    aar,
    amae,
    mmae,
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
    "aar",
    "amae",
    "bias",
    "ca_at",
    "calibration_error",
    "ce_at",
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

METRICS: Final[dict[str, Metric]] = {
    "mae": Metric(MAE, _AGE, "years", "lower", "mean absolute error"),
    "rmse": Metric(RMSE, _AGE, "years", "lower", "root mean square error"),
    "median_absolute_error": Metric(
        MEDIAN_ABSOLUTE_ERROR, _AGE, "years", "lower", "median absolute error"
    ),
    "bias": Metric(BIAS, _AGE, "years", "nearer 0", "mean of estimate - age: positive is too old"),
    "amae": Metric(AMAE, _AGE, "years", "lower", "balanced MAE: mean over ages of the age's MAE"),
    "mmae": Metric(MMAE, _AGE, "years", "lower", "worst MAE of any age"),
    "subject_mae": Metric(
        SUBJECT_MAE, (*_AGE, "subject"), "years", "lower", "mean over people of the person's MAE"
    ),
    **{
        f"cs@{k}": Metric(
            cumulative_score(k), _AGE, "share", "higher", f"share with |error| <= {k} years"
        )
        for k in (3, 5, 7)
    },
    **{
        f"ca_below@{k}": Metric(
            cumulative_accuracy(k, "below"),
            _AGE,
            "share",
            "higher",
            f"CA@{k} of SSR-Net's paper: share with |error| < {k} years",
        )
        for k in (3, 5, 7)
    },
    **{
        f"ca_at_most@{k}": Metric(
            cumulative_accuracy(k, "at_most"),
            _AGE,
            "share",
            "higher",
            f"CA@{k} of SSR-Net's code: share with |error| <= {k} years",
        )
        for k in (3, 5, 7)
    },
    **{
        f"ce@{k}": Metric(
            catastrophic_error(k), _AGE, "share", "lower", f"share with |error| >= {k} years"
        )
        for k in (10, 20)
    },
    "epsilon_error": Metric(
        EPSILON_ERROR,
        (*_AGE, "age_std"),
        "share",
        "lower",
        "ChaLearn's error, less where people's votes differ more",
    ),
    "aar": Metric(AAR, _AGE, "points", "higher", "age accuracy and regularity, at most 10"),
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


def named_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name]
