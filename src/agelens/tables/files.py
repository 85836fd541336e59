"""Frames on disk: Parquet and CSV, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from agelens.errors import TableError
from agelens.tables.dtypes import TEXT
from agelens.whole_file import whole_file


def read_frame(
    path: Path, *, small_floats: Callable[[str], bool] = lambda _: False
) -> pd.DataFrame:
    """The columns of the `.parquet` or `.csv` file at `path`; those of a CSV are text.

    Args:
        path: of the file.
        small_floats: tells by its name which column of a CSV is read as float32 at once,
            where a hundred columns of text would fill the memory.

    Raises:
        TableError: there is no such file, it is damaged or of another kind.
    """
    kind = _suffix(path)
    if not path.is_file():
        raise TableError(f"there is no table at {path}")
    try:
        return _read_parquet(path) if kind == ".parquet" else _read_csv(path, small_floats)
    except (ValueError, OSError) as bad:  # pandas' and Arrow's own errors are children of these
        raise TableError(f"{path} cannot be read as a {kind[1:]} table: {bad}") from bad


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` as `.parquet` or `.csv`; the file appears whole or not at all.

    Raises:
        TableError: the suffix is another one.
        OutputError: the file cannot be written; what was there before is kept.
    """
    kind = _suffix(path)
    with whole_file(path, "the table") as partial:
        if kind == ".parquet":
            frame.to_parquet(partial, engine="pyarrow", index=False)
        else:
            # RFC 4180's line end: with another, a carriage return in a text is not quoted.
            frame.to_csv(partial, index=False, lineterminator="\r\n", encoding="utf-8")


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise TableError(f"{path}: a table's name ends in .parquet or .csv")
    return suffix


def _read_parquet(path: Path) -> pd.DataFrame:
    # Column by column: a whole Arrow table beside its pandas copy takes twice the memory.
    with pq.ParquetFile(path, pre_buffer=False) as stored:
        names = stored.schema_arrow.names
        columns = {name: stored.read([name]).to_pandas()[name] for name in names}
    return pd.DataFrame(columns, copy=False)


def _read_csv(path: Path, small_floats: Callable[[str], bool]) -> pd.DataFrame:
    names = pd.read_csv(path, nrows=0).columns
    # As text, or a subject called 007 and a name spelled "NA" would not survive.
    dtypes = {name: np.dtype(np.float32) if small_floats(name) else TEXT for name in names}
    return pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""])
