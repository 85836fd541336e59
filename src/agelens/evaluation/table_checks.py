"""What a predictions table must be before anything is measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from agelens.errors import TableError, UsageError
from agelens.evaluation.bootstrap.groupings import person_codes
from agelens.tables.samples import OLDEST_YEARS, impossible_ages, may_repeat


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of the rows: none is dropped without standing here.

    `statuses` counts every row by its status, `age_kinds` those with an age by its kind. A row
    of an unknown person counts as one of the `people`; `named` rows say whose they are.
    """

    rows: int
    people: int
    named: int
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
        named=int(frame["subject"].notna().sum()),
        estimated=int(estimated.sum()),
        without_estimate=int((~estimated).sum()),
        labelled=int(aged.sum()),
        without_age=int((~aged).sum()),
        statuses=tally(frame["status"]),
        age_kinds=tally(frame["age_kind"][aged]),
    )


UNKNOWN_PEOPLE: Final = (
    "nobody says who is on {rows:,} rows; each is taken for a person of its own, so that intervals "
    "are too narrow where somebody has several."
)


def people_words(counts: RowCounts) -> str:
    """How many people there are, as far as anybody says."""
    if not counts.named:
        return "people unknown"
    unknown = counts.rows - counts.named
    several = f", {unknown:,} rows of unknown people as one each" if unknown else ""
    return f"{counts.people:,} people{several}"


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


def check_impossible_ages(frame: pd.DataFrame) -> None:
    """Raise where an age is none that a person can have, since one code spoils every mean.

    Readers of datasets keep such labels and say so in `issue`; a measurement cannot.

    Raises:
        TableError: an age is below 0 or above `OLDEST_YEARS`; one is named.
    """
    age = frame["age_years"]
    bad = impossible_ages(age)
    if bad.any():
        raise TableError(
            f"{int(bad.sum())} of {len(frame)} rows have an age that nobody has, "
            f"{frame['sample_id'][bad].iloc[0]!r} one of {age[bad].iloc[0]:g} years among them: "
            f"ages lie from 0 to {OLDEST_YEARS:g}. Leave such ages empty, and the rows are "
            "counted as those without an age"
        )


def check_repeats(frame: pd.DataFrame) -> None:
    """Raise where a sample has several estimates, since all would count as different people.

    Raises:
        UsageError: one has; it is named.
    """
    if not may_repeat(frame["sample_id"]):
        return
    again = frame["sample_id"].duplicated()
    if again.any():
        sample = frame["sample_id"][again].iloc[0]
        models = words_in_use(frame["model"]) or ("unnamed",)
        raise UsageError(
            f"{int(again.sum())} samples have several estimates, {sample!r} among them (models: "
            f"{', '.join(models)}). Evaluate one model and seed at a time: select its rows"
        )


def check_mixed_kinds(frame: pd.DataFrame) -> None:
    """Raise where ages of several kinds are together: an error means another thing in each.

    Raises:
        UsageError: they are; the rows of each are counted.
    """
    kinds = tally(frame["age_kind"][has_age(frame)])
    if len(kinds) > 1:
        raise UsageError(
            "ages of several kinds are not measured together unless you say so "
            f"(mix_age_kinds, or --allow-mixed-age-kinds): {spelled(kinds)}"
        )


def check_unmeasurable(frame: pd.DataFrame, *, mix_age_kinds: bool) -> None:
    """Raise where rows cannot be measured together: the checks above, in turn.

    Raises:
        TableError: an age that nobody has.
        UsageError: a sample has several estimates; kinds of age are mixed without `mix_age_kinds`.
    """
    check_repeats(frame)
    check_impossible_ages(frame)
    if not mix_age_kinds:
        check_mixed_kinds(frame)


def check_unlabelled(frame: pd.DataFrame) -> None:
    """Raise where no row has an age in years.

    Raises:
        TableError: none has.
    """
    if frame["age_years"].isna().all():
        classes = " (they have age classes only)" if has_age(frame).any() else ""
        raise TableError(
            f"none of the {len(frame)} predictions has an age in years to be measured by{classes}. "
            "Take labels from the sample table: --labels TABLE, or predictions.with_labels(samples)"
        )
