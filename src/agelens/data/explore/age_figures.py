"""Figures of ages: histograms, also by split, and violins with boxes by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.random import Generator

from agelens.data.explore.side import UNKNOWN, Side, common_words
from agelens.evaluation.reports.canvas import COLOURS, label_rows, panels, title
from agelens.records import Floats
from agelens.tables import GENDERS

_GROUPS: Final = 12
_FEWEST_FOR_VIOLIN: Final = 10  # a density of fewer is the kernel's shape, not theirs
_DRAWN_PER_GROUP: Final = 20_000  # more change no line of a violin, only the time it takes
_SPLITS: Final = ("train", "valid", "test")


def age_histogram(shown: Sequence[Side]) -> Figure | str:
    """One bar a year, as shares of the table."""
    if not any(side.years.notna().any() for side in shown):
        return "No row has an age that can be drawn."
    figure, axes = panels(len(shown), sharex=True, sharey=True)
    for panel, side, colour in zip(axes[0], shown, COLOURS, strict=False):
        _histogram(panel, side.years, _top(shown), colour)
        title(panel, f"{side.name}: {_counted(side.years)}")
        panel.set_xlabel("age in years")
    axes[0, 0].set_ylabel("share of the table")
    return figure


def age_histogram_by_split(shown: Sequence[Side]) -> Figure | str:
    """As `age_histogram`, a row for each official part, as shares of the part."""
    used = set().union(*(set(side.words("split").unique()) for side in shown))
    parts = [part for part in _SPLITS if part in used] + sorted(used - {*_SPLITS, UNKNOWN})
    if not parts:
        return "No row says which split it belongs to."
    if UNKNOWN in used:
        parts.append(UNKNOWN)
    figure, axes = panels(len(shown), rows=len(parts), row_inches=1.7, sharex=True, sharey=True)
    for column, (side, colour) in enumerate(zip(shown, COLOURS, strict=False)):
        for row, part in enumerate(parts):
            years = side.years[side.words("split") == part]
            _histogram(axes[row, column], years, _top(shown), colour)
            title(axes[row, column], f"{side.name}, {part}: {_counted(years)}")
            axes[row, 0].set_ylabel("share of the part")
        axes[-1, column].set_xlabel("age in years")
    return figure


def ages_by(shown: Sequence[Side], column: str, random: Generator) -> Figure | str:
    """Violins and boxes of age for each word of a column; small groups as points only.

    Whiskers reach the furthest age within 1.5 times the box (Tukey); the line in it is the median.
    """
    words = common_words(shown, column, _GROUPS)
    if not words:
        return f"No row has a {column}."
    if column == "gender":
        words = [word for word in GENDERS if word in words]
    figure, axes = panels(
        len(shown), row_inches=max(2.0, 0.5 + 0.55 * len(words)), sharex=True, sharey=True
    )
    drawn = [
        _grouped_violins(panel, side, column, words, colour=colour, random=random)
        for panel, side, colour in zip(axes[0], shown, COLOURS, strict=False)
    ]
    return figure if any(drawn) else f"No row has both an age and a {column}."


def _grouped_violins(
    panel: Axes, side: Side, column: str, words: Sequence[str], *, colour: str, random: Generator
) -> bool:
    years, groups = side.years, side.words(column)
    total = 0
    for place, word in enumerate(words):
        ages = years[(groups == word) & years.notna()].to_numpy()
        total += len(ages)
        right = panel.get_yaxis_transform()
        panel.text(1, place, f" {len(ages):,}", transform=right, fontsize=8, va="center")
        if len(ages) > _DRAWN_PER_GROUP:
            ages = random.choice(ages, _DRAWN_PER_GROUP, replace=False)
        _violin(panel, ages, place, colour)
    label_rows(panel, words)
    panel.set_xlabel("age in years")
    others = len({*groups.unique()} - {UNKNOWN, *words})
    more = f", {others} rarer not drawn" if others else ""
    title(panel, f"{side.name}: {total:,} with both{more}")
    return total > 0


def _violin(panel: Axes, ages: Floats, place: int, colour: str) -> None:
    if len(ages) < _FEWEST_FOR_VIOLIN:
        panel.plot(ages, np.full(len(ages), place), "o", color=colour, markersize=4, alpha=0.7)
        return
    if np.ptp(ages) > 0:
        panel.violinplot(ages, [place], orientation="horizontal", widths=0.9, showextrema=False)
        panel.collections[-1].set(facecolor=colour, alpha=0.45)
    panel.boxplot(
        ages,
        positions=[place],
        orientation="horizontal",
        widths=0.16,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": "white"},
        medianprops={"color": "black"},
    )


def _histogram(panel: Axes, years: pd.Series, top: int, colour: str) -> None:
    known = years.dropna()
    counts, edges = np.histogram(known, bins=np.arange(0, top + 2))
    panel.stairs(counts / max(len(known), 1), edges, fill=True, color=colour)


def _top(shown: Sequence[Side]) -> int:
    return int(np.nanmax([side.years.max() for side in shown]))


def _counted(years: pd.Series) -> str:
    known = int(years.notna().sum())
    return f"{known:,} with an age, {len(years) - known:,} without"
