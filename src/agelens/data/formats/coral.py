"""CORAL's lists, whose labels are ages minus the least age of the dataset.

Cao, Mirjalili and Raschka, PRL 2020: class 0 is age 15 in AFAD, 14 in CACD, 16 in MORPH and
21 in UTKFace; CORN's balanced lists start elsewhere. Such a label read as an age is wrong
by decades and nothing fails, so the least age has to be known before anything is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.datasets.base import read_labels, sample_table
from agelens.data.formats.base import (
    LETTERS,
    PARTS,
    Written,
    ages_from_names,
    find_part_files,
    kind_of,
    listed_numbers,
    listed_words,
    prefix_of,
    subjects_from_names,
    usable,
    whole_years,
    write_csv,
)
from agelens.errors import DatasetError, TableError
from agelens.tables import AgeKind, SampleTable, refuse

# MORPH's list has its file names in a column without a name, CACD's its row numbers.
_PATHS: Final = ("path", "file", "filename", "")
_GENDER: Final = {"male": "male", "female": "female", "1": "male", "-1": "female"}


def read_coral(
    path: str | Path,
    *,
    dataset: str,
    age_kind: AgeKind | None = None,
    minimum_age: int | None = None,
    prefix: str | None = None,
) -> SampleTable:
    """A CORAL list, or a folder with `[prefix]_{train,valid,test}.csv`, with true ages.

    `ID,Path,Age,scaled` and the published lists are read (`path` or `file`, `age`, some with
    gender or race). The least age comes from `minimum_age`; else from Age minus scaled, where
    both are there and differ by one number; else from the ages in the owner's file names.
    Whatever is known must agree.

    Args:
        path: of a CSV, or of the folder.
        dataset: whose pictures they are, by its name in agelens.
        age_kind: needed where agelens does not know the dataset.
        minimum_age: the age of label 0, in years.
        prefix: first word of the files' names, where the folder holds several.

    Raises:
        DatasetError: a file cannot be read or lacks a column; those found are named.
        TableError: a label is no number from 0, or the least age is unknown or contradicted.
        UsageError: `age_kind` is needed.
    """
    path, kind = Path(path), kind_of(dataset, age_kind)
    files = find_part_files(path, ".csv", prefix) if path.is_dir() else {None: path}
    lists = [_read(file, part) for part, file in files.items()]
    rows = pd.concat(lists, ignore_index=True)
    named = ages_from_names(dataset, rows["path"])
    rows["age_years"] = _true_ages(path, rows, named, minimum_age)
    rows["subject"] = subjects_from_names(dataset, rows["path"])
    return sample_table(dataset, rows, age_kind=kind)


def write_coral(
    table: SampleTable,
    path: str | Path,
    *,
    minimum_age: int | None = None,
    prefix: str | None = None,
    round_ages: bool = False,
) -> Written:
    """Write `ID,Path,Age,scaled`: sample id, path, true age, and age minus the least age.

    Rows with an issue or without an age are left out and counted.

    Args:
        table: of whole ages.
        path: a `.csv` for one list, else a folder for one list a part, of rows in a part.
        minimum_age: the age of label 0; the least of the table if None.
        prefix: first word of the files' names in a folder; the table's dataset if None.
        round_ages: write half years as the next whole one.

    Raises:
        TableError: an age is not whole, is below the least, a part is not train, valid or test,
            or nothing is left.
        UsageError: the table is of several datasets and there is no prefix.
        OutputError: a file cannot be written.
    """
    path, single = Path(path), Path(path).suffix.lower() == ".csv"
    reasons = {"without an age": table.frame["age_years"].isna()}
    if not single:
        reasons["in no part"] = table.frame["split"].isna()
    frame, left_out = usable(table.frame, reasons)
    age = whole_years(frame, round_ages)
    least = int(age.min()) if minimum_age is None else minimum_age
    refuse(age, age < least, f"is below the least age {least}")
    listed = pd.DataFrame({"ID": frame["sample_id"], "Path": frame["path"], "Age": age})
    listed["scaled"] = age - least
    notes = (f"label 0 is age {least}, and there are {int(age.max()) - least + 1} labels",)
    files = _files(frame, path, prefix_of(table, prefix)) if not single else {path: frame.index}
    for file, rows in files.items():
        write_csv(listed.loc[rows], file)
    return Written(tuple(files), len(listed), left_out, notes)


def _read(path: Path, part: str | None) -> pd.DataFrame:
    listed = read_labels(path, ("age",))
    column = next((name for name in _PATHS if name in listed), None)
    if column is None:
        names = ", ".join(str(name) for name in listed if name != "issue")
        raise DatasetError(f"{path}: no column {' or '.join(_PATHS[:-1])}; found: {names}")
    rows = pd.DataFrame({"path": listed[column], "issue": listed["issue"], "split": part})
    rows["label"] = listed_numbers(path, listed["age"])
    rows["scaled"] = listed_numbers(path, listed["scaled"]) if "scaled" in listed else np.nan
    gender = next((name for name in ("gender", "male") if name in listed), None)
    if gender is not None:
        rows["gender"] = listed_words(path, listed[gender], _GENDER)
    if "race" in listed:
        rows["ethnicity"] = listed_words(path, listed["race"], LETTERS)
    return rows


def _true_ages(
    path: Path, rows: pd.DataFrame, named: NDArray[np.float64], minimum_age: int | None
) -> pd.Series:
    label = rows["label"]
    refuse(label, (label < 0) | (label % 1 > 0), f"is no label, a whole number from 0 ({path})")
    apart = _constant(path, "Age - scaled", (label - rows["scaled"]).to_numpy())
    if apart:  # Age is the age itself
        _agree(path, "Age - scaled", apart, minimum_age)
        return label
    written = _constant(path, "age in the file name - Age", named - label.to_numpy())
    if written is not None:
        _agree(path, "the file names", written, minimum_age)
        return label + written
    if minimum_age is None:
        raise TableError(
            f"{path}: labels are shifted by the least age of the list, which neither its columns "
            "nor its file names tell: give minimum_age (CORAL: AFAD 15, CACD 14, MORPH 16, "
            "UTKFace 21)"
        )
    return label + minimum_age


def _constant(path: Path, what: str, values: NDArray[np.float64]) -> int | None:
    """The one number that all known values are; None where none is known."""
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    most = float(np.median(known))
    refuse(
        pd.Series(values, name=what),
        np.isfinite(values) & (values != most) | (values < 0),
        f"should be one number from 0 in all of {path}, like {most:g}, but",
    )
    return int(most)


def _agree(path: Path, source: str, found: int, given: int | None) -> None:
    if given is not None and given != found:
        raise TableError(f"{path}: minimum_age is {given}, but by {source} it is {found}")


def _files(frame: pd.DataFrame, folder: Path, prefix: str) -> dict[Path, pd.Index]:
    refuse(frame["split"], ~frame["split"].isin(PARTS), "is not train, valid or test")
    parts = {part: frame.index[frame["split"] == part] for part in PARTS}
    return {folder / f"{prefix}_{part}.csv": rows for part, rows in parts.items() if len(rows)}
