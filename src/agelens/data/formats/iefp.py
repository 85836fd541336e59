"""IEFP's training folders: one for each identity, the age of a picture in its name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.atomic import atomic_folder
from agelens.data.datasets.base import named_pictures, numbers, sample_table
from agelens.data.datasets.folder import DatasetFolder, folded
from agelens.data.formats.base import Written, usable
from agelens.data.store.cutting import picture_source
from agelens.errors import UsageError
from agelens.tables import AgeKind, SampleTable, refuse

_NAME: Final = re.compile(r"(?:^|/)(?P<subject>[^/]+)/[^/]+?(?:_age_(?P<age>\d+))?\.\w+$")
_AGE: Final = re.compile(r"_age_\d+$")
# IEFP splits a name at each of them and takes the third piece for the age.
_SPLIT_AT: Final = re.compile(r"[_.]+")
_NO_FOLDER: Final = r"^\.{1,2}$|[/\\\0]"


def read_iefp(
    path: str | Path, *, dataset: str, age_kind: AgeKind | None = "estimated"
) -> SampleTable:
    """Pictures `{identity}/05179510_age_39.jpg` (Xie, Pun and Lam, IEEE TIFS 17, 2022).

    IEFP names MS1MV3 so, whose ages come from a model; a picture without an age in its name
    has none in the table.

    Args:
        path: of the folder that holds the identities.
        dataset: whose pictures they are, by its name in agelens.
        age_kind: of the ages in the names.

    Raises:
        DatasetError: there is no such folder, or no picture lies in such folders.
    """
    folder = DatasetFolder(path, "IEFP folders")
    files = folder.pictures(".")
    rows = named_pictures(folder, files.paths, _NAME, "000123/05179510_age_39.jpg")
    rows["age_years"] = numbers(rows, "age", unknown=())
    return sample_table(dataset, rows, age_kind=age_kind or "estimated")


def write_iefp(table: SampleTable, path: str | Path, *, root: str | Path | None = None) -> Written:
    """Copy the pictures of `table` into a new folder, named as IEFP's training reads them.

    A picture goes to `{subject}/{name}_age_{years}.{suffix}`. Ages are rounded to whole years,
    and the `_` and `.` of a name become `-`, since IEFP splits names there. Rows with an issue,
    and pictures without subject, age or file, are left out and counted.

    Args:
        table: labelled, such as by `agelens data label`.
        path: of the new folder.
        root: where the table's pictures are, if it does not know.

    Raises:
        TableError: nothing is left to write; a subject is no folder's name; or two pictures
            would have one name. Rows are named.
        UsageError: the folder exists and is not empty, or there is no folder with the pictures.
        OutputError: it cannot be written; nothing is left behind.
    """
    table = table if root is None else table.with_root(root)
    source = picture_source(None, table, check=False)
    for folder in table.roots.values():
        if not Path(folder).is_dir():
            raise UsageError(f"there is no folder {folder}: give that of the table's pictures")
    frame = table.frame
    named = zip(frame["dataset"], frame["path"], strict=True)
    files = pd.Series([source(str(dataset), name) for dataset, name in named], frame.index, object)
    kept, left_out = usable(
        frame,
        {
            "without a subject": frame["subject"].isna(),
            "without an age": frame["age_years"].isna(),
            "file absent": ~files.map(Path.is_file).astype(bool),
        },
    )
    targets = pd.Series(list(_targets(kept)), index=kept.index, name="path")
    refuse(targets, targets.map(folded).duplicated(keep=False), "is the name of two pictures")
    with atomic_folder(Path(path), "pictures") as partial:
        for file, target in zip(files[kept.index], targets, strict=True):
            (partial / target).parent.mkdir(exist_ok=True)
            shutil.copyfile(file, partial / target)
    return Written((Path(path),), len(kept), left_out, tuple(_notes(kept)))


def _targets(frame: pd.DataFrame) -> Iterator[str]:
    subjects = frame["subject"].astype(str)
    refuse(subjects, subjects.str.contains(_NO_FOLDER, regex=True), "cannot name a folder")
    years = np.floor(frame["age_years"].to_numpy(dtype=np.float64) + 0.5).astype(int)
    for subject, path, age in zip(subjects, frame["path"], years, strict=True):
        name = Path(path)
        stem = _SPLIT_AT.sub("-", _AGE.sub("", name.stem))
        yield f"{subject}/{stem}_age_{age}{name.suffix}"


def _notes(frame: pd.DataFrame) -> Iterator[str]:
    rounded = int((frame["age_years"] % 1 != 0).sum())
    if rounded:
        yield f"rounded {rounded:,} ages to whole years"
    kinds = frame["age_kind"].value_counts()
    yield "ages: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
