"""Figures of one evaluated table or of several side by side: errors by age and by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agelens.evaluation.by_group import FIGURE_COLUMN
from agelens.evaluation.evaluated_table import EvaluatedTable
from agelens.evaluation.groups import FEW, group_words
from agelens.evaluation.reports.plotting import (
    GREY,
    colours,
    label_rows,
    panels,
    percent,
    points,
    title,
)
from agelens.records import Floats

_GROUPS: Final = 14
_DRAWN_PER_GROUP: Final = 20_000  # more change no line of a violin, only the time it takes


def residuals_by(shown: Sequence[EvaluatedTable], column: str) -> Figure | str:
    """A violin of the residuals for each group of `column`, a panel for each table.

    The dot is the group's bias with its bootstrap interval. Groups of fewer than 30 samples
    are their points, in grey.
    """
    shown = [one for one in shown if one.of_grouping(column, "bias")["samples"].sum()]
    groups = _groups(shown, column)
    if not groups:
        return f"No row has an estimate, an age and a {column}."
    figure, axes = panels(
        len(shown), row_inches=max(2.0, 0.6 + 0.5 * len(groups)), sharex=True, sharey=True
    )
    for panel, one, colour in zip(axes[0], shown, colours(len(shown)), strict=True):
        _violins(panel, one, column, groups, colour)
    return figure


def _groups(shown: Sequence[EvaluatedTable], column: str) -> list[str]:
    """The groups in use in any table, in their own order, as many as can be drawn."""
    found: dict[str, int] = {}
    for one in shown:
        rows = one.of_grouping(column, "bias")
        for group, samples in zip(rows["group"], rows["samples"], strict=True):
            found[str(group)] = found.get(str(group), 0) + int(samples)
    largest = sorted(found, key=lambda group: -found[group])[:_GROUPS]
    return [group for group in found if group in largest and found[group]]


def _violins(
    panel: Axes, one: EvaluatedTable, column: str, groups: Sequence[str], colour: str
) -> None:
    frame = one.predictions.frame
    residuals = (frame["estimate_years"] - frame["age_years"]).to_numpy()
    words = group_words(frame, column).astype(object).to_numpy()
    random = np.random.default_rng(0)
    for place, group in enumerate(groups):
        values = residuals[(words == group) & ~np.isnan(residuals)]
        right = panel.get_yaxis_transform()
        panel.text(1, place, f" {len(values):,}", transform=right, fontsize=8, va="center")
        if len(values) < FEW:
            panel.plot(values, np.full(len(values), place), "o", color=GREY, markersize=3)
        else:
            _violin(panel, place, _some(values, random), colour)
    _biases(panel, one.of_grouping(column, "bias"), groups)
    panel.axvline(0, color="black", linewidth=0.8, linestyle=":")
    panel.set_xlabel("estimate less age, in years")
    panel.set_ylabel("")
    label_rows(panel, groups)
    title(panel, f"{one.name}: {column.replace('_', ' ')}")


def _violin(panel: Axes, place: int, values: Floats, colour: str) -> None:
    parts: dict[str, Any] = panel.violinplot(
        [values], [place], orientation="horizontal", widths=0.8, showextrema=False
    )
    for body in parts["bodies"]:
        body.set(facecolor=colour, edgecolor="black", alpha=0.5, linewidth=0.6)


def _biases(panel: Axes, rows: pd.DataFrame, groups: Sequence[str]) -> None:
    many = rows[~rows["few"].astype(bool) & rows["group"].isin(groups)]
    ends = many[["low", "value", "high"]].to_numpy(np.float64)
    for group, (low, value, high) in zip(many["group"], ends, strict=True):
        place = groups.index(str(group))
        panel.plot([low, high], [place, place], color="black", linewidth=2)
        panel.plot([value], [place], "o", color="black", markersize=4)


def _some(values: Floats, random: np.random.Generator) -> Floats:
    if len(values) <= _DRAWN_PER_GROUP:
        return values
    return np.asarray(random.choice(values, _DRAWN_PER_GROUP, replace=False))


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
    panel.set_xlabel("true age in years")
    panel.set_ylabel(label)
    if floor is not None:
        panel.set_ylim(bottom=floor)
    if share:
        panel.set_ylim(0, 1.02)
        percent(panel.yaxis)
    panel.grid(axis="y", alpha=0.3)
    panel.legend(fontsize=8, frameon=False)
    level = f"{100 * shown[0].evaluation.level:g} %"
    greyed = "; grey: under 30 samples" if any(part["few"].any() for part in rows) else ""
    title(panel, f"five-year bins, {level} bootstrap intervals by person{greyed}")
    return figure


def _curve(panel: Axes, rows: pd.DataFrame, shift: float, colour: str, name: str) -> None:
    # Bins are named by their first year: 20-24, 90+.
    first = rows["group"].str.extract(r"^(\d+)", expand=False).astype(float).to_numpy()
    middle = first + _WIDTH_YEARS / 2 + shift
    value, few = rows["value"].to_numpy(), rows["few"].to_numpy(dtype=bool)
    panel.plot(middle, np.where(few, np.nan, value), color=colour, linewidth=1, alpha=0.5)
    points(panel, middle, value, (rows["low"], rows["high"]), few, colour=colour, label=name)
