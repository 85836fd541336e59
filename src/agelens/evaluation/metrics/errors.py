"""The error of an estimate: how many years too old it is."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.base import Median, Sums, complete_numbers, mean_of_all
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


def signed_errors(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
    """Estimate minus age [N] in years: positive is too old.

    Raises:
        ValueError: see `complete_numbers`.
    """
    estimate, age = complete_numbers(estimate_years=estimate_years, age_years=age_years)
    return np.asarray(estimate - age)


def absolute_errors(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
    """Distance of estimate and age [N] in years.

    Raises:
        ValueError: see `complete_numbers`.
    """
    return np.asarray(np.abs(signed_errors(estimate_years, age_years)))


@cache
def cumulative_score(k_years: float) -> Sums:
    """`cs_at` for one `k_years`."""

    def within(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
        return (absolute_errors(estimate_years, age_years) <= k_years).astype(np.float64)

    return Sums(within)


def cs_at(estimate_years: ArrayLike, age_years: ArrayLike, k_years: float) -> float:
    """Share of samples with ``|estimate - age| <= k_years``, NaN for none (CS@k).

    At most, as in Niu et al. (CVPR 2016) and most papers, which print it times 100.
    Nothing is added for rounding: an estimate of float32 that should be exactly k away may
    fall on either side. ``cs_at([20, 33], [25, 30], 3)`` is 0.5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return cumulative_score(k_years)(estimate_years, age_years)


Convention: TypeAlias = Literal["below", "at_most"]
CONVENTIONS: Final = ("below", "at_most")


def cumulative_accuracy(k_years: float, convention: Convention) -> Sums:
    """`ca_at` for one `k_years`.

    Raises:
        ValueError: another convention.
    """
    if convention == "at_most":
        return cumulative_score(k_years)
    if convention != "below":
        raise ValueError(f"a convention is one of {', '.join(CONVENTIONS)}, got {convention!r}")

    def within(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
        return (absolute_errors(estimate_years, age_years) < k_years).astype(np.float64)

    return Sums(within)


def ca_at(
    estimate_years: ArrayLike, age_years: ArrayLike, k_years: float, *, convention: Convention
) -> float:
    """Share of samples nearer than `k_years` to their age (CA@k), NaN for none.

    SSR-Net's paper (Yang et al., IJCAI 2018) counts errors ``below`` k, its published code
    those ``at_most`` k, which is CS@k. With whole years the two differ by all errors of
    exactly k, several points; so there is no default. Compare like with like.

    Raises:
        ValueError: another convention, or the columns differ in length or hold NaN.
    """
    return cumulative_accuracy(k_years, convention)(estimate_years, age_years)


def catastrophic_error(k_years: float) -> Sums:
    """`ce_at` for one `k_years`."""

    def far_off(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
        return (absolute_errors(estimate_years, age_years) >= k_years).astype(np.float64)

    return Sums(far_off)


def ce_at(estimate_years: ArrayLike, age_years: ArrayLike, k_years: float) -> float:
    """Share of samples with ``|estimate - age| >= k_years``, NaN for none.

    As in MiVOLO (Kuprashevich and Tolstykh, 2023). ``ce_at([20, 33], [40, 30], 20)`` is 0.5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return catastrophic_error(k_years)(estimate_years, age_years)


BIAS: Final = Sums(signed_errors)


def bias(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Mean of ``estimate - age`` in years: positive is too old. NaN for no sample.

    ``bias([20, 33], [21, 30])`` is 1.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return BIAS(estimate_years, age_years)


def _squares(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
    return np.square(signed_errors(estimate_years, age_years))


def _root(sums: Floats, counts: Floats) -> Floats:
    return np.sqrt(mean_of_all(sums, counts))


RMSE: Final = Sums(_squares, _root)


def rmse(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Root of the mean of ``(estimate - age)**2`` in years, NaN for no sample.

    ``rmse([20, 37], [21, 30])`` is 5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return RMSE(estimate_years, age_years)


MEDIAN_ABSOLUTE_ERROR: Final = Median(absolute_errors)


def median_absolute_error(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Median of ``|estimate - age|`` in years; of an even N the mean of the middle two.

    NaN for no sample. ``median_absolute_error([20, 33, 90], [21, 30, 30])`` is 3.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return MEDIAN_ABSOLUTE_ERROR(estimate_years, age_years)


MAE: Final = Sums(absolute_errors)


def mae(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Mean of ``|estimate - age|`` in years over all N samples, NaN for none.

    Over samples, never over batches: the mean of batch means gives a short last batch too
    much weight. ``mae([20, 33], [21, 30])`` is 2.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return MAE(estimate_years, age_years)
