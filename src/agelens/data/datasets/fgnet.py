"""FG-NET: 82 people's family albums, with 68 points on each face."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.datasets.base import flag, named_pictures, numbers, read_lines, sample_table
from agelens.data.datasets.folder import DatasetFolder, PictureFiles, folded
from agelens.errors import DatasetError
from agelens.records import Floats
from agelens.tables import LANDMARKS, SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<subject>\d{3})[Aa](?P<age>\d{2})[A-Za-z]?\.\w+$")
_FOLDERS: Final = ("FGNET/images", "images", "ID_processed_FGNET", ".")
_FIVE_OF_68: Final = (31, 36, 67, 48, 54)
"""Pupil on the left of the image, on the right, nose tip, mouth corner left and right."""


def read_fgnet(root: str | Path) -> SampleTable:
    """FG-NET from `FGNET/images/{subject}A{age}[a|b].JPG` and `FGNET/points` (Lanitis, 2002).

    Terms: research; the owners' site is gone. Labels: real age, 1,002 pictures of 82 people,
    ages 0 to 69 (mean 16).

    Noise and bias: scanned family photographs of few people, nearly all white, seven in
    ten under 20; light, sharpness and pose vary. There is no gender. The custom is to leave one
    person out at a time; `subject` is the number in the name. IEFP's copy, with a folder for
    each person (`ID_processed_FGNET/001/001A02.jpg`), is read as well.

    Names mix cases (`001a02.JPG`, `009A16b.jpg`), so points are matched without case. The
    five landmarks are five of the 68 points: both pupils (31 and 36), the nose tip (67)
    and the mouth corners (48 and 54), counted from 0. Where the points are absent the landmarks are
    missing; where their file is damaged, the row says so too.

    Raises:
        DatasetError: there is no such folder, or no picture is named so.
    """
    folder = DatasetFolder(root, "FG-NET")
    files = folder.pictures(folder.folder(*_FOLDERS))
    rows = named_pictures(folder, files.paths, _NAME, "001A02.JPG")
    rows["age_years"] = numbers(rows, "age")
    under = folder.find("FGNET/points", "points")
    if under is not None:
        points = PictureFiles(folder.root, [under], suffixes=(".pts",))
        rows = rows.assign(**_landmarks(rows, folder.root, points))
    return sample_table("fgnet", rows, age_kind="real")


def read_points(path: str | Path) -> Floats:
    """The points of one `.pts` file, float64 [68, 2], x and y in pixels of the picture.

    0 to 14 jaw, 15 to 26 brows, 27 to 31 and 32 to 36 the two eyes, each with its pupil last,
    37 to 47 nose, 48 to 66 mouth, 67 nose tip; left is left in the image.

    Raises:
        DatasetError: the file holds no 68 points between braces.
    """
    text = " ".join(read_lines(Path(path)))
    fields = text.partition("{")[2].partition("}")[0].split()
    try:
        points = np.array(fields, dtype=np.float64)
    except ValueError as error:
        raise DatasetError(f"{path}: a point is no number: {error}") from error
    if points.size != 136 or not np.isfinite(points).all():
        raise DatasetError(f"{path}: expected 68 points, found {points.size / 2:g}")
    return points.reshape(68, 2)


def _landmarks(rows: pd.DataFrame, root: Path, points: PictureFiles) -> dict[str, Floats]:
    five = np.full((len(rows), len(_FIVE_OF_68), 2), np.nan)
    for row, path in enumerate(rows["path"]):
        found = points.by_name.get(folded(Path(path).stem + ".pts"))
        try:
            if found is not None:
                five[row] = read_points(root / found)[list(_FIVE_OF_68)]
        except DatasetError:
            flag(rows, np.arange(len(rows)) == row, "points file is damaged")
    return dict(zip(LANDMARKS, five.reshape(len(rows), -1).T, strict=True))
