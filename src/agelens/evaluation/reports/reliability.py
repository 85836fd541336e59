"""Whether distributions keep their word: PIT histogram and quantile reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from agelens.evaluation.bootstrap.grouped_metrics import GroupedMetrics, bootstrap
from agelens.evaluation.bootstrap.groupings import Grouping, percentile_interval, person_codes
from agelens.evaluation.by_group import EvaluatedTable
from agelens.evaluation.metrics.base import Metric, Sums
from agelens.evaluation.metrics.probabilistic import LEVELS, pit_of_each
from agelens.evaluation.reports.page import Drawing
from agelens.evaluation.reports.plotting import colours, panels, percent, title
from agelens.records import Floats

MOST_ROWS: Final = 200_000
"""More change no line of the figure."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How often ages fell where they were said to, in `rows` rows.

    `at_most` [19] is the share of ages at most each quantile of `LEVELS`, `in_tenth` [10] that
    in each tenth of their distribution; the ends [19, 2] and [10, 2] are those of intervals.
    """

    rows: int
    at_most: Floats
    at_most_ends: Floats
    in_tenth: Floats
    in_tenth_ends: Floats


def quantile_reliability(
    table: EvaluatedTable, *, draws: int, level: float, seed: int = 0
) -> Reliability | None:
    """How often ages fall below the quantiles of their distributions; None where there are none.

    Args:
        table: of more than `MOST_ROWS` rows, so many are drawn.
        draws: of the bootstrap, by person; 0 leaves the ends NaN.
        level: of the intervals.
        seed: of the draws.
    """
    predictions = table.predictions
    if predictions.distribution is None or predictions.scale is None:
        return None
    ages = predictions.frame["age_years"].to_numpy(np.float64)
    rows = np.flatnonzero(~np.isnan(ages) & ~np.isnan(predictions.distribution[:, 0]))
    if not rows.size:
        return None
    if rows.size > MOST_ROWS:
        rows = np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False)
    pit = pit_of_each(predictions.distribution[rows], ages[rows], predictions.scale)
    people = person_codes(predictions.frame.iloc[rows])
    everybody = [Grouping.everybody(len(rows))]
    measured = GroupedMetrics(_shares(), {"pit": pit}, people, everybody)
    drawn = np.full((len(LEVELS), max(draws, 1)), np.nan)
    if draws and people.max(initial=0) > 0:
        found = bootstrap(measured, draws=draws, seed=seed)["everybody"]
        drawn = np.stack([found[f"{level:g}"][0] for level in LEVELS])
    values = measured.values()["everybody"]
    at_most = np.array([values[f"{one:g}"][0] for one in LEVELS])
    tenths, drawn_tenths = _tenths(at_most), _tenths(drawn)
    return Reliability(
        len(rows), at_most, _ends(drawn, level, at_most), tenths, _ends(drawn_tenths, level, tenths)
    )


def distribution_calibration(
    shown: Sequence[EvaluatedTable], *, draws: int, level: float
) -> Drawing | str:
    """A row of two panels a table: PIT histogram, and observed against claimed quantiles."""
    found = [quantile_reliability(one, draws=draws, level=level) for one in shown]
    given = [(one, part) for one, part in zip(shown, found, strict=True) if part is not None]
    if not given:
        return "No table has distributions with true ages, so their calibration cannot be drawn."
    figure, axes = panels(2, rows=len(given), row_inches=3.4, size_inches=(9, 3.6 * len(given)))
    for (one, part), row, colour in zip(given, axes, colours(len(given)), strict=True):
        _histogram(row[0], part, colour)
        of = f" ({part.rows:,} rows drawn)" if part.rows == MOST_ROWS else f" ({part.rows:,} rows)"
        title(row[0], one.name + of)
        _reliability(row[1], part, colour)
        title(row[1], f"{100 * level:g} % bootstrap intervals by person")
    numbers = [
        pd.DataFrame({"table": one.name, "quantile": LEVELS, "ages_at_most": part.at_most}).assign(
            low=part.at_most_ends[:, 0], high=part.at_most_ends[:, 1]
        )
        for one, part in given
    ]
    return Drawing(figure, pd.concat(numbers, ignore_index=True))


def _shares() -> dict[str, Metric]:
    return {
        f"{level:g}": Metric(
            Sums(partial(_at_most, level=level)), ("pit",), "share", "nearer its level", ""
        )
        for level in LEVELS
    }


def _at_most(pit: ArrayLike, level: float) -> Floats:
    return (np.asarray(pit) <= level).astype(np.float64)


def _tenths(at_most: Floats) -> Floats:
    """Share [10, ...] in each tenth, of the shares [19, ...] at most each twentieth."""
    ends = np.zeros((1, *at_most.shape[1:]))
    return np.diff(np.concatenate([ends, at_most[1::2], ends + 1]), axis=0)


def _ends(drawn: Floats, level: float, values: Floats) -> Floats:
    pairs = zip(drawn, values.ravel(), strict=True)
    return np.array([percentile_interval(row, level, holding=value) for row, value in pairs])


def _histogram(panel: Axes, found: Reliability, colour: Any) -> None:
    middle = np.arange(10) / 10 + 0.05
    reach = np.maximum(np.abs(found.in_tenth_ends.T - found.in_tenth), 0)
    panel.bar(middle, found.in_tenth, width=0.096, color=colour, alpha=0.5)
    panel.errorbar(
        middle, found.in_tenth, yerr=reach, fmt="none", color="black", capsize=2, linewidth=0.8
    )
    panel.axhline(0.1, color="black", linewidth=0.8, linestyle=":")
    panel.set_xlabel("where the true age lies in its distribution (PIT)")
    panel.set_ylabel("share of ages; even if calibrated")
    percent(panel.yaxis)


def _reliability(panel: Axes, found: Reliability, colour: Any) -> None:
    panel.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    panel.fill_between(LEVELS, *found.at_most_ends.T, color=colour, alpha=0.3, linewidth=0)
    panel.plot(LEVELS, found.at_most, "o-", color=colour, markersize=3, linewidth=1)
    panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    panel.set_xlabel("claimed: quantile of the distribution")
    panel.set_ylabel("observed: ages at most that")
    for axis in (panel.xaxis, panel.yaxis):
        percent(axis)
