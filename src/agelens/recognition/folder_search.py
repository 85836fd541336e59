"""A person looked for in a folder: the likest faces, and how many strangers are as like."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from agelens.errors import PhotoError, UsageError
from agelens.evaluation.table_checks import tally
from agelens.imaging.detectors import Detector
from agelens.imaging.photos import PhotoSource
from agelens.recognition.embedding_table import EmbeddingModel, Vectors
from agelens.recognition.extractors import DEFAULT_EXTRACTOR, open_extractor
from agelens.recognition.extractors.network import Extractor
from agelens.recognition.face_embedder import (
    FaceEmbedder,
    FaceRequest,
    PhotoFaces,
    check_one_face,
    detector_of,
    every_face,
)
from agelens.recognition.face_index import FaceIndex, IndexChanges
from agelens.recognition.measured_rates import MeasuredRate, rates_of
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
        box = [round(edge, 2) for edge in self.box_xyxy]
        return asdict(self) | {"box_xyxy": box, "similarity": round(self.similarity, 4)}


@dataclass(frozen=True, slots=True, repr=False)
class Searched:
    """The faces found, likest first, and what was searched.

    `statuses` counts photos that gave no face by the reason, `faces` those that were searched.
    `expected_strangers` is how many faces of other people would be called the same by chance if
    all faces were of strangers such as the rate was measured on. `caution` says what speaks
    against the query's face, as where the photo's edge cuts it off.
    """

    query: str
    found: tuple[FoundFace, ...]
    faces: int
    statuses: dict[str, int]
    decided_by: MeasuredRate
    expected_strangers: float
    changes: IndexChanges
    model: EmbeddingModel
    caution: str | None = None

    def sentences(self) -> list[str]:
        """How much was searched, and how far a hit can be trusted."""
        without = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items())
        rate = self.decided_by.false_match_rate
        caution = [f"caution: of {self.query}, {self.caution}"] if self.caution else []
        return [
            *caution,
            f"{self.faces:,} faces searched" + (f"; photos without: {without}" if without else ""),
            f"at a false match rate of {rate:g}, about {self.expected_strangers:.1f} of so many "
            "strangers' faces are called the same by chance; of relatives and people of one group, "
            "more. A hit is a lead to look at, never proof.",
        ]

    def to_frame(self) -> pd.DataFrame:
        """The faces found, likest first: `rank, photo, box_xyxy, similarity, same_person`."""
        return pd.DataFrame([asdict(face) for face in self.found])

    def __repr__(self) -> str:
        return f"<Searched: {len(self.found):,} likest of {self.sentences()[0]}>"

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{escape(line)}</p>" for line in self.sentences())
        return self.to_frame().to_html(index=False) + lines

    def to_json(self) -> dict[str, Any]:
        """One JSON object; plain types only."""
        return {
            "query": self.query,
            "caution": self.caution,
            "found": [face.to_json() for face in self.found],
            "faces_searched": self.faces,
            "photos_without": self.statuses,
            "false_match_rate": self.decided_by.false_match_rate,
            "threshold": round(self.decided_by.threshold, 4),
            "expected_strangers": round(self.expected_strangers, 3),
            "photos_read": self.changes.read,
            "photos_gone": self.changes.gone,
            "photos_kept": self.changes.kept,
            "model": asdict(self.model),
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

    def search(self, query: PhotoSource, *, top: int = 10, progress: Any = None) -> Searched:
        """The `top` faces of the folder that are most like the face of `query`.

        Raises:
            PhotoError: the query cannot be read, or shows no face (status ``no_face``).
            UsageError: it shows several faces, and `largest` is not set; or `top` is below 1.
        """
        if top < 1:
            raise UsageError(f"top is 1 or more, got {top}")
        asked, vector = query_face(self.index.embedder, query, largest=self.largest)
        changes = self.index.refresh(progress)
        faces = self.index.faces
        rows, alike = self.index.searcher().nearest(vector, top)
        status = self.index.table.frame["status"]
        return Searched(
            query=asked.source,
            caution=asked.message or None,
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


def query_face(
    embedder: FaceEmbedder, query: PhotoSource, *, largest: bool
) -> tuple[PhotoFaces, Vectors]:
    """The photo `query`, and the embedding [D] of the one face that is meant.

    Raises:
        PhotoError: it cannot be read, or shows no face (status ``no_face``).
        UsageError: it shows several faces, and `largest` is not set.
    """
    answer = next(embedder.stream([FaceRequest(query, every_face)]))
    if answer.status not in ("ok", "no_face"):
        raise PhotoError(answer.message, status=answer.status, source=answer.source)
    check_one_face(answer.source, answer.found, largest=largest)
    return answer, answer.vectors[0]


def search(
    query: PhotoSource,
    folder: str | Path,
    *,
    index: str | Path | None = None,
    top: int = 10,
    extractor: str | Path | Extractor = DEFAULT_EXTRACTOR,
    false_match_rate: float = 0.001,
    face: Literal["refuse", "largest"] = "refuse",
    detector: str | Detector = "retinaface",
    workers: int | None = None,
    progress: Any = None,
) -> Searched:
    """The faces in a folder of photos that are most like the face of one photo.

    >>> search("me.jpg", "photos").to_frame()  # doctest: +SKIP

    For your own photos and for consented research only: the README says what recognition must not
    be used for.

    Args:
        query: a photo of the person.
        folder: photos to look through, at any depth.
        index: a folder that keeps the faces' embeddings, so that the next search only reads what
            changed; without it nothing is kept.
        top: faces to find.
        extractor: a name of `EXTRACTORS`, the folder or card of a network, or an extractor.
        false_match_rate: faces that would be called the same at it are marked, see `verify`.
        face: of a query with several faces: ``refuse`` it, or take the ``largest``.
        detector: finds the faces.
        workers: threads; all available cores by default.
        progress: called with photos read and photos to read.

    Raises:
        PhotoError: the query cannot be read, or shows no face (status ``no_face``).
        UsageError: a query with several faces, a folder without photos, a rate that the measured
            pairs cannot promise, or an index of another folder, model or detector.
        UnknownNameError, CardError: see `open_extractor`; or its card states no measured rates.
    """
    embedder = FaceEmbedder(open_extractor(extractor), detector_of(detector), workers=workers)
    faces = FaceIndex(Path(folder), embedder, None if index is None else Path(index))
    searcher = FolderSearch(faces, false_match_rate=false_match_rate, largest=face == "largest")
    return searcher.search(query, top=top, progress=progress)
