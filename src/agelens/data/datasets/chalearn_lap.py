"""ChaLearn Looking At People, apparent age, the challenges of 2015 and 2016."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from agelens.data.datasets.base import flag, numbers, read_labels, read_lines, sample_table
from agelens.data.datasets.folder import DatasetFolder, PictureFiles, folded
from agelens.tables import SampleTable

_COLUMNS: Final = ("image", "mean", "stdv")
_LISTS_2015: Final = {"train": "Train.csv", "valid": "Validation.csv", "test": "Test.csv"}
_LISTS_2016: Final = {"train": "train_gt.csv", "valid": "valid_gt.csv", "test": "test_gt.csv"}


def read_lap2015(root: str | Path) -> SampleTable:
    """ChaLearn LAP 2015 from `Train.csv`, `Validation.csv`, `Test.csv` (Escalera et al., 2015).

    Terms: competition, research. Labels: apparent age, mean and deviation of at least ten
    votes; 2,476 / 1,136 / 1,079 pictures, means 3 to 85 seen.

    Noise and bias: volunteers collected and labelled the pictures; all of them are in APPA-REAL and
    LAP 2016 too. `Test.csv` came out later and may be absent: then there are no test rows. The
    delimiter (`;` in the owner's file) and a header line are found out from the first line.

    Pictures are found by name wherever below the root; one without a label is a row with the
    issue "no label". A deviation of 0 is kept and flagged: it breaks the epsilon-error.

    Raises:
        DatasetError: the train or validation list is absent or of another form, or no picture is
            there.
    """
    return _read(root, "lap2015", _LISTS_2015)


def read_lap2016(root: str | Path) -> SampleTable:
    """ChaLearn LAP 2016 from `train_gt.csv`, `valid_gt.csv`, `test_gt.csv` (Escalera et al., 2016).

    Terms: competition, research. Labels: apparent age, 4,113 / 1,500 / 1,978 pictures, rounded
    means 1 to 96; 29 deviations are 0.

    Noise and bias: the pictures of APPA-REAL. All else as in `read_lap2015`.

    Raises:
        DatasetError: the train or validation list is absent or of another form, or no picture is
            there.
    """
    return _read(root, "lap2016", _LISTS_2016)


def _read(root: str | Path, dataset: str, lists: Mapping[str, str]) -> SampleTable:
    folder = DatasetFolder(root, f"ChaLearn LAP {dataset.removeprefix('lap')}")
    parts = [
        _split(folder, split, name) for split, name in lists.items() if _wanted(folder, split, name)
    ]
    files = folder.pictures(".", without=("_face.jpg",))
    rows = pd.concat(parts, ignore_index=True)
    rows["path"] = [
        _found(files, *names) for names in zip(rows["image"], rows["split"], strict=True)
    ]
    rows["age_years"] = numbers(rows, "mean")
    rows["age_std"] = numbers(rows, "stdv")
    flag(rows, rows["age_std"] == 0, "age_std is 0")
    return sample_table(dataset, rows, files, age_kind="apparent", every_picture_labelled=True)


def _wanted(folder: DatasetFolder, split: str, name: str) -> bool:
    return split != "test" or folder.find(name) is not None


def _split(folder: DatasetFolder, split: str, name: str) -> pd.DataFrame:
    path = folder.file(name)
    first = read_lines(path)[0].lower()
    rows = read_labels(path, _COLUMNS, header=not any(letter.isdigit() for letter in first))
    return rows.assign(split=split)


def _found(files: PictureFiles, image: str, split: str) -> str:
    """The path on disk of a listed name; unlisted archives differ in how they are unpacked."""
    return files.by_name.get(folded(image), f"{split}/{image}")
