"""Mean absolute error and bias by sex, age, region, size and pose, and NIST's headline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from agelens.evaluation.bootstrap import (
    GroupedMetrics,
    Grouping,
    bootstrap,
    percentile_interval,
    person_codes,
)
from agelens.evaluation.groups.crossings import column_grouping, crossed_grouping
from agelens.evaluation.groups.group_rows import FEW, GROUPS_COLUMNS, Measured, Row, group_rows
from agelens.evaluation.groups.passes import Crossed, passes
from agelens.evaluation.metrics import METRICS
from agelens.evaluation.metrics.sums import ratio
from agelens.evaluation.nist.groups import (
    HEADLINE_YEARS,
    QUALITY_COLUMNS,
    age_band,
    crossed,
    stated_words,
    true_year,
)
from agelens.records import Floats
from agelens.tables import GENDERS

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

    Groupings are everybody, age_band, gender, their crossing, ethnicity (in the datasets' own
    words: NIST's regions), inter_eye_px and yaw_degrees, where the table says them.

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
    for part in passes(columns, wanted, len(frame)):
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
    low = high = float("nan")
    drawn = _drawn(together, resampling)
    if drawn is not None and len(np.unique(measured.people[rows])) > 1:
        low, high = percentile_interval(_mean(drawn[cells.name]["mae"]), resampling.level)
    few = (samples > 0) & (samples < FEW)
    return HeadlineMae(
        float(_mean(of_cells[:, np.newaxis])[0]),
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
    for name in ("gender", "ethnicity", *QUALITY_COLUMNS):
        found = stated_words(frame, name)
        if found is not None:
            words.append(found)
    everybody = Grouping.everybody(len(frame))
    return {one.name: one for one in (everybody, *map(column_grouping, words))}


def _mean(cells: Floats) -> Floats:
    """The mean [D] over cells [G, D], leaving out those that are empty in a draw."""
    there = ~np.isnan(cells)
    return ratio(np.where(there, cells, 0).sum(axis=0), there.sum(axis=0).astype(np.float64))
