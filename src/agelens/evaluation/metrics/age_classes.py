"""Age classes, as Adience and FairFace label them: exact and one-off accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.columns import complete_numbers
from agelens.evaluation.metrics.sums import Sums
from agelens.records import Floats


@dataclass(frozen=True, slots=True)
class AgeClasses:
    """K classes of ages, ascending, with gaps or without.

    Args:
        bounds: first and last whole year of each, both inclusive: (8, 13) ends as the person
            turns 14. The last class is open where its end is None.

    Raises:
        ValueError: fewer than 2 classes, or they overlap or are not ascending.
    """

    bounds: tuple[tuple[float, float | None], ...]

    def __post_init__(self) -> None:
        ends = [low if high is None else high for low, high in self.bounds]
        lows = [low for low, _ in self.bounds]
        closed = all(high is not None for _, high in self.bounds[:-1])
        ordered = all(low <= high for low, high in zip(lows, ends, strict=True))
        apart = all(high < low for high, low in zip(ends, lows[1:], strict=False))
        if len(self.bounds) < 2 or not (closed and ordered and apart):
            raise ValueError(f"age classes ascend and do not overlap, got {self.bounds}")

    def index_of_age(self, years: ArrayLike) -> Floats:
        """Class [N] of each age, NaN for NaN; an age in a gap goes to the nearer class.

        A class reaches from the birthday of its first year up to the one after its last; the
        middle of a gap belongs to the older class.
        """
        values = np.asarray(years, dtype=np.float64)
        ends = np.array([high for _, high in self.bounds[:-1]], dtype=np.float64) + 1
        borders = (ends + np.array([low for low, _ in self.bounds[1:]])) / 2
        index = np.searchsorted(borders, values, side="right")
        return np.asarray(np.where(np.isnan(values), np.nan, index), dtype=np.float64)

    def index_of_bounds(self, low: ArrayLike, high: ArrayLike) -> Floats:
        """Class [N] that has these bounds, NaN for bounds of no class.

        An open class is labelled without `high` (NaN).
        """
        lows, highs = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        index = np.full(lows.shape, np.nan)
        for number, (first, last) in enumerate(self.bounds):
            ends = np.isnan(highs) if last is None else highs == last
            index[(lows == first) & ends] = number
        return index


def _apart(estimate_class: ArrayLike, age_class: ArrayLike) -> Floats:
    estimate, label = complete_numbers(estimate_class=estimate_class, age_class=age_class)
    return np.asarray(np.abs(estimate - label))


def _equal(estimate_class: ArrayLike, age_class: ArrayLike) -> Floats:
    return np.asarray(_apart(estimate_class, age_class) == 0, dtype=np.float64)


def _neighbour(estimate_class: ArrayLike, age_class: ArrayLike) -> Floats:
    return np.asarray(_apart(estimate_class, age_class) <= 1, dtype=np.float64)


CLASS_ACCURACY: Final = Sums(_equal)
ONE_OFF_ACCURACY: Final = Sums(_neighbour)


def class_accuracy(estimate_class: ArrayLike, age_class: ArrayLike) -> float:
    """Share of samples whose class is exactly right; NaN for no sample.

    Args:
        estimate_class: number [N] of each estimate's class, see `AgeClasses`.
        age_class: number [N] of each label's class.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return CLASS_ACCURACY(estimate_class, age_class)


def one_off_accuracy(estimate_class: ArrayLike, age_class: ArrayLike) -> float:
    """Share of samples whose class is right or a neighbour of it; NaN for no sample.

    Eidinger et al. (TIFS 2014). The first and the last class have one neighbour only.

    Raises:
        ValueError: the columns differ in length or hold NaN.
    """
    return ONE_OFF_ACCURACY(estimate_class, age_class)
