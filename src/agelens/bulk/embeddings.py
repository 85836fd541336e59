"""Embeddings of the faces that an estimator finds: no photo is read or searched twice."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from agelens.imaging.detectors import Detector
from agelens.inference.network import BATCH
from agelens.inference.results import PhotoResult
from agelens.recognition.embedding_table import MODEL_KEY, Vectors
from agelens.recognition.extractors import open_extractor
from agelens.records import RGB, Photo


class FaceVectors:
    """Gathers the vectors of faces, photo by photo.

    Args:
        detector: found the faces; how they are cut depends on it.
    """

    def __init__(self, detector: Detector) -> None:
        self._extractor = open_extractor()
        self._aligner = self._extractor.aligner(detector)
        self._chips: list[RGB] = []
        self._vectors: list[Vectors] = []

    def add(self, photo: Photo, result: PhotoResult) -> None:
        """Cut the faces of `photo`, and embed them once there are enough."""
        faces = [estimate.face for estimate in result.faces if estimate.face is not None]
        self._chips += [self._aligner.align(photo.rgb, face).rgb for face in faces]
        if len(self._chips) >= BATCH:
            self._embed()

    def taken(self, faces: pa.ChunkedArray) -> pa.Array:
        """The vectors so far as a column, null where `faces` is; then gather anew."""
        self._embed()
        dimension = self._extractor.model.dimension
        there = faces.is_valid().to_numpy()
        vectors = np.zeros((len(there), dimension), dtype=np.float32)
        vectors[there] = np.concatenate([*self._vectors, np.empty((0, dimension), np.float32)])
        self._vectors = []
        return pa.FixedSizeListArray.from_arrays(
            vectors.reshape(-1), dimension, mask=pa.array(~there)
        )

    def _embed(self) -> None:
        if self._chips:
            self._vectors.append(self._extractor.embed(np.stack(self._chips)))
            self._chips = []


def embedding_field() -> tuple[pa.Field, dict[bytes, bytes]]:
    """The column of vectors, and a schema's metadata that name their model."""
    model = open_extractor().model
    field = pa.field("embedding", pa.list_(pa.float32(), model.dimension))
    return field, {MODEL_KEY: json.dumps(asdict(model)).encode()}
