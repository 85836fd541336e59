"""The predictions table: one row an estimate, with the labels it is measured by.

Columns, in this order: the sample's identity and labels as in `agelens.tables.samples`
(`sample_id`, `dataset`, `age_years`, `age_std`, `age_low`, `age_high`, `age_kind`, `gender`,
`ethnicity`, `subject`, `split`, `fold`, `path`); `estimate_years`; `low_years` and
`high_years`, which bound an interval that claims to hold the share `interval_level`;
`gender_estimate`; where the estimate came from: `model`, `method`, `backbone`, `seed`,
`train_data`; and `status`: ``ok``, or why there is no estimate. Then, where they are given,
`median_years`, `gender_score`, the quality of the picture (`QUALITY`) and the `milliseconds` that
its photo took, and any further columns as they are. All else is as in a sample table: absent
values are missing, never a code.

A distribution over ages is an array [N, K] beside the frame; on disk it is columns, see
`agelens.tables.predictions`.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from agelens.errors import TableError
from agelens.tables.columns import (
    as_categories,
    as_floats,
    as_integers,
    as_plain,
    problems_of,
    raise_problems,
    refuse,
)
from agelens.tables.samples import (
    GENDERS,
    OLDEST_YEARS,
    YEARS,
    cast_sample_column,
    check_labels,
    may_repeat,
)

LABELS: Final = (
    *("sample_id", "dataset", *YEARS, "age_kind", "gender", "ethnicity", "subject"),
    *("split", "fold", "path"),
)
ESTIMATES: Final = (
    *("estimate_years", "low_years", "high_years", "interval_level", "gender_estimate"),
    *("model", "method", "backbone", "seed", "train_data", "status"),
)
QUALITY: Final = (
    *("detection_score", "inter_eye_px", "sharpness", "exposure", "roll_degrees", "yaw_proxy"),
    *("visible_share", "yaw_degrees"),
)
PREDICTION_COLUMNS: Final = (*LABELS, *ESTIMATES)
OPTIONAL_COLUMNS: Final = ("median_years", "gender_score", *QUALITY, "milliseconds")
FURTHER_COLUMNS: Final = ("region", "frame")
"""Words and numbers that only some reports ask for: of birth, and of a video."""
OK: Final = "ok"
NO_ESTIMATE: Final = "no_estimate"
"""The status of a row without an estimate where nobody said why."""

_ESTIMATED_YEARS = ("estimate_years", "low_years", "high_years", "interval_level", "median_years")
_KEY = ("sample_id", "model", "seed")


def conformed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns in their order and dtypes, every row with a status.

    Raises:
        TableError: a column is missing, or a value does not fit its column.
    """
    missing = [name for name in PREDICTION_COLUMNS if name not in frame]
    if missing:
        raise TableError(
            f"the predictions lack the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"they have {', '.join(map(str, frame.columns)) or 'none'}"
        )
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        frame = frame.reset_index(drop=True)
    optional = [name for name in OPTIONAL_COLUMNS if name in frame]
    known = (*PREDICTION_COLUMNS, *optional)
    cast: dict[str, pd.Series] = {}

    def add(name: str) -> None:
        cast[name] = cast_prediction_column(frame[name])

    raise_problems("", problems_of(*(partial(add, name) for name in known)))
    cast["status"] = _with_status(cast["status"], cast["estimate_years"])
    extra = {str(name): frame[name] for name in frame.columns if name not in known}
    return pd.DataFrame(cast | extra, copy=False)


def cast_prediction_column(values: pd.Series) -> pd.Series:
    """One of the columns above, told by its name, in its dtype.

    Raises:
        TableError: a value does not fit; rows are named.
    """
    name = str(values.name)
    if name in LABELS:
        return cast_sample_column(values)
    if name in _ESTIMATED_YEARS:
        return as_floats(values, np.dtype(np.float64))
    if name in OPTIONAL_COLUMNS:
        return as_floats(values, np.dtype(np.float32))
    if name == "seed":
        return as_integers(values, pd.Int64Dtype())
    return as_categories(values, GENDERS if name == "gender_estimate" else None)


def _with_status(status: pd.Series, estimate: pd.Series) -> pd.Series:
    unsaid = status.isna()
    if not unsaid.any():
        return status
    said = as_plain(status).mask(unsaid & estimate.notna(), OK)
    return as_categories(said.mask(unsaid & estimate.isna(), NO_ESTIMATE))


def check_predictions(frame: pd.DataFrame) -> None:
    """What must hold from one column to another.

    Raises:
        TableError: it does not; rows are named.
    """
    ids, estimate, low = (frame[n] for n in ("sample_id", "estimate_years", "low_years"))
    high, level = frame["high_years"], frame["interval_level"]
    failed = estimate.isna() & (frame["status"] == OK)
    complaints = [
        (ids, ids.isna(), "is missing"),
        *(
            (years, years.abs() > OLDEST_YEARS, f"is beyond {OLDEST_YEARS:g} years")
            for years in (estimate, low, high)  # a model may miss below 0
        ),
        (estimate, failed, f"is missing though the status is {OK}"),
        (low, low.isna() & high.notna(), "is missing beside a high_years"),
        (high, high.isna() & low.notna(), "is missing beside a low_years"),
        (high, high < low, "is below low_years"),
        (level, (level <= 0) | (level >= 1), "is not strictly between 0 and 1"),
    ]
    checks = [partial(refuse, *one) for one in complaints]
    raise_problems(
        "", problems_of(*checks, partial(check_labels, frame), partial(_check_key, frame))
    )


def _check_key(frame: pd.DataFrame) -> None:
    if may_repeat(frame["sample_id"]):
        again = frame.duplicated(list(_KEY), keep=False)
        refuse(frame["sample_id"], again, "occurs more than once with the same model and seed")
