"""What every reader ends with: rows with a path become a checked sample table."""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from agelens.data.datasets.folder import DatasetFolder, PictureFiles, readable
from agelens.errors import DatasetError
from agelens.tables import BOX, COLUMNS, AgeKind, SampleTable
from agelens.tables.files import DELIMITERS

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
    # Many spreadsheets end every row but the first with a delimiter.
    body = [row if any(row[width:]) else row[:width] for row in body]
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


OLDEST_YEARS = 120
"""Older than anyone pictured in a public set; a label beyond it is a mistake."""

_MISSPELT = r"^/|^$|[\\:]|(?:^|/)\.{1,2}/|//"
_TEXT = pd.StringDtype("pyarrow")

MALE_FEMALE = {"M": "male", "F": "female", "m": "male", "f": "female"}


def named_pictures(
    folder: DatasetFolder, paths: Sequence[str], pattern: re.Pattern[str], example: str
) -> pd.DataFrame:
    """One row a path: `path`, the named groups of `pattern` as text, and `issue`.

    `pattern` is searched in the whole path. A picture whose path does not match is kept,
    flagged, with missing groups.

    Raises:
        DatasetError: no picture at all is named so.
    """
    found = [pattern.search(path) for path in paths]
    if not any(found):
        raise folder.error(f"none of {len(paths)} pictures is named like {example}")
    groups = {
        name: [None if match is None else match[name] for match in found]
        for name in pattern.groupindex
    }
    rows = with_issues({"path": paths, **groups})
    flag(rows, [match is None for match in found], f"name is not like {example}")
    return rows


def sample_table(
    dataset: str,
    rows: pd.DataFrame,
    files: PictureFiles | None = None,
    *,
    age_kind: AgeKind | None = None,
    oldest_years: int = OLDEST_YEARS,
    every_picture_labelled: bool = False,
    people_share_pictures: bool = False,
) -> SampleTable:
    """The sample table of `rows`, which hold `path` and any other columns of the table.

    Columns that the table does not know are left behind. What is impossible goes into
    `issue`: a listed file that is absent, a path listed again, an age outside 0 to
    `oldest_years`, bounds or a box the wrong way round.

    Args:
        dataset: name in the registry.
        rows: in their final order; paths as listed, relative to the root.
        files: the pictures on disk; None where the rows were made from the disk itself.
        age_kind: of every row that has an age.
        oldest_years: ages above are flagged.
        every_picture_labelled: the owner's labels cover the whole folder, so a picture
            without one becomes a row with the issue "no label".
        people_share_pictures: several rows may have one path.

    Raises:
        TableError: a reader gave a value that its column does not allow.
    """
    rows = rows.reset_index(drop=True)
    if files is not None:
        rows = _matched(rows, files, every_picture_labelled)
    _flag_names(rows)
    if not people_share_pictures:
        _flag_repeats(rows)
    _flag_labels(rows, oldest_years)
    ids = dataset + "/" + rows["path"]
    if ids.duplicated().any():
        repeat = rows.groupby("path", sort=False).cumcount()
        ids = ids.where(repeat == 0, ids + "#" + (repeat + 1).astype(str))
    kinds = {"age_kind": pd.Series(age_kind, index=rows.index, dtype=object).where(_aged(rows))}
    known = rows[[name for name in COLUMNS if name in rows]]
    return SampleTable.from_columns(known.assign(sample_id=ids, dataset=dataset, **kinds))


def _matched(rows: pd.DataFrame, files: PictureFiles, every: bool) -> pd.DataFrame:
    found = [files.find(path) for path in rows["path"]]
    flag(rows, [path is None for path in found], "file absent")
    listed = rows["path"]
    paths = [new or old for new, old in zip(found, listed, strict=True)]
    rows = rows.assign(path=pd.Series(paths, index=rows.index, dtype=object))
    if every:
        rest = with_issues({"path": sorted(set(files.paths).difference(filter(None, found)))})
        flag(rest, np.ones(len(rest)), "no label")
        rows = pd.concat([rows, rest], ignore_index=True) if len(rest) else rows
    return rows


def _flag_repeats(rows: pd.DataFrame) -> None:
    """The first of equal rows stays clean; where labels of one picture differ, none does."""
    labels = [name for name in ("age_years", "age_low", "age_high", "gender") if name in rows]
    again = rows.duplicated("path")
    if not again.any():
        return
    equal = rows.duplicated(["path", *labels])
    torn = rows["path"].isin(rows.loc[again & ~equal, "path"])
    flag(rows, again & ~torn, "duplicate path")
    flag(rows, torn, "duplicate path with other labels")


def _flag_names(rows: pd.DataFrame) -> None:
    """Paths that a table cannot hold are spelled so that it can, and flagged."""
    listed = rows["path"].to_numpy(dtype=object)
    utf8 = np.array([path if path.isascii() else _as_utf8(path) for path in listed], dtype=object)
    undecodable = utf8 != listed
    paths = pd.Series(utf8, index=rows.index, dtype=_TEXT)
    wrong = paths.str.contains(_MISSPELT, regex=True).to_numpy(dtype=bool) | undecodable
    flag(rows, wrong, "file name is not a relative posix path in UTF-8: rename the file")
    utf8[wrong] = [_spelled(path) for path in utf8[wrong]]
    rows["path"] = pd.Series(utf8, index=rows.index, dtype=_TEXT)
    if undecodable.any() and "subject" in rows:
        rows["subject"] = rows["subject"].map(readable, na_action="ignore")


def _as_utf8(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


def _spelled(path: str) -> str:
    parts = path.replace("\\", "/").replace(":", "_").split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "(no name)"


def _flag_labels(rows: pd.DataFrame, oldest_years: int) -> None:
    for name in ("age_years", "age_low", "age_high"):
        if name in rows:
            age = rows[name].astype(np.float64)
            outside = (age < 0) | (age > oldest_years)
            flag(rows, outside, f"{name} {{:g}} is outside 0 to {oldest_years}", age)
    if {"age_low", "age_high"} <= {*rows}:
        flag(rows, rows["age_low"] > rows["age_high"], "age_low is above age_high")
    if {*BOX} <= {*rows}:
        empty = (rows["box_x2"] <= rows["box_x1"]) | (rows["box_y2"] <= rows["box_y1"])
        flag(rows, empty, "box is empty")


def _aged(rows: pd.DataFrame) -> pd.Series:
    ages = [rows[name] for name in ("age_years", "age_low", "age_high") if name in rows]
    return pd.concat(ages, axis=1).notna().any(axis=1) if ages else pd.Series(False, rows.index)
