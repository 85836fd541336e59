"""IMDB-Clean: IMDB's pictures with the wrong faces sorted out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pandas as pd

from agelens.data.datasets.base import MALE_FEMALE, numbers, read_labels, sample_table, words
from agelens.data.datasets.folder import DatasetFolder
from agelens.tables import BOX, SampleTable

_SPLITS: Final = ("train", "valid", "test")
_CORNERS: Final = ("x_min", "y_min", "x_max", "y_max")
_COLUMNS: Final = ("filename", "age", "gender", *_CORNERS)
_PERSON_AND_YEAR: Final = re.compile(r"(?:^|/)([^/_]+)_.*_(\d{4})\.\w+$")


def read_imdb_clean(root: str | Path, *, crops: bool = True) -> SampleTable:
    """IMDB-Clean from its CSVs and `data/imdb-clean-1024` (Lin et al., 2021).

    Terms: annotations MIT, pictures those of IMDB-WIKI (academic research only). Labels: real age,
    183,886 / 45,971 / 56,086 rows of train, valid and test.

    Noise and bias: actors, mostly Western; identities were cleaned by a face detector and
    clustering, years of the pictures were not. Test shares no subject with the rest, train and
    valid do share. The owners' head roll is left out: its sign is not documented.

    Args:
        root: folder with `csvs` and `data` (or with the CSVs and the pictures' folder themselves).
        crops: read the crops of at most 1024 pixels and the boxes on them, else `data/imdb`.

    Raises:
        DatasetError: a CSV or the pictures' folder is absent, or a CSV lacks a column.
    """
    folder = DatasetFolder(root, "IMDB-Clean")
    name = "imdb-clean-1024" if crops else "imdb"
    under = folder.folder(f"data/{name}", name)
    files = folder.pictures(under)
    ending = "new_1024" if crops else "new"
    rows = pd.concat([_split(folder, split, ending) for split in _SPLITS], ignore_index=True)
    rows["age_years"] = numbers(rows, "age")
    rows["gender"] = words(rows, "gender", MALE_FEMALE)
    for corner, column in zip(_CORNERS, BOX, strict=True):
        rows[column] = numbers(rows, corner, unknown=())
    found = [_PERSON_AND_YEAR.search(path) for path in rows["filename"]]
    rows["subject"] = [match and match[1] for match in found]
    rows["photo_year"] = [match and int(match[2]) for match in found]
    rows["path"] = under + "/" + rows["filename"]
    return sample_table("imdb-clean", rows, files, age_kind="real")


def _split(folder: DatasetFolder, split: str, ending: str) -> pd.DataFrame:
    name = f"imdb_{split}_{ending}.csv"
    rows = read_labels(folder.file(f"csvs/{name}", name), _COLUMNS)
    return rows.assign(split=split)
