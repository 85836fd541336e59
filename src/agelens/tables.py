"""The sample table: one row a labelled face, the same columns for every dataset.

Columns, in this order: `sample_id`, `dataset`, `path` (relative to the dataset's root,
posix); `age_years`, `age_std`, `age_low`, `age_high` in years (an age class has only
bounds, both inclusive; an open class has no `age_high`); `age_kind`; `gender`;
`ethnicity` in the dataset's own words; `subject`; `photo_year`; `split`
(train, valid or test) and `fold`; the labelled box and five landmarks in pixels of the
picture at `path`; `roll_degrees`; and `issue`, which says why a label is impossible and is
missing where nothing is wrong. Absent values are missing, never a code.

Dtypes are compact, so that 5 million rows stay under 2 GB: Arrow strings, categories for
repeated words, float64 years, float32 pixels.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pandas.util import hash_array

from agelens.errors import OutputError, TableError
from agelens.records import Gender

AgeKind: TypeAlias = Literal["real", "apparent", "estimated"]
AGE_KINDS: Final[tuple[str, ...]] = get_args(AgeKind)
GENDERS: Final[tuple[str, ...]] = get_args(Gender)

YEARS: Final = ("age_years", "age_std", "age_low", "age_high")
BOX: Final = ("box_x1", "box_y1", "box_x2", "box_y2")
LANDMARKS: Final = tuple(
    f"{point}_{axis}"
    for point in ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
    for axis in "xy"
)
"""Picture order: `eye_left` is the eye on the left of the image."""

COLUMNS: Final = (
    *("sample_id", "dataset", "path", *YEARS, "age_kind", "gender", "ethnicity", "subject"),
    *("photo_year", "split", "fold", *BOX, "roll_degrees", *LANDMARKS, "issue"),
)
REQUIRED: Final = ("sample_id", "dataset", "path")

_TEXT = pd.StringDtype("pyarrow")
_TEXT_COLUMNS = ("sample_id", "path")
_SMALL_INTEGERS = ("photo_year", "fold")
_PIXELS = (*BOX, "roll_degrees", *LANDMARKS)
_VOCABULARY = {"age_kind": AGE_KINDS, "gender": GENDERS}
_BAD_PATH = r"^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$)"
_SHOWN = 5
_CHUNK = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class SampleTable:
    """Labelled faces in the columns above, checked and in their fixed order and dtypes.

    `frame` must have every column of `COLUMNS`, in any order; `extra` names further
    columns that are kept after them as they are.

    Raises:
        TableError: a column is missing or not known; a value does not fit its column; a
            path is absolute, leaves the root, or has a backslash; a `sample_id` repeats;
            an age has no `age_kind`.
    """

    frame: pd.DataFrame
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", _conformed(self.frame, self.extra))
        _check(self.frame)

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def from_columns(cls, columns: Mapping[str, object] | pd.DataFrame) -> SampleTable:
        """A table of whole columns; those not given are missing throughout."""
        frame = pd.DataFrame(columns)
        absent = [name for name in COLUMNS if name not in frame and name not in REQUIRED]
        return cls(frame.assign(**dict.fromkeys(absent)))

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, object]]) -> SampleTable:
        """A table of rows by column name; what a row does not name is missing."""
        frame = pd.DataFrame(list(rows), dtype=object)
        return cls.from_columns(frame if len(frame) else {name: [] for name in REQUIRED})

    @classmethod
    def concat(cls, tables: Sequence[SampleTable]) -> SampleTable:
        """One table of several, rows in the order given."""
        frames = [table.frame for table in tables]
        columns = {
            name: pd.concat([_plain(frame[name]) for frame in frames], ignore_index=True)
            for name in (*COLUMNS, *tables[0].extra)
        }
        return cls(pd.DataFrame(columns), extra=tables[0].extra)


def read_table(path: str | Path, *, extra: Sequence[str] | None = ()) -> SampleTable:
    """The sample table at `path`, a `.parquet` or `.csv` file, checked.

    Args:
        path: of the file.
        extra: further columns that it must have; None keeps whatever others it has.

    Raises:
        TableError: there is no such file, it is damaged or of another kind, or what it
            holds is no sample table.
    """
    path = Path(path)
    kind = _suffix(path)
    if not path.is_file():
        raise TableError(f"there is no table at {path}")
    try:
        frame = _read_parquet(path) if kind == ".parquet" else _read_csv(path)
    except (ValueError, OSError) as bad:  # pandas' and Arrow's own errors are children of these
        raise TableError(f"{path} cannot be read as a {kind[1:]} table: {bad}") from bad
    if extra is None:
        extra = [str(name) for name in frame.columns if name not in COLUMNS]
    return SampleTable(frame, tuple(extra))


def write_table(table: SampleTable, path: str | Path) -> None:
    """Write `table` as `.parquet` or `.csv`; the file appears whole or not at all.

    `read_table` gives it back with the same values and dtypes; of `extra` columns a CSV
    keeps the values only.

    Raises:
        TableError: the suffix is another one.
        OutputError: the file cannot be written; what was there before is kept.
    """
    path = Path(path)
    kind = _suffix(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if kind == ".parquet":
            table.frame.to_parquet(partial, engine="pyarrow", index=False)
        else:
            # RFC 4180's line end: with another, a carriage return in a text is not quoted.
            table.frame.to_csv(partial, index=False, lineterminator="\r\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write the table {path}: {error}") from error
    finally:
        with suppress(NotADirectoryError):  # where the folder is a file, nothing was written
            partial.unlink(missing_ok=True)


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


def _read_csv(path: Path) -> pd.DataFrame:
    # As text, or a subject called 007 and a name spelled "NA" would not survive.
    return pd.read_csv(path, dtype=_TEXT, keep_default_na=False, na_values=[""])


def _plain(values: pd.Series) -> pd.Series:
    return values.astype(_TEXT) if isinstance(values.dtype, pd.CategoricalDtype) else values


def _conformed(frame: pd.DataFrame, extra: Sequence[str]) -> pd.DataFrame:
    wanted = (*COLUMNS, *extra)
    missing = [name for name in wanted if name not in frame]
    if missing:
        raise TableError(
            f"the table lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"it has {', '.join(map(str, frame.columns)) or 'none'}"
        )
    unknown = [str(name) for name in frame.columns if name not in wanted]
    if unknown:
        raise TableError(
            f"the table has columns that a sample table does not know: {', '.join(unknown)}. "
            "Drop them, or name them in `extra` to keep them"
        )
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        frame = frame.reset_index(drop=True)
    cast = {name: _cast(frame[name]) for name in COLUMNS}
    return pd.DataFrame(cast | {name: frame[name] for name in extra}, copy=False)


def _cast(values: pd.Series) -> pd.Series:
    name = values.name
    if name in YEARS:
        return _numbers(values, np.dtype(np.float64))
    if name in _PIXELS:
        return _numbers(values, np.dtype(np.float32))
    if name in _SMALL_INTEGERS:
        return _small_integers(values)
    if name in _TEXT_COLUMNS:
        text = _text(values)
        empty = text == ""
        return text.mask(empty) if empty.any() else text
    return _categories(values)


def _text(values: pd.Series) -> pd.Series:
    if values.dtype == _TEXT:
        return values
    try:
        return values.astype(_TEXT)
    except UnicodeEncodeError:  # a file name's undecodable byte
        lone = [isinstance(text, str) and not _is_utf8(text) for text in values]
        refuse(values, lone, "cannot be written as UTF-8")
        raise


def _is_utf8(text: str) -> bool:
    return text.encode("utf-8", "replace").decode("utf-8") == text


def _numbers(values: pd.Series, dtype: np.dtype[np.floating]) -> pd.Series:
    if values.dtype == dtype:
        return values
    try:  # astype reads text to the last bit, to_numeric does not in pandas 2
        return values.astype(np.float64).astype(dtype)
    except (ValueError, TypeError):
        numeric = pd.to_numeric(values, errors="coerce")
        refuse(values, numeric.isna() & values.notna(), "is not a number")
    return pd.Series(numeric.to_numpy(dtype=dtype, na_value=np.nan), name=values.name)


def _small_integers(values: pd.Series) -> pd.Series:
    if values.dtype == pd.Int16Dtype():
        return values
    numeric = _numbers(values, np.dtype(np.float64))
    refuse(values, (numeric % 1 != 0) & numeric.notna(), "is not a whole number")
    refuse(values, numeric.abs() > np.iinfo(np.int16).max, "is too large")
    return numeric.astype("Int16")


def _categories(values: pd.Series) -> pd.Series:
    """Sorted words in use, or the column's vocabulary; equal tables get equal dtypes."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, words = values.cat.codes.to_numpy(), values.cat.categories
    else:
        codes, words = pd.factorize(_text(values))
    spelled = words.astype(_TEXT).to_numpy(dtype=object, na_value="")
    vocabulary = _VOCABULARY.get(str(values.name))
    if vocabulary is None:
        used = np.bincount(codes[codes >= 0], minlength=len(spelled)) > 0
        vocabulary = tuple(sorted({*spelled[used]} - {""}))
    place = {word: code for code, word in enumerate(vocabulary)}
    wrong = np.array([word not in place and word != "" for word in spelled] + [False])
    if str(values.name) in _VOCABULARY:
        refuse(values, wrong[codes], f"is not one of {', '.join(vocabulary)}")
    # The last entry stands for code -1, a missing value.
    moved = np.array([place.get(word, -1) for word in spelled] + [-1])[codes]
    dtype = pd.CategoricalDtype(pd.Index(vocabulary, dtype=object))
    return pd.Series(pd.Categorical.from_codes(moved, dtype=dtype), name=values.name)


def _check(frame: pd.DataFrame) -> None:
    for name in REQUIRED:
        refuse(frame[name], frame[name].isna(), "is missing")
    ids = frame["sample_id"]
    if _may_repeat(ids):
        refuse(ids, ids.duplicated(keep=False), "occurs more than once")
    path = frame["path"]
    bad = path.str.contains(_BAD_PATH, regex=True)
    refuse(path, bad, "is not a relative posix path inside the dataset's root")
    aged = frame["age_years"].notna() | frame["age_low"].notna() | frame["age_high"].notna()
    refuse(frame["age_kind"], aged & frame["age_kind"].isna(), "is missing beside an age")


def _may_repeat(ids: pd.Series) -> bool:
    """Whether two ids share a 64-bit hash; a tenth of the memory of comparing the ids."""
    texts = (ids.iloc[at : at + _CHUNK] for at in range(0, len(ids), _CHUNK))
    hashes = [hash_array(part.to_numpy(dtype=object), categorize=False) for part in texts]
    every = np.sort(np.concatenate([*hashes, np.empty(0, np.uint64)]))
    return bool((every[1:] == every[:-1]).any())


def refuse(values: pd.Series, bad: object, why: str) -> None:
    """Raise where any of `bad` [N] is true, naming column, count and the first rows.

    Raises:
        TableError: some are.
    """
    rows = np.flatnonzero(np.asarray(bad, dtype=bool))
    if not rows.size:
        return
    first = ", ".join(f"row {row}: {values.iloc[row]!r}" for row in rows[:_SHOWN])
    more = ", ..." if rows.size > _SHOWN else ""
    raise TableError(f"column {values.name!r}: {rows.size} value(s) where it {why}: {first}{more}")
