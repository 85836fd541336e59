"""MS1MV3 (MS1M-RetinaFace): 93,431 identities to train recognition on, no ages of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agelens.data.datasets.base import named_pictures, sample_table
from agelens.data.datasets.folder import DatasetFolder
from agelens.data.datasets.labels import numbers, with_issues
from agelens.data.datasets.recordio import RecordFile
from agelens.tables import SampleTable

_NAME: Final = re.compile(r"(?:^|/)(?P<subject>[^/]+)/\d+(?:_age_(?P<age>-?\d+(?:\.\d+)?))?\.\w+$")
_FOLDERS: Final = ("ms1m-retinaface-t1", ".")


def read_ms1mv3(root: str | Path) -> SampleTable:
    """MS1MV3 from `train.rec` and `train.idx` (Guo et al., 2016; Deng et al., 2019).

    Terms: research; Microsoft withdrew the source, MS-Celeb-1M, over people who had not agreed
    to be in it. Labels: identity only, no age; 5,179,510 pictures of 93,431 people, 112 x 112.

    Noise and bias: celebrities and others found by a web search, cleaned by a model; Western and
    white faces are most.

    `path` is where `iter_images` puts the picture: `{class, 6 digits}/{record, 8 digits}.jpg`;
    `subject` is the class. Only the identity records are read, not the pictures.

    Raises:
        DatasetError: a file is absent, cut off, or its index belongs to another.
    """
    with _open(root) as records:
        keys, classes = _images(records)
    people, inverse = np.unique(classes, return_inverse=True)
    names = np.array([f"{person:06d}" for person in people], dtype=object)[inverse]
    paths = [f"{name}/{key:08d}.jpg" for name, key in zip(names, keys.tolist(), strict=True)]
    rows = with_issues({"path": paths}).assign(subject=pd.Categorical(names))
    return sample_table("ms1mv3", rows)


def iter_images(root: str | Path) -> Iterator[tuple[str, bytes]]:
    """Each picture's `path` as in `read_ms1mv3` and its JPEG bytes, in the table's order.

    Raises:
        DatasetError: a file is absent, cut off, or damaged where it is read.
    """
    with _open(root) as records:
        keys, classes = _images(records)
        for key, person in zip(keys.tolist(), classes.tolist(), strict=True):
            yield f"{person:06d}/{key:08d}.jpg", records.content(key)


def read_ms1mv3_folders(root: str | Path) -> SampleTable:
    """MS1MV3 as a folder of pictures for each identity, `000123/00012345_age_39.jpg`.

    Terms, noise and bias are those of `read_ms1mv3`. Labels: identity, and an age where IEFP's
    form adds one to the name. It is another model's estimate, so `age_kind` is "estimated".

    Raises:
        DatasetError: there is no such folder, or no picture lies in such folders.
    """
    folder = DatasetFolder(root, "MS1MV3 (folders)")
    files = folder.pictures(".")
    rows = named_pictures(folder, files.paths, _NAME, "000123/00012345_age_39.jpg")
    rows["age_years"] = numbers(rows, "age", unknown=())
    return sample_table("ms1mv3-folders", rows, age_kind="estimated")


def _open(root: str | Path) -> RecordFile:
    folder = DatasetFolder(root, "MS1MV3")
    under = folder.folder(*_FOLDERS)
    return RecordFile(folder.file(f"{under}/train.rec"), folder.file(f"{under}/train.idx"))


def _images(records: RecordFile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys of the pictures' records [N] and the class of each [N]."""
    if 0 not in records or not records.flag(0):  # made with im2rec: pictures only
        classes = [int(records.labels(key)[0]) for key in records.keys.tolist()]
        return records.keys, np.array(classes, dtype=np.int64)
    first_identity, end = (int(label) for label in records.labels(0)[:2])
    spans = [records.labels(key)[:2].astype(np.int64) for key in range(first_identity, end)]
    keys = np.concatenate([np.arange(*span) for span in spans])
    # A class is not the rank of its identity record by contract: its first picture says it.
    labels = [int(records.labels(first)[0]) for first, last in spans if first < last]
    lengths = [last - first for first, last in spans if first < last]
    return keys, np.repeat(np.array(labels, dtype=np.int64), lengths)
