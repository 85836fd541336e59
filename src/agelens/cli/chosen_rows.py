"""The rows of a sample table that --split and --part choose."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.splits.resolve_split import SplitOptions, resolve_split
from agelens.errors import UsageError
from agelens.tables import SampleTable


def parts_as_asked(table: SampleTable, options: argparse.Namespace) -> pd.Series:
    """The part [N] of each row: by --split, or as the table says.

    Raises:
        UsageError: see `resolve_split`.
    """
    if options.split is None:
        return table.frame["split"].astype(object)
    fold = int(options.fold) if str(options.fold).isdecimal() else options.fold
    split = resolve_split(table, SplitOptions(options.split, options.split_seed, fold))
    codes = split.codes_for(table)
    names = np.array([*split.part_names, None], dtype=object)
    return pd.Series(names[codes], index=table.frame.index)


def rows_as_asked(parts: pd.Series, options: argparse.Namespace) -> NDArray[np.int64]:
    """The places of the rows of --part, or of all.

    Raises:
        UsageError: there is no such part.
    """
    if options.part is None:
        return np.arange(len(parts))
    rows = np.flatnonzero((parts == options.part).to_numpy())
    if not rows.size:
        found = ", ".join(sorted(map(str, parts.dropna().unique()))) or "none"
        raise UsageError(f"no row is of part {options.part!r}; parts: {found}")
    return rows
