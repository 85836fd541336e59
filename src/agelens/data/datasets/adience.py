"""Adience: Flickr albums, ages as eight classes in five folds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.datasets.base import flag, read_labels, sample_table, words
from agelens.data.datasets.folder import DatasetFolder
from agelens.tables import SampleTable

AGE_CLASSES: Final = ((0, 2), (4, 6), (8, 12), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100))
"""Bounds in years, both inclusive."""

# The clean-up of MiVOLO (Kuprashevich and Tolstykh, 2023): a stray age, or bounds of no class,
# and the class they stand for.
_STRAY: Final[dict[tuple[int, int], list[tuple[int, ...]]]] = {
    (0, 2): [(2,), (3,)],
    (8, 12): [(13,), (8, 23), (8, 13)],
    (15, 20): [(22,)],
    (25, 32): [(23,), (29,), (32,), (34,), (35,), (27, 32), (25, 23)],
    (38, 43): [(36,), (42,), (45,), (38, 42), (38, 48)],
    (48, 53): [(46,), (55,), (56,)],
    (60, 100): [(57,), (58,)],
}
_CLASS_OF: Final[dict[tuple[int, ...], tuple[float, float]]] = {
    bounds: bounds for bounds in AGE_CLASSES
} | {stray: bounds for bounds, strays in _STRAY.items() for stray in strays}
_COLUMNS: Final = ("user_id", "original_image", "face_id", "age", "gender")
_GENDER: Final = {"m": "male", "f": "female"}
_FOLDS: Final = 5


def read_adience(root: str | Path, *, aligned: bool = True) -> SampleTable:
    """Adience from `fold_{0..4}_data.txt` and `aligned/` or `faces/` (Eidinger et al., 2014).

    Terms: Flickr pictures under Creative Commons; research. Labels: apparent age class, so
    `age_low` and `age_high` without `age_years`; 19,487 rows in the five folds (26,580 pictures
    in the paper; those in no fold have no label and are left out).

    Noise and bias: phone pictures as uploaded; labels by the owners from albums and looks. Stray
    ages and bounds are moved to the class that MiVOLO's clean-up gives, and `(8, 13)` to `(8,
    12)`; `None` is missing; anything else is flagged. Gender `u` and empty are missing. A
    picture listed twice has the issue "duplicate path". The box in the lists belongs to the
    original picture, which is not shipped, so it is left out. `subject` is the Flickr user,
    `fold` the owner's.

    Args:
        root: folder with the fold lists and the pictures' folder.
        aligned: read `aligned/` (816 x 816), else `faces/`.

    Raises:
        DatasetError: a fold's list or the pictures' folder is absent, or a column is.
    """
    folder = DatasetFolder(root, "Adience")
    kind, prefix = ("aligned", "landmark") if aligned else ("faces", "coarse_tilt")
    under = folder.folder(kind)
    files = folder.pictures(under)
    rows = pd.concat([_fold(folder, fold) for fold in range(_FOLDS)], ignore_index=True)
    file_name = f"{prefix}_aligned_face." + rows["face_id"] + "." + rows["original_image"]
    rows["path"] = under + "/" + rows["user_id"] + "/" + file_name
    rows["subject"] = rows["user_id"]
    rows["gender"] = words(rows, "gender", _GENDER, unknown=("u",))
    bounds = [tuple(map(int, re.findall(r"\d+", age))) for age in rows["age"]]
    unknown = rows["age"].isin(["None", ""])
    known = np.array([pair in _CLASS_OF for pair in bounds], dtype=bool)
    flag(rows, ~known & ~unknown, "age {!r} is no class of Adience", rows["age"])
    classes = [_CLASS_OF.get(pair, (np.nan, np.nan)) for pair in bounds]
    rows[["age_low", "age_high"]] = np.array(classes, dtype=np.float64).reshape(-1, 2)
    return sample_table("adience", rows, files, age_kind="apparent")


def _fold(folder: DatasetFolder, fold: int) -> pd.DataFrame:
    path = folder.file(f"fold_{fold}_data.txt")
    return read_labels(path, _COLUMNS, delimiters="\t").assign(fold=fold)
