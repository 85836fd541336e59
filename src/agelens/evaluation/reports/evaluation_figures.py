"""A predictions table with all that was measured on it, as reports take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from agelens.evaluation.by_group import FIGURE_COLUMN, GroupEvaluation
from agelens.evaluation.evaluate import Evaluation
from agelens.evaluation.groups import FEW, group_words
from agelens.evaluation.reports.plotting import drawable, label_rows, panels, title
from agelens.records import Floats
from agelens.tables import PredictionsTable

GREY: Final = "#b0b0b0"
"""Of groups with few samples."""


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedTable:
    """A table under its name in the report."""

    name: str
    predictions: PredictionsTable
    evaluation: Evaluation
    groups: GroupEvaluation

    def of_grouping(self, grouping: str, metric: str) -> pd.DataFrame:
        """The rows of one grouping and metric, in the groups' order."""
        rows = self.groups.groups
        chosen = (rows["grouping"] == grouping) & (rows["metric"] == metric)
        return rows[chosen].reset_index(drop=True)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; null for what is not defined."""
        return {
            "name": self.name,
            **self.evaluation.to_json(),
            "groups": _records(self.groups.groups),
            "gaps": _records(self.groups.gaps),
            "rows_in_no_group": dict(self.groups.ungrouped),
        }


def colours(count: int) -> list[Any]:
    """A colour for each of several tables, told apart by colour-blind readers."""
    return list(sns.color_palette("colorblind", count))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


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
    panel: Axes, one: EvaluatedTable, column: str, groups: Sequence[str], colour: Any
) -> None:
    frame = one.predictions.frame
    residuals = (frame["estimate_years"] - frame["age_years"]).to_numpy()
    words = group_words(frame, column).astype(object).to_numpy()
    random = np.random.default_rng(0)
    drawn: list[pd.DataFrame] = []
    for place, group in enumerate(groups):
        values = residuals[(words == group) & ~np.isnan(residuals)]
        right = panel.get_yaxis_transform()
        panel.text(1, place, f" {len(values):,}", transform=right, fontsize=8, va="center")
        if len(values) < FEW:
            panel.plot(values, np.full(len(values), place), "o", color=GREY, markersize=3)
            continue
        drawn.append(pd.DataFrame({"group": group, "residual": _some(values, random)}))
    _draw(panel, drawn, groups, colour)
    _biases(panel, one.of_grouping(column, "bias"), groups)
    panel.axvline(0, color="black", linewidth=0.8, linestyle=":")
    panel.set_xlabel("estimate less age, in years")
    panel.set_ylabel("")
    label_rows(panel, groups)
    title(panel, f"{one.name}: {column.replace('_', ' ')}")


def _draw(panel: Axes, drawn: Sequence[pd.DataFrame], groups: Sequence[str], colour: Any) -> None:
    if not drawn:
        return
    sns.violinplot(
        pd.concat(drawn, ignore_index=True),
        x="residual",
        y="group",
        order=list(groups),
        orient="h",
        inner=None,
        cut=0,
        density_norm="width",
        color=colour,
        alpha=0.5,
        linewidth=0.6,
        ax=panel,
    )


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
