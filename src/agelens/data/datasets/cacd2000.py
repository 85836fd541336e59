"""CACD2000, the Cross-Age Celebrity Dataset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from agelens.data.datasets.base import flag, named_pictures, numbers, sample_table
from agelens.data.datasets.folder import DatasetFolder, folded, readable
from agelens.data.datasets.mat import cell_numbers, cell_texts, read_mat_struct
from agelens.tables import SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<age>\d+)_(?P<person>[^/]*[^\W\d_][^/]*)_\d{3,5}\.\w+$")
_META: Final = ("celebrity2000_meta.mat", "CACD2000/celebrity2000_meta.mat")


def read_cacd2000(root: str | Path) -> SampleTable:
    """CACD2000 from `CACD2000/{age}_{First}_{Last}_{NNNN}.jpg` (Chen, Chen and Hsu, 2014).

    Terms: research use. Labels: year of the picture minus year of birth, so a year off by
    construction: 163,446 pictures of 2,000 people, ages 14 to 62.

    Noise and bias: celebrities found by an image search for name and year; only the 80
    validation and 120 test people were cleaned by hand, and the owners advise against judging
    age estimators on the other 1,800.

    `celebrity2000_meta.mat`, where it lies beside or in the folder, adds `photo_year` and the
    official split by rank (1 and 2 valid, 3 to 5 test, the rest train); it names pictures that
    are absent, which become rows too. Without it those columns are missing. The file with the
    features is not read. Names are compared after NFC, `subject` is the name in that form.

    Raises:
        DatasetError: there is no such folder, no picture is named so, or the .mat is of another
            version or damaged.
    """
    folder = DatasetFolder(root, "CACD2000")
    files = folder.pictures(folder.folder("CACD2000", "."))
    meta = _meta(folder)
    prefix = files.paths[0].rpartition("/")[0]
    names = meta.loc[~meta.index.isin(list(files.by_name)), "name"]
    absent = [f"{prefix}/{name}".lstrip("/") for name in names]
    rows = named_pictures(folder, [*files.paths, *absent], _NAME, "54_Bill_Pullman_0006.jpg")
    rows["age_years"] = numbers(rows, "age")
    rows["subject"] = [person and readable(person) for person in rows["person"]]
    known = meta.reindex([folded(path.rpartition("/")[2]) for path in rows["path"]])
    rows["photo_year"], rows["split"] = known["year"].to_numpy(), known["split"].to_numpy()
    differs = known["age"].notna().to_numpy() & (known["age"].to_numpy() != rows["age_years"])
    flag(rows, differs, "celebrity2000_meta.mat says age {:g}", known["age"])
    return sample_table("cacd2000", rows, files, age_kind="real")


def _meta(folder: DatasetFolder) -> pd.DataFrame:
    """Age, year and split by folded file name; no rows where the owner's .mat is not there."""
    found = folder.find(*_META)
    if found is None:
        return pd.DataFrame(columns=["age", "year", "split", "name"], dtype=object)
    fields = read_mat_struct(
        folder.root / found, "celebrityImageData", ("age", "year", "rank", "name")
    )
    rank = cell_numbers(fields["rank"])
    split = np.select([rank <= 2, rank <= 5], ["valid", "test"], "train")
    columns = {"age": cell_numbers(fields["age"]), "year": cell_numbers(fields["year"])}
    names = cell_texts(fields["name"])
    columns |= {"split": split, "name": np.array(names, dtype=object)}
    meta = pd.DataFrame(columns, index=[folded(name) for name in names])
    return meta[~meta.index.duplicated()]
