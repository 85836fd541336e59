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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.util import hash_array

from agelens.errors import TableError
from agelens.records import Gender
from agelens.tables.columns import (
    as_categories,
    as_floats,
    as_integers,
    as_plain,
    as_text,
    refuse,
)
from agelens.tables.files import read_frame, write_frame

AgeKind: TypeAlias = Literal["real", "apparent", "estimated", "unstated"]
AGE_KINDS: Final[tuple[str, ...]] = get_args(AgeKind)
UNSTATED: Final = "unstated"
"""The kind of ages of which their owner does not say what they are."""
GENDERS: Final[tuple[str, ...]] = get_args(Gender)
OLDEST_YEARS: Final = 150.0
"""Nobody is older, nor can an estimate say so."""

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

_TEXT_COLUMNS = ("sample_id", "path")
_SMALL_INTEGERS = ("photo_year", "fold")
_PIXELS = (*BOX, "roll_degrees", *LANDMARKS)
_VOCABULARY = {"age_kind": AGE_KINDS, "gender": GENDERS}
_BAD_PATH = r"^/|^[A-Za-z]:|\\|(?:^|/)\.\.(?:/|$)"
_CHUNK = 100_000
_ROOTS: Final = "roots"
_SHOWN_ROWS: Final = 10


def impossible_ages(years: pd.Series) -> pd.Series:
    """Which of `years` nobody can have; not those that are unknown."""
    found: pd.Series = (years < 0) | (years > OLDEST_YEARS)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class SampleTable:
    """Labelled faces in the columns above, checked and in their fixed order and dtypes.

    `frame` must have every column of `COLUMNS`, in any order; `extra` names further
    columns that are kept after them as they are. Where the pictures are is kept in
    `frame.attrs`, which Parquet keeps too, and read as `roots`.

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

    def __repr__(self) -> str:
        return f"SampleTable({self.summary()})"

    def _repr_html_(self) -> str:
        first = self.frame.head(_SHOWN_ROWS).dropna(axis="columns", how="all")
        return f"<p>{escape(self.summary())}</p>{first.to_html(index=False)}"

    def summary(self) -> str:
        """One line: how many samples, whose, how many people, which ages."""
        frame, ages = self.frame, self.frame["age_years"]
        datasets = [str(name) for name in frame["dataset"].cat.categories]
        shown = ", ".join(datasets[:3]) + (f" and {len(datasets) - 3} more" if datasets[3:] else "")
        parts = [f"{len(self):,} samples of {shown or 'no dataset'}"]
        if people := frame["subject"].nunique():
            parts.append(f"{people:,} people")
        if ages.notna().any():
            kinds = " and ".join(map(str, frame["age_kind"].cat.categories[_used(frame)]))
            parts.append(f"{kinds} ages {ages.min():g} to {ages.max():g}")
        if gender := frame["gender"].count():
            parts.append(f"gender known of {gender:,}")
        if issues := frame["issue"].count():
            parts.append(f"{issues:,} with an issue")
        return "; ".join(parts)

    @property
    def roots(self) -> dict[str, str]:
        """The folder of each dataset's pictures, where it is known."""
        return dict(self.frame.attrs.get(_ROOTS, {}))

    def with_root(self, root: str | Path | Mapping[str, str | Path]) -> SampleTable:
        """The same samples, with their pictures in `root`, or in one folder a dataset."""
        datasets = [str(name) for name in self.frame["dataset"].cat.categories]
        given = root if isinstance(root, Mapping) else dict.fromkeys(datasets, root)
        known = {name: str(Path(folder).absolute()) for name, folder in given.items()}
        table = SampleTable(self.frame, self.extra)
        table.frame.attrs = {_ROOTS: self.roots | known}
        return table

    def select(self, rows: object) -> SampleTable:
        """The rows that `rows` [N] marks, or numbers, with all columns."""
        chosen = np.asarray(rows)
        return SampleTable(
            self.frame[chosen] if chosen.dtype == bool else self.frame.iloc[chosen], self.extra
        )

    def with_columns(self, **columns: Any) -> SampleTable:
        """The same samples with some columns replaced, or further ones added."""
        further = [name for name in columns if name not in (*COLUMNS, *self.extra)]
        return SampleTable(self.frame.assign(**columns), (*self.extra, *further))

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
        """One table of several, rows in the order given; an extra column may be in some only."""
        extra = tuple(dict.fromkeys(name for table in tables for name in table.extra))
        frames = [table.frame.reindex(columns=[*COLUMNS, *extra]) for table in tables]
        columns = {
            name: pd.concat([as_plain(frame[name]) for frame in frames], ignore_index=True)
            for name in (*COLUMNS, *extra)
        }
        joined = pd.DataFrame(columns)
        joined.attrs = {_ROOTS: {name: root for one in tables for name, root in one.roots.items()}}
        return cls(joined, extra)


def read_table(path: str | Path, *, extra: Sequence[str] | None = ()) -> SampleTable:
    """The sample table at `path`, a `.parquet` or `.csv` file, checked.

    Args:
        path: of the file.
        extra: further columns that it must have; None keeps whatever others it has.

    Raises:
        TableError: there is no such file, it is damaged or of another kind, or what it
            holds is no sample table.
    """
    frame = read_frame(Path(path))
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
    write_frame(table.frame, Path(path))


def cast_sample_column(values: pd.Series) -> pd.Series:
    """One of `COLUMNS`, told by its name, in its dtype.

    Raises:
        TableError: a value does not fit; rows are named.
    """
    name = str(values.name)
    if name in YEARS:
        return as_floats(values, np.dtype(np.float64))
    if name in _PIXELS:
        return as_floats(values, np.dtype(np.float32))
    if name in _SMALL_INTEGERS:
        return as_integers(values, pd.Int16Dtype())
    if name in _TEXT_COLUMNS:
        return as_text(values)
    return as_categories(values, _VOCABULARY.get(name))


def check_labels(frame: pd.DataFrame) -> None:
    """What holds of path and age wherever a sample's labels stand.

    Raises:
        TableError: a path leaves the root; an age has no `age_kind`.
    """
    path = frame["path"]
    bad = path.str.contains(_BAD_PATH, regex=True)
    # A missing path is no bad one here; where it must be there, that is checked apart.
    refuse(path, bad.fillna(False), "is not a relative posix path inside the dataset's root")
    aged = frame["age_years"].notna() | frame["age_low"].notna() | frame["age_high"].notna()
    refuse(frame["age_kind"], aged & frame["age_kind"].isna(), "is missing beside an age")


def may_repeat(ids: pd.Series) -> bool:
    """Whether two ids share a 64-bit hash; a tenth of the memory of comparing the ids."""
    texts = (ids.iloc[at : at + _CHUNK] for at in range(0, len(ids), _CHUNK))
    hashes = [hash_array(part.to_numpy(dtype=object), categorize=False) for part in texts]
    every = np.sort(np.concatenate([*hashes, np.empty(0, np.uint64)]))
    return bool((every[1:] == every[:-1]).any())


def _conformed(frame: pd.DataFrame, extra: Sequence[str]) -> pd.DataFrame:
    wanted = (*COLUMNS, *extra)
    if "estimate_years" in frame and "estimate_years" not in wanted:
        raise TableError(
            "this is a table of predictions; what is needed here is one of samples, photos with "
            "their labels, such as `agelens data read` writes"
        )
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
    cast = {name: cast_sample_column(frame[name]) for name in COLUMNS}
    conformed = pd.DataFrame(cast | {name: frame[name] for name in extra}, copy=False)
    conformed.attrs = {_ROOTS: roots} if (roots := frame.attrs.get(_ROOTS)) else {}
    return conformed


def _used(frame: pd.DataFrame) -> NDArray[np.int64]:
    """The codes of the kinds that a row's age has."""
    codes = frame["age_kind"].cat.codes
    return np.unique(codes[codes >= 0])


def _check(frame: pd.DataFrame) -> None:
    for name in REQUIRED:
        refuse(frame[name], frame[name].isna(), "is missing")
    ids = frame["sample_id"]
    if may_repeat(ids):
        refuse(ids, ids.duplicated(keep=False), "occurs more than once")
    check_labels(frame)
