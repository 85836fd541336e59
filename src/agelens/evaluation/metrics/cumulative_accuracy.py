"""Cumulative accuracy CA@k of MegaAge, in both of the conventions it was published in."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.cumulative_score import cumulative_score
from agelens.evaluation.metrics.errors import absolute_errors
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats

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
