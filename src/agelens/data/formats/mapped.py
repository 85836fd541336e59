"""Own data: any CSV or Parquet, its columns named by a mapping.

The mapping goes from the sample table's columns to the file's. Where the file has codes, a
column is a pair of its name and the codes' meaning:

    {"path": "file", "age_years": "Age", "gender": ("sex", {"0": "male", "1": "female"})}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from agelens.data.datasets.base import read_labels, sample_table
from agelens.data.formats.base import (
    Written,
    finite_numbers,
    listed_words,
    write_csv,
    writing,
)
from agelens.errors import DatasetError, TableError, UsageError
from agelens.tables import COLUMNS, UNSTATED, AgeKind, SampleTable, refuse
from agelens.tables.columns import raise_problems
from agelens.tables.files import read_frame
from agelens.tables.mapping import (
    ColumnMapping,
    MappedColumn,
    parse_mapping,
    suggested_mapping,
    words_of,
)

_MADE: Final = ("sample_id", "dataset")
_MAPPABLE: Final = tuple(name for name in COLUMNS if name not in _MADE)
_TEXTS: Final = ("path", "age_kind", "gender", "ethnicity", "subject", "split", "issue")
_AGES: Final = frozenset({"age_years", "age_low", "age_high"})
_SUGGESTED: Final = ("path", "age_years", "gender", "ethnicity", "subject", "split")
_CSV: Final = (".csv", ".tsv", ".txt")


def read_mapped(
    source: str | Path | pd.DataFrame,
    columns: ColumnMapping | None = None,
    *,
    dataset: str | None = None,
    age_kind: AgeKind | None = None,
    root: str | Path | None = None,
) -> SampleTable:
    """A table of own data; columns that the mapping does not name are left behind.

    A CSV may be UTF-8 or Latin-1, even line by line, with commas, semicolons or tabs. Paths
    may have backslashes. Without codes, gender words may be `female`, `F`, `Male` and the like.

    Args:
        source: a frame, or a `.csv`, `.tsv`, `.txt` or `.parquet`.
        columns: mapping from table columns to the file's; `path` must be in it. Without a
            mapping the file has this table's own names.
        dataset: a name for the data; that of the file by default.
        age_kind: of all ages, where the file has no column of it; `unstated` by default.
        root: the pictures' folder, where the file has absolute paths; they become relative.

    Raises:
        DatasetError: the file cannot be read or lacks a column; those found are named.
        TableError: values do not fit, or a path is not below the root; all that is wrong is
            told at once, with rows.
        UnknownNameError: the mapping names a column that the table does not have.
        UsageError: nothing says which column is `path`, or the kind of the ages is said twice.
    """
    name = "own" if isinstance(source, pd.DataFrame) else Path(source).stem
    what = "the frame" if isinstance(source, pd.DataFrame) else str(source)
    listed, found = _listed(source)
    if columns is None:
        columns = {column: found[column] for column in _MAPPABLE if column in found}
    wanted = _checked(columns, found.values())
    if _AGES & {*wanted} and age_kind is not None and "age_kind" in wanted:
        raise UsageError("say the kind of the ages once: as age_kind, or as a column of that name")
    missing = [one.source for one in wanted.values() if one.source.lower() not in listed]
    if missing:
        raise DatasetError(
            f"{what}: no column {', '.join(missing)}; found: {', '.join(found.values())}. "
            f"{_suggestion(found.values())}"
        )
    rows = _rows(what, listed, wanted, root)
    if "age_kind" not in wanted:
        return sample_table(dataset or name, rows, age_kind=age_kind or UNSTATED)
    # One kind for all rows is the only kind that sample_table knows.
    table = sample_table(dataset or name, rows, age_kind="real")
    return table.with_columns(age_kind=rows["age_kind"].fillna(UNSTATED))


def _rows(
    what: str,
    listed: pd.DataFrame,
    wanted: Mapping[str, MappedColumn],
    root: str | Path | None,
) -> pd.DataFrame:
    rows, problems = pd.DataFrame({"issue": listed["issue"]}, dtype=object), []
    for name, column in wanted.items():
        values = listed[column.source.lower()].rename(column.source)
        try:
            rows[name] = _values(name, column, values)
            if name == "path":
                refuse(rows[name], rows[name].isna(), f"is missing in {what}")
                rows[name] = _relative(rows[name], root)
        except TableError as bad:
            problems.append(str(bad))
    raise_problems(what, problems)
    return rows


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
    path, wanted = Path(path), _checked(columns, ())
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


def _checked(columns: ColumnMapping, found: Iterable[str]) -> dict[str, MappedColumn]:
    wanted = parse_mapping(columns, _MAPPABLE)
    if "path" not in columns:
        raise UsageError(
            f"the mapping must say which column is the `path` of the picture. {_suggestion(found)}"
        )
    return wanted


def _suggestion(found: Iterable[str]) -> str:
    option = suggested_mapping(_SUGGESTED, found)
    return f"Perhaps: {option}" if option else "Give --columns, such as path=file,age_years=Age"


def _listed(source: str | Path | pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns by lower-case name, beside an `issue` for malformed rows; and their names."""
    if isinstance(source, pd.DataFrame):
        listed = source.reset_index(drop=True)
    elif Path(source).suffix.lower() in _CSV:
        listed = read_labels(Path(source), ())
    elif Path(source).suffix.lower() == ".parquet":
        try:
            listed = read_frame(Path(source))
        except TableError as error:
            raise DatasetError(str(error)) from error
    else:
        raise UsageError(f"{source}: own data is a .csv, .tsv, .txt or .parquet file")
    found = {str(name).lower(): str(name) for name in listed.columns}
    listed = listed.set_axis([str(name).lower() for name in listed.columns], axis="columns")
    return listed.assign(issue=listed.get("issue")), found


def _values(name: str, column: MappedColumn, values: pd.Series) -> pd.Series:
    return words_of(name, values, column.meaning) if name in _TEXTS else finite_numbers(values)


def _relative(paths: pd.Series, root: str | Path | None) -> pd.Series:
    posix = paths.str.replace("\\", "/", regex=False)
    if root is None:
        return posix
    prefix = Path(root).as_posix().rstrip("/") + "/"
    absolute = posix.str.startswith("/") | posix.str.match(r"[A-Za-z]:")
    refuse(paths, absolute & ~posix.str.startswith(prefix), f"is not below the root {root}")
    return posix.str.removeprefix(prefix)


def _codes(path: Path, values: pd.Series, column: MappedColumn) -> pd.Series:
    if not column.meaning:
        return values
    codes: dict[str, str] = {}
    for code, word in column.meaning.items():
        codes.setdefault(word, code)
    return listed_words(path, values.astype(object), codes)
