"""FairFace: faces balanced over seven races, ages as nine classes."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from agelens.data.datasets.base import flag, read_labels, sample_table, words
from agelens.data.datasets.folder import DatasetFolder
from agelens.tables import SampleTable

AGE_CLASSES: Final = {
    "0-2": (0, 2),
    "3-9": (3, 9),
    "10-19": (10, 19),
    "20-29": (20, 29),
    "30-39": (30, 39),
    "40-49": (40, 49),
    "50-59": (50, 59),
    "60-69": (60, 69),
    "more than 70": (70, np.nan),
}
"""Bounds in years, both inclusive; the last class is open."""

_COLUMNS: Final = ("file", "age", "gender", "race")
_GENDER: Final = {"Male": "male", "Female": "female"}
_LISTS: Final = {"train": "fairface_label_train.csv", "valid": "fairface_label_val.csv"}


def read_fairface(root: str | Path, *, margin: Literal["025", "125"] = "025") -> SampleTable:
    """FairFace from its two CSVs and `train/`, `val/` (Karkkainen and Joo, 2021).

    Terms: CC BY 4.0. Labels: apparent age class by crowd workers, so `age_low` and `age_high`
    without `age_years`; 86,744 pictures to train, 10,954 to validate, no public test part.

    Noise and bias: Flickr pictures; race and gender too are what workers saw; race is balanced,
    age is not (118 of the 10,954 are "more than 70"). Spreadsheet programs turn `3-9` and `10-19`
    into dates: only the exact class names are accepted, anything else is flagged.

    Args:
        root: folder with the CSVs and either `train` and `val` or the archives' own folder.
        margin: which archive, `fairface-img-margin{margin}-trainval`, where it has a folder.

    Raises:
        DatasetError: a CSV or the pictures are absent, or a CSV lacks a column.
    """
    folder = DatasetFolder(root, "FairFace")
    own = folder.find(f"fairface-img-margin{margin}-trainval") or "."
    files = folder.pictures(f"{own}/train", f"{own}/val")
    parts = [
        read_labels(folder.file(name), _COLUMNS).assign(split=split)
        for split, name in _LISTS.items()
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows["path"] = rows["file"] if own == "." else own + "/" + rows["file"]
    rows["gender"] = words(rows, "gender", _GENDER)
    rows["ethnicity"] = rows["race"]
    flag(rows, ~rows["age"].isin(AGE_CLASSES), "age {!r} is no class of FairFace", rows["age"])
    bounds = [AGE_CLASSES.get(age, (np.nan, np.nan)) for age in rows["age"]]
    rows[["age_low", "age_high"]] = np.array(bounds, dtype=np.float64).reshape(-1, 2)
    return sample_table("fairface", rows, files, age_kind="apparent", every_picture_labelled=True)
