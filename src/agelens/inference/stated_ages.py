"""What is said of faces in the end: the network's ages, corrected and calibrated by its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agelens.inference.answers import Answers
from agelens.inference.calibration import Calibration
from agelens.records import Floats

GENDER_COLUMN: Final = "gender"
"""The one column whose words are known in use, where gender is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class StatedAges:
    """Ages, medians and interval ends [N] in years; `coverage` is None where nobody measured it."""

    age_years: Floats
    median_years: Floats
    low_years: Floats
    high_years: Floats
    coverage: float | None


def stated_ages(
    answers: Answers,
    level: float,
    calibration: Calibration | None = None,
    genders: Sequence[str | None] | None = None,
) -> StatedAges:
    """The ages of `answers`, with intervals at `level`.

    Bias is corrected first, as it was before the intervals were calibrated. Intervals at a level
    that nobody calibrated stay the network's own, and have no coverage.

    Args:
        answers: of N faces.
        level: share that the intervals are to hold.
        calibration: of the model's card; None for the network's own numbers.
        genders: [N] words, where they were asked for: of use where the card tells genders apart.

    Raises:
        ValueError: `level` is not strictly between 0 and 1.
    """
    age, median = answers.age_years, answers.median_years
    low, high = answers.interval(level)
    if calibration is None:
        return StatedAges(age, median, low, high, None)
    if calibration.bias is not None:
        age, median, low, high = map(calibration.bias.apply, (age, median, low, high))
    intervals = calibration.at(level)
    if intervals is None:
        return StatedAges(age, median, low, high, None)
    groups = genders if intervals.column == GENDER_COLUMN else None
    low, high = intervals.apply(age, low, high, groups)
    known = intervals.column is None or groups is not None
    coverage = intervals.coverage if known else intervals.coverage_of_strangers
    return StatedAges(age, median, low, high, coverage)
