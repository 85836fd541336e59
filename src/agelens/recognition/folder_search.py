"""A person looked for in a folder: the likest faces, and how many strangers are as like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agelens.errors import PhotoError, UsageError
from agelens.evaluation.table_checks import tally
from agelens.imaging.photos import PhotoSource
from agelens.recognition.embedding_table import EmbeddingModel
from agelens.recognition.extractors.base import Vectors
from agelens.recognition.face_index import FaceIndex, IndexChanges
from agelens.recognition.measured_rates import MeasuredRate, rates_of
from agelens.recognition.photo_faces import (
    FaceEmbedder,
    FaceRequest,
    every_face,
    largest_face,
)
from agelens.tables import BOX
from agelens.version import __version__


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face of the folder: its photo, its box in the photo's pixels, its similarity."""

    rank: int
    photo: str
    box_xyxy: tuple[float, float, float, float]
    similarity: float
    same_person: bool

    def to_json(self) -> dict[str, Any]:
        """Plain types by name."""
        return {
            "rank": self.rank,
            "photo": self.photo,
            "box_xyxy": [round(edge, 2) for edge in self.box_xyxy],
            "similarity": round(self.similarity, 4),
            "same_person": self.same_person,
        }


@dataclass(frozen=True, slots=True)
class Searched:
    """The faces found, likest first, and what was searched.

    `statuses` counts photos that gave no face by the reason, `faces` those that were searched.
    `expected_strangers` is how many faces of other people would be called the same by chance if
    all faces were of strangers such as the rate was measured on.
    """

    query: str
    found: tuple[FoundFace, ...]
    faces: int
    statuses: dict[str, int]
    decided_by: MeasuredRate
    expected_strangers: float
    changes: IndexChanges
    model: EmbeddingModel

    def to_json(self) -> dict[str, Any]:
        """One JSON object; plain types only."""
        return {
            "query": self.query,
            "found": [face.to_json() for face in self.found],
            "faces_searched": self.faces,
            "photos_without": self.statuses,
            "false_match_rate": self.decided_by.false_match_rate,
            "threshold": round(self.decided_by.threshold, 4),
            "expected_strangers": round(self.expected_strangers, 3),
            "photos_read": self.changes.read,
            "photos_gone": self.changes.gone,
            "photos_kept": self.changes.kept,
            "model": self.model.to_json(),
            "agelens_version": __version__,
        }


class FolderSearch:
    """Searches the faces of a folder.

    Args:
        index: of the folder, refreshed here.
        false_match_rate: of pairs of different people who may be called the same.
        largest: take the largest face of a query with several; otherwise it is refused.

    Raises:
        CardError: the extractor's card states no measured rates.
        UsageError: the rate is smaller than the measured pairs can promise.
    """

    def __init__(
        self, index: FaceIndex, *, false_match_rate: float = 0.001, largest: bool = False
    ) -> None:
        self.index = index
        self.largest = largest
        self.decided_by = rates_of(index.embedder.extractor).at(false_match_rate)

    def search(self, query: PhotoSource, *, top: int = 10, on_progress: Any = None) -> Searched:
        """The `top` faces of the folder that are most like the face of `query`.

        Raises:
            PhotoError: the query cannot be read, or shows no face (status ``no_face``).
            UsageError: it shows several faces, and `largest` is not set; or `top` is below 1.
        """
        if top < 1:
            raise UsageError(f"--top is 1 or more, got {top}")
        name, vector = query_face(self.index.embedder, query, largest=self.largest)
        changes = self.index.refresh(on_progress)
        faces = self.index.faces
        rows, alike = self.index.searcher().nearest(vector, top)
        status = self.index.table.frame["status"]
        return Searched(
            query=name,
            found=tuple(self._found(faces.frame.iloc[rows], alike)),
            faces=len(faces),
            statuses=tally(status[~self.index.table.has_embedding]),
            decided_by=self.decided_by,
            expected_strangers=len(faces) * self.decided_by.measured,
            changes=changes,
            model=faces.model,
        )

    def _found(self, frame: Any, alike: Any) -> list[FoundFace]:
        boxes = frame[list(BOX)].to_numpy(dtype=np.float64)
        return [
            FoundFace(
                rank=rank + 1,
                photo=str(photo),
                box_xyxy=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                similarity=float(similarity),
                same_person=bool(similarity >= self.decided_by.threshold),
            )
            for rank, (photo, box, similarity) in enumerate(
                zip(frame["path"], boxes, alike, strict=True)
            )
        ]


def query_face(embedder: FaceEmbedder, query: PhotoSource, *, largest: bool) -> tuple[str, Vectors]:
    """The name of the photo `query`, and the embedding [D] of the one face that is meant.

    Raises:
        PhotoError: it cannot be read, or shows no face (status ``no_face``).
        UsageError: it shows several faces, and `largest` is not set.
    """
    choose = largest_face if largest else every_face
    answer = next(embedder.stream([FaceRequest(query, choose)]))
    if not answer.faces:
        raise PhotoError(answer.message, status=answer.status, source=answer.source)
    if len(answer.faces) > 1:
        raise UsageError(
            f"{answer.source}: {answer.found} faces found, and whose is meant is not said: cut the "
            "photo to one of them, or take the largest (--face largest)"
        )
    return answer.source, answer.vectors[0]
