"""Groups of a column, and of two columns together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from agelens.evaluation.bootstrap import Grouping
from agelens.evaluation.bootstrap.groupings import Codes

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
