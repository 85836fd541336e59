"""The lists of the label-distribution-learning system: photo, age, roll and a box.

Its photos are turned by `deg` (PIL, counter-clockwise, canvas grown to fit) and then cut to
the box `(box1, box2, box3, box4)`, left, top, right, bottom in pixels of the *turned*
photo; see `agelens.imaging.rotate_crop`. A table's own box is in the photo as it is, so the
turned one has columns of its own, `rotated_x1` to `rotated_y2`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from agelens.data.datasets.base import read_labels, sample_table
from agelens.data.formats.base import (
    LETTERS,
    PARTS,
    Written,
    find_part_files,
    kind_of,
    listed_numbers,
    listed_words,
    prefix_of,
    subjects_from_names,
    usable,
    write_csv,
)
from agelens.errors import TableError
from agelens.tables import BOX, AgeKind, SampleTable, refuse

ROTATED_BOX: Final = ("rotated_x1", "rotated_y1", "rotated_x2", "rotated_y2")
"""Extra columns: the box in the photo turned by `roll_degrees`, in pixels."""

_BOX: Final = ("box1", "box2", "box3", "box4")
_GENDER: Final = {"M": "male", "F": "female", "male": "male", "female": "female"}
_ENDING: Final = "_align.csv"


def read_ldl(
    folder: str | Path,
    *,
    dataset: str,
    age_kind: AgeKind | None = None,
    prefix: str | None = None,
) -> SampleTable:
    """`[prefix]_train_align.csv`, `_valid_` and, if there, `_test_` as one table with `split`.

    `deg` becomes `roll_degrees`, and the boxes the extra columns `rotated_x1` to `rotated_y2`;
    where `deg` is 0 they are the table's own box too.

    Args:
        folder: where the lists are.
        dataset: whose photos they are, by its name in agelens.
        age_kind: needed where agelens does not know the dataset.
        prefix: first word of the files' names, where the folder holds several.

    Raises:
        DatasetError: no list is there, or one lacks a column; those found are named.
        TableError: a number, gender or race is none; file and rows are named.
        UsageError: `age_kind` is needed.
    """
    kind = kind_of(dataset, age_kind)
    lists = [_read(path, part) for part, path in find_part_files(folder, _ENDING, prefix).items()]
    rows = pd.concat(lists, ignore_index=True)
    rows["subject"] = subjects_from_names(dataset, rows["path"])
    upright = rows["roll_degrees"] == 0
    rows[list(BOX)] = rows[list(ROTATED_BOX)].where(upright, axis=0)
    table = sample_table(dataset, rows, age_kind=kind)
    return table.with_columns(**{name: rows[name] for name in ROTATED_BOX})


def write_ldl(table: SampleTable, folder: str | Path, *, prefix: str | None = None) -> Written:
    """Write `[prefix]_{train,valid,test}_align.csv` of the parts that there are.

    The boxes are those of the extra columns `rotated_x1` to `rotated_y2`; without these, the
    table's own, for rows whose `roll_degrees` is 0. Rows with an issue, without an age, a
    roll or a box, or in no part are left out and counted. Gender and race are columns only
    where every row has them and the race a letter, since the system's loader skips a row's
    missing gender and mixes up those that follow.

    Args:
        table: with splits, rolls and boxes, as `agelens data prepare --two-pass` leaves it.
        folder: where to.
        prefix: first word of the files' names; the table's dataset if None.

    Raises:
        TableError: the table has turned faces but no boxes in turned photos, a part is not
            train, valid or test, or nothing is left.
        UsageError: the table is of several datasets and there is no prefix.
        OutputError: a file cannot be written.
    """
    folder, prefix = Path(folder), prefix_of(table, prefix)
    frame, left_out = usable(table.frame, _reasons(table))
    refuse(frame["split"], ~frame["split"].isin(PARTS), "is not train, valid or test")
    names = ROTATED_BOX if {*ROTATED_BOX} <= {*table.extra} else BOX
    listed = pd.DataFrame({"photo": frame["path"], "age": frame["age_years"]})
    listed["deg"] = frame["roll_degrees"]
    listed[list(_BOX)] = frame[list(names)]
    notes = _add_people(listed, frame)
    paths = []
    for part in (part for part in PARTS if (frame["split"] == part).any()):
        paths.append(folder / f"{prefix}_{part}{_ENDING}")
        write_csv(listed[frame["split"] == part], paths[-1])
    return Written(tuple(paths), len(listed), left_out, notes)


def _read(path: Path, part: str) -> pd.DataFrame:
    listed = read_labels(path, ("photo", "age", "deg", *_BOX))
    rows = pd.DataFrame({"path": listed["photo"], "issue": listed["issue"], "split": part})
    rows["age_years"] = listed_numbers(path, listed["age"])
    rows["roll_degrees"] = listed_numbers(path, listed["deg"])
    for name, listed_name in zip(ROTATED_BOX, _BOX, strict=True):
        rows[name] = listed_numbers(path, listed[listed_name])
    if "gender" in listed:
        rows["gender"] = listed_words(path, listed["gender"], _GENDER)
    if "race" in listed:
        rows["ethnicity"] = listed_words(path, listed["race"], LETTERS)
    return rows


def _reasons(table: SampleTable) -> dict[str, pd.Series]:
    frame = table.frame
    if {*ROTATED_BOX} <= {*table.extra}:
        box = frame[list(ROTATED_BOX)]
    elif (frame["roll_degrees"].fillna(0) == 0).all():
        box = frame[list(BOX)]
    else:
        raise TableError(
            f"the table has turned faces but not the columns {', '.join(ROTATED_BOX)}: their boxes "
            "in the turned photos. Prepare it with --two-pass, which finds them"
        )
    return {
        "without an age": frame["age_years"].isna(),
        "in no part": frame["split"].isna(),
        "without a roll": frame["roll_degrees"].isna(),
        "without a box": box.isna().any(axis=1),
    }


def _add_people(listed: pd.DataFrame, frame: pd.DataFrame) -> tuple[str, ...]:
    letters = {word: letter for letter, word in LETTERS.items()}
    columns = {
        "gender": frame["gender"].astype(object),
        "race": frame["ethnicity"].astype(object).map(letters),
    }
    notes = []
    for name, values in columns.items():
        if values.notna().all():
            listed[name] = values
        else:
            notes.append(f"no column {name}, since {values.isna().sum()} rows have none to write")
    return tuple(notes)
