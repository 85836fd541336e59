"""UTKFace: faces from the web, labels in the file names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from agelens.data.datasets.base import named_pictures, numbers, sample_table, words
from agelens.data.datasets.folder import DatasetFolder, PictureFiles
from agelens.tables import SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<age>\d{1,3})_(?P<sex>\d)_(?P<race>\d)_(?P<time>\d+)[^/]*$")
_SEX: Final = {"0": "male", "1": "female"}
_RACE: Final = {"0": "White", "1": "Black", "2": "Asian", "3": "Indian", "4": "Others"}
_CHIP: Final = ".chip.jpg"

# Names that lack a field; what it should have been is the correction of the unified benchmark
# (Paplham and Franc, 2024).
_REPAIRED: Final = {
    "61_1_20170109142408075": "61_1_1_20170109142408075",
    "61_3_20170109150557335": "61_1_3_20170109150557335",
    "39_1_20170116174525125": "39_0_1_20170116174525125",
    "53__0_20170116184028385": "53_1_0_20170116184028385",
}


def read_utkface(root: str | Path) -> SampleTable:
    """UTKFace's aligned 200 x 200 chips, `UTKFace/*.jpg.chip.jpg` (Zhang, Song and Qi, 2017).

    Terms: non-commercial research. Labels: ages 0 to 116 estimated by the DEX network and then
    checked by a person, hence `age_kind` "estimated"; 23,708 chips.

    Noise and bias: 12,391 chips of men, 11,317 of women; race is one of five words, 10,078
    White; many children under three; duplicates, and wrong ages, races and genders. There are no
    identities, so no split can be by subject. Four names that lack a field are repaired; others
    that do are kept with an issue. Time stamps of odd length, blanks and a lost dot are accepted.

    Raises:
        DatasetError: there is no such folder, or it holds no chip.
    """
    folder = DatasetFolder(root, "UTKFace")
    under = folder.folder("UTKFace", "crop_part1", ".")
    return _read(folder, "utkface", folder.pictures(under, suffixes=(_CHIP,)))


def read_utkface_wild(root: str | Path) -> SampleTable:
    """UTKFace's whole pictures, `part1`, `part2` and `part3`; all else as in `read_utkface`.

    Terms, labels, noise and bias are the same; a picture may show several people, of whom the
    label means one.

    Raises:
        DatasetError: one of the three folders is absent or holds no picture.
    """
    folder = DatasetFolder(root, "UTKFace (in the wild)")
    files = folder.pictures("part1", "part2", "part3", without=(_CHIP,))
    return _read(folder, "utkface-wild", files)


def _read(folder: DatasetFolder, dataset: str, files: PictureFiles) -> SampleTable:
    rows = named_pictures(
        folder,
        [_repaired(path) for path in files.paths],
        _NAME,
        "26_1_0_20170116174525125.jpg.chip.jpg",
    )
    rows["path"] = files.paths
    rows["age_years"] = numbers(rows, "age")
    rows["gender"] = words(rows, "sex", _SEX)
    rows["ethnicity"] = words(rows, "race", _RACE)
    return sample_table(dataset, rows, age_kind="estimated")


def _repaired(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return folder + slash + _REPAIRED.get(stem, stem)
