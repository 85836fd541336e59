"""Error rates of two uses of an age estimate, as NIST defines them, and failures to process.

Challenge T at legal age L lets everybody pass unasked who looks T or older:

    false positives   share of people under L who pass
    false negatives   share of people of L or older who are asked

A room for people of some years, such as 13 to 16, admits whoever looks of these years:

    true positives    share of people of these years who are admitted
    false positives   share of all others who are admitted

A face that cannot be processed passes nowhere. Such people are counted apart, as failures, and
where it costs them something in the columns ``with_failures``: who is old enough, or of the
right years, and gets no estimate is turned away all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.evaluation.bootstrap import person_codes
from agelens.evaluation.groups.group_rows import FEW, Row
from agelens.evaluation.nist.groups import (
    age_band,
    crossed,
    failures,
    in_bands,
    stated_words,
    true_year,
)
from agelens.evaluation.rates import Rate, rate
from agelens.evaluation.row_counts import tally

RATES_COLUMNS: Final = (
    *("quantity", "at", "of", "group", "share", "low", "high", "count", "samples"),
    *("with_failures", "with_failures_low", "with_failures_high", "failures", "few"),
)
WITH_FAILURES: Final = "with_failures"
FALSE_POSITIVE: Final = "challenge_false_positive"
FALSE_NEGATIVE: Final = "challenge_false_negative"
RANGE_FALSE_POSITIVE: Final = "range_false_positive"
TRUE_POSITIVE: Final = "range_true_positive"
FAILURE: Final = "failure_to_process"
_NEAR_YEARS: Final = 5
_YEARS_BEYOND: Final = 13
"""True years shown from the legal age on: 18 to 30."""

Marks: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class YearRange:
    """Whole years, both included: 13 to 16 lasts until the 17th birthday."""

    first: int
    last: int

    def holds(self, years: pd.Series) -> Marks:
        """Whether each age [N] in years is of these; a missing one is not."""
        return ((years >= self.first) & (years < self.last + 1)).to_numpy(dtype=bool)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A rate: of the rows `among` [N], how often `counts` [N]; a failure is `failed_counts`."""

    quantity: str
    at: str
    among: Marks
    counts: Marks
    failed_counts: bool | None = None


class NistRates:
    """Rates of one table, each as rows (`RATES_COLUMNS`) of everybody and of groups.

    Args:
        frame: see `agelens.evaluation.nist.groups.measured_rows`.
        level: of the intervals, see `agelens.evaluation.rates.rate`.
    """

    def __init__(self, frame: pd.DataFrame, level: float) -> None:
        self._frame, self._level = frame, level
        self._people = person_codes(frame)
        self._failed = failures(frame).to_numpy(dtype=bool)

    def of_challenges(self, legal_years: float, challenges: Sequence[float]) -> pd.DataFrame:
        """False positives and false negatives of each challenge age.

        Groups are those within five years below the legal age, and of at least the challenge
        age; each gender, and of it those; each true year about the legal age.
        """
        age, estimate = (self._frame[n].to_numpy() for n in ("age_years", "estimate_years"))
        below, above = age < legal_years, age >= legal_years
        first = max(0, int(legal_years) - _NEAR_YEARS)
        end = ceil(legal_years)
        young, old = range(first, end), range(int(legal_years), end + _YEARS_BEYOND)
        rows: list[Row] = []
        for challenge in challenges:
            passes, at = estimate >= challenge, f"{challenge:g}"
            asked = _Asked(FALSE_POSITIVE, at, below, passes)
            rows += self._rows(asked, self._groups((0, first, legal_years), young))
            asked = _Asked(FALSE_NEGATIVE, at, above, ~passes, True)
            rows += self._rows(asked, self._groups((legal_years, challenge), old))
        return pd.DataFrame(rows, columns=list(RATES_COLUMNS))

    def of_range(self, years: YearRange) -> pd.DataFrame:
        """Both rates of a room for people of `years`; true years are those near."""
        age, estimate = self._frame["age_years"], self._frame["estimate_years"]
        inside, admitted = years.holds(age), years.holds(estimate)
        outside = age.notna().to_numpy() & ~inside
        near = range(max(0, years.first - _NEAR_YEARS), years.last + _NEAR_YEARS + 1)
        groups = self._groups((0, years.first, years.last + 1), near)
        rows = [
            *self._rows(_Asked(TRUE_POSITIVE, str(years), inside, admitted, False), groups),
            *self._rows(_Asked(RANGE_FALSE_POSITIVE, str(years), outside, admitted), groups),
        ]
        return pd.DataFrame(rows, columns=list(RATES_COLUMNS))

    def of_failures(self) -> pd.DataFrame:
        """Rows without a usable estimate, of all rows: by group, and each status by itself."""
        everybody = np.ones(len(self._frame), dtype=bool)
        words = (stated_words(self._frame, name) for name in ("gender", "ethnicity", "dataset"))
        groups = [*(one for one in words if one is not None), age_band(self._frame)]
        rows = list(self._rows(_Asked(FAILURE, "", everybody, self._failed), groups))
        for status in tally(self._frame["status"][self._failed]):
            of_it = (self._frame["status"] == status).to_numpy(dtype=bool)
            found = self._rate(_Asked(FAILURE, "", everybody, of_it), everybody)
            rows.append({**found, "of": "status", "group": status})
        return pd.DataFrame(rows, columns=list(RATES_COLUMNS))

    def _groups(self, starts: Sequence[float], years: range) -> list[pd.Series]:
        bands = in_bands(self._frame["age_years"], sorted(set(starts)), "age")
        several = len(bands.cat.categories) > 1
        gender = stated_words(self._frame, "gender")
        groups = [bands] if several else []
        if gender is not None:
            groups += [gender, crossed(gender, bands)] if several else [gender]
        return [*groups, true_year(self._frame, years)]

    def _rows(self, asked: _Asked, groups: Sequence[pd.Series]) -> Iterator[Row]:
        """A row of everybody, then one of each group that somebody is in."""
        yield {**self._rate(asked, asked.among), "of": "everybody", "group": "everybody"}
        for words in groups:
            codes = words.cat.codes.to_numpy()
            for code, group in enumerate(words.cat.categories):
                rows = asked.among & (codes == code)
                if rows.any():
                    found = self._rate(asked, rows)
                    yield {**found, "of": str(words.name), "group": str(group)}

    def _rate(self, asked: _Asked, rows: Marks) -> Row:
        """Of the rows marked; only of failures themselves do failed ones count by themselves."""
        measured = rows if asked.quantity == FAILURE else rows & ~self._failed
        found = rate(asked.counts[measured], self._people[measured], level=self._level)
        row: Row = {"quantity": asked.quantity, "at": asked.at, "few": 0 < found.samples < FEW}
        row |= _shares(found) | {"failures": int((rows & self._failed).sum())}
        if asked.failed_counts is not None:
            counts = np.where(self._failed, asked.failed_counts, asked.counts)[rows]
            whole = rate(counts, self._people[rows], level=self._level)
            ends = {f"{WITH_FAILURES}_low": whole.low, f"{WITH_FAILURES}_high": whole.high}
            row |= {WITH_FAILURES: whole.share} | ends
        return row


def _shares(found: Rate) -> Row:
    row: Row = {"share": found.share, "low": found.low, "high": found.high}
    return row | {"count": found.errors, "samples": found.samples}
