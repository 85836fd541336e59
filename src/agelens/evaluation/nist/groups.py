"""The groups that the quantities are given for.

NIST's own bins of age are published in figures only, so every table names the bins it uses: whole
years around the legal age, and the bands of `AGE_BANDS`. Ages are counted as people do:
somebody is 16 until the 17th birthday.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from agelens.evaluation.groups.columns import group_words
from agelens.imaging.quality import yaw_degrees

AGE_BANDS: Final = (0, 6, 13, 17, 18, 25, 35, 50, 65)
"""First year of each; the last is open."""

HEADLINE_YEARS: Final = range(18, 31)
"""Of both sexes, the 26 cells whose mean MAE is NIST's headline."""

QUALITY_COLUMNS: Final = ("inter_eye_px", "yaw_degrees")


def measured_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` of a predictions table, as all quantities here take it.

    Only a row of status ``ok`` has its estimate; an estimate beside another status is one that
    nobody may use. Heads' yaw comes from `yaw_proxy` where the table does not give it.
    """
    failed = failures(frame)
    found = frame.assign(estimate_years=frame["estimate_years"].mask(failed))
    if "yaw_degrees" not in found and "yaw_proxy" in found:
        found["yaw_degrees"] = yaw_degrees(found["yaw_proxy"].to_numpy(np.float64))
    return found


def failures(frame: pd.DataFrame) -> pd.Series:
    """Whether each row [N] has another status than ``ok``."""
    return frame["status"].ne("ok")


def in_bands(values: pd.Series, starts: Sequence[float], name: str) -> pd.Series:
    """The bin [N] of each value as ordered categories: ``13-16``, ``17`` of one year, ``65+``."""
    ends = [end - 1 for end in starts[1:]]
    pairs = zip(starts, ends, strict=False)
    names = [f"{first:g}" if first == end else f"{first:g}-{end:g}" for first, end in pairs]
    bins = pd.cut(values, [*starts, np.inf], right=False, labels=[*names, f"{starts[-1]:g}+"])
    return pd.Series(bins, index=values.index, name=name)


def age_band(frame: pd.DataFrame) -> pd.Series:
    """The band of `AGE_BANDS` [N] that each true age is in."""
    return in_bands(frame["age_years"], AGE_BANDS, "age_band")


def true_year(frame: pd.DataFrame, years: range) -> pd.Series:
    """The true age [N] in whole years as ordered categories, missing where not of `years`."""
    codes = np.floor(frame["age_years"].to_numpy()) - years[0]
    inside = (codes >= 0) & (codes < len(years))  # false where the age is missing
    words = pd.CategoricalDtype([str(year) for year in years], ordered=True)
    whole = np.where(inside, codes, -1).astype(np.int64)
    return pd.Series(pd.Categorical.from_codes(whole, dtype=words), frame.index, name="true_year")


def crossed(one: pd.Series, other: pd.Series) -> pd.Series:
    """Both of two categories [N] in one, ``female 17``, in their order; missing where one is."""
    count = len(other.cat.categories)
    there = one.notna() & other.notna()
    codes = one.cat.codes.astype(np.int64) * count + other.cat.codes
    names = [f"{a} {b}" for a in one.cat.categories for b in other.cat.categories]
    both = pd.Categorical.from_codes(
        codes.where(there, -1).to_numpy(), dtype=pd.CategoricalDtype(names)
    )
    return pd.Series(both, one.index, name=f"{one.name} x {other.name}")


def stated_words(frame: pd.DataFrame, name: str) -> pd.Series | None:
    """The groups [N] of a column; None where it is not there, or says nothing."""
    if name not in frame:
        return None
    words = group_words(frame, name)
    return words if words.notna().any() else None
