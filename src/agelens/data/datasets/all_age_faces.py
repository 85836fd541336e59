"""All-Age-Faces: one picture each of 13,322 mostly East Asian people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.datasets.base import flag, named_pictures, numbers, read_lines, sample_table
from agelens.data.datasets.folder import DatasetFolder
from agelens.tables import SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<serial>\d{5})[Aa](?P<age>\d{2})\.\w+$")
_LINE: Final = re.compile(r"^\s*(\d{5}[Aa]\d{2})(?:\.\w+)?\s+([01])\s*$")
_GENDER: Final = {"0": "female", "1": "male"}
_LISTS: Final = {"train": "train.txt", "valid": "val.txt"}
_LAST_FEMALE: Final = 7380


def read_all_age_faces(root: str | Path, *, aligned: bool = False) -> SampleTable:
    """All-Age-Faces from `original images/{serial}A{age}.jpg` (Cheng et al., 2019).

    Terms: research; cite Cheng et al. Labels: ages 2 to 80; the owners do not say whether real
    or guessed, so `age_kind` is the weaker claim, "apparent".

    Noise and bias: 13,322 people, mostly East Asian; 7,381 female, then 5,941 male by serial
    number. Ages have two digits only. `image sets/{train,val}.txt` give a random split and the
    gender (0 female, 1 male); where a picture is in no list, its serial number gives the gender,
    and where the two differ the row is flagged. Everyone is another person, so `subject` is the
    serial number.

    Args:
        root: the owner's `All-Age-Faces Dataset`, or the folder that holds it.
        aligned: read `aglined faces` (the owner's spelling), else the original pictures.

    Raises:
        DatasetError: there is no such folder, or no picture is named so.
    """
    folder = DatasetFolder(root, "All-Age-Faces")
    under = folder.find("All-Age-Faces Dataset") or "."
    kinds = ("aglined faces", "aligned faces") if aligned else ("original images",)
    files = folder.pictures(folder.folder(*(f"{under}/{kind}" for kind in kinds)))
    lists = _lists(folder, under)
    stems = {Path(path).stem.upper() for path in files.paths}
    prefix = files.paths[0].rpartition("/")[0]
    absent = [f"{prefix}/{stem}.jpg" for stem in lists.index if stem not in stems]
    rows = named_pictures(folder, [*files.paths, *absent], _NAME, "00000A02.jpg")
    rows["age_years"] = numbers(rows, "age")
    rows["subject"] = rows["serial"]
    _join(rows, lists)
    return sample_table("all-age-faces", rows, files, age_kind="apparent")


def _lists(folder: DatasetFolder, under: str) -> pd.DataFrame:
    """Split and gender by name; no rows where the lists are not there."""
    entries: dict[str, tuple[str, str]] = {}
    for split, name in _LISTS.items():
        found = folder.find(f"{under}/image sets/{name}")
        lines = [] if found is None else read_lines(folder.root / found)
        matches = [match for line in lines if (match := _LINE.match(line))]
        if len(matches) < len([line for line in lines if line.strip()]):
            raise folder.error(f"{name} has lines that are not like '00000A02 0'")
        entries |= {match[1].upper(): (split, _GENDER[match[2]]) for match in matches}
    return pd.DataFrame.from_dict(
        entries, orient="index", columns=["split", "gender"], dtype=object
    )


def _join(rows: pd.DataFrame, lists: pd.DataFrame) -> None:
    listed = lists.reindex([Path(path).stem.upper() for path in rows["path"]])
    serial = numbers(rows, "serial")
    by_serial = np.where(serial <= _LAST_FEMALE, "female", "male").astype(object)
    by_serial[serial.isna()] = None
    rows["split"] = listed["split"].to_numpy()
    stated = listed["gender"].to_numpy()
    rows["gender"] = np.where(pd.isna(stated), by_serial, stated)
    differs = ~pd.isna(stated) & (stated != by_serial)
    flag(rows, differs, "gender in the list contradicts the serial number")
