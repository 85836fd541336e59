"""The error of an estimate in years: over all samples, by age, by person, across a legal age."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.base import (
    Cells,
    DependentRatio,
    ErrorRate,
    Marks,
    Median,
    Sums,
    complete_numbers,
    mean_of_all,
    ratio,
    same_length,
)
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


def whole_years(_estimate_years: ArrayLike, age_years: ArrayLike) -> Cells:
    """The nearest whole year [N] of each age, halves upwards: 24.5 is 25.

    Raises:
        ValueError: an age is missing or negative.
    """
    (age,) = complete_numbers(age_years=age_years)
    if (age < 0).any():
        raise ValueError(f"age_years is negative, first at {int((age < 0).argmax())}")
    return np.floor(age + 0.5).astype(np.int64)


def _per_age(sums: Floats, counts: Floats) -> Floats:
    return ratio(sums[..., 0], counts)


def _mean_over_ages(sums: Floats, counts: Floats) -> Floats:
    errors, present = _per_age(sums, counts), counts > 0
    total = np.where(present, errors, 0).sum(axis=-1)
    return ratio(total, present.sum(axis=-1).astype(np.float64))


def _worst_age(sums: Floats, counts: Floats) -> Floats:
    errors = np.where(counts > 0, _per_age(sums, counts), -np.inf)
    worst = errors.max(axis=-1, initial=-np.inf)
    return np.where(np.isneginf(worst), np.nan, worst)


AMAE: Final = Sums(absolute_errors, _mean_over_ages, whole_years)
MMAE: Final = Sums(absolute_errors, _worst_age, whole_years)


def amae(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Balanced MAE: mean over the ages that occur of the MAE at that age, in years.

    Baccianella et al. (2009); "mMAE" in papers on age mostly means this one. Ages with
    fractions count with the nearest whole year. NaN for no sample.
    ``amae([20, 20, 33], [20, 20, 30])`` is 1.5 where the MAE is 1.

    Raises:
        ValueError: the columns differ in length or hold NaN, or an age is negative.
    """
    return AMAE(estimate_years, age_years)


def mmae(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """Worst MAE of any age that occurs, in years: the maximum where `amae` has the mean.

    Cruz-Ramirez et al. (2014). One person of a rare age may decide it. NaN for no sample.

    Raises:
        ValueError: the columns differ in length or hold NaN, or an age is negative.
    """
    return MMAE(estimate_years, age_years)


GROUPS: Final = ("0-10", "11-20", "21-30", "31-40", "41-50", "51-60", "61-70", "71+")
_LAST: Final = (10, 20, 30, 40, 50, 60, 70)


def _groups(estimate_years: ArrayLike, age_years: ArrayLike) -> Cells:
    return np.searchsorted(_LAST, whole_years(estimate_years, age_years), side="left")


def _score(sums: Floats, counts: Floats) -> Floats:
    overall = mean_of_all(sums, counts)
    groups = ratio(sums[..., 0], counts)
    present = counts > 0
    squares = np.where(present, np.square(groups - overall[..., np.newaxis]), 0)
    spread = np.sqrt(ratio(squares.sum(axis=-1), present.sum(axis=-1).astype(np.float64)))
    return np.asarray(np.maximum(7 - overall, 0) + np.maximum(3 - spread, 0))


AAR: Final = Sums(absolute_errors, _score, _groups)


def aar(estimate_years: ArrayLike, age_years: ArrayLike) -> float:
    """``max(0, 7 - MAE) + max(0, 3 - s)``: 10 points at best, 0 at worst; NaN for no sample.

    After Greco, "Guess the Age 2021" (CAIP 2021), whose index of the two this is; the constants
    and the eight decades are as they are commonly given, and were not checked against the paper.
    s is the root of the mean squared difference
    between the MAE of each of the eight `GROUPS` and the overall MAE; groups that do not
    occur are left out. Ages with fractions count with the nearest whole year.

    Raises:
        ValueError: the columns differ in length or hold NaN, or an age is negative.
    """
    return AAR(estimate_years, age_years)


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


LEGAL_AGES: Final = (13, 16, 18, 21)
"""Ages that laws ask for, in years."""


@cache
def false_adult(legal_years: float) -> ErrorRate:
    """`false_adult_rate` for one legal age."""

    def marks(estimate_years: ArrayLike, age_years: ArrayLike) -> tuple[Marks, Marks]:
        estimate, age = complete_numbers(estimate_years=estimate_years, age_years=age_years)
        return (estimate >= legal_years) & (age < legal_years), age < legal_years

    return ErrorRate(_sides(legal_years), _of_the_young, marks=marks)


@cache
def false_minor(legal_years: float) -> ErrorRate:
    """`false_minor_rate` for one legal age."""

    def marks(estimate_years: ArrayLike, age_years: ArrayLike) -> tuple[Marks, Marks]:
        estimate, age = complete_numbers(estimate_years=estimate_years, age_years=age_years)
        return (estimate < legal_years) & (age >= legal_years), age >= legal_years

    return ErrorRate(_sides(legal_years), _of_the_old, marks=marks)


def false_adult_rate(estimate_years: ArrayLike, age_years: ArrayLike, legal_years: float) -> float:
    """Share of people under `legal_years` who are estimated at `legal_years` or more.

    Of nobody so young NaN. ``false_adult_rate([18, 12, 30], [17, 12, 40], 18)`` is 0.5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return false_adult(legal_years)(estimate_years, age_years)


def false_minor_rate(estimate_years: ArrayLike, age_years: ArrayLike, legal_years: float) -> float:
    """Share of people of `legal_years` or more who are estimated under `legal_years`.

    Of nobody so old NaN. ``false_minor_rate([17, 12, 30], [18, 12, 40], 18)`` is 0.5.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return false_minor(legal_years)(estimate_years, age_years)


def rates_across(estimate_years: ArrayLike, age_years: ArrayLike) -> dict[str, float]:
    """Both rates at each of `LEGAL_AGES`, as ``false_adult@18``; those of nobody are left out.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    kinds = {"false_adult": false_adult_rate, "false_minor": false_minor_rate}
    found = {
        f"{name}@{legal}": rate(estimate_years, age_years, legal)
        for legal in LEGAL_AGES
        for name, rate in kinds.items()
    }
    return {name: value for name, value in found.items() if not np.isnan(value)}


@cache
def _sides(legal_years: float) -> Callable[..., Floats]:
    """Terms that both rates share, summed once: the young, their errors, the others' errors."""

    def terms(estimate_years: ArrayLike, age_years: ArrayLike) -> Floats:
        estimate, age = complete_numbers(estimate_years=estimate_years, age_years=age_years)
        young, looks_old = age < legal_years, estimate >= legal_years
        return np.stack([young, young & looks_old, ~young & ~looks_old], axis=1).astype(np.float64)

    return terms


def _of_the_young(sums: Floats, _counts: Floats) -> Floats:
    young, false_adults, _ = np.moveaxis(sums.sum(axis=-2), -1, 0)
    return ratio(false_adults, young)


def _of_the_old(sums: Floats, counts: Floats) -> Floats:
    young, _, false_minors = np.moveaxis(sums.sum(axis=-2), -1, 0)
    return ratio(false_minors, counts.sum(axis=-1) - young)
