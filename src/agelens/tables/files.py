"""Tables on disk: Parquet, and CSV as spreadsheets and other tools write it."""

from __future__ import annotations

import codecs
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pandas.errors import ParserWarning

from agelens.atomic import atomic_file
from agelens.errors import MissingDependencyError, TableError
from agelens.foreign_files import FORMULA, decoding, parse_json
from agelens.tables.columns import TEXT, refuse

DELIMITERS: Final = ",;\t"
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WRITTEN: Final = (".parquet", ".csv")
_EXCEL: Final = (".xlsx", ".xlsm")
_READ: Final = (*_WRITTEN, ".tsv", ".txt", *_EXCEL)
_READ_AT_ONCE: Final = 1 << 20
_ATTRS: Final = b"PANDAS_ATTRS"
_BEYOND: Final = "(beyond the header)"
_LARGEST_UNPACKED: Final = 200_000_000  # bytes; some 400,000 rows of ten columns


def read_frame(
    path: Path, *, small_floats: Callable[[str], bool] = lambda _: False
) -> pd.DataFrame:
    """The columns of the `.parquet`, `.csv` or `.xlsx` file at `path`; those of a CSV are text.

    A CSV has commas, semicolons or tabs, whichever its first line has most of, and is UTF-8 or
    UTF-16; lines that are not are read as Latin-1. A comma at the end of every row is no column,
    nor is a Parquet file's unnamed index. Of a spreadsheet it is the first sheet.

    Args:
        path: of the file.
        small_floats: tells by its name which column of a CSV is read as float32 at once,
            where a hundred columns of text would fill the memory.

    Raises:
        TableError: there is no such file, it is damaged or of another kind.
        MissingDependencyError: a spreadsheet, without the extra `excel`.
    """
    kind = _suffix(path, _READ)
    if not path.is_file():
        raise TableError(f"there is no table at {path}")
    with decoding(path, f"a {kind[1:]} table", TableError):
        if kind == ".parquet":
            return _read_parquet(path)
        read = _read_excel(path) if kind in _EXCEL else _read_csv(path, small_floats)
        return without_guards(read)


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` as `.parquet` or `.csv`; the file appears whole or not at all.

    Parquet keeps `frame.attrs`, CSV does not.

    Raises:
        TableError: the suffix is another one.
        OutputError: the file cannot be written; what was there before is kept.
    """
    kind = _suffix(path, _WRITTEN)
    with atomic_file(path, "the table") as partial:
        if kind == ".parquet":
            frame.to_parquet(partial, engine="pyarrow", index=False)
        else:
            # RFC 4180's line end: with another, a carriage return in a text is not quoted.
            guarded(frame).to_csv(partial, index=False, lineterminator="\r\n", encoding="utf-8")


def guarded(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` for a CSV: text that a spreadsheet would run as a formula gets an apostrophe.

    `without_guards` gives it back as it was, text that has apostrophes of its own as well.
    """
    return _where_text(frame, rf"'*{FORMULA}", lambda text: "'" + text)


def without_guards(frame: pd.DataFrame) -> pd.DataFrame:
    """What `guarded` was given."""
    return _where_text(frame, rf"'+{FORMULA}", lambda text: text.str[1:])


def _where_text(
    frame: pd.DataFrame, pattern: str, change: Callable[[pd.Series], pd.Series]
) -> pd.DataFrame:
    changed = frame
    for name in frame:
        text = frame[name]
        if not isinstance(text.dtype, pd.CategoricalDtype | pd.StringDtype | np.dtypes.ObjectDType):
            continue
        if isinstance(text.dtype, np.dtypes.ObjectDType):
            text = text.where(text.map(lambda cell: isinstance(cell, str)), None)
        text = text.astype(TEXT)
        marked = text.str.match(pattern).fillna(False).astype(bool)
        if marked.any():
            whole = frame[name].astype(object).mask(marked, change(text).astype(object))
            changed = changed.assign(**{str(name): whole})
    return changed


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    suffix = path.suffix.lower()
    if suffix not in known:
        raise TableError(f"{path}: a table's name ends in .parquet or .csv")
    return suffix


def _read_parquet(path: Path) -> pd.DataFrame:
    # Column by column: a whole Arrow table beside its pandas copy takes twice the memory.
    with pq.ParquetFile(path, pre_buffer=False) as stored:
        schema = stored.schema_arrow
        _check_names(schema.names, path)
        names = [name for name in schema.names if not re.fullmatch(r"__index_level_\d+__", name)]
        columns = {name: _column(stored, name) for name in names}
    frame = pd.DataFrame(columns, copy=False)
    frame.attrs = parse_json((schema.metadata or {}).get(_ATTRS, b"{}"))
    return frame


def _column(stored: pq.ParquetFile, name: str) -> pd.Series:
    column = stored.read([name])
    column.validate(full=True)  # text that is no UTF-8 would fail much later, in any place
    frame = column.to_pandas()
    named: pd.Series = (frame if name in frame else frame.reset_index())[name]
    return named


def _check_names(names: Iterable[Any], path: Path) -> None:
    """Raise where two columns have one name, of which a reader would take either."""
    twice = [name for name, count in Counter(names).items() if count > 1 and not pd.isna(name)]
    if twice:
        raise TableError(
            f"{path}: several columns are called {twice[0]!r}, and which of them is meant cannot "
            "be told; rename or remove all but one"
        )


def _read_excel(path: Path) -> pd.DataFrame:
    try:
        import_module("openpyxl")
    except ImportError as missing:
        raise MissingDependencyError(
            f"{path}: a spreadsheet is read by openpyxl: pip install 'agelens[excel]', or save it "
            "as CSV"
        ) from missing
    with ZipFile(path) as packed:
        unpacked = sum(entry.file_size for entry in packed.infolist())
    if unpacked > _LARGEST_UNPACKED:
        raise TableError(
            f"{path}: unpacks to {unpacked / 1e6:,.0f} MB, more than the "
            f"{_LARGEST_UNPACKED / 1e6:,.0f} MB that are read of a spreadsheet; save it as CSV"
        )
    options: dict[str, Any] = {"dtype": object, "keep_default_na": False, "na_values": [""]}
    with pd.ExcelFile(path, engine="openpyxl") as book:
        heading = pd.read_excel(book, header=None, nrows=1, **options)
        _check_names(heading.to_numpy().ravel(), path)
        frame: pd.DataFrame = pd.read_excel(book, **options)
    unnamed = [str(name).startswith("Unnamed: ") for name in frame.columns]
    return frame.loc[:, ~(np.array(unnamed, dtype=bool) & frame.isna().all().to_numpy())]


def _read_csv(path: Path, small_floats: Callable[[str], bool]) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParserWarning)  # of rows longer than the header: below
        first = _parsed(path, nrows=1, header=None, dtype=TEXT)
        _check_names(first.iloc[:1].to_numpy().ravel(), path)
        names = list(_parsed(path, nrows=0).columns)
        # As text, or a subject called 007 and a name spelled "NA" would not survive.
        dtypes = {name: np.dtype(np.float32) if small_floats(name) else TEXT for name in names}
        try:
            warnings.simplefilter("error", ParserWarning)
            return _parsed(path, dtype=dtypes)
        except ParserWarning:  # rows are longer than the header
            warnings.simplefilter("ignore", ParserWarning)
        longer = _parsed(path, dtype=dtypes | {_BEYOND: TEXT}, names=[*names, _BEYOND], header=0)
    beyond = longer.pop(_BEYOND)
    refuse(beyond, beyond.notna(), f"has a value, though {path} has {len(names)} column names")
    return longer


def _parsed(path: Path, **options: Any) -> pd.DataFrame:
    """As pandas reads it. Without `index_col` a longer row would shift all columns by one."""
    with _utf8(path) as file:
        first, second = (file.readline().decode("utf-8-sig") for _ in range(2))
        file.seek(0)
        separator = max(DELIMITERS, key=first.count)
        frame: pd.DataFrame = pd.read_csv(
            file,
            sep=separator,
            decimal="," if separator != "," and re.search(r"\d,\d", second) else ".",
            index_col=False,
            keep_default_na=False,
            na_values=[""],
            encoding="utf-8-sig",
            **options,
        )
    return frame


def _utf8(path: Path) -> BinaryIO:
    """The file itself where it is UTF-8, else its text as such."""
    file = path.open("rb")
    if file.read(2) not in _UTF16 and _is_utf8(file):
        file.seek(0)
        return file
    with file:
        file.seek(0)
        content = file.read()
    if content.startswith(_UTF16):  # a spreadsheet's "Unicode text"
        return io.BytesIO(content.decode("utf-16").encode())
    return io.BytesIO("".join(map(_decoded, content.splitlines(keepends=True))).encode())


def _is_utf8(file: BinaryIO) -> bool:
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while part := file.read(_READ_AT_ONCE):
            decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(line: bytes) -> str:
    """Lists put together from several sources mix both in one file."""
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("latin-1")
