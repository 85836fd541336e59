"""Tables of labelled faces: one result a row, of the face that its label means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from agelens.data.store.cutting import choose_face, places_of
from agelens.errors import UsageError
from agelens.inference.results import PhotoResult
from agelens.recognition.embedding_table import EmbeddingTable, bulk_vectors
from agelens.records import Photo
from agelens.tables import PredictionsTable, SampleTable
from agelens.tables.bulk_results import open_bulk_result


class LabelledFaces:
    """Takes one face of each photo, by the rule of `agelens.data.store.cutting`.

    Args:
        labels: a row a photo, with the labelled boxes where they are known.
        aligned: pictures are chips: a labelled box is where the face was in another picture.
    """

    def __init__(self, labels: pa.Table, *, aligned: bool) -> None:
        places = places_of(labels.to_pandas())
        self._boxes = [None if aligned else place.box for place in places]

    def only(self, row: int, photo: Photo, result: PhotoResult) -> tuple[int, PhotoResult]:
        """The number of the face that is meant, and `result` with that face alone."""
        found = [one.face for one in result.faces if one.face is not None]
        size = (photo.rgb.shape[0], photo.rgb.shape[1])
        face = choose_face(found, size, self._boxes[row])
        for number, one in enumerate(result.faces):
            if face is not None and one.face is face:
                return number, replace(result, faces=(one,))
        if not result.faces:
            return 0, result
        told = f"none of {len(result.faces)} faces is near the labelled box"
        return 0, replace(result, status="no_face", message=told, faces=())


def predictions_of(folder: Path, samples: SampleTable) -> PredictionsTable:
    """What a run of one row a sample says of each of `samples`.

    Raises:
        TableError: the run is not whole, or damaged.
        UsageError: it is of other samples.
    """
    dataset, _ = open_bulk_result(folder)
    found = dataset.to_table(columns=["estimate_years", "status", "model"]).to_pandas()
    _check_rows(folder, len(found), samples)
    return PredictionsTable.from_samples(samples, dict(found.items()))


def embeddings_of(folder: Path, samples: SampleTable) -> EmbeddingTable:
    """The embedding of each of `samples` that a run of one row a sample made.

    Raises:
        TableError, UsageError: see `predictions_of`; or the run made none.
    """
    dataset, _ = open_bulk_result(folder)
    beside = dataset.to_table(columns=["status", "faces"]).to_pandas()
    _check_rows(folder, len(beside), samples)
    vectors, model = bulk_vectors(folder, dataset)
    faces = beside["faces"].fillna(0).astype(np.int64)
    frame = samples.frame.assign(status=beside["status"], faces=faces)
    return EmbeddingTable(frame, vectors, model)


def _check_rows(folder: Path, rows: int, samples: SampleTable) -> None:
    if rows != len(samples):
        raise UsageError(f"{folder} has {rows:,} rows, and the table {len(samples):,}")
