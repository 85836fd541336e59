"""Figures of one evaluated table or of several side by side: errors by age and by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from agelens.evaluation.by_group import FIGURE_COLUMN, EvaluatedTable
from agelens.evaluation.groups import BETWEEN, FEW, group_words
from agelens.evaluation.metrics.errors import cs_at
from agelens.evaluation.reports.page import Drawing
from agelens.evaluation.reports.plotting import (
    GREY,
    colours,
    drawable,
    label_rows,
    legend,
    panels,
    percent,
    points,
    title,
)
from agelens.records import Floats

_DRAWN: Final = 20_000
"""More rows change nothing of a violin or a cloud of points, only the time it takes."""


def known_rows(one: EvaluatedTable) -> pd.DataFrame:
    """Age and estimate of the rows that have both."""
    return one.predictions.frame[["age_years", "estimate_years"]].dropna()


_TO_DENSE: Final = LinearSegmentedColormap.from_list("density", ["#a9c4e4", "#3b82c4", "#e07b39"])
"""Seen on white as on black."""
_ENOUGH: Final = 5


def _some(rows: pd.DataFrame) -> pd.DataFrame:
    return rows if len(rows) <= _DRAWN else rows.sample(_DRAWN, random_state=0)


def estimate_by_age(shown: Sequence[EvaluatedTable]) -> Drawing | str:
    """A point for each face, dark where there are many, and the median of five-year bins."""
    parts = [(one, _some(known_rows(one))) for one in shown]
    parts = [(one, rows) for one, rows in parts if len(rows)]
    if not parts:
        return "No row has an estimate and an age."
    figure, axes = panels(len(parts), row_inches=5.2, sharex=True, sharey=True)
    top = max(float(rows.to_numpy(np.float64).max()) for _, rows in parts) + 3
    for panel, (one, rows) in zip(axes[0], parts, strict=True):
        age, estimate = rows["age_years"].to_numpy(), rows["estimate_years"].to_numpy()
        density = _density(age, estimate)
        order = np.argsort(density)
        look: dict[str, Any] = {
            "s": 6,
            "cmap": _TO_DENSE,
            "linewidths": 0,
            "rasterized": True,
        }
        # Ages are whole years: spread over their year, or they hide each other.
        spread = np.random.default_rng(0).uniform(-0.4, 0.4, len(age))
        panel.scatter((age + spread)[order], estimate[order], c=density[order], **look)
        panel.plot([0, top], [0, top], color="black", linewidth=0.8, linestyle=":")
        bins = rows.groupby(rows["age_years"] // _WIDTH_YEARS)["estimate_years"]
        median = bins.median()[bins.size() >= _ENOUGH]
        middle = median.index.to_numpy() * _WIDTH_YEARS + _WIDTH_YEARS / 2
        panel.plot(middle, median, color="#9b2226", linewidth=1.6, label="median estimate")
        panel.set(xlim=(0, top), ylim=(0, top), aspect="equal", xlabel="true age in years")
        panel.legend(fontsize=9, frameon=False, loc="upper left")
        title(panel, f"{one.name}: {len(rows):,} faces")
    axes[0, 0].set_ylabel("estimate in years")
    rows = pd.concat([rows.assign(table=one.name) for one, rows in parts], ignore_index=True)
    return Drawing(figure, rows.round(2))


def _density(age: Floats, estimate: Floats) -> Floats:
    """How many faces [N] are within a bin of two years of each, after the square root."""
    edges = np.arange(-2, max(age.max(), estimate.max()) + 4, 2.0)
    counts, *_ = np.histogram2d(age, estimate, bins=[edges, edges])
    places = [np.searchsorted(edges, values, side="right") - 1 for values in (age, estimate)]
    return np.asarray(np.sqrt(counts[places[0], places[1]]))


_MOST_YEARS: Final = 20


def cs_curve(shown: Sequence[EvaluatedTable]) -> Drawing | str:
    """The share of faces whose error is at most so many years."""
    years = np.arange(_MOST_YEARS + 1)
    found = {}
    for one in shown:
        estimate, age = (known_rows(one)[name] for name in ("estimate_years", "age_years"))
        found[one.name] = [cs_at(estimate, age, float(k)) for k in years]
    numbers = pd.DataFrame({"error_at_most_years": years, **found})
    if numbers.drop(columns="error_at_most_years").isna().all(axis=None):
        return "No row has an estimate and an age."
    figure, axes = panels(1, row_inches=3.4)
    panel: Axes = axes[0, 0]
    for (name, shares), colour in zip(found.items(), colours(len(found)), strict=True):
        panel.plot(years, shares, "o-", markersize=3, color=colour, label=drawable(name))
    panel.set(xlabel="error of at most so many years", ylabel="share of faces", ylim=(0, 1.02))
    panel.set_xticks(years[::5])
    panel.grid(alpha=0.3)
    percent(panel.yaxis)
    legend(panel)
    return Drawing(figure, numbers)


_MOST_GROUPS: Final = 40


def plain_groupings(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by group or by gap without crossings, nor the bins that are for figures."""
    names = rows["grouping"]
    return rows[~names.str.contains(BETWEEN, regex=False) & (names != FIGURE_COLUMN)]


def groups_figure(one: EvaluatedTable) -> Drawing | str:
    """A row for each group: left its error, right its residuals as a violin with their bias.

    Groups of fewer than 30 samples are grey, their residuals points.
    """
    rows = plain_groupings(one.groups.groups)
    mae, bias = (rows[(rows["metric"] == name) & (rows["samples"] > 0)] for name in ("mae", "bias"))
    if not len(mae):
        return f"{one.name}: no group has an estimate and an age."
    mae = mae.loc[mae["samples"].nlargest(_MOST_GROUPS).index.sort_values()]
    bias = bias.merge(mae[["grouping", "group"]])
    named = zip(mae["grouping"], mae["group"], strict=True)
    names = [f"{_words(grouping)}: {group}" for grouping, group in named]
    size = (9.0, 1.2 + 0.3 * len(mae))
    figure, axes = panels(2, size_inches=size, sharey=True, width_ratios=(2, 3))
    (colour,) = colours(1)
    everybody = one.evaluation.metrics["mae"].value if "mae" in one.evaluation.metrics else 0.0
    for panel, part, line in ((axes[0, 0], mae, everybody), (axes[0, 1], bias, 0.0)):
        panel.axvline(line, color="black", linewidth=0.8, linestyle=":", zorder=0)
        ends = (part["low"], part["high"])
        places = range(len(part))
        points(panel, places, part["value"], ends, part["few"], colour=colour, across=True)
    axes[0, 0].set_xlabel("mean absolute error in years; dotted: everybody")
    axes[0, 1].set_xlabel("estimate less age in years, with its mean")
    label_rows(axes[0, 0], names)
    _violins(axes[0, 1], one, mae, colour)
    return Drawing(figure, pd.concat([mae, bias], ignore_index=True))


def _violins(panel: Axes, one: EvaluatedTable, rows: pd.DataFrame, colour: str) -> None:
    frame = one.predictions.frame
    residuals = (frame["estimate_years"] - frame["age_years"]).rename("years").to_frame()
    words = {name: group_words(frame, name).astype(object) for name in rows["grouping"].unique()}
    columns = (rows["grouping"], rows["group"], rows["samples"])
    for place, (grouping, group, samples) in enumerate(zip(*columns, strict=True)):
        values = _some(residuals[words[grouping] == group].dropna())["years"].to_numpy()
        panel.text(
            1, place, f" {samples:,}", transform=panel.get_yaxis_transform(), va="center",
            fontsize=8,
        )  # fmt: skip
        if samples < FEW:
            panel.plot(values, np.full(len(values), place), "o", color=GREY, markersize=2)
            continue
        parts: dict[str, Any] = panel.violinplot(
            [values], [place], orientation="horizontal", widths=0.8, showextrema=False
        )
        for body in parts["bodies"]:
            body.set(facecolor=colour, alpha=0.25, linewidth=0)


def gaps_figure(shown: Sequence[EvaluatedTable]) -> Drawing | str:
    """How far the groups of each column are apart in their error, with intervals."""
    found = [plain_groupings(one.groups.gaps).assign(table=one.name) for one in shown]
    rows = pd.concat(found, ignore_index=True)
    rows = rows[(rows["metric"] == "mae") & (rows["compared"] > 1)].reset_index(drop=True)
    if not len(rows):
        return "No column has two groups of 30 samples or more to compare."
    names = list(dict.fromkeys(rows["grouping"]))
    figure, axes = panels(1, row_inches=0.8 + 0.34 * len(names))
    panel: Axes = axes[0, 0]
    for number, (one, colour) in enumerate(zip(shown, colours(len(shown)), strict=True)):
        part = rows[rows["table"] == one.name]
        shift = 0.5 * ((number + 0.5) / len(shown) - 0.5)
        places = [names.index(name) + shift for name in part["grouping"]]
        ends, few = (part["gap_low"], part["gap_high"]), np.zeros(len(part), dtype=bool)
        points(panel, places, part["gap"], ends, few, colour=colour, label=one.name, across=True)
    label_rows(panel, [_words(name) for name in names])
    panel.set_xlim(left=0)
    panel.set_xlabel("largest less smallest mean absolute error of the groups, in years")
    legend(panel)
    return Drawing(figure, rows)


def _words(name: str) -> str:
    return str(name).replace("_", " ")


_WIDTH_YEARS: Final = 5.0
_APART_YEARS: Final = 0.7


def error_by_age(shown: Sequence[EvaluatedTable]) -> Drawing | str:
    """Mean absolute error in five-year bins of true age."""
    return _by_age(shown, "mae", "mean absolute error in years", floor=0.0)


def bias_by_age(shown: Sequence[EvaluatedTable]) -> Drawing | str:
    """Mean of estimate less age: above the line too old.

    An estimator that is unsure draws everybody towards the middle, so that a falling line is
    the rule: it makes children older and the old younger.
    """
    return _by_age(shown, "bias", "bias in years: above 0 is too old", line=0.0)


def coverage_by_age(shown: Sequence[EvaluatedTable]) -> Drawing | str:
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
) -> Drawing | str:
    rows = [one.of_grouping(FIGURE_COLUMN, metric).assign(table=one.name) for one in shown]
    if not any(part["value"].notna().any() for part in rows):
        return f"No row has what the {label} by age needs."
    figure, axes = panels(1, row_inches=3.2)
    panel: Axes = axes[0, 0]
    if line is not None:
        panel.axhline(line, color="black", linewidth=0.8, linestyle=":", zorder=0)
    for place, (part, colour) in enumerate(zip(rows, colours(len(shown)), strict=True)):
        shift = (place - (len(shown) - 1) / 2) * _APART_YEARS
        # Bins are named by their first year: 20-24, 90+.
        first = part["group"].str.extract(r"^(\d+)", expand=False).astype(float).to_numpy()
        middle = first + _WIDTH_YEARS / 2 + shift
        value, few = part["value"].to_numpy(), part["few"].to_numpy(dtype=bool)
        panel.plot(middle, np.where(few, np.nan, value), color=colour, linewidth=1, alpha=0.5)
        ends, name = (part["low"], part["high"]), shown[place].name
        points(panel, middle, value, ends, few, colour=colour, label=name)
    panel.set_xlabel("true age in years")
    panel.set_ylabel(label)
    if floor is not None:
        panel.set_ylim(bottom=floor)
    if share:
        panel.set_ylim(0, 1.02)
        percent(panel.yaxis)
    panel.grid(axis="y", alpha=0.3)
    legend(panel)
    level = f"{100 * shown[0].evaluation.level:g} %"
    greyed = "; grey: under 30 samples" if any(part["few"].any() for part in rows) else ""
    title(panel, f"five-year bins, {level} bootstrap intervals by person{greyed}")
    return Drawing(figure, pd.concat(rows, ignore_index=True))
