"""Age classes, as Adience and FairFace label them: exact and one-off accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agelens.evaluation.metrics.base import Sums, complete_numbers, same_length
from agelens.records import Floats


def _correct(gender_estimate: ArrayLike, gender: ArrayLike) -> Floats:
    columns = {
        "gender_estimate": np.asarray(gender_estimate, dtype=object),
        "gender": np.asarray(gender, dtype=object),
    }
    same_length(**columns)
    for name, values in columns.items():
        wrong = ~((values == "female") | (values == "male"))
        if wrong.any():
            raise ValueError(
                f"{name} is female or male, got {values[wrong.argmax()]!r} at "
                f"{int(wrong.argmax())}; leave rows without one out of both columns"
            )
    return np.asarray(columns["gender_estimate"] == columns["gender"], dtype=np.float64)


GENDER_ACCURACY: Final = Sums(_correct)


def gender_accuracy(gender_estimate: ArrayLike, gender: ArrayLike) -> float:
    """Share of samples whose estimated gender is the labelled one; NaN for no sample.

    Both are the words ``female`` and ``male``, as in every table: codes differ by dataset.

    Raises:
        ValueError: the columns differ in length, or hold another word or a missing one.
    """
    return GENDER_ACCURACY(gender_estimate, gender)


def _same_words(ethnicity_estimate: ArrayLike, ethnicity: ArrayLike) -> Floats:
    columns = {
        "ethnicity_estimate": np.asarray(ethnicity_estimate, dtype=object),
        "ethnicity": np.asarray(ethnicity, dtype=object),
    }
    same_length(**columns)
    for name, values in columns.items():
        wrong = np.array([not isinstance(value, str) for value in values], dtype=bool)
        if wrong.any():
            raise ValueError(
                f"{name} is a word, got {values[wrong.argmax()]!r} at {int(wrong.argmax())}; leave "
                "rows without one out of both columns"
            )
    return np.asarray(columns["ethnicity_estimate"] == columns["ethnicity"], dtype=np.float64)


ETHNICITY_ACCURACY: Final = Sums(_same_words)
"""Share of samples whose told ethnicity is the labelled word, of which datasets have their own."""


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
