"""The curve that removes bias, fitted."""

from __future__ import annotations

import numpy as np
from sklearn.isotonic import IsotonicRegression

from agelens.ages import AgeScale
from agelens.errors import UsageError
from agelens.evaluation.conformal.labelled import Labelled
from agelens.inference.calibration import BiasCorrection


def correct_bias(labelled: Labelled, *, scale: AgeScale | None = None) -> BiasCorrection:
    """The rising curve from estimates to ages with the least squared error (isotonic fit).

    It moves estimates toward the mix of ages in the table: right for people like them, wrong
    where ages are mixed differently. That is why it is off unless asked for.

    Args:
        labelled: people whom the network was not trained on.
        scale: corrected years stay within it.

    Raises:
        UsageError: all estimates are alike.
    """
    fit = IsotonicRegression(
        y_min=scale.years[0] if scale else 0.0,
        y_max=scale.years[-1] if scale else None,
        out_of_bounds="clip",  # rounding moves the end knots past the data
    ).fit(labelled.estimate_years, labelled.age_years)
    knots = np.unique(np.round(fit.X_thresholds_, 3))
    if len(knots) < 2:
        raise UsageError("the estimates are all alike: there is no bias to fit a curve to")
    years = np.maximum.accumulate(fit.predict(knots))
    return BiasCorrection(tuple(knots.tolist()), tuple(years.tolist()))
