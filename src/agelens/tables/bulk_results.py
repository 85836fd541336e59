"""The folder of a bulk run as one table: read column by column, of what is asked for alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads

from agelens.errors import TableError
from agelens.foreign_files import decoding, json_object
from agelens.tables.predictions import OPTIONAL_COLUMNS, is_probability

_MANIFEST: Final = "_manifest.json"
_WORDS: Final = ("status", "model", "gender", "input_gender")
_OF_FACES: Final = (
    *("photo", "status", "estimate_years", "low_years", "high_years", "interval_level", "model"),
    *("box_x1", "box_y1", "box_x2", "box_y2", "gender"),
    *OPTIONAL_COLUMNS,
)
_EXACT: Final = ("estimate_years", "median_years", "low_years", "high_years", "interval_level")


def is_bulk_result(path: Path) -> bool:
    """Whether `path` is the folder of a run of `agelens bulk`."""
    return (path / _MANIFEST).is_file()


def open_bulk_result(folder: Path) -> tuple[pads.Dataset, dict[str, str]]:
    """The results as a dataset, of which nothing is loaded, and the input's columns in it.

    Returns:
        The dataset, and from each column of the run's input to the results' column.

    Raises:
        TableError: the run is not whole, or its manifest is damaged.
    """
    manifest = json_object(folder / _MANIFEST, TableError, what="a manifest of agelens bulk")
    if not (folder / "_SUCCESS").exists():
        raise TableError(
            f"{folder}: the run is not whole, and what is there would stand for all of it: the "
            f"same agelens bulk goes on; agelens bulk --status {folder} says how far it is"
        )
    with decoding(folder, "results of agelens bulk", TableError):
        columns = {str(name): str(column) for name, column in manifest["columns"].items()}
        return pads.dataset(folder, format="parquet"), columns


def read_bulk_frame(folder: Path) -> pd.DataFrame:
    """What an evaluation asks of the results: a row a face, beside the input's own columns.

    A column of the input has its own name again; the gender that a model saw is then
    `gender_estimate`. Distributions are there where the run was asked for them.

    Raises:
        TableError: see `open_bulk_result`.
    """
    dataset, further = open_bulk_result(folder)
    there = dataset.schema.names
    kept = [name for name in there if name in _OF_FACES or is_probability(name)]
    names = {name: name for name in kept} | {column: name for name, column in further.items()}
    if "gender" in further:
        names["gender"] = "gender_estimate"
    with decoding(folder, "results of agelens bulk", TableError):
        columns = {name: _column(dataset, column) for column, name in names.items()}
    return pd.DataFrame(columns, copy=False)


def _column(dataset: pads.Dataset, name: str) -> pd.Series:
    """One column; words that repeat as categories, and what needs no more digits as float32."""
    values = dataset.to_table(columns=[name]).column(name)
    if name in _WORDS:
        values = values.dictionary_encode().unify_dictionaries()
    elif values.type == pa.float64() and name in _OF_FACES and name not in _EXACT:
        values = values.cast(pa.float32())
    read: pd.Series = values.to_pandas()
    return read
