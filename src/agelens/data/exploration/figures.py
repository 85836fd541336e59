"""Figures of ages: histograms, also by split, and violins with boxes by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.random import Generator

from agelens.data.exploration.compared_table import UNKNOWN, ComparedTable, common_words, counts_of
from agelens.evaluation.reports.plotting import COLOURS, drawable, label_rows, panels, title
from agelens.records import Floats
from agelens.tables import COLUMNS, GENDERS

_WORDS: Final = 18
_ROW_INCHES: Final = 0.28
_LONG_TAIL: Final = 60


def word_counts(shown: Sequence[ComparedTable], column: str) -> Figure | str:
    """A bar for each word of a column, the commonest first, then others and unknown."""
    words = common_words(shown, column, _WORDS)
    if not words:
        return f"No row has a {column.replace('_', ' ')}."
    bars = [_bars(side, column, words) for side in shown]
    rows = [row for row in bars[0].index if any(counts[row] for counts in bars)]
    figure, axes = panels(
        len(shown), row_inches=0.6 + _ROW_INCHES * len(rows), sharex=True, sharey=True
    )
    for panel, side, counts, colour in zip(axes[0], shown, bars, COLOURS, strict=False):
        _bar_panel(panel, counts[rows], len(side.frame), colour)
        title(panel, f"{side.name}: {len(side.frame):,} rows")
        panel.set_xlabel("share of the table")
    return figure


def gender_by_ethnicity(shown: Sequence[ComparedTable]) -> Figure | str:
    """Rows with each pair of words; the colour is the share of those shown."""
    ethnicities = common_words(shown, "ethnicity", _WORDS)
    if not ethnicities:
        return "No row has an ethnicity, so it cannot be crossed with gender."
    if not common_words(shown, "gender", 2):
        return "No row has a gender, so it cannot be crossed with ethnicity."
    tables = _without_empty([_crossed(side, ethnicities) for side in shown])
    top = max(float((table / max(table.to_numpy().sum(), 1)).to_numpy().max()) for table in tables)
    figure, axes = panels(len(shown), row_inches=0.9 + 0.38 * len(tables[0]), sharey=True)
    for panel, side, table in zip(axes[0], shown, tables, strict=True):
        share = table / max(table.to_numpy().sum(), 1)
        text = table.map("{:,}".format)
        look = {"cmap": "Blues", "vmin": 0, "vmax": top, "cbar": False, "yticklabels": False}
        sns.heatmap(share, annot=text, fmt="", ax=panel, **look)
        panel.set(xlabel="", ylabel="")
        panel.set_yticks(
            np.arange(len(table)) + 0.5, [drawable(word) for word in table.index], rotation=0
        )
        title(panel, f"{side.name}: rows, of {len(side.frame):,}; without ethnicity not shown")
    return figure


def faces_per_subject(shown: Sequence[ComparedTable]) -> Figure | str:
    """How many subjects have how many rows."""
    counts = [_subject_sizes(side) for side in shown]
    if not any(len(sizes) for sizes in counts):
        return "No row names a subject, so no split can be by subject."
    top = max(int(sizes.max()) for sizes in counts if len(sizes))
    edges: Sequence[float] = list(np.arange(0.5, top + 1))
    if top > _LONG_TAIL:
        edges = list(np.unique(np.geomspace(1, top + 1, 40).astype(int)) - 0.5)
    figure, axes = panels(len(shown), sharex=True)
    for panel, side, sizes, colour in zip(axes[0], shown, counts, COLOURS, strict=False):
        panel.hist(sizes, bins=edges, color=colour)
        if top > _LONG_TAIL:
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.set_xlabel("rows of one subject")
        title(panel, f"{side.name}: {_spread(sizes)}")
    axes[0, 0].set_ylabel("subjects")
    return figure


def missing_values(shown: Sequence[ComparedTable]) -> Figure | str:
    """The share of rows in which each column is missing."""
    if not any(len(side.frame) for side in shown):
        return "The table has no rows."
    figure, axes = panels(
        len(shown), row_inches=0.6 + 0.21 * len(COLUMNS), sharex=True, sharey=True
    )
    for panel, side, colour in zip(axes[0], shown, COLOURS, strict=False):
        _bar_panel(panel, side.frame[list(COLUMNS)].isna().sum(), len(side.frame), colour)
        panel.set_xlim(0, 1.22)
        panel.set_xticks([0, 0.25, 0.5, 0.75, 1])
        panel.tick_params(labelsize=8)
        panel.set_xlabel("share of rows without a value")
        title(panel, f"{side.name}: {len(side.frame):,} rows")
    return figure


def _bars(side: ComparedTable, column: str, words: Sequence[str]) -> pd.Series:
    counts, others = counts_of(side, column, words)
    unknown = int(side.frame[column].isna().sum())
    rest = pd.Series({"(other words)": others, "(missing)": unknown})
    every: pd.Series = pd.concat([counts, rest])
    return every


def _bar_panel(panel: Axes, counts: pd.Series, total: int, colour: str) -> None:
    shares = counts.to_numpy() / max(total, 1)
    bars = panel.barh(range(len(counts)), shares, color=colour, height=0.75)
    panel.bar_label(bars, [f"{count:,}" for count in counts], padding=3, fontsize=8)
    label_rows(panel, [str(word) for word in counts.index])
    panel.margins(x=0.14)
    panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panel.spines[["top", "right"]].set_visible(False)


def _crossed(side: ComparedTable, ethnicities: Sequence[str]) -> pd.DataFrame:
    counts = pd.crosstab(side.words("ethnicity"), side.words("gender"))
    table = counts.reindex(index=list(ethnicities), columns=[*GENDERS, UNKNOWN])
    return table.fillna(0).astype(np.int64)


def _without_empty(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables without the rows and columns that are empty in all of them."""
    used = np.any([table.to_numpy() for table in tables], axis=0)
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    return [table.iloc[rows, columns] for table in tables]


def _subject_sizes(side: ComparedTable) -> pd.Series:
    known = side.frame.dropna(subset=["subject"])
    return known.groupby(["dataset", "subject"], observed=True).size()


def _spread(sizes: pd.Series) -> str:
    if not len(sizes):
        return "no subjects"
    spread = f"{sizes.min():,} to {sizes.max():,} rows, median {sizes.median():g}"
    return f"{len(sizes):,} subjects, {spread}"


_GROUPS: Final = 12
_FEWEST_FOR_VIOLIN: Final = 10  # a density of fewer is the kernel's shape, not theirs
_DRAWN_PER_GROUP: Final = 20_000  # more change no line of a violin, only the time it takes
_SPLITS: Final = ("train", "valid", "test")


def age_histogram(shown: Sequence[ComparedTable]) -> Figure | str:
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


def age_histogram_by_split(shown: Sequence[ComparedTable]) -> Figure | str:
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


def ages_by(shown: Sequence[ComparedTable], column: str, random: Generator) -> Figure | str:
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
    panel: Axes,
    side: ComparedTable,
    column: str,
    words: Sequence[str],
    *,
    colour: str,
    random: Generator,
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


def _top(shown: Sequence[ComparedTable]) -> int:
    return int(np.nanmax([side.years.max() for side in shown]))


def _counted(years: pd.Series) -> str:
    known = int(years.notna().sum())
    return f"{known:,} with an age, {len(years) - known:,} without"
