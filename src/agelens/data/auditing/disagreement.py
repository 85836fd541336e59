"""Labels that a model contradicts: the first to look at, since one of the two is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from agelens.data.auditing.pictures import Pictures
from agelens.data.store.cutting import Root, choose_face, picture_source
from agelens.imaging.photos import read_photo
from agelens.inference.estimator import AgeEstimator
from agelens.inference.results import PhotoResult
from agelens.records import AgeEstimate, Floats, Photo
from agelens.tables import BOX, SampleTable


@dataclass(frozen=True, slots=True)
class _Collector:
    """Keeps of each photo the face count and the ages of the labelled faces, no pixels."""

    boxes: dict[str, list[Floats | None]]
    faces: dict[str, int] = field(default_factory=dict)
    years: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, photo: Photo, result: PhotoResult) -> None:
        self.faces[photo.source] = len(result.faces)
        self.years[photo.source] = [
            _age_of(result.faces, photo, box) for box in self.boxes[photo.source]
        ]


def estimate_labelled(
    model: AgeEstimator, table: SampleTable, pictures: Pictures, root: Root
) -> tuple[pd.Series, pd.Series]:
    """What `model` says: faces found in each picture [P], and years for each row [N].

    Of several faces the one that `agelens.data.store.cutting` takes for the labelled one.
    Missing where there is no face or no readable picture.
    """
    boxes = table.frame[list(BOX)].to_numpy(dtype=np.float64)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    rows_of = pd.Series(range(len(table))).groupby(pictures.place).indices
    wanted = {
        str(place): [boxes[row] if whole[row] else None for row in rows]
        for place, rows in rows_of.items()
    }
    collector = _Collector(wanted)
    for _ in model.stream(_photos(model, table, pictures, root), on_photo=collector):
        pass
    faces = pd.Series([collector.faces.get(str(p)) for p in range(len(pictures.frame))])
    years = np.full(len(table), np.nan)
    for place, rows in rows_of.items():
        years[rows] = collector.years.get(str(place), np.nan)
    return faces, pd.Series(years, index=table.frame.index)


def disagreements(table: SampleTable, years: pd.Series) -> pd.DataFrame:
    """Rows by how far the label is from `years` [N]: `sample_id`, `detail`, `error_years`.

    From a class of ages the distance is that to its nearer bound, 0 inside.
    """
    frame = table.frame
    low, high = (frame["age_years"].fillna(frame[name]) for name in ("age_low", "age_high"))
    error = (years - high).clip(lower=0).fillna(0) - (low - years).clip(lower=0).fillna(0)
    known = years.notna() & (low.notna() | high.notna())
    rows = frame.loc[known, ["sample_id"]].astype(object)
    rows["detail"] = [f"model says {value:.0f}" for value in years[known]]
    rows["error_years"] = error[known]
    order = rows["error_years"].abs().sort_values(ascending=False, kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def _photos(
    model: AgeEstimator, table: SampleTable, pictures: Pictures, root: Root
) -> Iterator[Photo]:
    """The readable pictures, named by their place: two datasets may have the same path."""
    source = picture_source(root, table)
    for place, (dataset, path, status) in enumerate(
        pictures.frame[["dataset", "path", "status"]].itertuples(index=False, name=None)
    ):
        if status == "ok":
            yield read_photo(source(dataset, path), name=str(place), max_pixels=model.max_pixels)


def _age_of(faces: tuple[AgeEstimate, ...], photo: Photo, box: Floats | None) -> float:
    found = [age.face for age in faces if age.face is not None]
    height, width = photo.rgb.shape[:2]
    face = choose_face(found, (height, width), box)
    return next(
        (age.estimate_years for age in faces if age.face is face and face is not None), np.nan
    )
