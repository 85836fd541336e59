"""Own data: any CSV or Parquet, its columns named by a mapping.

The mapping goes from the sample table's columns to the file's. Where the file has codes, a
column is a pair of its name and the codes' meaning:

    {"path": "file", "age_years": "Age", "gender": ("sex", {"0": "male", "1": "female"})}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.datasets.base import read_labels, sample_table
from agelens.data.formats.base import Written, listed_numbers, listed_words, write_csv, writing
from agelens.errors import DatasetError, UnknownNameError, UsageError
from agelens.tables import COLUMNS, GENDERS, AgeKind, SampleTable, refuse

ColumnMapping = Mapping[str, str | Sequence[object]]

_MADE: Final = ("sample_id", "dataset")
_MAPPABLE: Final = tuple(name for name in COLUMNS if name not in _MADE)
_TEXTS: Final = ("path", "age_kind", "gender", "ethnicity", "subject", "split", "issue")
_CSV: Final = (".csv", ".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class _Column:
    """One of the file's columns, and what its codes mean; no codes means words as they are."""

    source: str
    meaning: Mapping[str, str] = field(default_factory=dict)


def read_mapped(
    path: str | Path,
    columns: ColumnMapping,
    *,
    dataset: str,
    age_kind: AgeKind | None = None,
    root: str | Path | None = None,
) -> SampleTable:
    """A table of own data; columns that the mapping does not name are left behind.

    A CSV may be UTF-8 or Latin-1, even line by line, with commas, semicolons or tabs. Paths
    may have backslashes. Without codes, gender words may be `female`, `F`, `Male` and the like.

    Args:
        path: a `.csv`, `.tsv`, `.txt` or `.parquet`.
        columns: mapping from table columns to the file's; `path` must be in it.
        dataset: a name for the data.
        age_kind: of all ages, where the file has no column of it.
        root: the pictures' folder, where the file has absolute paths; they become relative.

    Raises:
        DatasetError: the file cannot be read or lacks a column; those found are named.
        TableError: a value does not fit, or a path is not below the root; rows are named.
        UnknownNameError: the mapping names a column that the table does not have.
        UsageError: the mapping lacks `path`, or ages have no kind.
    """
    path, wanted = Path(path), _checked(columns)
    ages = {"age_years", "age_low", "age_high"} & {*wanted}
    if ages and (age_kind is None) == ("age_kind" not in wanted):
        raise UsageError("say the kind of the ages once: as age_kind, or as a column of that name")
    listed = _listed(path, {column.source for column in wanted.values()})
    rows = pd.DataFrame({"issue": listed["issue"]}, dtype=object)
    for name, column in wanted.items():
        values = listed[column.source.lower()].rename(column.source)
        rows[name] = _values(path, name, column, values)
    refuse(rows["path"], rows["path"].isna(), f"is missing in {path}")
    rows["path"] = _relative(rows["path"], root)
    if age_kind is not None or not ages:
        return sample_table(dataset, rows, age_kind=age_kind)
    # One kind for all rows is the only kind that sample_table knows.
    table = sample_table(dataset, rows, age_kind="real")
    return SampleTable(table.frame.assign(age_kind=rows["age_kind"]))


def write_mapped(table: SampleTable, path: str | Path, columns: ColumnMapping) -> Written:
    """Write the columns of the mapping under the file's names, words as codes.

    Args:
        table: what is written, every row.
        path: a `.csv` or `.parquet`.
        columns: as for `read_mapped`; of two codes with one meaning the first is written.

    Raises:
        TableError: a word has no code; rows are named.
        UnknownNameError: the mapping names a column that the table does not have.
        UsageError: the path has another suffix, or the mapping lacks `path`.
        OutputError: the file cannot be written.
    """
    path, wanted = Path(path), _checked(columns)
    listed = pd.DataFrame(
        {column.source: _codes(path, table.frame[name], column) for name, column in wanted.items()}
    )
    if path.suffix.lower() == ".parquet":
        with writing(path) as partial:
            listed.to_parquet(partial, index=False)
    elif path.suffix.lower() == ".csv":
        write_csv(listed, path)
    else:
        raise UsageError(f"{path}: own data is written as .csv or .parquet")
    return Written((path,), len(listed))


def _checked(columns: ColumnMapping) -> dict[str, _Column]:
    for name in columns:
        if name not in _MAPPABLE:
            raise UnknownNameError("table column", str(name), _MAPPABLE)
    if "path" not in columns:
        raise UsageError("the mapping must say which column is the `path` of the picture")
    return {name: _column(name, given) for name, given in columns.items()}


def _column(name: str, given: object) -> _Column:
    if isinstance(given, str):
        return _Column(given)
    if isinstance(given, Sequence) and len(given) == 2:
        source, meaning = given
        if isinstance(source, str) and isinstance(meaning, Mapping):
            return _Column(source, {str(code): str(word) for code, word in meaning.items()})
    raise UsageError(
        f"column {name!r} is mapped to a column's name, or to a pair of it and the meaning of its "
        f"codes, not to {given!r}"
    )


def _listed(path: Path, sources: set[str]) -> pd.DataFrame:
    """The file's columns by lower-case name, beside an `issue` for its malformed rows."""
    if path.suffix.lower() in _CSV:
        return read_labels(path, sorted(sources))
    if path.suffix.lower() != ".parquet":
        raise UsageError(f"{path}: own data is a .csv, .tsv, .txt or .parquet file")
    try:
        listed = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # Arrow's own errors are children of these
        raise DatasetError(f"cannot read {path} as Parquet: {error}") from error
    listed.columns = listed.columns.astype(str).str.lower()
    missing = [source for source in sorted(sources) if source.lower() not in listed]
    if missing:
        raise DatasetError(
            f"{path}: no column {', '.join(missing)}; found: {', '.join(listed.columns)}"
        )
    return listed.assign(issue=None)


def _values(path: Path, name: str, column: _Column, values: pd.Series) -> pd.Series:
    if name not in _TEXTS:
        return listed_numbers(path, values)
    texts = values.astype(object).map(_text, na_action="ignore")
    texts = texts.mask(texts.isna() | (texts == ""), None)
    if column.meaning:
        return listed_words(path, texts, column.meaning)
    if name == "gender":
        initials = {word[0]: word for word in GENDERS}
        return listed_words(path, texts.str.lower(), {word: word for word in GENDERS} | initials)
    return texts


def _text(value: object) -> str:
    """A code as the mapping spells it: 0, not 0.0, where a gap made a column of numbers float."""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value) if whole else value).strip()  # type: ignore[call-overload]


def _relative(paths: pd.Series, root: str | Path | None) -> pd.Series:
    posix = paths.str.replace("\\", "/", regex=False)
    if root is None:
        return posix
    prefix = Path(root).as_posix().rstrip("/") + "/"
    absolute = posix.str.startswith("/") | posix.str.match(r"[A-Za-z]:")
    refuse(paths, absolute & ~posix.str.startswith(prefix), f"is not below the root {root}")
    return posix.str.removeprefix(prefix)


def _codes(path: Path, values: pd.Series, column: _Column) -> pd.Series:
    if not column.meaning:
        return values
    codes: dict[str, str] = {}
    for code, word in column.meaning.items():
        codes.setdefault(word, code)
    return listed_words(path, values.astype(object), codes)
