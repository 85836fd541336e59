"""IMDB-WIKI: half a million celebrities' pictures with a date of birth and a year."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.datasets.base import flag, sample_table, with_issues
from agelens.data.datasets.folder import DatasetFolder
from agelens.data.datasets.mat import cell_numbers, cell_texts, read_mat_struct
from agelens.tables import BOX, SampleTable

OLDEST_YEARS: Final = 100
_FIELDS: Final = (
    *("dob", "photo_taken", "full_path", "gender"),
    *("face_location", "face_score", "second_face_score"),
)
_PERSON: Final = re.compile(r"(?:^|/)([^/_]+)_")
_GENDER: Final = {0.0: "female", 1.0: "male"}
_MATLAB_DAYS_BEFORE_YEAR_1: Final = 366
_LAST_DAY: Final = 3_652_059  # 31 December 9999
_LOWEST_FACE_SCORE: Final = 1.0


def read_imdb(root: str | Path, *, crops: bool = True) -> SampleTable:
    """The IMDB half of IMDB-WIKI, 460,723 pictures of 20,284 people (Rothe et al., 2015).

    Terms: academic research only. Labels: real age, from the date of birth and the year of the
    picture, which is taken to be mid-year (the custom of later code): the age at the last
    birthday for people born before July, a year less for the others.

    Noise and bias: film stills and premieres dated by the film's year, the wrong person of
    several faces, birth dates of 0 or in the future, duplicates; actors, mostly Western. `issue`
    names what the customary filter drops: face score below 1 or -Inf (no face), a second face,
    an age outside 0 to 100. Rows without an issue and with a known gender are that filter's
    result (38,138 of WIKI).

    Args:
        root: folder that holds `imdb_crop` (or `imdb`) with `imdb.mat` in or beside it.
        crops: read the face crops with 40% margin; else the whole pictures, and then the labelled
            box is in the table, counted from 0 (it does not fit the crops).

    Raises:
        DatasetError: folder or .mat is absent, of version 7.3, or damaged.
    """
    return _read(root, "imdb", crops=crops)


def read_wiki(root: str | Path, *, crops: bool = True) -> SampleTable:
    """The Wikipedia half, 62,328 pictures; arguments, labels, noise and errors as `read_imdb`.

    18,016 rows have no face and 4,096 a second one. Terms: academic research only.

    Raises:
        DatasetError: folder or .mat is absent, of version 7.3, or damaged.
    """
    return _read(root, "wiki", crops=crops)


def read_imdb_wiki(root: str | Path, *, crops: bool = True) -> SampleTable:
    """Both halves under one root; see `read_imdb`. Terms: academic research only.

    Labels, noise and bias are those of the halves.

    Raises:
        DatasetError: a folder or .mat is absent, of version 7.3, or damaged.
    """
    return SampleTable.concat([read_imdb(root, crops=crops), read_wiki(root, crops=crops)])


def mid_year_ages(
    dob: NDArray[np.float64], photo_taken: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ages [N] from MATLAB day numbers of birth [N] and years of the picture [N].

    NaN where either is missing or the day lies outside the calendar. A day of 5 May 1981
    and the year 2009 give 28.
    """
    days = np.floor(dob) - _MATLAB_DAYS_BEFORE_YEAR_1
    known = np.isfinite(days) & (days <= _LAST_DAY) & np.isfinite(photo_taken)
    since_year_1 = np.where(known, np.maximum(days, 1), 1).astype(np.int64) - 1
    born = np.datetime64("0001-01-01") + since_year_1.astype("timedelta64[D]")
    months = born.astype("datetime64[M]").astype(np.int64)  # since January 1970
    year, month = 1970 + months // 12, 1 + months % 12
    return np.where(known, photo_taken - year - (month >= 7), np.nan)


def _read(root: str | Path, half: str, *, crops: bool) -> SampleTable:
    folder = DatasetFolder(root, half.upper())
    under = _pictures_folder(folder, half, crops)
    mat = folder.file(
        f"{under}/{half}.mat", f"{half}_crop/{half}.mat", f"{half}/{half}.mat", f"{half}.mat"
    )
    fields = read_mat_struct(mat, half, _FIELDS)
    prefix = "" if under == "." else f"{under}/"
    names = cell_texts(fields["full_path"])
    rows = with_issues({"path": [prefix + name.strip() for name in names]})
    people = [_PERSON.search(name) for name in names]
    rows["subject"] = [None if match is None else match[1] for match in people]
    rows["gender"] = [_GENDER.get(code) for code in cell_numbers(fields["gender"])]
    photo_taken = cell_numbers(fields["photo_taken"])
    rows["photo_year"] = np.where(np.isin(photo_taken, range(1000, 10000)), photo_taken, np.nan)
    rows["age_years"] = mid_year_ages(cell_numbers(fields["dob"]), photo_taken)
    flag(rows, rows["age_years"].isna(), "date of birth or year of the picture is unknown")
    _flag_faces(rows, cell_numbers(fields["face_score"]), cell_numbers(fields["second_face_score"]))
    if not crops:
        rows[list(BOX)] = _boxes(fields["face_location"]) - 1
    files = folder.pictures(under)
    return sample_table(half, rows, files, age_kind="real", oldest_years=OLDEST_YEARS)


def _pictures_folder(folder: DatasetFolder, half: str, crops: bool) -> str:
    wanted = f"{half}_crop" if crops else half
    if folder.find(wanted) is None and folder.root.name.lower() == wanted:
        return "."
    return folder.folder(wanted)


def _flag_faces(
    rows: pd.DataFrame, score: NDArray[np.float64], second: NDArray[np.float64]
) -> None:
    nobody = np.isneginf(score) | np.isnan(score)
    flag(rows, nobody, "no face found by the owners")
    low = ~nobody & (score < _LOWEST_FACE_SCORE)
    flag(rows, low, f"face score below {_LOWEST_FACE_SCORE:g}")
    flag(rows, np.nan_to_num(second) > 0, "second face in the picture")


def _boxes(cells: NDArray[np.object_]) -> NDArray[np.float64]:
    """Corners [N, 4] as the owners count them, from 1."""
    boxes = [np.ravel(cell).astype(np.float64) for cell in cells]
    unknown = np.full(4, np.nan)
    return np.array([box if box.size == 4 else unknown for box in boxes]).reshape(-1, 4)
