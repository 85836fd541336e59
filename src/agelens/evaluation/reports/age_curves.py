"""Figures by true age: error, bias and coverage, each with its bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from agelens.evaluation.by_group import FIGURE_COLUMN
from agelens.evaluation.reports.canvas import drawable, panels, title
from agelens.evaluation.reports.evaluated import GREY, EvaluatedTable, colours

_WIDTH_YEARS: Final = 5.0
_APART_YEARS: Final = 0.7


def error_by_age(shown: Sequence[EvaluatedTable]) -> Figure | str:
    """Mean absolute error in five-year bins of true age."""
    return _by_age(shown, "mae", "mean absolute error in years", floor=0.0)


def bias_by_age(shown: Sequence[EvaluatedTable]) -> Figure | str:
    """Mean of estimate less age: above the line too old.

    An estimator that is unsure draws everybody towards the middle, so that a falling line is
    the rule: it makes children older and the old younger.
    """
    return _by_age(shown, "bias", "bias in years: above 0 is too old", line=0.0)


def coverage_by_age(shown: Sequence[EvaluatedTable]) -> Figure | str:
    """Share of true ages inside their interval, beside the share that the intervals claim."""
    levels = {one.evaluation.interval_level for one in shown} - {None}
    line = levels.pop() if len(levels) == 1 else None
    return _by_age(shown, "coverage", "share of ages inside the interval", line=line, share=True)


def _by_age(
    shown: Sequence[EvaluatedTable],
    metric: str,
    label: str,
    *,
    line: float | None = None,
    floor: float | None = None,
    share: bool = False,
) -> Figure | str:
    rows = [one.of_grouping(FIGURE_COLUMN, metric) for one in shown]
    if not any(part["value"].notna().any() for part in rows):
        return f"No row has what the {label} by age needs."
    figure, axes = panels(1, row_inches=3.6)
    panel: Axes = axes[0, 0]
    if line is not None:
        panel.axhline(line, color="black", linewidth=0.8, linestyle=":", zorder=0)
    for place, (one, part, colour) in enumerate(zip(shown, rows, colours(len(shown)), strict=True)):
        shift = (place - (len(shown) - 1) / 2) * _APART_YEARS
        _curve(panel, part, shift, colour, one.name)
    _finish(panel, label, floor, share=share)
    level = f"{100 * shown[0].evaluation.level:g} %"
    greyed = "; grey: under 30 samples" if any(part["few"].any() for part in rows) else ""
    title(panel, f"five-year bins, {level} bootstrap intervals by person{greyed}")
    return figure


def _curve(panel: Axes, rows: pd.DataFrame, shift: float, colour: Any, name: str) -> None:
    # Bins are named by their first year: 20-24, 90+.
    first = rows["group"].str.extract(r"^(\d+)", expand=False).astype(float).to_numpy()
    middle = first + _WIDTH_YEARS / 2 + shift
    value = rows["value"].to_numpy()
    many = ~rows["few"].to_numpy(dtype=bool)
    panel.plot(middle, np.where(many, value, np.nan), color=colour, linewidth=1, alpha=0.5)
    for chosen, look, words in ((many, colour, drawable(name)), (~many, GREY, None)):
        ends = rows.loc[chosen, ["low", "high"]].to_numpy()
        # A percentile interval may end short of its value; no bar points the wrong way.
        reach = np.abs(np.maximum([value[chosen] - ends[:, 0], ends[:, 1] - value[chosen]], 0))
        panel.errorbar(
            middle[chosen],
            value[chosen],
            yerr=reach,
            fmt="o",
            markersize=4,
            capsize=2,
            linewidth=1,
            color=look,
            label=words,
        )


def _finish(panel: Axes, label: str, floor: float | None, *, share: bool) -> None:
    panel.set_xlabel("true age in years")
    panel.set_ylabel(label)
    if floor is not None:
        panel.set_ylim(bottom=floor)
    if share:
        panel.set_ylim(0, 1.02)
        panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panel.grid(axis="y", alpha=0.3)
    panel.legend(fontsize=8, frameon=False)
