"""Violins of the residuals, estimate less age, by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agelens.evaluation.groups.columns import group_words
from agelens.evaluation.groups.group_rows import FEW
from agelens.evaluation.reports.canvas import label_rows, panels, title
from agelens.evaluation.reports.evaluated import GREY, EvaluatedTable, colours
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
