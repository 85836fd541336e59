"""Mean absolute error and bias by sex, age, region, size and pose, and NIST's headline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import Grouping, percentile_interval, person_codes
from agelens.evaluation.groups import (
    FEW,
    GROUPS_COLUMNS,
    Crossed,
    Measured,
    Row,
    bootstrap_batches,
    column_grouping,
    crossed_grouping,
    group_rows,
    group_words,
)
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.metrics.base import ratio
from agelens.records import Floats
from agelens.tables import GENDERS

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
        from agelens.imaging.quality import yaw_degrees  # noqa: PLC0415 - it loads OpenCV

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


CELLS: Final = len(GENDERS) * len(HEADLINE_YEARS)


@dataclass(frozen=True, slots=True)
class Resampling:
    """A bootstrap over people: how many draws (0 for none), level of its intervals, seed."""

    draws: int = 1000
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True, slots=True)
class HeadlineMae:
    """Mean of the MAE of both sexes at each age from 18 to 30, every cell counting alike.

    Of the 26 cells only `cells` had a sample, `few_cells` of them fewer than 30; with any cell
    empty, `value` is the mean of the others and not comparable with that of another table.
    """

    value: float
    low: float
    high: float
    cells: int
    few_cells: int
    samples: int


def error_rows(frame: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """MAE and bias with intervals: a row (`GROUPS_COLUMNS`) a grouping, group and metric.

    Groupings are everybody, age_band, gender, their crossing, ethnicity in the datasets' own
    words, region (NIST's are of birth), inter_eye_px and yaw_degrees, where the table says them.

    Args:
        frame: see `measured_rows`.
        resampling: for the intervals.
    """
    measured, values = _measured(frame, resampling)
    columns = _columns(frame)
    wanted: list[Crossed] = [(name,) for name in columns]
    if "gender" in columns:
        wanted.append(("gender", "age_band"))
    rows: dict[Crossed, list[Row]] = {}
    for part in bootstrap_batches(columns, wanted, len(frame)):
        groupings = [crossed_grouping([columns[name] for name in names]) for names in part]
        together = GroupedMetrics(measured.metrics, values, measured.people, groupings)
        of_all, drawn = together.values(), _drawn(together, resampling)
        for names, one in zip(part, groupings, strict=True):
            of_one = None if drawn is None else drawn[one.name]
            rows[names] = group_rows(measured, one, of_all[one.name], of_one)
    found = [row for names in wanted for row in rows[names]]
    return pd.DataFrame(found, columns=list(GROUPS_COLUMNS))


def headline_mae(frame: pd.DataFrame, resampling: Resampling) -> HeadlineMae:
    """NIST's headline figure: the mean of 26 MAEs, see `HeadlineMae`.

    Args:
        frame: see `measured_rows`.
        resampling: for the interval.
    """
    measured, values = _measured(frame, resampling)
    cells = column_grouping(crossed(frame["gender"], true_year(frame, HEADLINE_YEARS)))
    mae = {"mae": METRICS["mae"]}
    together = GroupedMetrics(mae, values, measured.people, [cells])
    of_cells = together.values()[cells.name]["mae"]
    rows = measured.complete[METRICS["mae"].needs] & (cells.codes >= 0)
    samples = np.bincount(cells.codes[rows], minlength=len(cells))
    value = float(_mean(of_cells[:, np.newaxis])[0])
    low = high = float("nan")
    drawn = _drawn(together, resampling)
    if drawn is not None and len(np.unique(measured.people[rows])) > 1:
        means = _mean(drawn[cells.name]["mae"])
        low, high = percentile_interval(means, resampling.level, holding=value)
    few = (samples > 0) & (samples < FEW)
    return HeadlineMae(
        value,
        *(low, high),
        *(int((samples > 0).sum()), int(few.sum()), int(samples.sum())),
    )


def _measured(frame: pd.DataFrame, resampling: Resampling) -> tuple[Measured, dict[str, Floats]]:
    values = {name: frame[name].to_numpy(np.float64) for name in ("estimate_years", "age_years")}
    metrics = {name: METRICS[name] for name in ("mae", "bias")}
    return Measured(values, person_codes(frame), metrics, resampling.level), values


def _drawn(together: GroupedMetrics, resampling: Resampling) -> dict[str, dict[str, Floats]] | None:
    if not resampling.draws:
        return None
    return bootstrap(together, draws=resampling.draws, seed=resampling.seed)


def _columns(frame: pd.DataFrame) -> dict[str, Grouping]:
    words = [age_band(frame)]
    for name in ("gender", "ethnicity", "region", *QUALITY_COLUMNS):
        found = stated_words(frame, name)
        if found is not None:
            words.append(found)
    everybody = Grouping.everybody(len(frame))
    return {one.name: one for one in (everybody, *map(column_grouping, words))}


def _mean(cells: Floats) -> Floats:
    """The mean [D] over cells [G, D], leaving out those that are empty in a draw."""
    there = ~np.isnan(cells)
    return ratio(np.where(there, cells, 0).sum(axis=0), there.sum(axis=0).astype(np.float64))
