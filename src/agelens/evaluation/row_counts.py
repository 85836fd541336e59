"""What became of the rows of a predictions table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from agelens.evaluation.bootstrap import person_codes


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of the rows: none is dropped without standing here.

    `statuses` counts every row by its status, `age_kinds` those with an age by its kind.
    """

    rows: int
    people: int
    estimated: int
    without_estimate: int
    labelled: int
    without_age: int
    statuses: dict[str, int]
    age_kinds: dict[str, int]


def count_rows(frame: pd.DataFrame) -> RowCounts:
    """The counts of the rows of a predictions table."""
    estimated = frame["estimate_years"].notna()
    aged = has_age(frame)
    return RowCounts(
        rows=len(frame),
        people=int(person_codes(frame).max(initial=-1)) + 1,
        estimated=int(estimated.sum()),
        without_estimate=int((~estimated).sum()),
        labelled=int(aged.sum()),
        without_age=int((~aged).sum()),
        statuses=tally(frame["status"]),
        age_kinds=tally(frame["age_kind"][aged]),
    )


def has_age(frame: pd.DataFrame) -> pd.Series:
    """Whether each row [N] has an age, or an age class."""
    return frame["age_years"].notna() | frame["age_low"].notna() | frame["age_high"].notna()


def tally(words: pd.Series) -> dict[str, int]:
    """Rows by word, the most frequent first; missing words are in none."""
    counted = words.value_counts()
    return {str(word): int(count) for word, count in counted.items() if count}


def spelled(counts: Mapping[str, int]) -> str:
    """As part of a message: 299 real, 1 apparent."""
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def words_in_use(words: pd.Series) -> tuple[str, ...]:
    """The words of a column, the most frequent first."""
    return tuple(tally(words))
