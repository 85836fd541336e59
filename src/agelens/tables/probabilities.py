"""How a distribution over ages stands in a table: columns `p_000`, `p_001`, ... and `age_scale`.

The columns number the K ages of a scale in ascending order. `age_scale` says in every row, in
the same words, which ages these are, as `AgeScale.parse` reads them (``0-100``,
``0.25,1-80``); so a CSV says it as well as a Parquet file does. Where it is absent the number
is the age: K ages from 0 to K - 1.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.ages import AgeScale
from agelens.errors import TableError
from agelens.tables.dtypes import as_categories, as_floats

Distribution: TypeAlias = NDArray[np.float32]
SCALE_COLUMN: Final = "age_scale"
_NAME: Final = re.compile(r"p_\d{3,}")
_ROWS_AT_A_TIME: Final = 16_384


def is_probability(name: str) -> bool:
    """Whether a column of this name is one of a distribution."""
    return _NAME.fullmatch(name) is not None


def probability_names(count: int) -> list[str]:
    """The names of the columns of `count` ages."""
    return [f"p_{number:03d}" for number in range(count)]


def take_distribution(
    frame: pd.DataFrame, scale: AgeScale | None
) -> tuple[pd.DataFrame, Distribution | None, AgeScale | None]:
    """`frame` without the columns of its distribution, the distribution [N, K], and its scale.

    Args:
        frame: with or without such columns; it is left as it is.
        scale: where the frame does not state it.

    Raises:
        TableError: the columns are not numbered from 0 without a gap, the scale is another
            one or has another count, or a value is not a number.
    """
    found = [str(name) for name in frame.columns if is_probability(str(name))]
    stated = _stated_scale(frame)
    if stated and scale and stated != scale:
        raise TableError(f"the table's age_scale is {stated}, but it is to be read as {scale}")
    rest = frame.drop(columns=[*found, SCALE_COLUMN], errors="ignore")
    if not found:
        return rest, None, scale or stated
    names = probability_names(len(found))
    if sorted(found) != sorted(names):
        raise TableError(
            f"the probabilities' columns must be {names[0]} to {names[-1]} for {len(names)} ages, "
            f"whatever the first age is; found {min(found)} to {max(found)}"
        )
    scale = scale or stated or _whole_years(len(names))
    columns = [as_floats(frame[name], np.dtype(np.float32)).to_numpy() for name in names]
    return rest, _rows(columns, len(frame)), scale


def check_distribution(distribution: Distribution, scale: AgeScale, rows: int) -> None:
    """Whether each row [rows, K] is a distribution over `scale`, or NaN throughout.

    Raises:
        TableError: another shape, or a row that is neither; see `AgeScale.normalise`.
    """
    if distribution.shape != (rows, len(scale)):
        raise TableError(
            f"the distribution of {rows} rows over the {len(scale)} ages {scale} has shape "
            f"[{rows}, {len(scale)}], got {list(distribution.shape)}"
        )
    for start in range(0, rows, _ROWS_AT_A_TIME):
        part = distribution[start : start + _ROWS_AT_A_TIME]
        there = np.flatnonzero(~np.isnan(part).all(axis=1))
        try:
            scale.normalise(part[there])
        except ValueError as bad:
            raise TableError(
                f"p_000 to p_{len(scale) - 1:03d}: {bad}, counting rows that have one from row "
                f"{start + int(there[0])}"
            ) from bad


def distribution_columns(distribution: Distribution, scale: AgeScale) -> pd.DataFrame:
    """The columns that hold `distribution` [N, K] in a table, `age_scale` first."""
    columns = pd.DataFrame(distribution, columns=probability_names(len(scale)), copy=False)
    words = pd.CategoricalDtype(pd.Index([str(scale)], dtype=object))
    code = np.zeros(len(columns), dtype=np.int8)
    columns.insert(0, SCALE_COLUMN, pd.Series(pd.Categorical.from_codes(code, dtype=words)))
    return columns


def _rows(columns: list[Distribution], count: int) -> Distribution:
    """Columns [K] of [N] as rows [N, K], as whoever reads a distribution reads it."""
    rows = np.empty((count, len(columns)), dtype=np.float32)
    for start in range(0, count, _ROWS_AT_A_TIME):  # a part at a time stays in the cache
        part = slice(start, start + _ROWS_AT_A_TIME)
        np.stack([column[part] for column in columns], axis=1, out=rows[part])
    return rows


def _stated_scale(frame: pd.DataFrame) -> AgeScale | None:
    if SCALE_COLUMN not in frame:
        return None
    values = as_categories(frame[SCALE_COLUMN])
    words = values.cat.categories.tolist()
    if len(words) > 1:
        raise TableError(f"one table has one age_scale, this one has {' and '.join(words)}")
    try:
        return AgeScale.parse(words[0]) if words else None
    except ValueError as bad:
        raise TableError(f"column 'age_scale': {bad}") from bad


def _whole_years(count: int) -> AgeScale:
    if count < 2:
        raise TableError("a distribution has at least 2 ages, p_000 and p_001")
    return AgeScale.yearly(0, count - 1)
