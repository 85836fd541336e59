"""All quantities of one predictions table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agelens.errors import UsageError
from agelens.evaluation.nist.errors import HeadlineMae, Resampling, error_rows, headline_mae
from agelens.evaluation.nist.groups import failures, measured_rows
from agelens.evaluation.nist.rates import NistRates, YearRange
from agelens.evaluation.row_counts import RowCounts, count_rows, words_in_use
from agelens.evaluation.table_checks import (
    refuse_mixed_kinds,
    refuse_repeats,
    refuse_unlabelled,
)
from agelens.tables import PredictionsTable


@dataclass(frozen=True, slots=True)
class PhotoTime:
    """How long a photo took in milliseconds, over `photos` of which that is known.

    Both are NaN where none is.
    """

    photos: int
    median: float
    ninetieth: float


@dataclass(frozen=True, slots=True, eq=False)
class NistQuantities:
    """What NIST's FATE AEV reports, of one table.

    `errors` has the columns `GROUPS_COLUMNS`, `rates` those of `RATES_COLUMNS`. `absent` says of
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


def nist_quantities(
    predictions: PredictionsTable,
    *,
    legal_years: float = 18,
    challenges: Sequence[float] = (18, 21, 25, 30),
    years: YearRange | None = None,
    mix_age_kinds: bool = False,
    resampling: Resampling | None = None,
) -> NistQuantities:
    """The quantities of NIST's FATE AEV (IR 8525) on one's own labelled data.

    Args:
        predictions: one model's, with ages in years.
        legal_years: the legal age L.
        challenges: challenge ages T, each at least L.
        years: of the people whom a room is for; 13 to 16 unless given.
        mix_age_kinds: whether real, apparent and estimated ages may be measured together.
        resampling: of people, for the intervals of errors; its level is that of rates as well.

    Raises:
        TableError: no row has an age in years.
        UsageError: a sample has several estimates; kinds of age are mixed; a challenge age is
            below the legal one or given twice, or the range or resampling is none.
    """
    resampling, years = resampling or Resampling(), years or YearRange(13, 16)
    _check(legal_years, challenges, years, resampling)
    refuse_repeats(predictions.frame)
    refuse_unlabelled(predictions.frame)
    if not mix_age_kinds:
        refuse_mixed_kinds(predictions.frame)
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
    wanted = ("gender", "ethnicity", "inter_eye_px", "yaw_degrees", "milliseconds")
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
