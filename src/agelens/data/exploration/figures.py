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

from agelens.data.exploration.compared_table import UNKNOWN, ComparedTable, common_words
from agelens.evaluation.reports.page import Drawing
from agelens.evaluation.reports.plotting import COLOURS, drawable, label_rows, panels, title
from agelens.tables import COLUMNS, GENDERS

_WORDS: Final = 18
_ROW_INCHES: Final = 0.28
_LONG_TAIL: Final = 60
_OTHERS, _MISSING = "(other words)", "(missing)"


def _drawing(
    figure: Figure, shown: Sequence[ComparedTable], counts: Sequence[pd.Series], *names: str
) -> Drawing:
    """The figure, and the counts of each table by what `names` say the index is."""
    rows = [
        one.rename("count").rename_axis(list(names)).reset_index().assign(table=side.name)
        for side, one in zip(shown, counts, strict=True)
    ]
    return Drawing(figure, pd.concat(rows, ignore_index=True)[["table", *names, "count"]])


def word_counts(shown: Sequence[ComparedTable], column: str) -> Drawing | str:
    """A bar for each word of a column, the commonest first, then others and unknown."""
    words = common_words(shown, column, _WORDS)
    if not words:
        return f"No row has a {column.replace('_', ' ')}."
    bars = pd.concat([_counted_words(side, column, words) for side in shown], axis=1)
    bars = bars[bars.any(axis=1)]
    figure, axes = panels(
        len(shown), row_inches=0.6 + _ROW_INCHES * len(bars), sharex=True, sharey=True
    )
    for place, (panel, side) in enumerate(zip(axes[0], shown, strict=True)):
        _bar_panel(panel, bars.iloc[:, place], len(side.frame), COLOURS[place])
        title(panel, f"{side.name}: {len(side.frame):,} rows")
        panel.set_xlabel("share of the table")
    return _drawing(figure, shown, [bars.iloc[:, place] for place in range(len(shown))], column)


def gender_by_ethnicity(shown: Sequence[ComparedTable]) -> Drawing | str:
    """Rows with each pair of words; the colour is the share of those shown."""
    ethnicities = common_words(shown, "ethnicity", _WORDS)
    if not ethnicities:
        return "No row has an ethnicity, so it cannot be crossed with gender."
    if not common_words(shown, "gender", 2):
        return "No row has a gender, so it cannot be crossed with ethnicity."
    columns = [*GENDERS, UNKNOWN]
    crossed = [pd.crosstab(side.words("ethnicity"), side.words("gender")) for side in shown]
    tables = [
        table.reindex(index=ethnicities, columns=columns).fillna(0).astype(np.int64)
        for table in crossed
    ]
    used = sum(tables[1:], tables[0])
    tables = [table.loc[used.any(axis=1), used.any()] for table in tables]
    shares = [table / max(table.to_numpy().sum(), 1) for table in tables]
    top = max(float(share.to_numpy().max()) for share in shares)
    figure, axes = panels(len(shown), row_inches=0.9 + 0.38 * len(tables[0]), sharey=True)
    for panel, side, table, share in zip(axes[0], shown, tables, shares, strict=True):
        look = {"cmap": "Blues", "vmin": 0, "vmax": top, "cbar": False, "yticklabels": False}
        sns.heatmap(share, annot=table.map("{:,}".format), fmt="", ax=panel, **look)
        panel.set(xlabel="", ylabel="")
        words = [drawable(word) for word in table.index]
        panel.set_yticks(np.arange(len(table)) + 0.5, words, rotation=0)
        title(panel, f"{side.name}: rows, of {len(side.frame):,}; without ethnicity not shown")
    pairs = [pd.Series(one.stack()) for one in tables]
    return _drawing(figure, shown, pairs, "ethnicity", "gender")


def faces_per_subject(shown: Sequence[ComparedTable]) -> Drawing | str:
    """How many subjects have how many rows."""
    counts = [_subject_sizes(side) for side in shown]
    if not any(len(sizes) for sizes in counts):
        return "No row names a subject, so no split can be by subject."
    top = max(int(sizes.max()) for sizes in counts if len(sizes))
    figure, axes = panels(len(shown), sharex=True)
    how = {"log_scale": True} if top > _LONG_TAIL else {"discrete": True}
    for panel, side, sizes, colour in zip(axes[0], shown, counts, COLOURS, strict=False):
        if len(sizes):
            sns.histplot(sizes.to_numpy(), color=colour, ax=panel, **how)
        panel.set(xlabel="rows of one subject", ylabel="")
        title(panel, f"{side.name}: {_spread(sizes)}")
    axes[0, 0].set_ylabel("subjects")
    sizes_of = [sizes.value_counts().sort_index() for sizes in counts]
    return _drawing(figure, shown, sizes_of, "rows_of_one_subject")


def missing_values(shown: Sequence[ComparedTable]) -> Drawing | str:
    """The share of rows in which each column is missing."""
    if not any(len(side.frame) for side in shown):
        return "The table has no rows."
    figure, axes = panels(
        len(shown), row_inches=0.6 + 0.21 * len(COLUMNS), sharex=True, sharey=True
    )
    missing = [side.frame[list(COLUMNS)].isna().sum() for side in shown]
    for panel, side, counts, colour in zip(axes[0], shown, missing, COLOURS, strict=False):
        _bar_panel(panel, counts, len(side.frame), colour)
        panel.set_xlim(0, 1.22)
        panel.set_xticks([0, 0.25, 0.5, 0.75, 1])
        panel.tick_params(labelsize=8)
        panel.set_xlabel("share of rows without a value")
        title(panel, f"{side.name}: {len(side.frame):,} rows")
    return _drawing(figure, shown, missing, "column")


def _counted_words(side: ComparedTable, column: str, words: Sequence[str]) -> pd.Series:
    found = side.frame[column].astype(object)
    named = found.where(found.isin(words) | found.isna(), _OTHERS).fillna(_MISSING)
    return named.value_counts().reindex([*words, _OTHERS, _MISSING], fill_value=0)


def _bar_panel(panel: Axes, counts: pd.Series, total: int, colour: str) -> None:
    shares = counts.to_numpy() / max(total, 1)
    bars = panel.barh(range(len(counts)), shares, color=colour, height=0.75)
    panel.bar_label(bars, [f"{count:,}" for count in counts], padding=3, fontsize=8)
    label_rows(panel, [str(word) for word in counts.index])
    panel.margins(x=0.14)
    panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panel.spines[["top", "right"]].set_visible(False)


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
_SPLITS: Final = ("train", "valid", "test")


def age_histogram(shown: Sequence[ComparedTable]) -> Drawing | str:
    """One bar a year, as shares of the table."""
    if not any(side.years.notna().any() for side in shown):
        return "No row has an age that can be drawn."
    figure, axes = panels(len(shown), sharex=True, sharey=True)
    for panel, side, colour in zip(axes[0], shown, COLOURS, strict=False):
        _histogram(panel, side.years, _top(shown), colour)
        title(panel, f"{side.name}: {_counted(side.years)}")
        panel.set_xlabel("age in years")
    axes[0, 0].set_ylabel("share of the table")
    years = [np.floor(side.years).value_counts().sort_index() for side in shown]
    return _drawing(figure, shown, years, "age_years")


def age_histogram_by_split(shown: Sequence[ComparedTable]) -> Drawing | str:
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
    counted = [
        np.floor(side.years).groupby([side.words("split"), np.floor(side.years)]).size()
        for side in shown
    ]
    return _drawing(figure, shown, counted, "split", "age_years")


def ages_by(shown: Sequence[ComparedTable], column: str) -> Drawing | str:
    """Violins with boxes of age for each word of a column; small groups as points only.

    Whiskers reach the furthest age within 1.5 times the box (Tukey); the line in it is the median.
    """
    words = common_words(shown, column, _GROUPS)
    if not words:
        return f"No row has a {column}."
    if column == "gender":
        words = [word for word in GENDERS if word in words]
    aged = [side.years.notna() & side.words(column).isin(words) for side in shown]
    if not any(rows.any() for rows in aged):
        return f"No row has both an age and a {column}."
    figure, axes = panels(
        len(shown), row_inches=max(2.0, 0.5 + 0.55 * len(words)), sharex=True, sharey=True
    )
    for panel, side, rows, colour in zip(axes[0], shown, aged, COLOURS, strict=False):
        _violins(panel, side.years[rows], side.words(column)[rows], words, colour=colour)
        others = len({*side.words(column)} - {UNKNOWN, *words})
        more = f", {others} rarer not drawn" if others else ""
        title(panel, f"{side.name}: {rows.sum():,} with both{more}")
    spreads = [
        side.years[rows].groupby(side.words(column)[rows]).describe().assign(table=side.name)
        for side, rows in zip(shown, aged, strict=True)
    ]
    return Drawing(figure, pd.concat(spreads).rename_axis(column).reset_index())


def _violins(
    panel: Axes, years: pd.Series, groups: pd.Series, words: Sequence[str], *, colour: str
) -> None:
    # By number: seaborn would lay the words out before they are made drawable.
    places = groups.map({word: str(place) for place, word in enumerate(words)})
    sizes = places.map(places.value_counts())
    look = {"order": [str(place) for place in range(len(words))], "color": colour, "ax": panel}
    for rows, draw, how in (
        (sizes >= _FEWEST_FOR_VIOLIN, sns.violinplot, {"cut": 0, "density_norm": "width"}),
        (sizes < _FEWEST_FOR_VIOLIN, sns.stripplot, {"jitter": False}),
    ):
        if rows.any():
            draw(x=years[rows], y=places[rows], **look, **how)
    for place, count in places.value_counts().items():
        right = panel.get_yaxis_transform()
        panel.text(1, float(str(place)), f" {count:,}", transform=right, fontsize=8, va="center")
    label_rows(panel, words)
    panel.set(xlabel="age in years", ylabel="")


def _histogram(panel: Axes, years: pd.Series, top: int, colour: str) -> None:
    known = years.dropna()
    counts, edges = np.histogram(known, bins=np.arange(0, top + 2))
    panel.stairs(counts / max(len(known), 1), edges, fill=True, color=colour)


def _top(shown: Sequence[ComparedTable]) -> int:
    return int(np.nanmax([side.years.max() for side in shown]))


def _counted(years: pd.Series) -> str:
    known = int(years.notna().sum())
    return f"{known:,} with an age, {len(years) - known:,} without"
