"""Figures of a stress test: errors, shifts and failures by severity, a panel a corruption.

What each damage looks like is shown on a drawn face: nobody's picture is on the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from agelens.evaluation.reports.page import Drawing
from agelens.evaluation.reports.plotting import COLOURS, drawable, panels, percent, points, title
from agelens.evaluation.sensitivity.conditions import (
    CORRUPTIONS,
    MARGIN,
    SEVERITIES,
    changed_margin,
    corrupt,
)
from agelens.evaluation.sensitivity.stress import StressResult
from agelens.records import RGB, Face

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


_SIDE: Final = 224
_FACE: Final = (52, 34, 172, 198)
"""The box of the drawn face: left, top, right, bottom."""


def drawn_face() -> RGB:
    """A face [224, 224, 3] made of ellipses, with skin that has lines and grain to lose."""
    image = np.full((_SIDE, _SIDE, 3), (176, 190, 200), dtype=np.uint8)
    skin, dark, lip = (224, 182, 150), (72, 52, 44), (176, 92, 88)

    def ellipse(middle: tuple[int, int], axes: tuple[int, int], colour: Any, **how: Any) -> None:
        start, end, width = how.get("start", 0), how.get("end", 360), how.get("width", -1)
        cv2.ellipse(image, middle, axes, 0, start, end, colour, width, cv2.LINE_AA)

    ellipse((112, 236), (92, 56), (70, 92, 122))
    ellipse((112, 98), (68, 78), dark)
    ellipse((112, 118), (56, 76), skin)
    for side in (-1, 1):
        eye = (112 + 24 * side, 106)
        ellipse(eye, (12, 7), (250, 250, 248))
        ellipse(eye, (5, 5), (58, 84, 112))
        ellipse((eye[0], 94), (15, 6), dark, start=190, end=350, width=3)
        ellipse((112 + 34 * side, 124), (12, 8), (206, 160, 132), start=20, end=160, width=1)
        ellipse((112 + 16 * side, 146), (14, 22), (200, 152, 124), start=300, end=400, width=1)
    for y in (68, 75, 82):
        ellipse((112, y + 8), (30, 8), (206, 160, 132), start=200, end=340, width=1)
    ellipse((112, 132), (9, 8), (204, 152, 124), start=10, end=170, width=2)
    ellipse((112, 158), (21, 7), lip)
    cv2.line(image, (92, 158), (132, 158), (130, 60, 60), 1, cv2.LINE_AA)
    grain = np.random.default_rng(0).normal(0, 5, image.shape)
    light = np.linspace(1.08, 0.86, _SIDE)[np.newaxis, :, np.newaxis]
    return np.asarray(np.clip(image * light + grain, 0, 255), dtype=np.uint8)


def damage_examples(names: Sequence[str]) -> Drawing | str:
    """A row of pictures for each damage: undamaged, then severities 1 to 5."""
    shown = [name for name in names if name in CORRUPTIONS or name == MARGIN]
    if not shown:
        return "Nothing was damaged, so there is no example of it."
    face, columns = drawn_face(), len(SEVERITIES) + 1
    tiles = [[face, *(damaged(face, name, one) for one in SEVERITIES)] for name in shown]
    size = (7.6, 1.22 * len(shown) + 0.5)
    figure, axes = panels(1, size_inches=size)
    (panel,) = axes[0]
    panel.imshow(np.vstack([np.hstack(row) for row in tiles]))
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0, labelbottom=False, labeltop=True)
    middles = (np.arange(max(columns, len(shown))) + 0.5) * _SIDE
    panel.set_xticks(middles[:columns], ["undamaged", *map(str, SEVERITIES)])
    panel.set_yticks(middles[: len(shown)], shown)
    return Drawing(figure)


def damaged(rgb: RGB, name: str, severity: int) -> RGB:
    """The drawn face after one damage; of a margin, what the changed frame holds."""
    box = np.array(_FACE, dtype=np.float64)
    if name != MARGIN:
        face = Face(box_xyxy=box, landmarks=np.zeros((5, 2)), score=1.0)
        return corrupt(rgb, face, name, severity)
    middle, half = _SIDE / 2, _SIDE / 2 * (1 + changed_margin(0.0, severity))
    scale = middle / half
    matrix = np.array([[scale, 0, middle * (1 - scale)], [0, scale, middle * (1 - scale)]])
    framed = cv2.warpAffine(rgb, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(framed, dtype=np.uint8)
