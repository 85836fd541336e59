"""Label lists as owners ship them: mixed encodings, ragged rows, codes for "unknown".

Rows are data frames of text, one column a field, beside an `issue` column that collects
what is wrong with a row. Nothing is dropped and nothing turns into a number unnoticed.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from agelens.errors import DatasetError

DELIMITERS = ",;\t"
_UNKNOWN_WORDS = frozenset({"", "none", "nan", "null", "na", "n/a"})
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(path: Path, *, legacy: str = "latin-1") -> list[str]:
    """The lines of a text file, without the empty ones at its end.

    Each line is UTF-8 or, where it is not, `legacy`: lists put together from several
    sources mix both in one file. A byte-order mark is dropped.

    Raises:
        DatasetError: the file cannot be opened.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read the label file {path}: {error}") from error
    if data.startswith(_UTF16):  # a spreadsheet's "Unicode text"
        data = data.decode("utf-16").encode()
    data = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return [_decoded(line, legacy) for line in data.rstrip(b"\n\t \0").split(b"\n")]


def _decoded(line: bytes, legacy: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode(legacy)


def read_labels(
    path: Path,
    columns: Sequence[str],
    *,
    header: bool = True,
    delimiters: str = DELIMITERS,
    legacy: str = "latin-1",
) -> pd.DataFrame:
    """The rows of a delimited label file as text, with an `issue` column.

    Args:
        path: the file.
        columns: those that must be there; without a header, all of them in order.
        header: whether the first line names the columns (in any case).
        delimiters: candidates; the one most frequent in the first line is taken.
        legacy: encoding of lines that are not UTF-8.

    Raises:
        DatasetError: a column is absent; the message names it and those found.
    """
    lines = read_lines(path, legacy=legacy)
    delimiter = max(delimiters, key=lines[0].count)
    cells = _cells(path, lines, delimiter)
    names = [name.lower() for name in cells[0]] if header else list(columns)
    missing = [name for name in columns if name.lower() not in names]
    if missing or len(set(names)) < len(names):
        raise DatasetError(
            f"{path}: no column {', '.join(missing) or 'twice'}; found: {', '.join(cells[0])[:200]}"
        )
    body = [row for row in cells[header:] if any(row)]
    width = len(names)
    even = [(row + [""] * width)[:width] for row in body]
    rows = pd.DataFrame(even, columns=names, dtype=object)
    rows["issue"] = pd.Series(None, index=rows.index, dtype=object)
    lengths = np.array([len(row) for row in body], dtype=int)
    flag(rows, lengths != width, f"label row has {{}} fields, not {width}", lengths)
    return rows


def _cells(path: Path, lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise DatasetError(f"{path} is no delimited text: {error}") from error


def with_issues(columns: Mapping[str, Iterable[object]]) -> pd.DataFrame:
    """Rows of the given columns, all of them plain objects, beside an empty `issue`."""
    rows = pd.DataFrame({name: list(values) for name, values in columns.items()}, dtype=object)
    rows["issue"] = pd.Series(None, index=rows.index, dtype=object)
    return rows


def flag(rows: pd.DataFrame, bad: object, why: str, values: Iterable[object] = ()) -> None:
    """Add `why` to the `issue` of the rows where `bad` is true; `{}` in it is the row's value."""
    at = np.flatnonzero(np.asarray(bad, dtype=bool))
    if not at.size:
        return
    issues = rows["issue"].to_numpy(dtype=object, copy=True)
    shown = list(values) or [""] * len(rows)
    for row in at:
        text = why.format(shown[row])
        issues[row] = text if pd.isna(issues[row]) else f"{issues[row]}; {text}"
    rows["issue"] = pd.Series(issues, index=rows.index, dtype=object)


def numbers(rows: pd.DataFrame, column: str, *, unknown: Sequence[float] = (-1,)) -> pd.Series:
    """A text column as float64; `unknown` values, infinities and empty cells are missing.

    A text that is no number at all is missing too, and flagged.
    """
    values = pd.to_numeric(rows[column], errors="coerce").astype(np.float64)
    spoken = np.array([str(text).strip().lower() not in _UNKNOWN_WORDS for text in rows[column]])
    flag(rows, values.isna() & spoken.astype(bool), column + " {!r} is no number", rows[column])
    return values.mask(~np.isfinite(values) | values.isin(unknown))


def words(
    rows: pd.DataFrame, column: str, meaning: Mapping[str, str], *, unknown: Sequence[str] = ()
) -> list[str | None]:
    """A column of codes as words; `unknown` codes are missing, any other code is flagged too."""
    codes = ["" if pd.isna(code) else str(code).strip() for code in rows[column]]
    unspoken = _UNKNOWN_WORDS | {code.lower() for code in unknown}
    bad = [code not in meaning and code.lower() not in unspoken for code in codes]
    flag(rows, bad, column + " {!r} has no meaning", codes)
    return [meaning.get(code) for code in codes]
