"""Columns that stand beside embeddings."""

from __future__ import annotations

from typing import Final

import pandas as pd

from agelens.errors import TableError
from agelens.tables import COLUMNS, refuse
from agelens.tables.dtypes import as_categories
from agelens.tables.samples import cast_sample_column, may_repeat

OK: Final = "ok"
EMBEDDING_COLUMNS: Final = ("sample_id", "dataset", "subject", "age_years", "path", "status")


def conformed(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` in the dtypes of the sample table, `EMBEDDING_COLUMNS` first, others as they are.

    Raises:
        TableError: a column of `EMBEDDING_COLUMNS` is missing, or a value does not fit.
    """
    missing = [name for name in EMBEDDING_COLUMNS if name not in frame]
    if missing:
        raise TableError(
            f"a table of embeddings needs the column{'s' * (len(missing) > 1)} "
            f"{', '.join(missing)}; it has {', '.join(map(str, frame.columns)) or 'none'}"
        )
    others = [name for name in frame.columns if name not in EMBEDDING_COLUMNS]
    frame = frame.reset_index(drop=True)
    return pd.DataFrame({name: _cast(frame[name]) for name in (*EMBEDDING_COLUMNS, *others)})


def check_columns(frame: pd.DataFrame) -> None:
    """What must hold of every row.

    Raises:
        TableError: a `sample_id` or a `status` is missing, or a `sample_id` repeats.
    """
    for name in ("sample_id", "status"):
        refuse(frame[name], frame[name].isna(), "is missing")
    ids = frame["sample_id"]
    if may_repeat(ids):
        refuse(ids, ids.duplicated(keep=False), "occurs more than once")


def _cast(values: pd.Series) -> pd.Series:
    if values.name == "status":
        return as_categories(values)
    return cast_sample_column(values) if values.name in COLUMNS else values
