"""One photo through reading, cutting and encoding: an outcome for each of its rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from agelens.data.store.cutting import Cut, Cutter
from agelens.data.store.encodings import ChipEncoding
from agelens.errors import PhotoError, PhotoStatus, UsageError
from agelens.imaging.photos import PhotoSource, read_photo
from agelens.records import Face, Floats
from agelens.tables import BOX, SampleTable

PictureSource: TypeAlias = Callable[[str, str], PhotoSource]
"""Where a picture is, from the names of its dataset and path: a file's path or its bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a row of the table became; `chip` is the encoded picture."""

    status: PhotoStatus
    message: str = ""
    chip: bytes | None = None
    face: Face | None = None
    faces: int = 0
    rotated_xyxy: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhoto:
    """A photo and those rows of one shard that label it, with their boxes."""

    shard: int
    dataset: str
    path: str
    rows: tuple[int, ...]
    boxes: tuple[Floats | None, ...]


@dataclass(frozen=True, slots=True)
class PhotoWorker:
    """Turns a labelled photo into outcomes; what makes a photo unusable becomes a status."""

    pictures: PictureSource
    cutter: Cutter
    encoding: ChipEncoding
    max_pixels: int

    def __call__(self, photo: LabelledPhoto) -> tuple[LabelledPhoto, list[Outcome]]:
        """The photo with one outcome for each of its rows, in their order."""
        try:
            source = self.pictures(photo.dataset, photo.path)
            # The path as listed: where the root lies is no part of a store.
            rgb = read_photo(source, name=photo.path, max_pixels=self.max_pixels).rgb
        except PhotoError as error:
            return photo, [Outcome(error.status, str(error))] * len(photo.rows)
        return photo, [self._outcome(cut) for cut in self.cutter(rgb, photo.boxes)]

    def _outcome(self, cut: Cut) -> Outcome:
        if cut.chip is None:
            why = f"none of {cut.faces} is near the labelled box" if cut.faces else "no face found"
            return Outcome("no_face", why, faces=cut.faces)
        chip = self.encoding.encode(cut.chip)
        return Outcome("ok", "", chip, cut.face, cut.faces, cut.rotated_xyxy)


def labelled_photos(labels: pd.DataFrame, shard: int) -> Iterator[LabelledPhoto]:
    """The photos of one shard's rows in order of appearance, each of them once."""
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, named in enumerate(zip(labels["dataset"], labels["path"], strict=True)):
        rows_of.setdefault(named, []).append(row)
    boxes = labels[list(BOX)].to_numpy(dtype=np.float64)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # false where one is missing
    for (dataset, path), rows in rows_of.items():
        labelled = tuple(boxes[row] if whole[row] else None for row in rows)
        yield LabelledPhoto(shard, dataset, path, tuple(rows), labelled)


def picture_source(
    root: str | Path | Mapping[str, str | Path] | PictureSource, table: SampleTable
) -> PictureSource:
    """How to find the pictures of `table`.

    Args:
        root: the dataset's root; roots by dataset; or a function, for pictures that are no
            files of their own.
        table: its datasets must all have a root, and one of its pictures must be there.

    Raises:
        UsageError: a dataset without a root, or a root that holds none of the pictures.
    """
    if callable(root):
        return root
    datasets = [str(name) for name in table.frame["dataset"].cat.categories]
    given = root if isinstance(root, Mapping) else dict.fromkeys(datasets, root)
    roots = {name: Path(folder) for name, folder in given.items()}
    missing = [name for name in datasets if name not in roots]
    if missing:
        raise UsageError(f"no root given for {', '.join(missing)}; given: {', '.join(roots)}")
    for name in datasets:
        _check_root(name, roots[name], table.frame.loc[table.frame["dataset"] == name, "path"])
    return lambda dataset, path: roots[dataset] / path


def _check_root(dataset: str, root: Path, paths: pd.Series) -> None:
    # os.path.exists takes any name for absent that Path.exists raises on, such as one too long.
    if not any(os.path.exists(root / path) for path in paths):  # noqa: PTH110
        raise UsageError(
            f"{dataset}: none of the table's {len(paths)} pictures is under {root}, not even "
            f"{root / paths.iloc[0]}; give the folder that the table was read from"
        )
