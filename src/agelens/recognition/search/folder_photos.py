"""The photos below a folder, and every face in them as a row of a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agelens.errors import PhotoError, UsageError
from agelens.imaging.photos import display_name
from agelens.imaging.sources import PHOTO_SUFFIXES, tree
from agelens.recognition.embeddings import OK, EmbeddingTable
from agelens.recognition.extractors.photo_faces import (
    FaceEmbedder,
    FaceRequest,
    PhotoFaces,
    every_face,
)
from agelens.records import Face
from agelens.tables import BOX


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo: its printable path below the folder, where it is, and what tells a change."""

    name: str
    path: Path
    size_bytes: int
    modified_ns: int


def photo_files(folder: Path) -> list[PhotoFile]:
    """The photos in and below `folder`, known by their suffix; hidden ones are passed over.

    Raises:
        UsageError: `folder` is none, or holds no photos.
        PhotoError: a folder below it cannot be listed.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder; name the one whose photos to look through")
    files = []
    for below, names in tree(str(folder), suffixes=PHOTO_SUFFIXES, deep=True):
        if isinstance(names, OSError):
            raise PhotoError(f"{below}: the folder cannot be listed: {names.strerror}")
        files += [found for found in (_photo_file(folder, name) for name in names) if found]
    if not files:
        raise UsageError(f"{folder}: no photos in or below it")
    return files


def embed_faces(embedder: FaceEmbedder, files: Sequence[PhotoFile]) -> EmbeddingTable:
    """Every face of every photo; a photo without one is one row that says why.

    Beside the columns of every table of embeddings there are `size_bytes` and `modified_ns` of
    the photo, `face` (its number in the photo, largest first) and `box_x1` to `box_y2`.
    """
    rows: list[dict[str, Any]] = []
    vectors: list[Any] = []
    requests = (FaceRequest(file.path, every_face) for file in files)
    for file, answer in zip(files, embedder.stream(requests), strict=True):
        rows += _rows(file, answer)
        vectors.append(answer.vectors if answer.faces else _nothing(embedder))
    stacked = np.concatenate([*vectors, _nothing(embedder)[:0]])
    return EmbeddingTable(face_frame(rows), stacked, embedder.extractor.model)


def face_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The rows in their columns, which an empty table has too."""
    names = ("sample_id", "path", "status", "size_bytes", "modified_ns", "face", *BOX)
    frame = pd.DataFrame(list(rows), columns=names)
    whole = {name: frame[name].astype(np.int64) for name in ("size_bytes", "modified_ns", "face")}
    return frame.assign(**whole, dataset=None, subject=None, age_years=np.nan)


def _photo_file(folder: Path, name: str) -> PhotoFile | None:
    path = Path(name)
    try:
        facts = path.stat()
    except OSError:  # gone since it was listed, or a link to nothing
        return None
    below = display_name(os.path.relpath(name, folder))
    return PhotoFile(below, path, facts.st_size, facts.st_mtime_ns)


def _rows(file: PhotoFile, answer: PhotoFaces) -> list[dict[str, Any]]:
    facts = {"path": file.name, "size_bytes": file.size_bytes, "modified_ns": file.modified_ns}
    if not answer.faces:
        return [facts | {"sample_id": file.name, "status": answer.status, "face": -1}]
    return [
        facts | {"sample_id": f"{file.name}#{place}", "status": OK, "face": place} | _box(face)
        for place, face in enumerate(answer.faces)
        if face is not None
    ]


def _box(face: Face) -> dict[str, float]:
    return dict(zip(BOX, face.box_xyxy.tolist(), strict=True))


def _nothing(embedder: FaceEmbedder) -> Any:
    return np.full((1, embedder.extractor.model.dimension), np.nan, dtype=np.float32)
