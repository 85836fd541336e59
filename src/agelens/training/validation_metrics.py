"""The figures of one validation."""

from __future__ import annotations

from numpy.typing import ArrayLike

from agelens.evaluation.metrics import bias, ca_at, cs_at, mae
from agelens.training.age_bands import band_maes


def validation_metrics(estimate_years: ArrayLike, age_years: ArrayLike) -> dict[str, float]:
    """Figures over all N samples.

    `mae` and `bias` (positive is too old) in years; `cs5` and `ca3` are the shares of errors
    of at most 5 and at most 3 years; `mae/20-29` and the like are of one decade of true age.
    """
    return {
        "mae": mae(estimate_years, age_years),
        "bias": bias(estimate_years, age_years),
        "cs5": cs_at(estimate_years, age_years, 5),
        "ca3": ca_at(estimate_years, age_years, 3, convention="at_most"),
        **band_maes(estimate_years, age_years),
    }
