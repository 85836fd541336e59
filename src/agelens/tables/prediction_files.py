"""Predictions on disk, those of other tools included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import pandas as pd

from agelens.ages import AgeScale
from agelens.errors import TableError, UnknownNameError, UsageError
from agelens.tables.dtypes import as_text
from agelens.tables.files import read_frame, write_frame
from agelens.tables.prediction_columns import OPTIONAL_COLUMNS, PREDICTION_COLUMNS
from agelens.tables.predictions import PredictionsTable
from agelens.tables.probabilities import SCALE_COLUMN, is_probability
from agelens.tables.refusal import refuse

PredictionMapping: TypeAlias = Mapping[str, str | tuple[str, Mapping[str, str]]]
_KNOWN: Final = (*PREDICTION_COLUMNS, *OPTIONAL_COLUMNS, SCALE_COLUMN)


def read_predictions(
    path: str | Path,
    columns: PredictionMapping | None = None,
    *,
    constants: Mapping[str, Any] | None = None,
    extra: Sequence[str] = (),
    scale: AgeScale | None = None,
) -> PredictionsTable:
    """The predictions at `path`, a `.parquet` or `.csv` file, checked.

    Another tool's file is read by a mapping from this table's columns to the file's; where
    the file has codes, a column is a pair of its name and the codes' meaning:

        {"sample_id": "file", "estimate_years": "pred", "gender": ("sex", {"0": "male"})}

    Args:
        path: of the file.
        columns: that mapping; columns that it does not name are left behind. None takes the
            file's names as they are, and every column.
        constants: what a column of this table holds in all rows, such as an `age_kind` that
            the file does not state.
        extra: further columns of the file to keep beside those of the mapping.
        scale: the ages of the distribution's columns, where the file does not state them.

    Raises:
        TableError: there is no such file, it is damaged or of another kind; it lacks a column
            (those found are named); a value has no meaning; or what it holds are no
            predictions, see `PredictionsTable`.
        UnknownNameError: the mapping or `constants` name a column that the table does not have.
        UsageError: a column is given both ways.
    """
    path, columns, constants = Path(path), dict(columns or {}), dict(constants or {})
    _check_names([*columns, *constants])
    small = {_source(given) for name, given in columns.items() if is_probability(name)}
    frame = read_frame(path, small_floats=lambda name: is_probability(name) or name in small)
    found = ", ".join(map(str, frame.columns))
    if columns:
        frame = _mapped(frame, columns, extra, path)
    for name, value in constants.items():
        if name in frame and frame[name].notna().any():
            raise UsageError(f"{name} is given both as a column of {path} and as a constant")
        frame = frame.assign(**{name: value})
    for name in ("sample_id", "estimate_years"):
        if name not in frame:
            raise TableError(
                f"no column of {path} is {name}; found: {found}. Say which one it is by a mapping "
                "of columns"
            )
    return PredictionsTable.from_columns(frame, scale)


def write_predictions(table: PredictionsTable, path: str | Path) -> None:
    """Write `table` as `.parquet` or `.csv`; the file appears whole or not at all.

    `read_predictions` gives it back with the same values and dtypes; of further columns a CSV
    keeps the values only.

    Raises:
        TableError: the suffix is another one.
        OutputError: the file cannot be written; what was there before is kept.
    """
    write_frame(table.to_frame(), Path(path))


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name not in _KNOWN and not is_probability(name):
            raise UnknownNameError("predictions column", name, _KNOWN)


def _source(given: str | tuple[str, Mapping[str, str]]) -> str:
    return given if isinstance(given, str) else given[0]


def _mapped(
    frame: pd.DataFrame, columns: PredictionMapping, extra: Sequence[str], path: Path
) -> pd.DataFrame:
    sources = [*map(_source, columns.values()), *extra]
    missing = [name for name in sources if name not in frame]
    if missing:
        raise TableError(
            f"{path}: no column {', '.join(missing)}; found: {', '.join(map(str, frame.columns))}"
        )
    chosen = {name: frame[_source(given)] for name, given in columns.items()}
    for name, given in columns.items():
        if not isinstance(given, str):
            chosen[name] = _decoded(chosen[name], given[1])
    return pd.DataFrame(chosen | {name: frame[name] for name in extra}, copy=False)


def _decoded(values: pd.Series, meaning: Mapping[str, str]) -> pd.Series:
    codes = as_text(values)
    words = codes.map(meaning)
    refuse(values, codes.notna() & words.isna(), f"is not one of {', '.join(meaning)}")
    return words
