"""MORPH Album 2, the 2008 non-commercial release."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pandas as pd

from agelens.data.datasets.base import (
    MALE_FEMALE,
    flag,
    named_pictures,
    numbers,
    read_labels,
    sample_table,
    words,
)
from agelens.data.datasets.folder import DatasetFolder, folded
from agelens.tables import SampleTable

_NAME: Final = re.compile(
    r"(?:^|/)(?P<subject>\d+)_(?P<number>\d{1,2})(?P<sex>[MFmf])(?P<age>\d{2})\.\w+$"
)
_CSV: Final = "morph_2008_nonCommercial.csv"
_COLUMNS: Final = ("photo", "race", "doa")
_RACE: Final = {"B": "Black", "W": "White", "H": "Hispanic", "A": "Asian", "O": "Other", "I": "I"}
_YEAR: Final = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


def read_morph2(root: str | Path) -> SampleTable:
    """MORPH Album 2 from `Album2/{subject}_{number}{M|F}{age}.JPG` (Ricanek and Tesfaye, 2006).

    Terms: licence agreement with UNC Wilmington; no redistribution. Labels: real age, 55,134
    pictures of 13,617 people, ages 16 to 77.

    Noise and bias: police photographs from one American state, 42,589 of African and 10,559 of
    European descent, 46,646 of men to 8,488 of women; dates of birth, sex and race of some people
    contradict each other (Yip et al., 2018), and 4 subjects carry both sexes. Other counts in use
    are 55,608; random splits of pictures share most subjects between the parts.

    Age and gender come from the file name, since third-party lists swap the gender codes; race
    and `photo_year` from `morph_2008_nonCommercial.csv`, where it is there. The races `B W H A
    O` become words; another letter stays as it is. A picture that the CSV does not list is
    flagged, and so is one on a row with a wrong number of fields, whose race and year are then
    missing.

    Raises:
        DatasetError: there is no such folder, no picture is named so, or the CSV lacks a column.
    """
    folder = DatasetFolder(root, "MORPH II")
    files = folder.pictures(folder.folder("MORPH_nonCommercial/Album2", "Album2", "."))
    csv = _csv(folder)
    by_name = {folded(name): name for name in csv.index}
    prefix = files.paths[0].rpartition("/")[0]
    absent = [
        f"{prefix}/{name}".lstrip("/") for key, name in by_name.items() if key not in files.by_name
    ]
    rows = named_pictures(folder, [*files.paths, *absent], _NAME, "134083_05M41.JPG")
    rows["age_years"] = numbers(rows, "age")
    rows["gender"] = words(rows, "sex", MALE_FEMALE)
    return sample_table("morph2", _joined(rows, csv), files, age_kind="real")


def _joined(rows: pd.DataFrame, csv: pd.DataFrame) -> pd.DataFrame:
    if csv.empty:
        return rows
    csv = csv.set_axis([folded(name) for name in csv.index])
    names = [folded(path.rpartition("/")[2]) for path in rows["path"]]
    known = csv[~csv.index.duplicated()].reindex(names)
    flag(rows, ~known.index.isin(csv.index), f"not in {_CSV}")
    flag(rows, known["issue"].notna(), "{}", known["issue"])
    race = known["race"].mask(known["issue"].notna())
    rows["ethnicity"] = [_RACE.get(letter, letter) for letter in race]
    taken = [_YEAR.search(str(date)) for date in known["doa"].mask(known["issue"].notna())]
    rows["photo_year"] = [None if year is None else int(year[0]) for year in taken]
    return rows


def _csv(folder: DatasetFolder) -> pd.DataFrame:
    """Race, date of acquisition and issue by file name; no rows where there is no CSV."""
    found = folder.find(f"MORPH_nonCommercial/{_CSV}", _CSV)
    if found is None:
        return pd.DataFrame(columns=[*_COLUMNS, "issue"], dtype=object)
    labels = read_labels(folder.root / found, _COLUMNS)
    # On a row of the wrong length the photo may stand in another column.
    texts = labels.drop(columns="issue").agg(" ".join, axis=1)
    name = re.compile(r"\d+_\d{1,2}[MFmf]\d{2}\.\w+")
    photo = [
        match[0] if (match := name.search(text)) else listed.rpartition("/")[2]
        for text, listed in zip(texts, labels["photo"], strict=True)
    ]
    return labels.set_axis(photo)
