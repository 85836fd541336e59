"""Columns that people are told apart by: words as they are, numbers in bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from agelens.errors import UnknownNameError, UsageError

BINS: Final[dict[str, tuple[str, tuple[float, ...]]]] = {
    "age_band": ("age_years", (0, 10, 20, 30, 40, 50, 60, 70)),
    "age_five_years": ("age_years", tuple(range(0, 95, 5))),
    "inter_eye_px": ("inter_eye_px", (0, 16, 32, 64, 128)),
    "yaw_proxy": ("yaw_proxy", (0, 0.1, 0.2, 0.4)),
    "yaw_degrees": ("yaw_degrees", (0, 10, 20, 30, 45)),
    "sharpness": ("sharpness", (0, 0.1, 0.3, 0.6, 1.0)),
}
"""Column, and the first value of each bin; the last is open. A head turned either way counts alike,
and a face of yaw proxy 0.4 or sharpness 0.1 is where the default card refers to a human."""

DEFAULT_COLUMNS: Final = (
    *("age_band", "gender", "ethnicity", "dataset"),
    *("inter_eye_px", "yaw_proxy", "sharpness"),
)
MOST_WORDS: Final = 100


def group_words(frame: pd.DataFrame, name: str) -> pd.Series:
    """The group [N] of each row as ordered categories; missing where the row does not say.

    Args:
        frame: of a predictions table.
        name: of `BINS`, or a column of words.

    Raises:
        UnknownNameError: no such column.
        UsageError: it has more than `MOST_WORDS` words, which are names rather than groups.
    """
    if name in BINS:
        column, starts = BINS[name]
        if column not in frame:
            return pd.Series(pd.Categorical([None] * len(frame), categories=["none"]), name=name)
        return _binned(frame[column].abs(), starts).rename(name)
    if name not in frame:
        raise UnknownNameError("group column", name, [*BINS, *map(str, frame.columns)])
    words = frame[name].astype("category")
    words = words.cat.remove_unused_categories()
    if len(words.cat.categories) > MOST_WORDS:
        raise UsageError(
            f"{name} has {len(words.cat.categories):,} words; groups to compare are at most "
            f"{MOST_WORDS}. Put them into fewer in a column of your own"
        )
    return words.rename(name)


def age_bands(frame: pd.DataFrame) -> pd.Series:
    """The decade of life [N] that each true age is in, the last one open."""
    return group_words(frame, "age_band")


def bin_names(starts: Sequence[float]) -> list[str]:
    """What bins are called: ``10-19`` of whole numbers, ``0.1-0.2`` of others, ``70+``."""
    whole = all(float(start).is_integer() for start in starts)
    ends = [end - 1 if whole else end for end in starts[1:]]
    closed = [f"{start:g}-{end:g}" for start, end in zip(starts, ends, strict=False)]
    return [*closed, f"{starts[-1]:g}+"]


def _binned(values: pd.Series, starts: Sequence[float]) -> pd.Series:
    return pd.Series(
        pd.cut(values, [*starts, np.inf], right=False, labels=bin_names(starts)),
        index=values.index,
    )
