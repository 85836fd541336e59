"""Columns that people are told apart by: words as they are, numbers in bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.errors import UnknownNameError, UsageError
from agelens.evaluation.bootstrap.groupings import (
    Codes,
    Columns,
    Grouping,
    complete_rows,
    measured_columns,
    percentile_interval,
)
from agelens.evaluation.metrics.base import ErrorRate, Metric
from agelens.evaluation.rates import Rate, rate
from agelens.records import Floats
from agelens.tables.mapping import own_name

MOST_CELLS: Final = 30_000
_LARGEST: Final = 2**62

Crossed: TypeAlias = tuple[str, ...]
"""Names of the columns that a grouping crosses; one for a plain column."""


@dataclass(slots=True, eq=False)
class _Pass:
    """Groupings of one pass, the columns that they need, and the cell [N] of each row."""

    crossed: list[Crossed]
    columns: set[str]
    cells: Codes


def bootstrap_batches(
    columns: Mapping[str, Grouping], wanted: Sequence[Crossed], count: int
) -> list[list[Crossed]]:
    """What is wanted of `count` rows in parts, each for one pass."""
    begun: list[_Pass] = []
    for crossed in wanted:
        for one in begun:
            new = {*crossed} - one.columns
            cells = _cells(one.cells, [columns[name] for name in sorted(new)])
            # Sorting would number them; how many there are, hashing says at once.
            if not new or len(pd.unique(cells)) <= MOST_CELLS:
                one.crossed.append(crossed)
                one.columns |= new
                one.cells = cells
                break
        else:
            nobody = np.zeros(count, dtype=np.int64)
            cells = _cells(nobody, [columns[name] for name in crossed])
            begun.append(_Pass([crossed], {*crossed}, cells))
    return [one.crossed for one in begun]


def _cells(cells: Codes, columns: Sequence[Grouping]) -> Codes:
    for column in columns:
        if int(cells.max(initial=0)) >= _LARGEST // (len(column) + 1):
            cells = np.unique(cells, return_inverse=True)[1]
        cells = cells * (len(column) + 1) + column.codes + 1
    return cells


Row: TypeAlias = dict[str, Any]

FEW: Final = 30
"""Groups of fewer samples are greyed in every report, and not compared."""

GROUPS_COLUMNS: Final = (
    *("grouping", "group", "metric", "value", "low", "high", "samples", "people", "few"),
)


@dataclass(slots=True, eq=False)
class Measured:
    """What is measured: columns and people [N], metrics by name, and the intervals' level."""

    columns: Columns
    people: Codes
    metrics: Mapping[str, Metric]
    level: float
    complete: dict[tuple[str, ...], NDArray[np.bool_]] = field(init=False)

    def __post_init__(self) -> None:
        needs = {metric.needs for metric in self.metrics.values()}
        self.complete = {one: complete_rows(self.columns, one) for one in needs}


def group_rows(
    measured: Measured,
    grouping: Grouping,
    values: Mapping[str, Floats],
    drawn: Mapping[str, Floats] | None,
) -> list[Row]:
    """A row (`GROUPS_COLUMNS`) for each group and metric, metric by metric.

    Args:
        measured: the samples.
        grouping: of them.
        values: each metric [G].
        drawn: each metric [G, D] under resampling; None leaves the intervals out.
    """
    counts = {
        needs: _counted(grouping, measured.people, rows)
        for needs, rows in measured.complete.items()
    }
    rows = []
    for name, metric in measured.metrics.items():
        counted, rates = counts[metric.needs], None
        if isinstance(metric.statistic, ErrorRate):
            rates = RatesOfRows(metric, measured.columns, measured.people)
            counted = _counted(grouping, measured.people, rates.among)
        for place, (samples, people) in enumerate(zip(*counted, strict=True)):
            value = float(values[name][place])
            known = drawn is not None and people > 1  # one person says nothing of others
            draws = drawn[name][place] if drawn is not None and known else None
            row: Row = {"grouping": grouping.name, "group": grouping.groups[place], "metric": name}
            row |= {"value": value} | ends(draws, measured.level, value)
            if rates is not None and known:
                found = rates.of(grouping.codes == place, level=measured.level)
                row |= {"low": found.low, "high": found.high}
            row |= {"samples": int(samples), "people": int(people), "few": bool(samples < FEW)}
            rows.append(row)
    return rows


class RatesOfRows:
    """A metric that is an `ErrorRate`, of any of the rows [N], with the interval of rates."""

    def __init__(self, metric: Metric, columns: Columns, people: Codes) -> None:
        if not isinstance(metric.statistic, ErrorRate):
            raise TypeError("a rate of errors was expected")
        rows = complete_rows(columns, metric.needs)
        self._wrong, self.among = np.zeros((2, len(rows)), dtype=bool)
        wrong, among = metric.statistic.marks(*measured_columns(metric, columns, rows))
        self._wrong[rows], self.among[rows] = wrong, among
        self._people = people

    def of(self, rows: NDArray[np.bool_], *, level: float) -> Rate:
        """Of the rows marked."""
        chosen = self.among & rows
        return rate(self._wrong[chosen], self._people[chosen], level=level)


def ends(draws: Floats | None, level: float, value: float, prefix: str = "") -> Row:
    """The ends of the interval of `value` as columns; NaN without draws."""
    nothing = (float("nan"), float("nan"))
    low, high = nothing if draws is None else percentile_interval(draws, level, holding=value)
    return {f"{prefix}low": low, f"{prefix}high": high}


def _counted(grouping: Grouping, people: Codes, complete: NDArray[np.bool_]) -> tuple[Codes, Codes]:
    """Samples and people [G] in each group, of the rows that a metric is measured on."""
    inside = complete & (grouping.codes >= 0)
    codes, count = grouping.codes[inside], len(grouping)
    samples = np.bincount(codes, minlength=count)
    if int(people.max(initial=-1)) + 1 == len(people):  # everybody has one row
        return samples, samples
    pairs = np.unique(people[inside] * count + codes)
    return samples, np.bincount(pairs % count, minlength=count)


BETWEEN: Final = " x "
"""Between the names of two columns, and of two groups."""


def column_grouping(words: pd.Series) -> Grouping:
    """The groups of a column of categories, in their order, without those that nobody is in."""
    codes, used = _compact(np.asarray(words.cat.codes, dtype=np.int64))
    names = tuple(str(words.cat.categories[code]) for code in used)
    return Grouping(str(words.name), names, codes)


def crossed_grouping(columns: Sequence[Grouping]) -> Grouping:
    """One grouping of one or two: a group for each pair of groups that somebody is in.

    The name is such as ``gender x age_band``, and a group's ``female x 20-29``.
    """
    if len(columns) == 1:
        return columns[0]
    one, other = columns
    both = (one.codes >= 0) & (other.codes >= 0)
    codes, used = _compact(np.where(both, one.codes * len(other) + other.codes, -1))
    names = [
        one.groups[code // len(other)] + BETWEEN + other.groups[code % len(other)] for code in used
    ]
    return Grouping(one.name + BETWEEN + other.name, tuple(names), codes)


def crossings(columns: Mapping[str, Grouping], names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of those columns of `names` that tell anybody apart."""
    return list(combinations([name for name in names if len(columns[name]) > 1], 2))


def _compact(codes: Codes) -> tuple[Codes, list[int]]:
    """Codes numbered from 0 without a gap, and the code that each number was; -1 stays."""
    used = np.flatnonzero(np.bincount(codes[codes >= 0]))
    number = np.full(int(codes.max(initial=-1)) + 2, -1)  # the last stands for code -1
    number[used] = np.arange(len(used))
    return number[codes], used.tolist()


BINS: Final[dict[str, tuple[str, tuple[float, ...]]]] = {
    "age_band": ("age_years", (0, 10, 20, 30, 40, 50, 60, 70)),
    "age_five_years": ("age_years", tuple(range(0, 95, 5))),
    "inter_eye_px": ("inter_eye_px", (0, 16, 32, 64, 128)),
    "yaw_proxy": ("yaw_proxy", (0, 0.1, 0.2, 0.4)),
    "yaw_degrees": ("yaw_degrees", (0, 10, 20, 30, 45)),
    "sharpness": ("sharpness", (0, 0.1, 0.3, 0.6, 1.0)),
}
"""Column, and the first value of each bin; the last is open. A head turned either way counts alike,
and a face of yaw proxy 0.4 or sharpness 0.1 is where the default card refers to a human."""

DEFAULT_COLUMNS: Final = (
    *("age_band", "gender", "ethnicity", "dataset"),
    *("inter_eye_px", "yaw_proxy", "sharpness"),
)
MOST_WORDS: Final = 100


def group_names(frame: pd.DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    """Columns that the table has as they are, others by what they are called here: `sex`."""
    return tuple(name if name in frame else own_name(name) for name in names)


def group_words(frame: pd.DataFrame, name: str) -> pd.Series:
    """The group [N] of each row as ordered categories; missing where the row does not say.

    Args:
        frame: of a predictions table.
        name: of `BINS`, or a column of words.

    Raises:
        UnknownNameError: no such column.
        UsageError: it has more than `MOST_WORDS` words, which are names rather than groups.
    """
    if name in BINS:
        column, starts = BINS[name]
        if column not in frame:
            return pd.Series(pd.Categorical([None] * len(frame), categories=["none"]), name=name)
        return _binned(frame[column].abs(), starts).rename(name)
    if name not in frame:
        raise UnknownNameError("group column", name, [*BINS, *map(str, frame.columns)])
    words = frame[name].astype("category")
    words = words.cat.remove_unused_categories()
    if len(words.cat.categories) > MOST_WORDS:
        raise UsageError(
            f"{name} has {len(words.cat.categories):,} words; groups to compare are at most "
            f"{MOST_WORDS}. Put them into fewer in a column of your own"
        )
    return words.rename(name)


def age_bands(frame: pd.DataFrame) -> pd.Series:
    """The decade of life [N] that each true age is in, the last one open."""
    return group_words(frame, "age_band")


def bin_names(starts: Sequence[float]) -> list[str]:
    """What bins are called: ``10-19`` of whole numbers, ``0.1-0.2`` of others, ``70+``."""
    whole = all(float(start).is_integer() for start in starts)
    ends = [end - 1 if whole else end for end in starts[1:]]
    closed = [f"{start:g}-{end:g}" for start, end in zip(starts, ends, strict=False)]
    return [*closed, f"{starts[-1]:g}+"]


def _binned(values: pd.Series, starts: Sequence[float]) -> pd.Series:
    return pd.Series(
        pd.cut(values, [*starts, np.inf], right=False, labels=bin_names(starts)),
        index=values.index,
    )
