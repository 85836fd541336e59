"""Figures of a stress test: errors, shifts and failures by severity, a panel a corruption."""

from __future__ import annotations

import math
from typing import Final

import pandas as pd
from matplotlib.axes import Axes

from agelens.evaluation.reports.page import Drawing
from agelens.evaluation.reports.plotting import COLOURS, drawable, panels, percent, points, title
from agelens.evaluation.sensitivity.conditions import SEVERITIES
from agelens.evaluation.sensitivity.stress import StressResult

_COLUMNS: Final = 3


def error_by_severity(found: StressResult) -> Drawing | str:
    """MAE by severity, that of the clean photos dotted, and of the reference if there is one."""
    if not found.severities["mae"].notna().any():
        return "No face has an estimate and an age."
    return _grid(found, "mae", "mean absolute error in years", found.clean_mae)


def shift_by_severity(found: StressResult) -> Drawing | str:
    """Mean shift of the estimate by severity: above the line damage makes faces older."""
    return _grid(found, "shift", "shift of the estimate in years", 0.0)


def failures_by_severity(found: StressResult) -> Drawing | str:
    """Share of faces that have no estimate any more, by severity."""
    if not found.severities["failed"].iloc[1:].any():
        return "Every face that has an estimate undamaged has one under all conditions."
    return _grid(found, "failed_share", "share without estimate", 0.0, share=True)


def _grid(
    found: StressResult, value: str, label: str, line: float, *, share: bool = False
) -> Drawing | str:
    damaged = found.severities[found.severities["severity"] > 0]
    names = damaged["corruption"].unique().tolist()
    if not names:
        return "Nothing was damaged."
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure, axes = panels(
        columns,
        rows=rows,
        size_inches=(3.4 * columns + 0.6, 2.6 * rows + 0.5),
        sharex=True,
        sharey=True,
    )
    every: list[Axes] = axes.ravel().tolist()
    for place, panel in enumerate(every):
        if place >= len(names):
            panel.set_axis_off()
            continue
        _panel(panel, damaged[damaged["corruption"] == names[place]], value, line)
        title(panel, names[place])
        if place % columns == 0:
            panel.set_ylabel(label)
        if place + columns >= len(names):
            panel.set_xlabel("severity")
            panel.tick_params(labelbottom=True)
        if share:
            percent(panel.yaxis)
    _reference(axes[0, 0], found, value)
    if value != "shift":
        axes[0, 0].set_ylim(bottom=0, auto=True)
    return Drawing(figure, damaged)


def _panel(panel: Axes, rows: pd.DataFrame, value: str, line: float) -> None:
    panel.axhline(line, color="black", linewidth=0.8, linestyle=":", zorder=0)
    severity = rows["severity"]
    if value == "mae" and "reference_mae" in rows:
        panel.plot(severity, rows["reference_mae"], "s--", color=COLOURS[1], markersize=3)
    panel.plot(severity, rows[value], color=COLOURS[0], linewidth=1, alpha=0.5)
    ends = (rows[f"{value}_low"], rows[f"{value}_high"])
    points(panel, severity, rows[value], ends, rows["few"], colour=COLOURS[0])
    panel.set_xticks(SEVERITIES)
    panel.set_xlim(0.6, SEVERITIES[-1] + 0.4)
    panel.grid(axis="y", alpha=0.3)


def _reference(panel: Axes, found: StressResult, value: str) -> None:
    if value != "mae":
        return
    panel.plot([], [], "o-", color=COLOURS[0], markersize=4, label=drawable(found.model))
    if found.reference is not None:
        panel.plot([], [], "s--", color=COLOURS[1], markersize=3, label=drawable(found.reference))
    panel.plot([], [], ":", color="black", linewidth=0.8, label="undamaged")
    panel.legend(fontsize=7, frameon=False)
