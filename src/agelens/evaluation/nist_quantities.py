"""All quantities of one predictions table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import TableError, UsageError
from agelens.evaluation.bootstrap.groupings import (
    drawn_weights,
    percentile_interval,
    person_codes,
)
from agelens.evaluation.groups import FEW, Row
from agelens.evaluation.nist_errors import (
    HeadlineMae,
    Resampling,
    age_band,
    crossed,
    error_rows,
    failures,
    headline_mae,
    in_bands,
    measured_rows,
    stated_words,
    true_year,
)
from agelens.evaluation.rates import Rate, rate
from agelens.evaluation.table_checks import (
    RowCounts,
    check_mixed_kinds,
    check_repeats,
    check_unlabelled,
    count_rows,
    tally,
    words_in_use,
)
from agelens.tables import PredictionsTable

RATES_COLUMNS: Final = (
    *("quantity", "at", "of", "group", "share", "low", "high", "count", "samples"),
    *("with_failures", "with_failures_low", "with_failures_high", "failures", "few"),
)
CURVE_COLUMNS: Final = (
    "threshold_years",
    *(
        f"{name}{end}"
        for name in ("false_positive", "false_negative")
        for end in ("", "_low", "_high", "_samples")
    ),
)
STEP_YEARS: Final = 0.5
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
        frame: see `agelens.evaluation.nist_errors.measured_rows`.
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

    def score_curve(self, legal_years: float) -> pd.DataFrame:
        """Both errors of saying who is under the legal age, at each threshold of the estimate.

        A row (`CURVE_COLUMNS`) for each half year: `false_positive` is the share of those under the
        legal age who are estimated at the threshold or more, and so taken for over it;
        `false_negative` the share of the others who are estimated below, and taken for under it.
        """
        known = (self._frame["age_years"].notna() & ~self._failed).to_numpy(dtype=bool)
        age, estimate = (self._frame[n].to_numpy()[known] for n in ("age_years", "estimate_years"))
        people, young = self._people[known], age < legal_years
        highest = float(estimate.max(initial=legal_years))
        rows = []
        for threshold in np.arange(0, ceil(highest) + 1, STEP_YEARS).tolist():
            row: Row = {"threshold_years": threshold}
            over = estimate >= threshold
            for name, wrong, among in (
                ("false_positive", over, young),
                ("false_negative", ~over, ~young),
            ):
                found = rate(wrong[among], people[among], level=self._level)
                row |= {name: found.share, f"{name}_low": found.low, f"{name}_high": found.high}
                row |= {f"{name}_samples": found.samples}
            rows.append(row)
        return pd.DataFrame(rows, columns=list(CURVE_COLUMNS))

    def of_failures(self) -> pd.DataFrame:
        """Rows without a usable estimate, of all rows: by group, and each status by itself."""
        everybody = np.ones(len(self._frame), dtype=bool)
        names = ("gender", "ethnicity", "region", "dataset")
        words = (stated_words(self._frame, name) for name in names)
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
        gender, region = (stated_words(self._frame, name) for name in ("gender", "region"))
        groups = [bands] if several else []
        groups += [] if region is None else [region]
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


@dataclass(frozen=True, slots=True)
class PhotoTime:
    """How long a photo took in milliseconds, over `photos` of which that is known.

    Both are NaN where none is.
    """

    photos: int
    median: float
    ninetieth: float


@dataclass(frozen=True, slots=True)
class FrameSpread:
    """How far the estimates of one person's frames lie apart.

    `deviation_years` is the mean over `people` of the mean absolute deviation of each one's
    estimates from their own mean, with its interval; `ninetieth` is what nine of ten people stay
    below. `without_estimate` is the rate of `frames` that have none.
    """

    people: int
    frames: int
    deviation_years: float
    low: float
    high: float
    ninetieth: float
    without_estimate: Rate


def frame_spread(frame: pd.DataFrame, resampling: Resampling) -> FrameSpread:
    """How steady a person's estimates are over the frames of a video.

    People with one usable frame only say nothing of it, and are not counted.

    Args:
        frame: see `measured_rows`, with `subject` and `frame`.
        resampling: of people.

    Raises:
        TableError: a column is missing, or nobody has two frames with an estimate.
    """
    lacking = [
        name for name in ("subject", "frame") if name not in frame or frame[name].isna().all()
    ]
    if lacking:
        raise TableError(
            f"frames of videos need the columns subject and frame; no row says "
            f"{' or '.join(lacking)}. Which are they? --columns subject=COLUMN,frame=COLUMN"
        )
    people, failed = person_codes(frame), failures(frame).to_numpy(dtype=bool)
    rows = (frame["subject"].notna() & frame["frame"].notna()).to_numpy(dtype=bool)
    usable = rows & ~failed
    of_person = pd.Series(frame["estimate_years"].to_numpy()[usable]).groupby(people[usable])
    deviations = (of_person.obj - of_person.transform("mean")).abs().groupby(people[usable]).mean()
    each = deviations[of_person.size() > 1].to_numpy(np.float64)
    if not each.size:
        raise TableError("nobody has two frames with an estimate: there is nothing to compare")
    value, low, high = float(each.mean()), float("nan"), float("nan")
    if resampling.draws and each.size > 1:
        drawn = np.concatenate(
            [
                weights @ each / each.size
                for weights in drawn_weights(each.size, resampling.draws, resampling.seed, 1)
            ]
        )
        low, high = percentile_interval(drawn, resampling.level, holding=value)
    return FrameSpread(
        *(each.size, int(rows.sum()), value, low, high, float(np.quantile(each, 0.9))),
        rate(failed[rows], people[rows], level=resampling.level),
    )


@dataclass(frozen=True, slots=True, eq=False)
class NistQuantities:
    """What NIST's FATE AEV reports, of one table.

    `errors` has the columns `GROUPS_COLUMNS`, `rates` those of `RATES_COLUMNS`, `score_curve` those
    of `CURVE_COLUMNS`; `frames` is there where it was asked for. `absent` says of
    which columns nothing could be said, as the table does not have them.
    """

    legal_years: float
    challenges: tuple[float, ...]
    years: YearRange
    counts: RowCounts
    failed: int
    models: tuple[str, ...]
    headline: HeadlineMae
    errors: pd.DataFrame
    rates: pd.DataFrame
    time: PhotoTime
    resampling: Resampling
    absent: tuple[str, ...]
    score_curve: pd.DataFrame
    frames: FrameSpread | None = None


def nist_quantities(
    predictions: PredictionsTable,
    *,
    legal_years: float = 18,
    challenges: Sequence[float] = (18, 21, 25, 30),
    years: YearRange | None = None,
    mix_age_kinds: bool = False,
    resampling: Resampling | None = None,
    video_frames: bool = False,
) -> NistQuantities:
    """The quantities of NIST's FATE AEV (IR 8525) on one's own labelled data.

    Args:
        predictions: one model's, with ages in years.
        legal_years: the legal age L.
        challenges: challenge ages T, each at least L.
        years: of the people whom a room is for; 13 to 16 unless given.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        resampling: of people, for the intervals of errors; its level is that of rates as well.
        video_frames: whether rows are frames, whose spread of each person is measured too.

    Raises:
        TableError: no row has an age in years; see `frame_spread`.
        UsageError: a sample has several estimates; kinds of age are mixed; a challenge age is
            below the legal one or given twice, or the range or resampling is none.
    """
    resampling, years = resampling or Resampling(), years or YearRange(13, 16)
    _check(legal_years, challenges, years, resampling)
    check_repeats(predictions.frame)
    check_unlabelled(predictions.frame)
    if not mix_age_kinds:
        check_mixed_kinds(predictions.frame)
    frame = measured_rows(predictions.frame)
    found = NistRates(frame, resampling.level)
    rates = (
        found.of_challenges(legal_years, challenges),
        found.of_range(years),
        found.of_failures(),
    )
    return NistQuantities(
        *(legal_years, tuple(challenges), years),
        *(count_rows(frame), int(failures(frame).sum()), words_in_use(frame["model"])),
        headline_mae(frame, resampling),
        error_rows(frame, resampling),
        pd.concat([part.astype(object) for part in rates], ignore_index=True).infer_objects(),
        photo_time(frame),
        resampling,
        _absent(frame),
        found.score_curve(legal_years),
        frame_spread(frame, resampling) if video_frames else None,
    )


def photo_time(frame: pd.DataFrame) -> PhotoTime:
    """Median and 90th percentile of `milliseconds`, each photo once, of status ``ok`` only.

    A photo is told by its dataset and path, and a row without a path is a photo of its own.
    """
    if "milliseconds" not in frame:
        return PhotoTime(0, float("nan"), float("nan"))
    known = frame[frame["milliseconds"].notna() & ~failures(frame)]
    again = known.duplicated(["dataset", "path"]) & known["path"].notna()
    times = known["milliseconds"][~again].to_numpy(np.float64)
    if not times.size:
        return PhotoTime(0, float("nan"), float("nan"))
    median, ninetieth = np.quantile(times, [0.5, 0.9]).tolist()
    return PhotoTime(len(times), median, ninetieth)


def _absent(frame: pd.DataFrame) -> tuple[str, ...]:
    wanted = ("gender", "ethnicity", "region", "inter_eye_px", "yaw_degrees", "milliseconds")
    return tuple(name for name in wanted if name not in frame or frame[name].isna().all())


def _check(
    legal: float, challenges: Sequence[float], years: YearRange, resampling: Resampling
) -> None:
    if not 0 < legal <= 120:
        raise UsageError(f"a legal age is above 0 and at most 120, got {legal:g}")
    low = [f"{one:g}" for one in challenges if not one >= legal]
    if low:
        raise UsageError(
            f"challenge ages are at least the legal age of {legal:g}, got {', '.join(low)}"
        )
    if not challenges or len(set(challenges)) < len(challenges):
        raise UsageError("challenge ages: at least one, each of them once")
    if not 0 <= years.first <= years.last:
        raise UsageError(f"a range of years begins at 0 or later and ends no earlier, got {years}")
    if resampling.draws < 0 or not 0 < resampling.level < 1:
        raise UsageError(
            "draws are 0 or more, a level is between 0 and 1; got "
            f"{resampling.draws}, {resampling.level}"
        )
