"""APPA-REAL: the same faces with their real age and the age that people saw."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

import pandas as pd

from agelens.data.datasets.base import flag, numbers, read_labels, read_lines, sample_table, words
from agelens.data.datasets.folder import DatasetFolder, folded
from agelens.errors import UnknownNameError
from agelens.tables import SampleTable

Age: TypeAlias = Literal["apparent", "real"]

_SPLITS: Final = ("train", "valid", "test")
_COLUMNS: Final = ("file_name", "apparent_age_avg", "apparent_age_std", "real_age")
_GENDER: Final = {"male": "male", "female": "female"}
_CROP: Final = "_face.jpg"


def read_appa_real(root: str | Path, *, age: Age = "apparent", crops: bool = True) -> SampleTable:
    """APPA-REAL from `{train,valid,test}` and `gt_avg_*.csv` (Agustsson et al., 2017).

    Terms: research (competition) use. Labels: about 38 votes a picture, so a mean apparent
    age and its deviation, and the real age; 4,113 / 1,500 / 1,978 pictures, ages 1 to 100.

    Noise and bias: some pictures have no face, several, or a wrong crop: those in an
    `ignore_list.csv` or `.txt` beside the labels (a third party's, 118 names) are flagged. It
    contains the pictures of ChaLearn LAP 2015, and is LAP 2016 under other labels: do not test
    on one after training on another. A deviation of 0 is kept and flagged: it breaks the
    epsilon-error.

    Gender and race come from `allcategories_*.csv`, an extra download, where it is there.

    Args:
        root: folder with the three folders, or the one that holds `appa-real-release`.
        age: which age goes into `age_years`: "apparent" (with `age_std`) or "real".
        crops: the pictures `*.jpg_face.jpg`, upright faces with 40% margin, else the originals.

    Raises:
        UnknownNameError: `age` is another word.
        DatasetError: a folder or CSV is absent, or a CSV lacks a column.
    """
    if age not in ("apparent", "real"):
        raise UnknownNameError("APPA-REAL age", age, ("apparent", "real"))
    folder = DatasetFolder(root, "APPA-REAL")
    under = folder.folder("appa-real-release", ".")
    rows = pd.concat([_split(folder, under, split) for split in _SPLITS], ignore_index=True)
    _flag_ignored(rows, folder, under)
    rows["age_years"] = numbers(rows, "apparent_age_avg" if age == "apparent" else "real_age")
    if age == "apparent":
        rows["age_std"] = numbers(rows, "apparent_age_std")
        flag(rows, rows["age_std"] == 0, "age_std is 0")
    parts = [f"{under}/{split}" for split in _SPLITS]
    if crops:
        rows["path"] += _CROP
        files = folder.pictures(*parts, suffixes=(_CROP,))
    else:
        files = folder.pictures(*parts, without=(_CROP,))
    return sample_table("appa-real", rows, files, age_kind=age, every_picture_labelled=True)


def _split(folder: DatasetFolder, under: str, split: str) -> pd.DataFrame:
    rows = read_labels(folder.file(f"{under}/gt_avg_{split}.csv"), _COLUMNS)
    found = folder.find(f"{under}/allcategories_{split}.csv")
    if found is not None:
        extra = read_labels(folder.root / found, ("file", "gender", "race"))
        known = extra.drop_duplicates("file").set_index("file").reindex(rows["file_name"])
        rows["gender_word"], rows["ethnicity"] = (
            known["gender"].to_numpy(),
            known["race"].to_numpy(),
        )
        rows["gender"] = words(rows, "gender_word", _GENDER)
    prefix = folder.folder(f"{under}/{split}")
    return rows.assign(path=prefix + "/" + rows["file_name"], split=split)


def _flag_ignored(rows: pd.DataFrame, folder: DatasetFolder, under: str) -> None:
    found = folder.find(f"{under}/ignore_list.csv", f"{under}/ignore_list.txt")
    lines = [] if found is None else read_lines(folder.root / found)
    # The two editions of the list name the picture with and without the crop's ending.
    ignored = {folded(line.strip().rpartition("/")[2]).removesuffix(_CROP) for line in lines}
    flag(rows, [folded(name) in ignored for name in rows["file_name"]], "in the ignore list")
