"""The lists of Relative Age Position Learning: `filename,age,gender,fold`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from agelens.data.datasets.base import read_labels, sample_table
from agelens.data.formats.base import (
    Written,
    kind_of,
    listed_numbers,
    listed_words,
    subjects_from_names,
    usable,
    whole_years,
    write_csv,
)
from agelens.tables import AgeKind, SampleTable

_GENDER: Final = {"0": "male", "1": "female"}
_FOLD: Final = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}


def read_rapl(path: str | Path, *, dataset: str, age_kind: AgeKind | None = None) -> SampleTable:
    """A RAPL list (Amirullaeva and Han, IEEE Access 12, 2024) as a table with `split`.

    Gender codes are 0 male and 1 female; CACD's list has none. `fold` is train, val or test, and
    goes into `split`. Subjects are taken from the file names of datasets that put them there,
    so that the leak of the published lists shows: they were drawn per image, and 556 of
    AgeDB's 557 validation subjects are in its train part (`describe_leaks`).

    Args:
        path: of the CSV.
        dataset: whose pictures they are, by its name in agelens.
        age_kind: needed where agelens does not know the dataset.

    Raises:
        DatasetError: the file cannot be read or lacks a column; those found are named.
        TableError: an age, gender or fold is none; rows are named.
        UsageError: `age_kind` is needed.
    """
    path, kind = Path(path), kind_of(dataset, age_kind)
    listed = read_labels(path, ("filename", "age", "fold"))
    rows = pd.DataFrame({"path": listed["filename"], "issue": listed["issue"]})
    rows["age_years"] = listed_numbers(path, listed["age"])
    rows["split"] = listed_words(path, listed["fold"], _FOLD)
    if "gender" in listed:
        rows["gender"] = listed_words(path, listed["gender"], _GENDER)
    rows["subject"] = subjects_from_names(dataset, rows["path"])
    return sample_table(dataset, rows, age_kind=kind)


def write_rapl(table: SampleTable, path: str | Path, *, round_ages: bool = False) -> Written:
    """Write a RAPL list; its reader wants whole ages and, of all rows or none, the gender.

    Rows with an issue, without an age, or in no part are left out and counted.

    Raises:
        TableError: an age is not whole and `round_ages` is not set, a part is not train, valid
            or test, or nothing is left.
        OutputError: the file cannot be written.
    """
    path, frame = Path(path), table.frame
    reasons = {"without an age": frame["age_years"].isna(), "in no part": frame["split"].isna()}
    frame, left_out = usable(frame, reasons)
    listed = pd.DataFrame({"filename": frame["path"], "age": whole_years(frame, round_ages)})
    notes: tuple[str, ...] = ()
    if frame["gender"].notna().all():
        listed["gender"] = frame["gender"].astype(object).map({v: k for k, v in _GENDER.items()})
    else:
        notes = ("no column gender, since it is unknown for some rows",)
    fold = {"train": "train", "valid": "val", "test": "test"}
    listed["fold"] = listed_words(path, frame["split"].astype(object), fold)
    write_csv(listed, path)
    return Written((path,), len(listed), left_out, notes)
