"""Leave-one-person-out figures: every person counts alike, however many photos there are."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.columns import same_length
from agelens.evaluation.metrics.dependent_ratio import DependentRatio
from agelens.evaluation.metrics.errors import absolute_errors
from agelens.records import Floats


def _shares(
    estimate_years: ArrayLike, age_years: ArrayLike, subject: ArrayLike
) -> tuple[Floats, Floats]:
    """Each photo's error and 1, both divided by the photos of its person."""
    errors, subjects = absolute_errors(estimate_years, age_years), np.asarray(subject)
    same_length(estimate_years=errors, subject=subjects)
    _, person, photos = np.unique(subjects, return_inverse=True, return_counts=True)
    shares = 1 / photos[person]
    return errors * shares, shares


SUBJECT_MAE: Final = DependentRatio(_shares)


def subject_mae(estimate_years: ArrayLike, age_years: ArrayLike, subject: ArrayLike) -> float:
    """Mean over people of each person's MAE, in years; NaN for no sample.

    On FG-NET, leave one person out has two aggregates: this one over 82 people, as some
    scripts have it, and the `mae` over all 1,002 photos, which differs because people
    have 6 to 18 photos. Report the pooled one, list both.

    Args:
        estimate_years: [N].
        age_years: [N].
        subject: who is on each photo [N], names or numbers, none missing.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return SUBJECT_MAE(estimate_years, age_years, subject)
