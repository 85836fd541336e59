"""AgeDB: celebrities across their lives, labels in the file names."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Final

from agelens.data.datasets.base import MALE_FEMALE, named_pictures, numbers, sample_table, words
from agelens.data.datasets.folder import DatasetFolder
from agelens.tables import SampleTable

_NAME: Final = re.compile(
    r"(?:^|/)(?P<index>\d+)_(?P<person>[^/]*)_(?P<age>\d+)\s*_(?P<sex>[mfMF])\s*\.\w+$"
)
_CYRILLIC: Final = re.compile(r"[\u0400-\u04ff]")
_C1: Final = re.compile(r"[\x80-\x9f]")


def read_agedb(root: str | Path) -> SampleTable:
    """AgeDB from its folder of `{index}_{Person}_{age}_{m|f}.jpg` (Moschoglou et al., 2017).

    Terms: password from the iBUG group, Imperial College; non-commercial research only.
    Labels: real age, collected by hand to the year; 16,488 pictures, ages 1 to 101, 567
    spelled names (the paper counts 568 subjects).

    Noise and bias: actors, writers and politicians only, mostly Western; 9,788 male to 6,700
    female pictures. Five names carry both genders (RoyScheider, GladysCooper, FrancesDee,
    TomJones, JoanLorring). The pictures are cropped, 38 to 450 pixels, partly grey. There is no
    official split for age, and RAPL's list is random per image: 556 of its 557 validation
    subjects are in its training part too.

    Subjects are names without blanks and accents: the zip's DOS code page turns é into a
    Cyrillic letter on many systems, which is undone here; `path` keeps the name on disk.

    Raises:
        DatasetError: there is no such folder, or no picture is named so.
    """
    folder = DatasetFolder(root, "AgeDB")
    files = folder.pictures(folder.folder("AgeDB", "."))
    rows = named_pictures(folder, files.paths, _NAME, "0_MariaCallas_35_f.jpg")
    rows["age_years"] = numbers(rows, "age")
    rows["gender"] = words(rows, "sex", MALE_FEMALE)
    rows["subject"] = [None if name is None else person_key(name) for name in rows["person"]]
    return sample_table("agedb", rows, files, age_kind="real")


def person_key(name: str) -> str:
    """A name to group by: code page repaired, no accents, no outer blanks.

    >>> person_key("St\u0412phaneAudran")
    'StephaneAudran'
    """
    plain = unicodedata.normalize("NFKD", _code_page_repaired(name))
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).strip()


def _code_page_repaired(name: str) -> str:
    """The zip stores code page 437; unzippers read it as 866 (Cyrillic), 8859-1, or not at all."""
    if _CYRILLIC.search(name):
        raw = name.encode("cp866", "replace")
    elif _C1.search(name):
        raw = name.encode("latin-1", "replace")
    else:
        raw = os.fsencode(name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")
