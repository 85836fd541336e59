"""The unified benchmark's JSON databases (Paplham and Franc, CVPR 2024).

A list of objects: `img_path`, `id_num` or `name`, `age` in completed years (-1 unknown),
`gender` M, F or U, `database`, `folder`, and optionally `bbox` and `aligned_bbox`, four
corners `x, y` clockwise from the top left. Which folders are in which part is in a split
file beside it, see `agelens.data.splits.unified`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.datasets.base import sample_table
from agelens.data.formats.base import (
    PARTS,
    Written,
    kind_of,
    listed_numbers,
    listed_words,
    subjects_from_names,
    usable,
    whole_years,
    writing,
)
from agelens.errors import DatasetError
from agelens.foreign_files import decoding, read_json
from agelens.tables import AgeKind, SampleTable, refuse

UNIFIED_NAMES: Final = {
    "AFAD-Full": "afad-full",
    "AgeDB": "agedb",
    "CACD2000": "cacd2000",
    "CLAP2016": "lap2016",
    "FG-NET": "fgnet",
    "IMDB-CLEAN-FP-AGE": "imdb-clean",
    "IMDB-EM-CNN": "imdb",
    "MORPH": "morph2",
    "UTKFace": "utkface-wild",
}

ONE_SPLIT: Final = frozenset({"cacd2000", "lap2016", "imdb-clean"})
"""Datasets whose owner split them: folder 0 is train, 1 is valid, 2 is test."""

_BY_FOLDED: Final = {name.casefold(): ours for name, ours in UNIFIED_NAMES.items()}


def dataset_of(*names: str) -> str:
    """The agelens name of the first of `names` that is known; the first, folded, if none is."""
    known = [_BY_FOLDED[name.casefold()] for name in names if name.casefold() in _BY_FOLDED]
    return known[0] if known else names[0].casefold()


def unified_name(dataset: str) -> str:
    """The benchmark's name of an agelens dataset; its own name where the benchmark has none."""
    return next((name for name, ours in UNIFIED_NAMES.items() if ours == dataset), dataset)


ALIGNED: Final = tuple(f"aligned_{axis}{corner}" for corner in range(1, 5) for axis in "xy")
"""Extra columns: the corners of `aligned_bbox`, which may lie outside the picture."""

UPRIGHT: Final = tuple(f"box_{side}" for side in ("x1", "y1", "x2", "y1", "x2", "y2", "x1", "y2"))
"""The columns of an upright box, corner by corner."""


_LARGEST_PIXEL: Final = 1e9


def corners_of(frame: pd.DataFrame, field: str) -> NDArray[np.float64]:
    """Corners [N, 8] as x, y; NaN where an entry has no such box."""
    if field not in frame:
        return np.full((len(frame), 8), np.nan)
    boxes = frame[field]
    here = np.array([isinstance(box, tuple) for box in boxes])
    good = [len(box) == 8 and all(map(_is_number, box)) for box in boxes[here]]
    bad = boxes.notna().to_numpy(copy=True)
    bad[here] = ~np.array(good, dtype=bool)
    refuse(boxes, bad, "is not eight numbers")
    corners = np.full((len(frame), 8), np.nan)
    if here.any():
        corners[here] = np.array(list(boxes[here]), dtype=np.float64)
    return corners


def as_corners(boxes: pd.DataFrame) -> list[list[float] | None]:
    """Whole numbers as such, as in the published files."""
    rows = boxes.to_numpy(dtype=np.float64).tolist()
    return [
        None if any(map(np.isnan, row)) else [int(at) if at % 1 == 0 else at for at in row]
        for row in rows
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < _LARGEST_PIXEL  # nor NaN


_GENDER: Final = {"M": "male", "F": "female", "U": ""}
_LFS: Final = b"version https://git-lfs"
_LARGEST: Final = 2**31


def read_unified(
    path: str | Path, *, dataset: str | None = None, age_kind: AgeKind | None = None
) -> SampleTable:
    """A JSON database as a table with `fold`, and `split` where the owner split the dataset.

    `img_path` starts at the folder of all datasets, not at the dataset's own. Subjects come
    from the owner's file names where these hold them, so that they are spelled as in the
    dataset's own reader, else from `name` or `id_num`. A tilted `bbox` becomes the upright
    box around it; `aligned_bbox` is kept in the extra columns `aligned_x1` to `aligned_y4`.

    Args:
        path: of the `.json`.
        dataset: its name in agelens; by the field `database` if None.
        age_kind: needed where agelens does not know the dataset.

    Raises:
        DatasetError: the file cannot be read, is a Git LFS pointer, or is no such list.
        TableError: an age, gender, folder or box is none; entries (from 0) are named.
        UsageError: `age_kind` is needed.
    """
    path = Path(path)
    entries = _entries(path)
    frame = pd.DataFrame(entries, dtype=object)
    missing = [name for name in ("img_path", "age", "database") if name not in frame]
    if missing:
        raise DatasetError(
            f"{path}: no field {', '.join(missing)}; found: {', '.join(map(str, frame))}"
        )
    dataset = dataset or dataset_of(str(frame["database"].iat[0]))
    rows = pd.DataFrame({"path": frame["img_path"], "issue": None}, dtype=object)
    refuse(rows["path"], [not isinstance(name, str) for name in rows["path"]], "is not a text")
    age = listed_numbers(path, frame["age"])
    rows["age_years"] = age.mask(age == -1)
    rows["fold"], rows["split"] = _folders(path, frame, dataset)
    if "gender" in frame:
        words = listed_words(path, frame["gender"], _GENDER)
        rows["gender"] = words.mask(words == "")
    rows["subject"] = _subjects(frame, dataset)
    rows["ethnicity"] = frame.get("race")
    corners = corners_of(frame, "bbox")
    rows["box_x1"], rows["box_x2"] = corners[:, 0::2].min(axis=1), corners[:, 0::2].max(axis=1)
    rows["box_y1"], rows["box_y2"] = corners[:, 1::2].min(axis=1), corners[:, 1::2].max(axis=1)
    table = sample_table(dataset, rows, age_kind=kind_of(dataset, age_kind))
    aligned = dict(zip(ALIGNED, corners_of(frame, "aligned_bbox").T, strict=True))
    return table.with_columns(**aligned)


def write_unified(table: SampleTable, path: str | Path, *, round_ages: bool = False) -> Written:
    """Write a JSON database; folders are the table's folds, or 0, 1, 2 for its split.

    An unknown age is -1, a row in no folder -1; rows with an issue are left out and counted.

    Raises:
        TableError: an age is not whole and `round_ages` is not set, or a part is not train,
            valid or test.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    frame, left_out = usable(table.frame, {})
    aged = frame["age_years"].notna()
    age = whole_years(frame.assign(age_years=frame["age_years"].fillna(-1)), round_ages)
    columns: dict[str, Sequence[Any]] = {
        "img_path": frame["path"].tolist(),
        **_people(frame),
        "age": age.where(aged, -1).tolist(),
        "gender": frame["gender"]
        .astype(object)
        .map({"male": "M", "female": "F"})
        .fillna("U")
        .tolist(),
        "database": [unified_name(name) for name in frame["dataset"]],
        "folder": _numbered(frame),
        "race": frame["ethnicity"].astype(object).tolist(),
        "bbox": as_corners(frame[list(UPRIGHT)]),
    }
    if {*ALIGNED} <= {*table.extra}:
        columns["aligned_bbox"] = as_corners(frame[list(ALIGNED)])
    records = zip(*columns.values(), strict=True)
    entries = [
        {key: value for key, value in zip(columns, record, strict=True) if not _is_missing(value)}
        for record in records
    ]
    with writing(path) as partial:
        partial.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return Written((path,), len(entries), left_out)


def _entries(path: Path) -> list[dict[str, Any]]:
    with decoding(path, "a database", DatasetError), path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise DatasetError(
                f"{path} is a Git LFS pointer, not the database: fetch the file itself "
                "(`git lfs pull`, or the authors' cloud link)"
            )
    entries = read_json(path, DatasetError, what="a database", largest=_LARGEST)
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f"{path}: a database is a list of objects, one a face, and not empty")
    wrong = [number for number, entry in enumerate(entries) if not isinstance(entry, dict)]
    if wrong:
        raise DatasetError(f"{path}: {len(wrong)} entries are no objects, first entry {wrong[0]}")
    return [{key: _scalar(value) for key, value in entry.items()} for entry in entries]


def _scalar(value: object) -> object:
    """Lists of numbers are boxes; what else is no single value is shown as its text."""
    if isinstance(value, dict | bool):
        return str(value)
    return tuple(value) if isinstance(value, list) else value


def _folders(path: Path, frame: pd.DataFrame, dataset: str) -> tuple[pd.Series, pd.Series]:
    folder = listed_numbers(path, frame.get("folder", pd.Series(-1, index=frame.index)))
    fold = folder.mask(folder == -1)
    if dataset in ONE_SPLIT:
        return fold, fold.map(dict(enumerate(PARTS)))
    return fold, pd.Series(None, index=frame.index, dtype=object)


def _subjects(frame: pd.DataFrame, dataset: str) -> list[str | None]:
    stated = frame.get("name", frame.get("id_num", pd.Series(None, index=frame.index)))
    named = subjects_from_names(dataset, frame["img_path"])
    pairs = zip(named, stated, strict=True)
    return [own or (None if _is_missing(listed) else str(listed)) for own, listed in pairs]


def _people(frame: pd.DataFrame) -> dict[str, list[object]]:
    """`id_num` where every subject is a number spelled plainly, else `name`."""
    words = frame["subject"].cat.categories
    plain = all(word.isdecimal() and str(int(word)) == word for word in words)
    subjects = frame["subject"].astype(object).where(frame["subject"].notna(), None)
    if not plain:
        return {"name": list(subjects)}
    return {"id_num": [None if one is None else int(one) for one in subjects]}


def _numbered(frame: pd.DataFrame) -> list[int]:
    if frame["fold"].isna().all() and frame["split"].notna().any():
        split = frame["split"]
        refuse(split, ~split.isin(PARTS) & split.notna(), "is not train, valid or test")
        places = {part: place for place, part in enumerate(PARTS)}
        return split.astype(object).map(places).fillna(-1).astype(int).tolist()
    return frame["fold"].fillna(-1).astype(int).tolist()


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))
