"""MegaAge and MegaAge-Asian: apparent ages from comparisons with people of known age."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.datasets.base import flag, numbers, read_lines, sample_table, with_issues
from agelens.data.datasets.folder import DatasetFolder
from agelens.errors import DatasetError
from agelens.tables import SampleTable

_SPLITS: Final = ("train", "test")


def read_megaage(root: str | Path) -> SampleTable:
    """MegaAge from `megaage/{train,test}/*.jpg` and parallel lists (Zhang et al., BMVC 2017).

    Terms: research only. Labels: apparent age 0 to 70, 41,941 pictures, from comparisons with
    FG-NET faces; where `list/*_dis.txt` gives the posterior over ages, its spread is `age_std`.

    Noise and bias: pictures of MegaFace (Flickr), so whoever uploads there; posteriors wider than
    15 years were thrown away, which leaves the easy faces. The i-th lines of the lists belong
    together. `list/*_gender.txt` holds codes 0, 1 and 2 (unknown) whose meaning no owner's document
    states, so `gender` stays missing. An age of -1 is unknown.

    Raises:
        DatasetError: a folder or list is absent, or two parallel lists differ in length.
    """
    return _read(root, "megaage", "MegaAge")


def read_megaage_asian(root: str | Path) -> SampleTable:
    """MegaAge-Asian from `megaage_asian/{train,test}/*.jpg`: train 1.jpg to 40000.jpg, test 3,945.

    Terms, labels and noise are those of `read_megaage`; the people are East Asian only. The
    literature writes 40,000 pictures for the set, with 3,945 for test.

    Raises:
        DatasetError: a folder or list is absent, or two parallel lists differ in length.
    """
    return _read(root, "megaage-asian", "MegaAge-Asian")


def _read(root: str | Path, dataset: str, title: str) -> SampleTable:
    folder = DatasetFolder(root, title)
    name = dataset.replace("-", "_")
    under = folder.folder(f"{name}/list", "list").rpartition("/")[0] or "."
    files = folder.pictures(*(f"{under}/{split}" for split in _SPLITS))
    rows = pd.concat([_split(folder, under, split) for split in _SPLITS], ignore_index=True)
    rows["age_years"] = numbers(rows, "age")
    return sample_table(dataset, rows, files, age_kind="apparent", every_picture_labelled=True)


def _split(folder: DatasetFolder, under: str, split: str) -> pd.DataFrame:
    names = read_lines(folder.file(f"{under}/list/{split}_name.txt"))
    ages = read_lines(folder.file(f"{under}/list/{split}_age.txt"))
    _check_parallel(folder, split, names=len(names), ages=len(ages))
    prefix = split if under == "." else f"{under}/{split}"
    rows = with_issues({"path": [f"{prefix}/{name.strip()}" for name in names], "age": ages})
    rows["split"] = split
    posterior = folder.find(f"{under}/list/{split}_dis.txt")
    if posterior is not None:
        lines = read_lines(folder.root / posterior)
        _check_parallel(folder, split, names=len(names), posteriors=len(lines))
        rows["age_std"] = _spreads(rows, lines)
    return rows


def _check_parallel(folder: DatasetFolder, split: str, **lengths: int) -> None:
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{count} {what}" for what, count in lengths.items())
        raise DatasetError(f"{folder.dataset}: the {split} lists are not parallel: {said}")


def _spreads(rows: pd.DataFrame, lines: list[str]) -> list[float]:
    spreads = [_spread(line.replace(",", " ").split()) for line in lines]
    flag(rows, np.isnan(spreads), "posterior is no distribution")
    return spreads


def _spread(fields: list[str]) -> float:
    """Standard deviation, in years, of one posterior over consecutive ages."""
    try:
        weights = np.array(fields, dtype=np.float64)
    except ValueError:
        return np.nan
    if not weights.size or (weights < 0).any() or not 0 < weights.sum() < np.inf:
        return np.nan
    ages = np.arange(len(weights))
    mean = np.average(ages, weights=weights)
    return float(np.sqrt(np.average((ages - mean) ** 2, weights=weights)))
