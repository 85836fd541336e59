"""How often to draw each sample where ages are unevenly many: weights from the ages alone.

Ages count by completed years. Weights are float64 [N] with mean 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from agelens.errors import UnknownNameError, UsageError
from agelens.records import Floats

Reweight = Literal["inverse", "sqrt_inverse"]
_REWEIGHTS: Final = ("inverse", "sqrt_inverse")


def uniform_weights(ages: ArrayLike) -> Floats:
    """The same for every sample."""
    return np.ones(len(_years(ages)))


def class_balanced_weights(ages: ArrayLike) -> Floats:
    """One over how many samples have this age, so that every age is drawn equally often."""
    years = _years(ages)
    return _mean_one(1 / np.bincount(years)[years])


def lds_weights(
    ages: ArrayLike,
    *,
    sigma_years: float = 2.0,
    radius_years: int = 2,
    reweight: Reweight = "sqrt_inverse",
) -> Floats:
    """Label distribution smoothing (Yang et al., "Deep Imbalanced Regression", ICML 2021).

    One over the histogram of ages after a Gaussian kernel, since neighbouring ages look
    alike: an age that is rare among common ones is not rare. Defaults are the paper's kernel
    of 5 years with a deviation of 2. `sqrt_inverse` takes the root of the histogram before
    smoothing, as the authors' code does.

    For ages 20, 20, 20, 20, 21 with `inverse`, the 21 weighs 1.08 times a 20, not 4 times.

    Raises:
        UsageError: an age is unknown or negative, `sigma_years` or `radius_years` is not positive.
        UnknownNameError: another `reweight`.
    """
    if reweight not in _REWEIGHTS:
        raise UnknownNameError("reweighting", reweight, _REWEIGHTS)
    if sigma_years <= 0 or radius_years < 1:
        raise UsageError(f"a kernel needs sigma and radius above 0: {sigma_years}, {radius_years}")
    years = _years(ages)
    counts = np.bincount(years).astype(np.float64)
    if reweight == "sqrt_inverse":
        counts = np.sqrt(counts)
    smooth = gaussian_filter1d(counts, sigma_years, mode="constant", radius=radius_years)
    return _mean_one(1 / smooth[years])


def weights_within(
    ages: ArrayLike,
    groups: ArrayLike,
    weights: Floats,
    *,
    sigma_years: float = 3.0,
    at_most: float = 4.0,
) -> Floats:
    """`weights` changed so that every group is drawn with one and the same mix of ages.

    Where groups differ in age, a network learns to read the group as an age (in UTKFace most
    faces called White are older than most others). The mix is the one that `weights` give all
    samples together; each group keeps the share of draws that its samples have.

    Args:
        ages: [N] in years.
        groups: [N] words, such as ethnicities.
        weights: [N] by age alone, of `AGE_WEIGHTS`.
        sigma_years: of the Gaussian that smooths each group's histogram of ages.
        at_most: a weight is cut at so many medians: the few babies of a group should not be
            most of what is learned of it.

    Raises:
        UsageError: an age is unknown or negative, or there are not N of each.
    """
    years, names = _years(ages), np.asarray(groups, dtype=str)
    if not len(years) == len(names) == len(weights):
        raise UsageError(f"{len(years)} ages, {len(names)} groups and {len(weights)} weights")
    wanted = _share_of_ages(years, weights, years.max(), sigma_years)
    within = np.zeros(len(years))
    for name in np.unique(names):
        own = names == name
        have = _share_of_ages(years[own], np.ones(own.sum()), years.max(), sigma_years)
        within[own] = (wanted / have)[years[own]]
        within[own] *= own.sum() / within[own].sum()
    return _mean_one(np.minimum(within, at_most * np.median(within)))


AGE_WEIGHTS: Final[dict[str, Callable[[ArrayLike], Floats]]] = {
    "uniform": uniform_weights,
    "class-balanced": class_balanced_weights,
    "label-distribution-smoothed": lds_weights,
}


def _years(ages: ArrayLike) -> NDArray[np.int64]:
    known = np.asarray(ages, dtype=np.float64)
    if not np.isfinite(known).all() or (known < 0).any():
        raise UsageError("ages to weigh by must all be known and 0 or above")
    return np.floor(known).astype(np.int64)


def _share_of_ages(years: NDArray[np.int64], weights: Floats, last: int, sigma: float) -> Floats:
    counts = np.bincount(years, weights, minlength=last + 1)
    smooth = np.asarray(gaussian_filter1d(counts, sigma, mode="nearest"))
    # Ages that a group does not have are drawn from nobody; this keeps their quotient finite.
    return np.asarray(smooth / smooth.sum() + 1e-4 / len(smooth))


def _mean_one(weights: Floats) -> Floats:
    return np.asarray(weights / weights.mean())
