"""The epsilon-error of ChaLearn's apparent age: an error counts less where people disagree."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.columns import complete_numbers
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats


def _epsilon(estimate_years: ArrayLike, age_years: ArrayLike, age_std: ArrayLike) -> Floats:
    estimate, age, std = complete_numbers(
        estimate_years=estimate_years, age_years=age_years, age_std=age_std
    )
    if (std < 0).any():
        raise ValueError(f"age_std is negative, first at {int((std < 0).argmax())}")
    distance = np.abs(estimate - age)
    # Divided before squaring: the square of a tiny deviation would be zero.
    deviations = np.divide(distance, std, out=np.full_like(std, np.inf), where=std > 0)
    deviations[distance == 0] = 0
    with np.errstate(over="ignore"):  # an infinite square is an error of 1
        return np.asarray(1 - np.exp(-np.square(deviations) / 2))


EPSILON_ERROR: Final = Sums(_epsilon)


def epsilon_error(estimate_years: ArrayLike, age_years: ArrayLike, age_std: ArrayLike) -> float:
    """Mean of ``1 - exp(-(estimate - age)**2 / (2 age_std**2))``: 0 best, 1 worst.

    ChaLearn LAP (Escalera et al., ICCVW 2015; CVPRW 2016): `age_years` is the mean and
    `age_std` the standard deviation of the votes for one image. Where all voted alike
    (`age_std` is 0, 29 images of LAP 2016) the formula's limit holds: 0 for an exact hit, 1
    for anything else. The owner counts a picture without estimate as 1; here it is
    left to the caller.

    Raises:
        ValueError: the columns differ in length or hold NaN, or an `age_std` is negative.
    """
    return EPSILON_ERROR(estimate_years, age_years, age_std)
