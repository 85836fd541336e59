"""LAGENDA, and any annotation CSV of the MiVOLO authors in the same form."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.datasets.base import MALE_FEMALE, numbers, read_labels, sample_table, words
from agelens.data.datasets.folder import DatasetFolder
from agelens.tables import BOX, SampleTable

_PICTURES: Final = "lag_benchmark"
_CORNERS: Final = ("face_x0", "face_y0", "face_x1", "face_y1")
_COLUMNS: Final = ("img_name", "age", "gender", *_CORNERS)


def read_lagenda(root: str | Path) -> SampleTable:
    """LAGENDA from `lagenda_annotation.csv` and `lag_benchmark/` (Kuprashevich and Tolstykh, 2023).

    Terms: research benchmark; the pictures are those of Open Images. Labels: apparent age, a
    weighted mean of ten votes; 347,509 rows, 84,192 of them with age and gender, in 67,159
    pictures.

    Noise and bias: 7.4% of the pictures are in the training part of Open Images V7, so a model
    that saw it has seen them. A row without an age is a further person, kept because other
    people's bodies have to be known; several rows share a picture. -1 is missing. At least one
    listed picture (`b5c8ef090f134ad5.jpg.jpg`) is not in the archive. The box is the face's; a
    body without a face has none. An age `a;b`, as these authors write classes, gives `age_low`
    and `age_high`.

    Raises:
        DatasetError: the CSV or the pictures are absent, or the CSV lacks a column.
    """
    folder = DatasetFolder(root, "LAGENDA")
    under = folder.folder("LAGENDA", ".")
    path = folder.file(f"{under}/lagenda_annotation.csv", f"{under}/annotations.csv")
    rows = read_labels(path, _COLUMNS, delimiters=",")
    pictures = folder.folder(f"{under}/{_PICTURES}")
    # Copies of the CSV differ in whether names include the folder.
    rows["path"] = [f"{pictures}/{name.removeprefix(f'{_PICTURES}/')}" for name in rows["img_name"]]
    rows["gender"] = words(rows, "gender", MALE_FEMALE, unknown=("-1", "-1.0"))
    for corner, column in zip(_CORNERS, BOX, strict=True):
        rows[column] = numbers(rows, corner)
    _read_ages(rows)
    files = folder.pictures(pictures)
    return sample_table("lagenda", rows, files, age_kind="apparent", people_share_pictures=True)


def _read_ages(rows: pd.DataFrame) -> None:
    is_class = rows["age"].str.contains(";", regex=False).to_numpy(dtype=bool)
    bounds = rows["age"].str.partition(";")
    rows["age_low"], rows["age_high"] = bounds[0].where(is_class, ""), bounds[2]
    rows["age_low"], rows["age_high"] = numbers(rows, "age_low"), numbers(rows, "age_high")
    rows["age_years"] = np.where(is_class, "", rows["age"])
    rows["age_years"] = numbers(rows, "age_years")
